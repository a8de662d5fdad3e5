#include "bench/ColdStart.h"

#include <algorithm>
#include <ctime>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <unistd.h>

namespace tenon::command {

double milliseconds_since_process_start() {
  // proc(5): the name in parentheses may hold anything; starttime is field 22, in ticks since boot.
  constexpr int kFieldsFromStateToStart = 20;
  std::ostringstream text;
  text << std::ifstream("/proc/self/stat").rdbuf();
  const std::string stat = std::move(text).str();
  std::istringstream fields(stat.substr(std::min(stat.rfind(')') + 1, stat.size())));
  std::string field;
  for (int i = 0; i < kFieldsFromStateToStart; ++i)
    fields >> field;
  if (!fields)
    return 0;
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const double since_boot =
      1e3 * static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e6;
  const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  return std::max(0.0, since_boot - 1e3 * std::stod(field) / ticks);
}

Result<double> cold_compile_milliseconds(const CompileRequest &request) {
  double times[3];
  TENON_TRY(compile_kernel(request)); // LLVM's own first use
  for (double &time : times) {
    TENON_ASSIGN_OR_RETURN(const CompileOutcome outcome, compile_kernel(request));
    time = outcome.milliseconds;
  }
  std::ranges::sort(times);
  return times[std::size(times) / 2];
}

} // namespace tenon::command
