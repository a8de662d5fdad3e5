/// Choice of tiles: see ChooseSchedule.td.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace tenon {

#define GEN_PASS_DECL
#include "compiler/attention/ChooseSchedule.h.inc"
#define GEN_PASS_REGISTRATION
#include "compiler/attention/ChooseSchedule.h.inc"

/// What `tile.schedule` holds.
struct Schedule {
  int64_t tileQueries = 0, tileKeys = 0, threads = 1, paddedWidth = 0, paddedValueWidth = 0;
  int64_t stages = 1;                    ///< tiles of keys and of values in shared memory
  std::string rescaling = "every-turn";  ///< or "by-row-sum": kernels/FlashForward.h
  std::string shared;                    ///< of a GPU: rows of shared memory "swizzled" or "padded" (Tile.td)
  int64_t chunkKeys = 0;   ///< keys of a block of the grid; 0: all of them
  int64_t mostChunks = 0;  ///< longer ones where there would be more; 0: in any number
  int64_t chunkedQueries = 0; ///< of a launch of more all keys are one chunk; 0: of none
  int64_t packedHeads = 1; ///< in the rows of a tile
  int64_t queryGroups = 1; ///< blocks of queries that share chunks of keys: kernels/FlashForward.h
  int64_t groupKeys = 0, groupsFromKeys = 0;
  std::string explanation;

  mlir::DictionaryAttr attribute(mlir::MLIRContext *context) const;
  static std::optional<Schedule> of(mlir::Operation *function);
};

/// Attributes of a kernel, i32: warps of a block; stages of its keys and values in shared memory; threads of a block,
/// once its tiles have layouts. Without a value: rows of shared memory are swizzled.
inline constexpr llvm::StringLiteral kWarpsAttribute = "tile.warps";
inline constexpr llvm::StringLiteral kStagesAttribute = "tile.stages";
inline constexpr llvm::StringLiteral kThreadsAttribute = "tile.threads";
inline constexpr llvm::StringLiteral kSwizzledAttribute = "tile.swizzled";
inline constexpr int64_t kLanesOfWarp = 32;

inline constexpr llvm::StringLiteral kTargetAttribute = "tile.target";
inline constexpr llvm::StringLiteral kScheduleAttribute = "tile.schedule";

} // namespace tenon
