/// How long one waits before anything runs.
#pragma once

#include "tenon/Compiler.h"
#include "tenon/Result.h"

namespace tenon::command {

/// Since the system started this process, loading its libraries included: to 10 ms, as Linux keeps
/// it.
double milliseconds_since_process_start();

/// Of compiling the request anew, no cache asked, with LLVM in memory: the median of some.
Result<double> cold_compile_milliseconds(const CompileRequest &request);

} // namespace tenon::command
