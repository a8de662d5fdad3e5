/// Scalar expressions of attention.fused on tiles.
///
/// Each value of a region depends on batch and head alone, on the query besides, or on the key: it is a
/// scalar, a vector with one element a row, or a tile accordingly. The first two are computed once, before
/// the loops over the keys.
#pragma once

#include "dialects/attention/Attention.h"
#include "kernels/FlashForward.h"

#include "mlir/IR/IRMapping.h"

namespace tenon {

/// The inputs of a graph that a kernel reads besides query, key and value, by slot.
class CapturedInputs {
public:
  using Builder = mlir::ImplicitLocOpBuilder;
  explicit CapturedInputs(llvm::SmallVector<int32_t> tensors) : tensors_(std::move(tensors)) {}

  /// A tensor or scalar of the graph as the kernel sees it; made where the builder stands. Scalars that the
  /// graph computes are computed.
  mlir::Value get(Builder &builder, mlir::Value value, const kernels::FlashForwardBlock &block);

  llvm::ArrayRef<int32_t> tensors() const { return tensors_; }
  llvm::ArrayRef<int32_t> scalars() const { return scalars_; }

private:
  llvm::SmallVector<int32_t> tensors_, scalars_;
  llvm::DenseMap<mlir::Value, mlir::Value> made_;
};

/// What a value of a region depends on, and so what it is.
enum class Extent { kScalar, kRows, kTile };

class TileExpressions {
public:
  using Builder = mlir::ImplicitLocOpBuilder;
  struct Argument {
    mlir::Value value; ///< null for what changes with the loop
    Extent extent;
  };

  TileExpressions(mlir::Region &region, int64_t tileQueries) : block_(region.front()), tileQueries_(tileQueries) {}

  /// Before the loops: scalars and vectors. One argument for each of the region.
  void prepare(Builder &builder, llvm::ArrayRef<Argument> arguments,
               const kernels::FlashForwardBlock &block, CapturedInputs &inputs);
  /// In the loop: the tiles, given the arguments that were null, of as many keys as these. The region's one value.
  mlir::Value build(Builder &builder, llvm::ArrayRef<std::pair<unsigned, mlir::Value>> arguments);
  /// After `prepare`: the element of a table at this query and key without which the region's i1 is false, or which is
  /// a summand of its f32, so that -inf hides the key; null where there is none. Query and key are arguments `query` and
  /// `query` + 1.
  attention::ElementOp decidingElement(unsigned query) const;
  /// In the loop: the tile of such an element, given the keys, which are argument `number`.
  mlir::Value buildElement(Builder &builder, unsigned number, mlir::Value keys, attention::ElementOp element);
  /// c, made by `prepare`, where the region's value is c times its argument `number`; else null.
  mlir::Value factorOf(unsigned number) const;
  /// The values of a region that holds scalars alone.
  llvm::SmallVector<mlir::Value> scalars() const;

private:
  void capture(Builder &builder, mlir::ValueRange values, const kernels::FlashForwardBlock &block,
               CapturedInputs &inputs);
  Extent extentOf(mlir::Operation &op) const;
  bool isPlainElement(attention::ElementOp element, unsigned query) const;
  attention::ElementOp decidingElementOf(mlir::Value value, unsigned query) const;
  void emit(Builder &builder, mlir::Operation &op, Extent extent);
  mlir::Value lift(Builder &builder, mlir::Value value, Extent from, Extent to);
  mlir::RankedTensorType typeOf(mlir::Type element, Extent extent) const;
  mlir::Value operand(Builder &builder, mlir::Value value, Extent to, bool keepScalar);

  mlir::Block &block_;
  int64_t tileQueries_, tileKeys_ = 0; ///< keys of the tiles at hand
  llvm::DenseMap<mlir::Value, Extent> extents_;
  mlir::IRMapping values_; ///< of the region, and of what it captures
};

/// score => factor · score in the region, merged into a scale that does not change with the loop where
/// there is one: score · c => score · (c · factor), also along sums.
void scaleScore(attention::FusedOp fused, float factor);

/// Whether a score may be beyond the limits of float32 once it is scaled: a table's elements, but of float16, or a constant,
/// are part of it.
bool mayOverflow(attention::FusedOp fused, float factor);

} // namespace tenon
