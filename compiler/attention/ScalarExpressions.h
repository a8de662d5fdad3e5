/// Element-wise operations of the attention dialect as scalar `arith` and `math`: one place that says what
/// each is for one element.
#pragma once

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace tenon {

/// The element of `op`'s result, given those of its operands (f32, i32, i1). Null for an operation that is
/// not element-wise.
mlir::Value buildScalar(mlir::ImplicitLocOpBuilder &builder, mlir::Operation *op,
                        llvm::ArrayRef<mlir::Value> operands);

} // namespace tenon
