/// Tile kernels become loops of vectors: see LowerTileToVector.td.
#pragma once

#include "dialects/tile_unit/TileUnit.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace tenon {

/// Bytes of workspace that one call of the kernel uses, i64, on the llvm.func.
inline constexpr llvm::StringLiteral kWorkspaceBytesAttribute = "tile.workspace_bytes";

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "compiler/host/LowerTileToVector.h.inc"

} // namespace tenon
