/// What a call costs besides its kernel.
#pragma once

#include "tenon/Result.h"

namespace tenon::command {

/// Nanoseconds of one Function::launch on the host, whose kernel returns at once: the median of
/// many.
Result<double> measure_call_overhead();

} // namespace tenon::command
