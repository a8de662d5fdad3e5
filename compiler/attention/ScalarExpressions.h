/// Element-wise operations of the attention dialect as scalar `arith` and `math`: one place that says what
/// each is for one element.
#pragma once

#include "mlir/IR/ImplicitLocOpBuilder.h"

#include <optional>

namespace tenon {

/// The element of `op`'s result, given those of its operands (f32, i32, i1). Null for an operation that is
/// not element-wise.
mlir::Value buildScalar(mlir::ImplicitLocOpBuilder &builder, mlir::Operation *op,
                        llvm::ArrayRef<mlir::Value> operands);

/// Of an f32 that is a constant.
std::optional<float> realConstant(mlir::Value value);

} // namespace tenon
