/// What makes the host's code fast, by name. Each can be left out, to see what it is worth: the graph's function, and the
/// kernels that come of it, then have the attribute `tile.without`, a list of these names. The results stay right; their
/// bits may change.
///
///     tenon bench --heads 8 --queries 1024 --keys 1024 --device host --without fixed-point
///     tenon-opt: func.func @attention() attributes {tile.without = ["hidden-blocks"]}
#pragma once

#include "mlir/IR/Operation.h"
#include "llvm/Support/Error.h"

namespace tenon {

inline constexpr llvm::StringLiteral kWithoutAttribute = "tile.without";

enum class Effect {
  kCutLoops,
  kFewQueries,
  kPackedHeads,
  kKeyChunks,
  kHiddenBlocks,
  kFoldedMaxima,
  kBoundedColumns,
  kRareRescaling,
  kStandingReference,
  kRoundedExponentials,
  kFixedPoint,
  kJoinedReference,
  kKeptValues,
  kKeptKeys,
  kPackedTables,
  kAlongRows,
  kRequests,
  kExistingRows,
  kHeldTiles,
  kStreamingLoads,
  kCount
};

/// Of a name, what it is and the file that makes it.
struct EffectName {
  llvm::StringLiteral name, text, file;
};
const EffectName &nameOf(Effect effect);

/// Whether the function that holds `op`, or is it, goes without.
bool isLeftOut(mlir::Operation *op, Effect effect);

/// Marks a function. Errors: a name that is none, of a list separated by commas; it says which there are.
llvm::Error leaveOut(mlir::Operation *function, llvm::StringRef names);

} // namespace tenon
