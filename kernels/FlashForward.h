/// Flash attention, forward: one pass over the keys for a block of queries.
///
///     output = softmax(visible ? score(Q Kᵀ) : −∞) V          logsumexp = log Σ exp(score)
///
/// T. Dao, "FlashAttention-2: Faster Attention with Better Parallelism and Work Partitioning", 2023,
/// algorithm 1, in base 2. For each block of keys, with row maximum m, row sum ℓ and output O so far:
///
///     X  = log₂e · score(Q Kᵀ), −∞ where not visible
///     m' = max(m, rowmax X)            P = 2^(X − m')          α = 2^(m − m')
///     ℓ' = α ℓ + rowsum P              O' = α O + dropout(P) V
///
/// and at the end output = factor · O / ℓ, logsumexp = ln 2 · (m + log₂ ℓ). A row that sees nothing keeps m = −∞ and
/// ℓ = 0: where m' = −∞ the reference is 0 instead, so that no ∞ − ∞ arises; its output is zero, its
/// logsumexp −∞. A masked score is replaced by a selection, so that a NaN there does not leak.
///
/// The keys [0, key_length) are cut into blocks at multiples of `tileKeys`, whatever the mask. Three loops
/// run over those that a block of queries can see: the leading ones with mask code, the *open* ones, all of
/// whose scores are visible to all queries of the block, without it, and the trailing ones with it, which
/// include the tail of the keys. They run in ascending order, or from the last key on: then the trailing ones
/// come first, and all others are whole.
///
/// Any reference m serves, as long as 2^(X − m) neither overflows nor vanishes: it need not be the maximum of
/// all keys so far. `Rescaling::kByRowSum` leaves it alone in the open blocks and looks at the sum instead:
///
///     P = 2^(X − m)                    where rowsum P ≤ 2¹²: ℓ' = ℓ + rowsum P, O' = O + dropout(P) V
///
/// In ascending order the first reference is the greatest score of the first 32 keys, where the score is a multiple c
/// of the product; unless c > 0 no block is then taken for open. A row whose sum is beyond that, infinite or NaN takes its
/// maximum and goes on as above; scores are formed again for it, since they were not kept. Rows are tested one by one: a
/// row's bits do not depend on others. Trailing blocks with a mask do the same where that reference is there, P = 0 where
/// a key is hidden; of a row that has seen nothing it is −∞, and the first key it sees makes its sum infinite.
/// Other blocks with a mask take maxima, or, where dropout and an output wider than the block leave few registers, compare
/// lane maxima as below. P is rounded to 16 bits before it is summed, so that a product with ones can do it, unless
/// the logsumexp is asked for; 2¹² is within float16.
///
/// With `smallReferencesOnly` references below 16,000 in magnitude are multiples of 2⁻⁸, to which a compiler may add, exactly
/// and before the loop, the number that makes of exponents a fixed point of 2⁻⁸. A greater one is no number where P is
/// formed, so that its row always takes its maximum.
///
/// `Rescaling::kByLaneMaxima` keeps the scores of a block until it is known that no row of it grew far. Each lane
/// looks at those of its own, so that in the usual case no lane asks another:
///
///     rowmax X < m + 8 in each lane:   P = 2^(X − m), ℓ' = ℓ + rowsum P, O' = O + dropout(P) V
///
/// A row that grew further takes its maximum, m' = max(m, rowmax X), and first of all rescales ℓ and O. The test comes
/// before the exponentials, which then overlap the second product: worth its comparisons where that is long. All
/// blocks are computed so. Where the score is a multiple of the product, c · Q Kᵀ, the open ones take maxima of the
/// products, and c joins the subtraction in one multiply-add; unless c > 0, no block is taken for open.
///
/// A score may be near the limits of float32, as masks are that add the least number: times log₂e it would leave them.
/// Such scores stay as they are, m with them, and the exponents are scaled once the reference is gone from them:
///
///     P = 2^(log₂e (X − m'))           α = 2^(log₂e (m − m'))           logsumexp = m + log ℓ
///
/// A block whose keys a table hides from all rows leaves m, ℓ and O as they are: X = −∞, α = 1, P = 0. Where the hole
/// `someVisible` asks for it, such a block is left out, so that nothing in it counts, not even a NaN.
///
/// For few queries and long keys the keys are cut in chunks at multiples of `chunkKeys`, or of a multiple of it where there
/// would be more than `mostChunks`, each computed by a block of the grid of its own: it leaves its output, m and ℓ as row
/// chunk · queries + query of three tensors; a sum m + log₂ ℓ would round ℓ to the last bit of m. From these
/// kernels/Combine.h makes the result. Of `storesLoneChunk` it is the result itself that is left where there is no other
/// chunk. Where `packed` heads share a key and a tile, row r of the tile is query r / packed of head r mod packed of the
/// group, so that the group's keys are read once.
///
/// Of `chunkedQueries` one kernel serves launches of any number of queries: of up to so many the keys are cut in chunks,
/// which a second phase combines by the same kernel (kernels/ChunkedQueries.cpp), of more all keys are one chunk:
///
///     first phase:   m, ℓ, O of a chunk; the result, where it is the only one
///     second phase:  (m, ℓ, O) = sum of the chunks; the result
///
/// Where keys and values of a head do not stay in a cache, `queryGroups` blocks of rows, one after the other, share a
/// chunk of `groupKeys` keys before they go on to the next (kernels/GroupedQueries.cpp):
///
///     for each chunk of keys: for each block of rows: m, ℓ, O = places[block]; the loops above, within the chunk
///
/// The algorithm knows no target, only this plan.
#pragma once

#include "dialects/TraitNames.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

#include <functional>
#include <optional>

namespace tenon::kernels {

/// When the reference of the exponents follows the row maximum, in open blocks and those beside a first reference.
enum class Rescaling { kEveryTurn, kByRowSum, kByLaneMaxima };

/// Sizes and types of a kernel.
struct FlashForwardPlan {
  int64_t tileQueries, tileKeys;
  int64_t width, valueWidth;             ///< of query and key; of value and output
  int64_t paddedWidth, paddedValueWidth; ///< of their tiles
  mlir::Type tile;                       ///< element of the tiles that go into products
  mlir::Type query, key, value, output;  ///< elements in memory
  uint32_t queryLayout, keyLayout, valueLayout;
  int64_t group;                         ///< heads of the query that share one head of key and value
  bool logsumexp;                        ///< is stored too, to slot 4
  bool fromLastKey = false;              ///< blocks of keys in descending order
  Rescaling rescaling = Rescaling::kEveryTurn; ///< the others: tiles of 16 bits
  bool smallReferencesOnly = false;      ///< with kByRowSum: see above
  bool tf32 = false;                     ///< products of float32 may round their operands to TF32
  int64_t chunkKeys = 0;                 ///< a multiple of tileKeys; 0: all keys in one block of the grid
  int64_t packed = 1;                    ///< heads in the rows of a tile: 1, or group
  int64_t mostChunks = 0;                ///< chunks are longer where there would be more; 0: never
  uint32_t partialSlot = 0;              ///< with chunks: outputs of the chunks; their m and ℓ follow
  int64_t chunkedQueries = 0;            ///< not 0: see above; the slot then holds rows of leftByChunk, a block's each
  bool storesLoneChunk = false;          ///< where all keys are one chunk, its output is the result
  bool naturalScores = false;            ///< not in base 2: with Rescaling::kEveryTurn
  int64_t queryGroups = 1;               ///< blocks of rows that share a chunk of keys; 1: none do
  int64_t groupKeys = 0;                 ///< of such a chunk, a multiple of tileKeys
  int64_t groupsFromKeys = 0;            ///< so many keys are cut in such chunks, fewer are one,
  int64_t groupsFromQueries = 0;         ///< and blocks of so many rows share them: who computes what, not what
  bool oneLoop = false;                  ///< open blocks are computed as those with a mask are: half the code
};

/// Elements that a block of the grid leaves of a chunk, with `chunkedQueries`.
constexpr int64_t leftByChunk(int64_t tileQueries, int64_t paddedValueWidth) { return tileQueries * (paddedValueWidth + 2); }

/// What a block of the grid computes: scalars of type i32.
struct FlashForwardBlock {
  mlir::Value batch, head;               ///< packed: the first head of the group
  mlir::Value first, last;               ///< queries; `last` is below query_length
  mlir::Value queryLength, keyLength;
  mlir::Value firstRow, rows;            ///< of the tile, and of the launch: packed · queries
};

/// Keys of a block, as `bounds` of attention.fused defines them.
struct KeyBounds {
  mlir::Value keyBegin, openBegin, openEnd, keyEnd;
};

/// Holes of the algorithm. Each makes code where the builder stands.
struct FlashForwardHoles {
  using Builder = mlir::ImplicitLocOpBuilder;
  /// Before the loops. Nothing: all keys are visible to all queries.
  std::function<std::optional<KeyBounds>(Builder &, const FlashForwardBlock &)> bounds;
  /// Products of a block of keys that begins at `firstKey` -> log₂e · score, or the score of naturalScores.
  std::function<mlir::Value(Builder &, mlir::Value products, mlir::Value firstKey)> score;
  /// Before the loops, after `bounds`: an f32, log₂e · c, where the score is c times the product; else null.
  std::function<mlir::Value(Builder &)> factor;
  /// A tile of i1 with so many keys, or null where everything is visible.
  std::function<mlir::Value(Builder &, mlir::Value firstKey, int64_t keys)> mask;
  /// In a turn of the loop: an i1, false where a table hides the block's keys from all rows; null where none does.
  std::function<mlir::Value(Builder &, mlir::Value firstKey)> someVisible;
  /// Before the loops: an f32, or null without dropout.
  std::function<mlir::Value(Builder &)> dropoutProbability;
  /// After the loops: an f32 that scales the output, or null for 1.
  std::function<mlir::Value(Builder &)> outputFactor;
};

/// The slots of the argument block: query, key, value, output, and logsumexp where there is one.
enum FlashForwardSlot : uint32_t { kQuerySlot, kKeySlot, kValueSlot, kOutputSlot, kLogsumexpSlot };

/// Builds func.func @flash_forward() {tile.kernel} where the builder stands.
mlir::func::FuncOp buildFlashForward(mlir::OpBuilder &builder, mlir::Location loc,
                                     const FlashForwardPlan &plan, const FlashForwardHoles &holes);

} // namespace tenon::kernels
