/// Simplification of attention graphs: see SimplifyAttention.td.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Pass/Pass.h"

namespace tenon {

#define GEN_PASS_DECL
#include "compiler/attention/SimplifyAttention.h.inc"
#define GEN_PASS_REGISTRATION
#include "compiler/attention/SimplifyAttention.h.inc"

/// The value of an element-wise op of the attention dialect for these constant operands, as the
/// interpreter computes it in float32; null where it has none.
mlir::TypedAttr evaluateConstants(mlir::Operation *op, llvm::ArrayRef<mlir::Attribute> operands);

} // namespace tenon
