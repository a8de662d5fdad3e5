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

// Of four elements a piece: first the pieces' elements, then the pieces of every fourth vector.
SmallVector<Value> transposeSquare(ImplicitLocOpBuilder &builder, ArrayRef<Value> vectors) {
  constexpr auto kPiece = static_cast<int32_t>(kTransposedColumns);
  auto n = static_cast<int32_t>(vectors.size()), pieces = n / kPiece;
  auto select = [&](Value a, Value b, ArrayRef<int32_t> chosen) -> Value { // pieces of a, then of b
    SmallVector<int32_t> mask;
    for (int32_t piece : chosen)
      for (int32_t i = 0; i < kPiece; ++i)
        mask.push_back(piece * kPiece + i);
    return LLVM::ShuffleVectorOp::create(builder, a, b, mask);
  };
  SmallVector<SmallVector<Value>> groups;
  for (int32_t group = 0; group < pieces; ++group)
    groups.push_back(transposePieces(builder, vectors.slice(group * kPiece, kPiece)));
  SmallVector<Value> result(n);
  for (int32_t i = 0; i < kPiece; ++i) {
    if (pieces == 2) {
      result[i] = select(groups[0][i], groups[1][i], {0, 2});
      result[kPiece + i] = select(groups[0][i], groups[1][i], {1, 3});
      continue;
    }
    for (int32_t odd = 0; odd < 2; ++odd) {
      Value lower = select(groups[0][i], groups[1][i], {odd, odd + 2, odd + 4, odd + 6});
      Value upper = select(groups[2][i], groups[3][i], {odd, odd + 2, odd + 4, odd + 6});
      result[odd * kPiece + i] = select(lower, upper, {0, 2, 4, 6});
      result[(odd + 2) * kPiece + i] = select(lower, upper, {1, 3, 5, 7});
    }
  }
  return result;
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
