/// Random inputs that fit a function, by how it uses them.
#pragma once

#include "tenon/Tensor.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace tenon::check {

/// Small, prime-like sizes: more than one tile, and none whole.
struct CheckSizes {
  int64_t batch = 2, keyHeads = 2, group = 1, queries = 33, keys = 70;
  int64_t heads() const { return keyHeads * group; }
};

inline constexpr int64_t kTableSize = 40; ///< less than the keys, so that indices beyond it are clamped too

/// Sizes for a function of attention operations or a tile kernel, by its signature: its group, more than one chunk of
/// keys where it has few queries, its exact shape.
CheckSizes sizesFor(mlir::func::FuncOp function);

/// One tensor an argument of a function of attention operations, in its storage type: tables by their indices, all
/// else by which of its rows and columns are queries and keys. What stands beside the scores is broadcast along the
/// batch, the heads, the queries or the keys as seed and argument have it; scalars are of rank 0.
std::vector<Tensor> inputsFor(mlir::func::FuncOp function, const CheckSizes &sizes, uint64_t seed);

/// What inputs are made of: normal numbers, small integers, bits; a real number in [0, 1), or an index of a key.
Tensor randomTensor(Shape shape, DataType dtype, uint64_t seed);
Tensor randomNumber(bool real, const CheckSizes &sizes, uint64_t seed);

} // namespace tenon::check
