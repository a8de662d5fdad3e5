/// How much memory a call takes besides its tensors.
#pragma once

#include "bench/Measurement.h"

namespace tenon::command {

/// Megabytes a thread.
struct MemoryOfCall {
  double all = 0; ///< by which the process grows at most
  double beyond_heads =
      0; ///< besides key and value of the heads in flight, of which a schedule may keep packed copies
};

/// Of a call that runs for the first time, compiled before. Errors: kUnsupported where Linux does not tell.
Result<MemoryOfCall> memory_of_first_call(TimedCall &call);

} // namespace tenon::command
