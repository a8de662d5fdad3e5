#include "compiler/attention/GpuSchedule.h"

#include "compiler/attention/Refusal.h"

#include "mlir/IR/Matchers.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace tenon;

namespace {

constexpr int64_t kRowsOfFragment = 16;  // mma.m16n8k16
constexpr int64_t kColumnMultiple = 16;  // its k
constexpr int64_t kDropoutColumns = 32;  // keys that share draws of Philox: Dropout.h
constexpr int64_t kRowPadding = 16;      // bytes, against bank conflicts: Tile.td
// The system takes a KiB of shared memory of each block; a multiprocessor has that much more than a block may ask for
// (CUDA C++ Programming Guide 13.0, "Technical Specifications per Compute Capability").
constexpr int64_t kReserved = 1024;
constexpr int64_t kWideRows = 128;       // beyond it an output leaves registers for 16 rows a warp and 32 keys
constexpr int64_t kCrowdedRows = 64;     // beyond it, with 32 rows a warp, ptxas spills for blocks of 64 keys
constexpr int64_t kFewKeys = 32;
// Where ptxas 13.0 spills a few bytes of a kernel with 32 rows a warp, and of which width on.
constexpr llvm::StringLiteral kTargetsThatSpill[] = {"sm_86", "sm_89", "sm_120"};
constexpr int64_t kWidestThere = 96;
constexpr llvm::StringLiteral kTargetsThatDrop[] = {"sm_80", "sm_87", "sm_90"}; // where it does not, with dropout
constexpr int64_t kMostWarps = 4;
constexpr size_t kLongScore = 8;         // operations

class GpuScheduler {
public:
  GpuScheduler(const TargetFigures &figures, const GpuProblem &problem, const GpuOverrides &given, Schedule &schedule)
      : figures(figures), problem(problem), given(given), schedule(schedule),
        size(problem.storage.getIntOrFloatBitWidth() / 8),
        wide(std::max(problem.width, problem.valueWidth) > kWideRows) {}

  /// Whether tiles were found that fit.
  bool choose();
  int64_t sharedBytes(int64_t stages) const;

private:
  bool fits(int64_t queries, int64_t keys);
  int64_t rowsOfWarp(int64_t queries) const;
  std::string chooseRescaling();

  const TargetFigures &figures;
  const GpuProblem &problem;
  const GpuOverrides &given;
  Schedule &schedule;
  int64_t size;
  bool wide;
};

// Query, the stages of key and value, and the probabilities where they go through shared memory (float32).
int64_t GpuScheduler::sharedBytes(int64_t stages) const {
  auto tile = [&](int64_t rows, int64_t columns) { return rows * (columns * size + kRowPadding); };
  int64_t probabilities = size == 4 ? tile(schedule.tileQueries, schedule.tileKeys) : 0;
  int64_t keysAndValues = tile(schedule.tileKeys, schedule.paddedWidth) + tile(schedule.tileKeys, schedule.paddedValueWidth);
  return tile(schedule.tileQueries, schedule.paddedWidth) + stages * keysAndValues + probabilities;
}

int64_t GpuScheduler::rowsOfWarp(int64_t queries) const {
  bool spills = std::max(problem.width, problem.valueWidth) > kWidestThere && llvm::is_contained(kTargetsThatSpill, figures.name);
  spills |= problem.dropout && !llvm::is_contained(kTargetsThatDrop, figures.name);
  bool two = size == 2 && !wide && !spills && !problem.readsTables && !problem.longScore && queries >= 2 * kRowsOfFragment;
  return two ? 2 * kRowsOfFragment : kRowsOfFragment;
}

bool GpuScheduler::fits(int64_t queries, int64_t keys) {
  schedule.tileQueries = queries;
  schedule.tileKeys = keys;
  schedule.threads = queries / rowsOfWarp(queries) * figures.lanes;
  schedule.threads = queries / rowsOfWarp(queries) * figures.lanes;
  int64_t most = given.stages ? given.stages : 2;
  for (int64_t stages = most; stages >= (given.stages ? given.stages : 1); --stages) {
    schedule.stages = stages;
    int64_t bytes = sharedBytes(stages);
    bool two = 2 * (bytes + kReserved) <= figures.sharedBytes + kReserved;
    if (bytes <= figures.sharedBytes && (stages == 1 || given.stages || (two && size == 2)))
      return true;
  }
  return false;
}

// Why, in words.
std::string GpuScheduler::chooseRescaling() {
  bool possible = size == 2;
  const char *reason = !possible              ? "the products are in float32"
                       : problem.longScore    ? "the score is long, to form it again would cost more than maxima"
                       : problem.readsTables  ? "the score reads a table"
                       : problem.scoreHasKey && !problem.endsAtQuery
                           ? "the score depends on the key, and a stale reference would be common"
                           : nullptr;
  bool lazy = given.rescaling.empty() ? !reason : given.rescaling == kByRowSum && possible;
  schedule.rescaling = lazy ? kByRowSum.str() : kEveryTurn.str();
  if (!given.rescaling.empty() && lazy == (given.rescaling == kByRowSum))
    reason = "given";
  if (lazy)
    return "no maximum in open blocks: a row's reference follows when its sum of a block exceeds 2^12";
  return llvm::formatv("maxima each turn: {0}", reason);
}

// The largest tiles come first; fewer keys cost less than fewer queries, which read all keys again.
bool GpuScheduler::choose() {
  int64_t leastKeys = problem.dropout ? kDropoutColumns : kColumnMultiple;
  bool crowded = rowsOfWarp(figures.tileQueries) > kRowsOfFragment && std::max(problem.width, problem.valueWidth) > kCrowdedRows;
  int64_t mostKeys = wide || crowded ? kFewKeys : figures.tileKeys;
  int64_t mostQueries = std::min(figures.tileQueries, kMostWarps * rowsOfWarp(figures.tileQueries));
  for (int64_t queries = mostQueries; queries >= kRowsOfFragment; queries /= 2)
    for (int64_t keys = mostKeys; keys >= leastKeys; keys /= 2) {
      if (!fits(given.tileQueries ? given.tileQueries : queries, given.tileKeys ? given.tileKeys : keys))
        continue;
      int64_t warps = schedule.threads / figures.lanes;
      schedule.explanation = llvm::formatv(
          "{0} warps of {1} queries; {2} keys in {3} stages; {4} of {5} bytes of shared memory hold the tiles; {6}",
          warps, schedule.tileQueries / warps, schedule.tileKeys, schedule.stages, sharedBytes(schedule.stages),
          figures.sharedBytes, chooseRescaling());
      return true;
    }
  return false;
}

bool dependsOn(Region &region, unsigned argument) {
  return !region.front().getArgument(argument).use_empty();
}

// Whether the last of the bounds, key_end, depends on the block's queries.
bool endsAtQuery(attention::FusedOp fused) {
  if (fused.getBounds().empty())
    return false;
  Block &block = fused.getBounds().front();
  SetVector<Value> reached;
  reached.insert(block.getTerminator()->getOperand(3));
  for (size_t i = 0; i < reached.size(); ++i)
    if (Operation *op = reached[i].getDefiningOp(); op && op->getBlock() == &block)
      reached.insert_range(op->getOperands());
  return llvm::any_of(block.getArguments().drop_front(2), [&](Value query) { return reached.contains(query); });
}

} // namespace

GpuProblem GpuProblem::of(attention::FusedOp fused, int64_t width, int64_t valueWidth, Type storage) {
  GpuProblem problem{width, valueWidth, storage, static_cast<bool>(fused.getProbability()), false, false, false, false};
  fused->walk([&](attention::ElementOp element) {
    Block &block = *element->getBlock();
    unsigned key = block.getNumArguments() - 1, query = key - 1;
    SetVector<Value> reached;
    reached.insert_range(element.getIndices());
    for (size_t i = 0; i < reached.size(); ++i)
      if (Operation *op = reached[i].getDefiningOp(); op && op->getBlock() == &block)
        reached.insert_range(op->getOperands());
    problem.readsTables |= reached.contains(block.getArgument(key)) || reached.contains(block.getArgument(query));
  });
  problem.longScore = fused.getScore().front().getOperations().size() > kLongScore;
  problem.scoreHasKey = dependsOn(fused.getScore(), 4);
  problem.endsAtQuery = ::endsAtQuery(fused);
  return problem;
}

LogicalResult tenon::chooseGpuSchedule(func::FuncOp function, const TargetFigures &figures, const GpuProblem &problem,
                                       const GpuOverrides &given, Schedule &schedule) {
  GpuScheduler scheduler(figures, problem, given, schedule);
  if (scheduler.choose())
    return success();
  return refuse(function, "schedule", "tiles of " + Twine(schedule.tileQueries) + " queries and " +
                Twine(schedule.tileKeys) + " keys need " + Twine(scheduler.sharedBytes(schedule.stages)) +
                " bytes of shared memory, a block of " + Twine(figures.name) + " has " +
                Twine(figures.sharedBytes));
}
