/// What a tile of flash attention costs on a GPU: cycles of a multiprocessor for one score of a query and a key.
///
/// A turn of the loop takes the key tile's products, exponentials and copies. Per score, with widths D of query and
/// key and E of value, R rows a warp, M rows and N keys a block, and s bytes an element:
///
///     products        (D + E) multiply-adds
///     exponentials    1 ex2
///     shared memory   (D + E) s / R bytes: each warp reads the whole of K and V; (D + E) s / M bytes written
///     second level    (D + E) s / M bytes
///     instructions    (D + E) / 64 mma + 2.5 of softmax + (D + E) / (8 R) ldmatrix + (D + E) / (8 M) cp.async
///                     + 32 / N of a row + 448 / (R N) of the loop + tables and dropout
///
/// (the counts of a lane's instructions as FlashAttention's SASS has them; float32 by FFMA: D + E instructions, and
/// 16-byte loads for every second). The units work at once where enough warps are there to choose from: with W warps
/// on a scheduler, the longest takes its time, and of the sum of the others a share 1 / (1 + W) besides. A copy that
/// is requested one turn ahead hides its latency behind that turn; with one stage it is exposed, and only other
/// blocks hide it; with few queries these are few, the copy comes from memory, and further stages are weighed too.
///
/// It ranks tiles; of what it chooses, few queries alone were timed on a card and compared with others (an H200).
#pragma once

#include "compiler/attention/figures/GpuFigures.h"

#include <optional>
#include <string>

namespace tenon {

/// Tiles of keys and values under way.
inline constexpr int64_t kMostStages = 4;

/// What is computed.
struct GpuWork {
  int64_t width, valueWidth;  ///< padded to whole fragments
  int64_t elementBytes;       ///< of a tile: 2 or 4
  bool tf32 = false;          ///< float32 on tensor cores
  bool dropout = false;
  int64_t tables = 0;         ///< elements that a score reads of captured tensors
  bool strided = false;       ///< elements of a row are not adjacent: copies go through registers, one by one
  int64_t scoreOperations = 0; ///< element-wise operations of a score, beyond the few of a usual one
  int64_t scoreValues = 0;     ///< values that a score holds at once, beyond the few of a usual one
  int64_t loopValues = 0;      ///< values made before the loop that its score reads
  bool fewBlocks = false;      ///< few queries, so that blocks are few and each key is read once
  bool laneMaxima = false;     ///< Rescaling::kByLaneMaxima, which leaves registers for more keys
  bool padded = false;         ///< rows of shared memory; else swizzled
};

struct GpuTile {
  int64_t queries, rowsOfWarp, keys, stages;
  int64_t warps() const { return queries / rowsOfWarp; }
};

struct GpuCost {
  int64_t sharedBytes;     ///< of a block
  int64_t registers;       ///< of a thread, estimated
  int64_t blocks;          ///< on a multiprocessor at once; 0: it does not fit, `limit` says why
  double cycles;           ///< of a multiprocessor, for 1,024 scores
  std::string limit;       ///< what takes longest: "tensor cores", "shared memory", …
};

/// By FFMA the product of a block of keys has sums of its own until it is added to the output, for so many groups of
/// its columns one after the other: their registers stand beside the output's.
int64_t groupsOfFloat32(int64_t columns);

/// Bytes of shared memory that a block's tiles take.
int64_t sharedBytesOf(const GpuWork &work, const GpuTile &tile);

GpuCost costOf(const GpuFigures &figures, const GpuWork &work, const GpuTile &tile);

/// What was given by hand; 0: whatever is cheapest.
struct GivenTile {
  int64_t queries = 0, keys = 0, stages = 0, warps = 0;
};

struct GpuChoice {
  GpuTile tile;
  GpuCost cost;
  std::string explanation;
};

/// The cheapest tile with at most `mostQueries` rows. Nothing: none fits, and `why` says what the smallest lacks.
std::optional<GpuChoice> cheapestTile(const GpuFigures &figures, const GpuWork &work, const GivenTile &given,
                                      int64_t mostQueries, std::string &why);

} // namespace tenon
