/// The flags that set a schedule by hand, which compile and explain have in common.
#pragma once

#include "Command.h"

#include <string>
#include <vector>

namespace tenon::command {

struct ScheduleOptions {
  std::vector<std::string> without; ///< names of compiler/attention/Effects.h
  int64_t tile_queries = 0, tile_keys = 0, stages = 0, warps = 0; ///< 0: the compiler's choice
  std::string others = "{}";                                      ///< JSON object

  void add_to(CLI::App &app);
  /// All of them as CompileOptions::schedule. Errors: `others` is no JSON object.
  Result<std::string> text() const;
};

} // namespace tenon::command
