/// Which keys a block of queries visits, in which loops: those of kernels/FlashForward.h.
///
/// Three loops, cut at multiples of tileKeys: the leading keys, of which some may be hidden, the open ones, all of
/// which every query of the block sees, and the trailing ones, with the tail of the keys. Loops known to be empty are
/// not there. In ascending order they run over keys,
///
///     [keyBegin, openBegin) [openBegin, openEnd) [openEnd, keyEnd),
///
/// from the last key on over distances from `firstVisited` down. With chunks each bound is clipped to the chunk.
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

/// Makes the bounds where the builder stands. `bounds` empty: all keys are open. `chunk`: its number, or null.
KeyLoops planKeyLoops(mlir::ImplicitLocOpBuilder &builder, const FlashForwardPlan &plan,
                      std::optional<KeyBounds> bounds, mlir::Value keyLength, mlir::Value chunk);

} // namespace tenon::kernels
