/// Values of the interpreters: a scalar, or a tile of elements in row-major order.
///
/// Reals are kept as doubles that hold exactly what the element type can hold: every operation rounds its
/// result to it. Integers are kept sign-extended; i1 is 0 or 1.
#pragma once

#include "tenon/DataType.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/SmallVector.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace tenon::check {

struct Elements {
  mlir::Type elementType;
  llvm::SmallVector<int64_t, 2> shape;  ///< empty for a scalar
  std::vector<double> reals;
  std::vector<int64_t> integers;

  bool isReal() const { return llvm::isa<mlir::FloatType>(elementType); }
  size_t size() const { return isReal() ? reals.size() : integers.size(); }
  int64_t integer() const { return integers.front(); }
  /// Zeros in the shape of `other`.
  void resizeLike(const Elements &other);

  /// Zeros of a builtin scalar, of a ranked tensor, or of a tile in shared memory.
  static Elements zeros(mlir::Type type);
};

/// `value` rounded to nearest even to `type` (f16, bf16, f32, f64).
double roundTo(mlir::Type type, double value);

/// `value` wrapped to the width of the integer `type` and sign-extended; i1 becomes 0 or 1.
int64_t wrapTo(mlir::Type type, int64_t value);

/// How a tensor stores elements of a type that an argument or a slot has.
DataType dataTypeOf(mlir::Type type);

} // namespace tenon::check
