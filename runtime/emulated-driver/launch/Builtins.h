// What the driver itself does when a kernel calls it: vprintf, __assertfail.
#pragma once
#include "decode/Program.h"

namespace tenon::emulator {

/// Where the arguments of a call lie: behind the results in Op::more.
inline const uint32_t *arguments_of(const Op *op) { return op->more + 1 + 2 * op->more[0]; }

/// Does it for the lanes in `mask`; arguments and results are in the caller's frame, as Op::more says.
void run_builtin(Warp &warp, const Op *op, uint32_t mask, Builtin builtin);

/// A thread's local memory in a call.
std::byte *local_memory(const Warp &warp, const Frame &frame, int lane);

} // namespace tenon::emulator
