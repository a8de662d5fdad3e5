// What the checkers found, and what was executed. One for the process; safe to use from any thread.
#pragma once
#include "decode/Program.h"
#include "launch/Checkers.h"
#include <map>
#include <mutex>
#include <optional>
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
  std::string detail; // what of the text is about this finding alone
  std::string ptx;    // the line of the PTX text
  std::string source_file; // what .loc says; empty where it says nothing
  uint32_t source_line = 0;
  struct Thread {
    uint32_t block[3], thread[3], warp, lane;
  };
  std::optional<Thread> thread;
  std::optional<AccessRecord> access;
  std::string allocation; // where the address lies
};

/// What one line of a kernel did.
struct LineCounters {
  std::string opcode;
  uint64_t executed = 0;  // by warps
  uint64_t divergent = 0; // of these, by a part of a warp whose other lanes were elsewhere
  Traffic traffic;
};

/// Warp instructions executed.
struct Counters {
  uint64_t launches = 0;
  uint64_t blocks = 0;
  uint64_t kinds[std::size(kOpKindNames)] = {};
  uint64_t static_kinds[std::size(kOpKindNames)] = {}; // instructions in the text
  std::map<std::string, uint64_t> opcodes;
  std::map<std::pair<uint32_t, uint32_t>, LineCounters> lines; // by line and column
  uint64_t total() const;
  void add(const Counters &other);
};

class Report {
public:
  static Report &instance();

  void add(Finding finding);
  /// True, and counted, if such a finding is known.
  bool count(FindingKind kind, const std::string &kernel, Location location);
  void add(const std::string &kernel, const Counters &counters);
  void clear();
  /// Reads TENON_EMULATOR_CHECK and TENON_EMULATOR_REPORT, whose file is made empty. False, told on standard error,
  /// where they make no sense.
  bool configure();

  std::vector<Finding> findings() const;
  /// One line a finding, "nothing found" where there is none.
  std::string text() const;
  /// One JSON object a finding and line.
  std::string json_lines() const;
  /// {"launches": …, "warp_instructions": …, "kinds": {…}, "kernels": {name: {…, "opcodes": {…}, "lines": […]}}}
  std::string counters() const;

private:
  void remind();
  Finding *find(FindingKind kind, const std::string &kernel, Location location);
  Finding *find(const Finding &finding);
  mutable std::mutex mutex_;
  std::vector<Finding> findings_;
  std::map<std::string, Counters> kernels_;
  std::string file_; // of TENON_EMULATOR_REPORT
  mutable bool told_ = false; // somebody has asked for the findings, or they were written
  bool reminds_ = false;      // when the program ends
};

} // namespace tenon::emulator
