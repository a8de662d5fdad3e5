/// How Tenon spreads work over the threads of the host.
///
/// Tenon owns no threads. By default it runs in the caller's oneTBB arena, so a program limits it
/// with `tbb::task_arena` or `tbb::global_control`. A program with a pool of its own hands that
/// over.
#pragma once

#include "tenon/Api.h"
#include "tenon/FunctionRef.h"

#include <cstdint>
#include <functional>

namespace tenon {

/// Calls body(0) … body(count − 1), each once, on any threads, in any order, and returns after the
/// last. Indices are started in ascending order, one at a time, so that work listed longest first
/// balances. No body calls parallel_for itself. A count below two runs on the calling thread.
TENON_API void parallel_for(int64_t count, FunctionRef<void(int64_t)> body);

/// The threads that parallel_for may use from here, at least 1: the concurrency of the current
/// arena, or what the host program stated.
TENON_API int parallel_concurrency();

using ParallelFor = std::function<void(int64_t count, FunctionRef<void(int64_t)> body)>;

/// Replaces the above by the host program's own, of `concurrency` threads; an empty function
/// restores oneTBB. Calls that are already running end as they began.
TENON_API void set_parallel_for(ParallelFor replacement, int concurrency = 1);

} // namespace tenon
