/// From the fused operation to a tile kernel: see TileAttention.td.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace tenon {

#define GEN_PASS_DECL
#include "compiler/attention/TileAttention.h.inc"
#define GEN_PASS_REGISTRATION
#include "compiler/attention/TileAttention.h.inc"

inline constexpr llvm::StringLiteral kTensorsAttribute = "tile.tensors";
inline constexpr llvm::StringLiteral kScalarsAttribute = "tile.scalars";
inline constexpr llvm::StringLiteral kDropoutAttribute = "tile.dropout";
inline constexpr llvm::StringLiteral kWorkspaceAttribute = "tile.workspace";

/// In `tile.tensors`: this and i more for tensor i of the workspace.
inline constexpr int32_t kFirstWorkspaceTensor = 1 << 20;

} // namespace tenon
