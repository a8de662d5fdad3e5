/// Which keys a block of queries visits, in which loops: those of kernels/FlashForward.h.
///
/// Three loops, cut at multiples of tileKeys: the leading keys, of which some may be hidden, the open ones, all of
/// which every query of the block sees, and the trailing ones, with the tail of the keys. Loops known to be empty are
/// not there. In ascending order they run over keys,
///
///     [keyBegin, openBegin) [openBegin, openEnd) [openEnd, keyEnd),
///
/// from the last key on over distances from `firstVisited` down. Where a range is given, each bound is clipped to it.
#pragma once

#include "kernels/FlashForward.h"

namespace tenon::kernels {

/// What a loop's blocks need: nothing, the mask, or the mask and the check for the end of the keys.
enum class Visibility { kAll, kMasked, kMaskedWithTail };

struct KeyLoop {
  mlir::Value begin, end; ///< i32
  Visibility visibility;
};

struct KeyLoops {
  llvm::SmallVector<KeyLoop, 3> loops;
  mlir::Value firstVisited; ///< from the last key on: the first key of the first block, else null
};

/// Keys of a chunk: `chunkKeys`, or the least multiple of it that cuts the keys in at most `mostChunks`; 0: in any number.
mlir::Value keysOfChunk(mlir::ImplicitLocOpBuilder &builder, mlir::Value keyLength, int64_t chunkKeys, int64_t mostChunks);

/// Keys of a chunk, i32: the ends are multiples of tileKeys, or beyond all keys.
struct KeyRange {
  mlir::Value begin, end;
};
KeyRange rangeOfChunk(mlir::ImplicitLocOpBuilder &builder, const FlashForwardPlan &plan, mlir::Value keyLength,
                      mlir::Value chunk);

/// Makes the bounds where the builder stands. `bounds` empty: all keys are open. `range` empty: all keys are visited.
KeyLoops planKeyLoops(mlir::ImplicitLocOpBuilder &builder, const FlashForwardPlan &plan,
                      std::optional<KeyBounds> bounds, mlir::Value keyLength, std::optional<KeyRange> range);

} // namespace tenon::kernels
