/// The schedule of few queries: keys in chunks, heads of a group in one tile.
///
/// A step of decoding has one row of queries a head: with one block a head most of a device would idle while a few
/// blocks read all keys. So the keys are cut in chunks, each of which a block of the grid computes, and a second
/// phase combines them (kernels/Combine.h). The cut is at multiples of one constant, on the host of a
/// multiple of it that the number of keys gives, whatever the batch, the heads and the device's size: the same row gives
/// the same bits in every batch.
///
/// The heads of a group read the same keys. Their rows stand in one tile, whose 16 rows a product has anyway, so
/// that these are read once.
#pragma once

#include "compiler/attention/ChooseSchedule.h"
#include "dialects/attention/Attention.h"

#include <optional>

namespace tenon {

/// Keys of a chunk: with 256 a batch of one with 8 heads of 4,096 keys makes 128 blocks, one for each of the some
/// hundred processors of a data-centre GPU, and what a chunk of width 64 leaves in float32 is a sixteenth of what
/// it read of a float16 group of 8.
inline constexpr int64_t kChunkKeys = 256;
/// On the host: 8 chunks of 4,096 keys keep as many cores busy with one head, and what a chunk leaves is a hundredth
/// of what it reads.
inline constexpr int64_t kHostChunkKeys = 512;
/// From 18,432 keys on longer ones: what chunks leave is then some 1 MB for a head of keys, however long they are.
inline constexpr int64_t kMostHostChunks = 32;

struct FewQueries {
  int64_t tileQueries; ///< rows of a tile: one fragment of 16, more where a group has more heads
  int64_t packedHeads; ///< 1, or the group

  /// Nothing for a signature of any number of queries.
  static std::optional<FewQueries> of(attention::FusedOp fused);
  /// Chunks for its tiles, of some `chunkKeys` keys, longer where there would be more than `mostChunks`, and why.
  void addTo(Schedule &schedule, int64_t chunkKeys, int64_t mostChunks) const;
};

} // namespace tenon
