/// Functions of one element, in the instructions that a GPU has: no call into a library.
///
/// exp2 is ex2.approx.ftz (2 ulp; 2^-inf = 0), log2 is lg2.approx (2^-22). The others are composed of these,
/// of polynomials and of exact arithmetic, to a few ulp of float32.
#pragma once

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace tenon::tile {

/// Whether `expandMath` knows the operation.
bool isMath(mlir::Operation *op);

/// The value of an operation of the math dialect on scalars; null for any other.
mlir::Value expandMath(mlir::ImplicitLocOpBuilder &builder, mlir::Operation *op,
                       mlir::ValueRange operands);

} // namespace tenon::tile
