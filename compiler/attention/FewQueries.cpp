#include "compiler/attention/FewQueries.h"

#include "compiler/attention/Effects.h"
#include "compiler/attention/KernelSignature.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace tenon;

namespace {

constexpr int64_t kLeastRows = 16; // mma.m16n8k16
constexpr int64_t kMostRows = 64;  // more would lie in further blocks of the grid

// The bounds of a tile are those of one head where they depend on the head.
bool boundsDependOnHead(attention::FusedOp fused) {
  Region &bounds = fused.getBounds();
  return !bounds.empty() && !bounds.getArgument(1).use_empty();
}

} // namespace

std::optional<FewQueries> FewQueries::of(attention::FusedOp fused) {
  auto function = fused->getParentOfType<func::FuncOp>();
  if (!hasFewQueries(function))
    return std::nullopt;
  bool alone = boundsDependOnHead(fused) || isLeftOut(function, Effect::kPackedHeads);
  int64_t group = alone ? 1 : groupOf(function);
  int64_t rows = static_cast<int64_t>(llvm::PowerOf2Ceil(static_cast<uint64_t>(group)));
  return FewQueries{std::clamp(rows, kLeastRows, kMostRows), group};
}

void FewQueries::addTo(Schedule &schedule, int64_t chunkKeys, int64_t mostChunks) const {
  schedule.packedHeads = packedHeads;
  schedule.mostChunks = mostChunks;
  schedule.chunkKeys = static_cast<int64_t>(llvm::alignTo(chunkKeys, static_cast<uint64_t>(schedule.tileKeys)));
  schedule.explanation += llvm::formatv("; few queries: chunks of {0} keys, each a block of the grid, combined after",
                                        schedule.chunkKeys);
  if (mostChunks != 0)
    schedule.explanation += llvm::formatv(", longer ones where there would be more than {0}", mostChunks);
  if (packedHeads != 1)
    schedule.explanation += llvm::formatv("; the {0} heads of a group share a tile's rows", packedHeads);
}
