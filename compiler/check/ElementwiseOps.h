/// What each operation of `arith` and `math` does to its elements: one table, one line an operation.
#pragma once

#include "compiler/check/Elements.h"

#include "mlir/IR/Operation.h"

namespace tenon::check {

/// Computes an element-wise operation (arith.constant is none). Nothing where the table lacks it.
std::optional<Elements> evaluateElementwise(mlir::Operation *op, llvm::ArrayRef<const Elements *> operands);

} // namespace tenon::check
