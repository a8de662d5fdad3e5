/// Tile kernels become what one thread of a GPU does: see LowerTileToNVVM.td.
#pragma once

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace tenon {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "compiler/gpu/LowerTileToNVVM.h.inc"

} // namespace tenon
