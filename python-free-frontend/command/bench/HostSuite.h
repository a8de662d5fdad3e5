/// What Tenon asks of its host code, each figure beside what it must be: `tenon bench --suite host`.
#pragma once

#include "bench/Beside.h"
#include "bench/Measurement.h"
#include "bench/Requirement.h"

#include "tenon/FunctionRef.h"

#include <functional>
#include <utility>
#include <vector>

namespace tenon::command {

/// Two calls whose times are compared: `variant` against `plain`.
struct Comparison {
  std::string of;
  TimedCall plain, variant;
  /// The plain call's time over the variant's, of each round.
  Sample speed() const;
  /// The variant's time over the plain call's, of each round.
  Sample time() const;
};

inline constexpr double kMostMemory = 2; ///< megabytes a thread, where a schedule packs nothing

/// All that the suite runs, each called once.
struct HostSuite {
  int64_t shorter = 1;                  ///< all lengths are divided by this
  std::vector<ShapeCase> forward;       ///< full and causal in turns, of every type and shape
  std::vector<ShapeCase> decoding, few; ///< one query against many keys; few of both
  std::vector<ShapeCase> avx2;          ///< code for x86-64-v3
  std::vector<Comparison> half, masks, expressions, dropout, window;
  std::vector<Comparison> threads, skewed; ///< two against one; skewed: blocks of queries have more to do than others
  std::vector<std::pair<std::string, CompileRequest>>
      compiled; ///< full, causal, with a score expression
  std::vector<Sample> compile_times, memory, same_bits;
  std::string no_memory; ///< why it could not be measured

  /// Errors: those of the first call that fails.
  static Result<HostSuite> make(int64_t shorter, FunctionRef<void(const std::string &)> progress);
  /// Goes over all once.
  Result<void> run_round(double milliseconds, FunctionRef<void(const std::string &)> progress);
  std::vector<Requirement> requirements(const RunFigures &run, const Beside &beside) const;
  /// Whether something is asked against the program of this name: the prototype, or a peer.
  static bool is_measure(const std::string &name);
  std::vector<ShapeCase> shapes() const; ///< those with a place in the table of shapes
};

} // namespace tenon::command
