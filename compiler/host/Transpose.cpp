#include "compiler/host/Transpose.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;

namespace tenon::tile {

// Runs of `run` elements of the lower, or of the upper half of each piece, from a and b in turn:
// unpcklps, unpckhps for 1, unpcklpd, unpckhpd for 2.
static Value interleave(ImplicitLocOpBuilder &builder, Value a, Value b, int32_t run, bool upper) {
  auto n = static_cast<int32_t>(cast<VectorType>(a.getType()).getNumElements());
  SmallVector<int32_t> mask;
  for (int32_t piece = 0; piece < n; piece += kTransposedColumns)
    for (int32_t i = 0; i < 2; i += run)
      for (int32_t side = 0; side < 2; ++side)
        for (int32_t j = 0; j < run; ++j)
          mask.push_back(side * n + piece + (upper ? 2 : 0) + i + j);
  return LLVM::ShuffleVectorOp::create(builder, a, b, mask);
}

SmallVector<Value> transposePieces(ImplicitLocOpBuilder &builder, ArrayRef<Value> v) {
  Value low01 = interleave(builder, v[0], v[1], 1, false);
  Value high01 = interleave(builder, v[0], v[1], 1, true);
  Value low23 = interleave(builder, v[2], v[3], 1, false);
  Value high23 = interleave(builder, v[2], v[3], 1, true);
  return {interleave(builder, low01, low23, 2, false), interleave(builder, low01, low23, 2, true),
          interleave(builder, high01, high23, 2, false),
          interleave(builder, high01, high23, 2, true)};
}

Value concatenate(ImplicitLocOpBuilder &builder, ArrayRef<Value> pieces) {
  if (pieces.size() == 1)
    return pieces[0];
  Value first = concatenate(builder, pieces.take_front(pieces.size() / 2));
  Value second = concatenate(builder, pieces.drop_front(pieces.size() / 2));
  auto n = static_cast<int32_t>(cast<VectorType>(first.getType()).getNumElements());
  return LLVM::ShuffleVectorOp::create(builder, first, second,
                                       llvm::to_vector(llvm::seq(0, 2 * n)));
}

} // namespace tenon::tile
