/// Gives each tile in registers its layout: see AssignLayouts.td.
#pragma once

#include "compiler/attention/ChooseSchedule.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace tenon {

/// Attribute of a kernel, i32: bytes of dynamic shared memory. It is on the function when the pipeline is done, beside
/// kThreadsAttribute.
inline constexpr llvm::StringLiteral kSharedBytesAttribute = "tile.shared_bytes";

/// On a kernel that reads tables: their addresses and elements need the registers that hoisting what a loop
/// leaves alone would take.
inline constexpr llvm::StringLiteral kReadsTablesAttribute = "tile.reads_tables";

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "compiler/gpu/AssignLayouts.h.inc"

} // namespace tenon
