/// Moves what products read to shared memory: see StageSharedMemory.td.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace tenon {

/// A 16-bit left operand stays in registers up to this width for 16 rows a warp, half of it for 32: 32
/// registers a lane. A wider one would leave too few for the accumulators of the output; so does one of 128 where
/// tables or random numbers need registers too.
inline constexpr int64_t kMaxWidthInRegisters = 128, kMaxWidthBesideTables = 96;

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "compiler/gpu/StageSharedMemory.h.inc"

} // namespace tenon
