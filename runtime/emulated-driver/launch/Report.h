// What the checkers found, and what was executed. One for the process; safe to use from any thread.
#pragma once
#include "decode/Opcodes.h"
#include "execute/Services.h"
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace tenon::emulator {

/// One finding: where it was seen first, and how often.
struct Finding {
  FindingKind kind;
  std::string kernel;
  Location location;  // of the instruction in the PTX text
  std::string opcode;
  std::string text;   // the whole finding, in one line
  uint64_t count = 1;
};

/// Warp instructions executed.
struct Counters {
  uint64_t launches = 0;
  uint64_t blocks = 0;
  uint64_t kinds[std::size(kOpKindNames)] = {};
  std::map<std::string, uint64_t> opcodes;
  uint64_t total() const;
};

class Report {
public:
  static Report &instance();

  void add(Finding finding);
  void add(const std::string &kernel, const Counters &counters);
  void clear();

  std::vector<Finding> findings() const;
  /// One line a finding, "nothing found" where there is none.
  std::string text() const;
  /// {"launches": …, "warp_instructions": …, "kinds": {…}, "kernels": {name: {…, "opcodes": {…}}}}
  std::string counters() const;

private:
  mutable std::mutex mutex_;
  std::vector<Finding> findings_;
  std::map<std::string, Counters> kernels_;
};

/// "out of bounds", "use after free", …
std::string_view finding_name(FindingKind kind);

} // namespace tenon::emulator
