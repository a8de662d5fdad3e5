/// Kernels for many and for few queries: see SplitQueries.td.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace tenon {

#define GEN_PASS_DECL
#include "compiler/attention/SplitQueries.h.inc"
#define GEN_PASS_REGISTRATION
#include "compiler/attention/SplitQueries.h.inc"

/// What the names of the kernels for few queries end in, where there are those for many beside them.
inline constexpr llvm::StringLiteral kFewQueriesSuffix = "_few";

} // namespace tenon
