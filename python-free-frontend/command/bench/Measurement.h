/// What `tenon bench` measures: calls, timed in rounds that go over all of them in turn, and their figures.
#pragma once

#include "Command.h"
#include "ShapeOptions.h"
#include "bench/PeakRate.h"

#include "tenon/Attention.h"
#include "tenon/Device.h"

#include <string>
#include <vector>

namespace tenon::command {

/// A function, its tensors, and the times of its rounds.
struct TimedCall {
  Function function;
  std::vector<Tensor> inputs;
  Tensor output;
  LaunchOptions launch;
  Device *device = nullptr; ///< that is waited for; null for the host
  int threads = 0;          ///< of oneTBB that the call may use; 0 for all
  Explanation explanation;  ///< of the first call
  double first_milliseconds = 0;
  std::vector<double> rounds; ///< milliseconds a call

  /// The first call, which compiles.
  Result<void> begin();
  /// One round: calls for about so long, at least one, and their mean.
  Result<void> run_round(double milliseconds);

private:
  Result<void> call(int times = 1) const;
};

/// A shape that flags describe, or a suite lists.
struct ShapeCase {
  ShapeOptions shape;
  TimedCall timed;
};

/// The call of `function` with query, key and value of these sizes, and a mask where the shape has one.
Result<TimedCall> make_call(Function function, const ShapeOptions &shape, Way way = Way::kHost);
/// `schedule` and `target` are those of CompileOptions. Its first call is made. Errors: those of the shape, of compiling and
/// of running.
Result<ShapeCase> make_case(const ShapeOptions &shape, Way way,
                            const std::string &schedule = "{}", const std::string &target = "");

/// Random numbers of a normal distribution, which repeat after a while: as fast to make as to copy.
Result<Tensor> noise(const Shape &shape, DataType dtype, uint64_t seed);

double median(std::vector<double> numbers); ///< 0 of none
/// The distance of the extremes over the median.
double spread(const std::vector<double> &numbers);

/// What takes longest at the machine's peaks.
struct Bound {
  std::string name;
  double gflops = 0;
};
double bytes_of(const ShapeOptions &shape); ///< of query, key, value and output
Bound bound_of(const ShapeOptions &shape, const HostPeaks &peaks);
Bound bound_of(const ShapeOptions &shape, const DeviceRates &rates);

struct Figures {
  double milliseconds = 0, spread = 0, gflops = 0, share = 0;
};
Figures figures_of(const ShapeCase &made, const Bound &bound);

/// Of the whole run, whatever the shape.
struct RunFigures {
  HostPeaks peaks;   ///< where the host runs the shapes,
  bool on_gpu = false;
  DeviceRates rates; ///< where a GPU does
  double overhead = 0;                      ///< nanoseconds of a later call, besides its kernel
  // Milliseconds; 0 where they were not measured, as in --suite host.
  double to_first_result = 0; ///< from the start of the process
  double compile_host = 0, compile_ptx = 0;
};

std::string shape_table(const std::vector<ShapeCase> &cases, const RunFigures &run);
Json to_json(const ShapeCase &made, const RunFigures &run);
Json to_json(const HostPeaks &peaks);
std::string text(const HostPeaks &peaks); ///< one line
std::string text(const DeviceRates &rates);

} // namespace tenon::command
