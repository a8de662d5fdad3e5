/// The flags that set a schedule by hand, which compile and explain have in common.
#pragma once

#include "Command.h"

#include <string>

namespace tenon::command {

struct ScheduleOptions {
  int64_t tile_queries = 0, tile_keys = 0, stages = 0, warps = 0; ///< 0: the compiler's choice
  std::string others = "{}";                                      ///< JSON object

  void add_to(CLI::App &app);
  /// All of them as CompileOptions::schedule. Errors: `others` is no JSON object.
  Result<std::string> text() const;
};

} // namespace tenon::command
