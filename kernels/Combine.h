/// Combines what chunks of the keys gave for the same rows.
///
/// Chunk c leaves O_c = softmax(X_c) V_c, a reference m_c and ℓ_c = Σ 2^(X_c − m_c), with X in base 2 (FlashForward.h). Then
///
///     L = max_c m_c        w_c = ℓ_c 2^(m_c − L)        output = Σ w_c O_c / Σ w_c
///     logsumexp = ln 2 · (L + log₂ Σ w_c)
///
/// of natural scores w_c = ℓ_c 2^(log₂e (m_c − L)) and logsumexp = L + log Σ w_c,
/// in float32 and in ascending order of the chunks, so that the bits depend on how the keys were cut and on
/// nothing else. A chunk in which a row sees nothing has ℓ_c = 0 and weighs nothing; where that holds for all
/// of them the reference L is 0 instead: the output is zero, the logsumexp −∞.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace tenon::kernels {

/// Rows of a block: one warp's, with the layouts that products have.
inline constexpr int64_t kCombineRows = 16;

/// Columns whose chunks fit in a lane's registers, and chunks whose loads are then under way together: on a GPU a load
/// takes some 500 cycles.
inline constexpr int64_t kCombineColumns = 32, kCombineChunks = 8;

/// Blocks of columns of an output: few rows would leave most of a GPU without work.
constexpr int64_t combineColumnBlocks(int64_t width) { return (width + kCombineColumns - 1) / kCombineColumns; }

/// Sizes and types of a kernel. Its grid is blocks of rows × heads / packed · column blocks × batch.
struct CombinePlan {
  int64_t rows;                  ///< of a block
  int64_t chunkKeys, mostChunks; ///< as FlashForward cut the keys
  int64_t packed;                ///< heads in the rows of a block, as FlashForward packed them
  int64_t width, paddedWidth;    ///< of the output, and rounded up to whole fragments
  mlir::Type output;             ///< element in memory
  bool logsumexp;                ///< is stored too
  uint32_t outputSlot, logsumexpSlot;
  uint32_t partialSlot;          ///< outputs of the chunks [batch, heads, chunks · queries, width], float32;
                                 ///< the slots after it: m_c and ℓ_c
  bool naturalScores;            ///< as FlashForward left them
  /// Where tiles lie in memory: one chunk, all columns.
  int64_t chunksAtOnce = kCombineChunks, columnsAtOnce = kCombineColumns;
};

/// What may be assumed of the rows of partial outputs: see tile.load.
constexpr uint32_t partialLayout(int64_t width) { return width % 4 == 0 ? 0 : 1; }

/// Builds func.func @combine() {tile.kernel} where the builder stands.
mlir::func::FuncOp buildCombine(mlir::OpBuilder &builder, mlir::Location loc, const CombinePlan &plan);

} // namespace tenon::kernels
