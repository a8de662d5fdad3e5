#include "bench/HostMemory.h"

#include "tenon/Parallel.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>

namespace tenon::command {
namespace {

/// A line of /proc/self/status, proc(5), in kB.
Result<double> kilobytes(const std::string &name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(name + ":"))
      return std::stod(line.substr(name.size() + 1));
  return Error(ErrorCode::kUnsupported, "/proc/self/status: has no " + name);
}

/// Sets the highest so far to what it is now.
bool reset_peak() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5" << std::flush;
  return static_cast<bool>(file);
}

/// Key and value of as many heads as threads, in megabytes.
double heads_in_flight(const TimedCall &call, int threads) {
  double bytes = 0;
  for (size_t i : {1, 2}) {
    const Shape &shape = call.inputs[i].shape();
    bytes +=
        static_cast<double>(std::min<int64_t>(shape[0] * shape[1], threads) * shape[2] * shape[3]) *
        static_cast<double>(size_in_bytes(call.inputs[i].dtype()));
  }
  return bytes / 1e6;
}

} // namespace

Result<MemoryOfCall> memory_of_first_call(TimedCall &call) {
  const std::vector<TensorReference> inputs(call.inputs.begin(), call.inputs.end());
  TENON_ASSIGN_OR_RETURN(const Explanation compiled, call.function.explain(inputs));
  std::memset(call.output.data(), 0,
              static_cast<size_t>(call.output.element_count()) *
                  size_in_bytes(call.output.dtype()));
  const int threads = parallel_concurrency();
  parallel_for(threads, [](int64_t) {}); // the threads themselves
  if (!reset_peak())
    return Error(ErrorCode::kUnsupported, "/proc/self/clear_refs: cannot be written");
  TENON_ASSIGN_OR_RETURN(const double before, kilobytes("VmRSS"));
  TENON_TRY(call.begin());
  TENON_ASSIGN_OR_RETURN(const double most, kilobytes("VmHWM"));
  const double grown = (most - before) * 1024 / 1e6;
  return MemoryOfCall{grown / threads,
                      std::max(0.0, grown - heads_in_flight(call, threads)) / threads};
}

} // namespace tenon::command
