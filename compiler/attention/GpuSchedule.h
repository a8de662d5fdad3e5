/// The schedule of a GPU: tiles, warps, stages of shared memory, and when the reference of the exponents follows.
///
/// Four warps of 32 queries share a block of keys: two m16 blocks of a warp use every fragment of key and value,
/// which halves the traffic of shared memory. Rows of more than 128, float32 and tables that a kernel reads leave
/// too few registers for that: then a warp takes 16. Two stages of keys and values, the next block under way
/// all through a turn, are taken where two blocks of threads still fit on a multiprocessor, one where not.
///
/// Maxima and rescaling stay out of the loop over open blocks (Rescaling::kByRowSum of kernels/FlashForward.h) where
/// a stale reference is rare: keys are walked from the last one, so that a score which grows towards the diagonal is
/// met at its greatest first. Where the score depends on the key in another way, each turn takes maxima.
#pragma once

#include "compiler/attention/ChooseSchedule.h"
#include "compiler/attention/Targets.h"
#include "dialects/attention/Attention.h"

namespace tenon {

/// What decides, besides the target.
struct GpuProblem {
  int64_t width, valueWidth;
  mlir::Type storage;
  bool dropout;
  bool readsTables;   ///< elements of captured tensors, in mask or score
  bool longScore;     ///< more operations than pay to be done again
  bool scoreHasKey;   ///< the score depends on the place of the key
  bool endsAtQuery;   ///< keys beyond one that depends on the query are not visible

  static GpuProblem of(attention::FusedOp fused, int64_t width, int64_t valueWidth, mlir::Type storage);
};

/// What was given by hand; 0 and nothing: by the figures.
struct GpuOverrides {
  int64_t tileQueries, tileKeys, stages;
  std::string rescaling;
};

inline constexpr llvm::StringLiteral kEveryTurn = "every-turn", kByRowSum = "by-row-sum";

/// Fills the schedule, whose padded widths are set. Refuses tiles that shared memory cannot hold.
mlir::LogicalResult chooseGpuSchedule(mlir::func::FuncOp function, const TargetFigures &figures,
                                      const GpuProblem &problem, const GpuOverrides &given, Schedule &schedule);

} // namespace tenon
