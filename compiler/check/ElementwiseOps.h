/// What each operation of `arith` and `math` does to its elements: one table, one line an operation.
#pragma once

#include "compiler/check/Elements.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <optional>

namespace tenon::check {

/// Computes an element-wise operation (arith.constant is none); nothing where the table lacks it. An
/// operation on scalars may be given tiles: it is then computed for every element of them.
std::optional<Elements> evaluateElementwise(mlir::Operation *op, llvm::ArrayRef<const Elements *> operands);

/// A scalar, or all elements of a tile.
Elements evaluateConstant(mlir::arith::ConstantOp op);

} // namespace tenon::check
