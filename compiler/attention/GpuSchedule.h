/// The schedule of a GPU: tiles, warps, stages of shared memory, and when the reference of the exponents follows.
///
/// Tiles, warps and stages are those that the cost model (GpuCost.h) finds cheapest by the figures of the target
/// (figures/), among those that fit in its registers and shared memory: for float16 of width 64 and 128 four warps
/// of 32 queries, whose two m16 blocks use every fragment of key and value, and 64 keys.
///
/// Maxima and rescaling stay out of the loop over open blocks (Rescaling::kByRowSum of kernels/FlashForward.h) where
/// a stale reference is rare: keys are walked from the last one, so that a score which grows towards the diagonal is
/// met at its greatest first. Where the score depends on the key in another way, each turn takes maxima. Wide heads
/// compare lane maxima with the reference instead (Rescaling::kByLaneMaxima): their second product is long enough to
/// hide the exponentials, and the loop needs fewer registers; not with dropout, whose numbers fill that time.
///
/// Rows of shared memory are swizzled: padding would take an eighth of the memory at width 64. In rows of float32 that
/// are no multiple of 128 bytes TF32's reads of values would conflict: these are padded. So are rows beside dropout, whose
/// numbers leave no register for the addresses that swizzling takes, and those beside a wide output with its logsumexp.
#pragma once

#include "compiler/attention/ChooseSchedule.h"
#include "compiler/attention/FewQueries.h"
#include "compiler/attention/Targets.h"
#include "dialects/attention/Attention.h"

namespace tenon {

/// What decides, besides the target.
struct GpuProblem {
  int64_t width = 0, valueWidth = 0;
  mlir::Type storage;
  bool dropout = false, tf32 = false;
  bool logsumexp = false; ///< is a result
  bool strided = false; ///< elements of a row of query, key or value are not adjacent
  std::optional<FewQueries> few;
  int64_t scoreOperations = 0; ///< beyond those that fit beside two fragments of rows
  int64_t scoreValues = 0;     ///< that a score holds at once, beyond a usual one's
  int64_t loopValues = 0;      ///< made before the loop, that it reads
  int64_t tables = 0;         ///< elements of captured tensors that mask and score read, one for each score
  bool longScore = false;     ///< more operations than pay to be done again
  bool greatScores = false;   ///< times log2(e) they may leave the limits of float32
  bool scaled = false;        ///< the score is the product times what is the same for all queries and keys
  bool scoreHasKey = false;   ///< the score depends on the place of the key
  bool endsAtQuery = false;   ///< keys beyond one that depends on the query are not visible

  static GpuProblem of(attention::FusedOp fused, int64_t width, int64_t valueWidth, mlir::Type storage);
};

/// What was given by hand; 0 and nothing: by the figures.
struct GpuOverrides {
  int64_t tileQueries, tileKeys, stages, warps;
  std::string rescaling, shared;
  bool operator==(const GpuOverrides &) const = default;
};

inline constexpr llvm::StringLiteral kEveryTurn = "every-turn", kByRowSum = "by-row-sum",
                                 kByLaneMaxima = "by-lane-maxima";
inline constexpr llvm::StringLiteral kSwizzled = "swizzled", kPadded = "padded";

/// Fills the schedule, whose padded widths are set. Refuses tiles that shared memory cannot hold.
mlir::LogicalResult chooseGpuSchedule(mlir::func::FuncOp function, const TargetFigures &figures,
                                      const GpuProblem &problem, const GpuOverrides &given, Schedule &schedule);

} // namespace tenon
