#include "compiler/attention/GpuSchedule.h"

#include "compiler/attention/GpuCost.h"
#include "compiler/attention/KernelSignature.h"
#include "compiler/attention/Refusal.h"
#include "compiler/attention/TileExpressions.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/FormatVariadic.h"

#include <numbers>

using namespace mlir;
using namespace tenon;

namespace {

constexpr int64_t kMostQueries = 128;  // four warps of 32: more would leave blocks without rows at short lengths
constexpr int64_t kLeastRowsOfWarp = 16; // mma.m16n8k16
constexpr int64_t kLongScore = 8;      // operations
constexpr int64_t kUsualValues = 4;    // of a score at once: the product, the key's place, two more
constexpr int64_t kNarrow = 64;        // width up to which the second product does not hide the exponentials
constexpr uint32_t kAnyStrides = 2;    // layout of a tensor: Tile.td
constexpr int64_t kRoomyWithLogsumexp = 96; // width: at 128 ptxas 13.0 spills 8 bytes on sm_80, causal
constexpr int64_t kBankBytes = 128;    // of shared memory, at once

class GpuScheduler {
public:
  GpuScheduler(const GpuFigures &figures, const GpuProblem &problem, const GpuOverrides &given, Schedule &schedule)
      : figures(figures), problem(problem), given(given), schedule(schedule) {}

  /// Whether tiles were found that fit; else what is missing.
  bool choose(std::string &why);

private:
  std::string chooseRescaling();
  std::string chooseShared();
  bool suitsLaneMaxima() const;

  const GpuFigures &figures;
  const GpuProblem &problem;
  const GpuOverrides &given;
  Schedule &schedule;
};

// Not where the scores kept while a row follows would take registers that tables or random numbers need.
bool GpuScheduler::suitsLaneMaxima() const {
  return problem.scaled && problem.tables == 0 && !problem.strided && !problem.dropout &&
         std::max(problem.width, problem.valueWidth) > kNarrow;
}

// Why, in words.
std::string GpuScheduler::chooseRescaling() {
  bool possible = problem.storage.getIntOrFloatBitWidth() == 16 && !problem.greatScores;
  const char *reason = problem.greatScores    ? "the score may be near the limits of float32"
                       : !possible            ? "the products are in float32"
                       : problem.longScore    ? "the score is long, to form it again would cost more than maxima"
                       : problem.tables != 0  ? "the score reads a table"
                       : problem.scoreHasKey && !problem.endsAtQuery
                           ? "the score depends on the key, and a stale reference would be common"
                           : nullptr;
  bool lazy = given.rescaling.empty() ? !reason : given.rescaling != kEveryTurn && possible;
  std::string cheapest = suitsLaneMaxima() ? kByLaneMaxima.str() : kByRowSum.str();
  schedule.rescaling = !lazy ? kEveryTurn.str() : given.rescaling.empty() ? cheapest : given.rescaling;
  if (!given.rescaling.empty() && schedule.rescaling == given.rescaling)
    reason = "given";
  if (schedule.rescaling == kByLaneMaxima)
    return "lane maxima in open blocks: a row's reference follows when its maximum grew by a factor of 2^8";
  if (lazy)
    return "no maximum in open blocks: a row's reference follows when its sum of a block exceeds 2^12";
  return llvm::formatv("maxima each turn: {0}", reason);
}

// Why, in words.
std::string GpuScheduler::chooseShared() {
  int64_t bytes = problem.storage.getIntOrFloatBitWidth() / 8;
  bool aligned = schedule.paddedWidth * bytes % kBankBytes == 0 && schedule.paddedValueWidth * bytes % kBankBytes == 0;
  bool wide = std::max(problem.width, problem.valueWidth) > kRoomyWithLogsumexp;
  const char *reason = !given.shared.empty()   ? ", as given"
                       : problem.dropout       ? ": dropout leaves no registers for more addresses"
                       : problem.logsumexp && suitsLaneMaxima() && wide
                           ? ": a wide output and its logsumexp leave no registers for more addresses"
                       : bytes != 2 && !aligned ? ": float32 of no whole lines would conflict otherwise"
                                                : nullptr;
  schedule.shared = !given.shared.empty() ? given.shared : reason ? kPadded.str() : kSwizzled.str();
  return "rows of shared memory are " + schedule.shared + (reason ? reason : "");
}

bool GpuScheduler::choose(std::string &why) {
  std::string rescaling = chooseRescaling(), shared = chooseShared();
  GpuWork work{schedule.paddedWidth, schedule.paddedValueWidth, problem.storage.getIntOrFloatBitWidth() / 8,
               problem.tf32, problem.dropout, problem.tables, problem.strided, problem.scoreOperations, problem.scoreValues,
               problem.loopValues,
               problem.few.has_value(), schedule.rescaling == kByLaneMaxima, schedule.shared == kPadded};
  int64_t mostQueries = problem.few ? problem.few->tileQueries : kMostQueries;
  GivenTile tile{given.tileQueries, given.tileKeys, given.stages, given.warps};
  if (problem.few) { // what was given is for many
    tile.queries = std::min(tile.queries, mostQueries);
    tile.warps = std::min(tile.warps, mostQueries / kLeastRowsOfWarp);
  }
  std::optional<GpuChoice> choice = cheapestTile(figures, work, tile, mostQueries, why);
  if (!choice)
    return false;
  schedule.tileQueries = choice->tile.queries;
  schedule.tileKeys = choice->tile.keys;
  schedule.stages = choice->tile.stages;
  schedule.threads = choice->tile.warps() * kLanesOfWarp;
  schedule.explanation = choice->explanation + "; " + shared + "; " + rescaling;
  if (problem.few)
    problem.few->addTo(schedule, kChunkKeys, /*mostChunks=*/0);
  return true;
}

bool dependsOn(Region &region, unsigned argument) {
  return !region.front().getArgument(argument).use_empty();
}

// Whether a score is the product, or the product times what comes from outside.
bool isScaled(Block &score) {
  Value value = score.getTerminator()->getOperand(0), product = score.getArgument(0);
  if (value == product)
    return true;
  auto multiplied = value.getDefiningOp<arith::MulFOp>();
  if (!multiplied)
    return false;
  Value factor = multiplied.getLhs() == product ? multiplied.getRhs() : multiplied.getLhs();
  return (multiplied.getLhs() == product || multiplied.getRhs() == product) &&
         (factor.getParentBlock() != &score || matchPattern(factor, m_Constant()));
}

// The most values that one score holds at once, its operations in the order of the region, and those made before the loop.
// What depends on the product or the key is held from where it is made to its last use; what does not all through the
// loop.
std::pair<int64_t, int64_t> valuesAtOnce(Block &score) {
  llvm::DenseSet<Value> ofScore = {score.getArgument(0), score.getArguments().back()}, ofLoop;
  llvm::DenseMap<Value, Operation *> lastUse;
  for (Operation &op : score) {
    bool varies = llvm::any_of(op.getOperands(), [&](Value operand) { return ofScore.contains(operand); });
    for (Value operand : op.getOperands())
      if (ofScore.contains(operand))
        lastUse[operand] = &op;
      else if (varies && !matchPattern(operand, m_Constant()))
        ofLoop.insert(operand);
    if (varies)
      ofScore.insert_range(op.getResults());
  }
  int64_t live = 0, most = 0;
  for (BlockArgument argument : score.getArguments())
    live += lastUse.contains(argument) ? 1 : 0;
  for (Operation &op : score) {
    most = std::max(most, live);
    for (Value operand : llvm::SmallDenseSet<Value>(op.operand_begin(), op.operand_end()))
      live -= lastUse.lookup(operand) == &op ? 1 : 0;
    for (Value result : op.getResults())
      live += lastUse.contains(result) ? 1 : 0;
  }
  return {most, static_cast<int64_t>(ofLoop.size())};
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
  GpuProblem problem;
  problem.width = width, problem.valueWidth = valueWidth, problem.storage = storage;
  problem.dropout = static_cast<bool>(fused.getProbability());
  problem.tf32 = mayUseTf32(fused->getParentOfType<func::FuncOp>()) && storage.isF32();
  problem.few = FewQueries::of(fused);
  problem.strided = llvm::any_of(ValueRange{fused.getQuery(), fused.getKey(), fused.getValue()}, [](Value input) {
    return storageOf(cast<BlockArgument>(input)).layout == kAnyStrides;
  });
  fused->walk([&](attention::ElementOp element) {
    Block &block = *element->getBlock();
    unsigned key = block.getNumArguments() - 1, query = key - 1;
    SetVector<Value> reached;
    reached.insert_range(element.getIndices());
    for (size_t i = 0; i < reached.size(); ++i)
      if (Operation *op = reached[i].getDefiningOp(); op && op->getBlock() == &block)
        reached.insert_range(op->getOperands());
    problem.tables += reached.contains(block.getArgument(key)) || reached.contains(block.getArgument(query)) ? 1 : 0;
  });
  auto operations = static_cast<int64_t>(fused.getScore().front().getOperations().size());
  problem.longScore = operations > kLongScore;
  problem.scoreOperations = std::max<int64_t>(operations - kLongScore, 0);
  auto [atOnce, ofLoop] = valuesAtOnce(fused.getScore().front());
  problem.scoreValues = std::max<int64_t>(atOnce - kUsualValues, 0);
  problem.loopValues = ofLoop;
  problem.logsumexp = fused.getLogsumexp() && !fused.getLogsumexp().use_empty();
  problem.greatScores = mayOverflow(fused, std::numbers::log2e_v<float>);
  problem.scaled = isScaled(fused.getScore().front());
  problem.scoreHasKey = dependsOn(fused.getScore(), 4);
  problem.endsAtQuery = ::endsAtQuery(fused);
  return problem;
}

LogicalResult tenon::chooseGpuSchedule(func::FuncOp function, const TargetFigures &figures, const GpuProblem &problem,
                                       const GpuOverrides &given, Schedule &schedule) {
  const GpuFigures *ofGpu = findGpuFigures(figures.name);
  if (!ofGpu)
    return refuse(function, "schedule", "there are no figures of " + figures.name);
  std::string why;
  const Schedule before = schedule;
  if (GpuScheduler(*ofGpu, problem, given, schedule).choose(why))
    return success();
  const GpuOverrides none = {};
  Schedule free = before;
  std::string whyNone;
  bool ofOptions = given != none && GpuScheduler(*ofGpu, problem, none, free).choose(whyNone);
  return ofOptions ? refuse(function, kOptions, why) : refuse(function, "schedule", why);
}
