/// What the machine can do at most, measured in the same run: fused multiply-adds of float32 in
/// registers.
#pragma once

namespace tenon::command {

/// 10^9 operations a second on all threads of the current arena; an FMA counts as two. Takes some
/// 30 ms.
double measure_fma_peak();

} // namespace tenon::command
