#include "compiler/attention/ChooseSchedule.h"

#include "compiler/attention/KernelSignature.h"
#include "compiler/attention/Refusal.h"
#include "compiler/attention/Targets.h"
#include "dialects/attention/Attention.h"

#include "mlir/IR/Builders.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace tenon;

namespace tenon {
#define GEN_PASS_DEF_CHOOSESCHEDULE
#include "compiler/attention/ChooseSchedule.h.inc"
} // namespace tenon

namespace {

constexpr int64_t kRowsOfWarp = 16;      // mma.m16n8k16
constexpr int64_t kColumnMultiple = 16;  // k of mma.m16n8k16; a vector of AVX-512
constexpr int64_t kDropoutColumns = 32;  // keys that share draws of Philox: Dropout.h
constexpr int64_t kRowPadding = 16;      // bytes, against bank conflicts: Tile.td
constexpr int64_t kMaxWidth = 512;
constexpr int64_t kMaxGpuWidth = 256;    // the accumulators of a wider output do not fit in registers
constexpr int64_t kWideGpuWidth = 128;   // from here on fewer keys, for the same reason

// The fields of tile.schedule that are numbers.
constexpr std::pair<StringLiteral, int64_t Schedule::*> kFields[] = {
    {"tile_queries", &Schedule::tileQueries},
    {"tile_keys", &Schedule::tileKeys},
    {"threads", &Schedule::threads},
    {"padded_width", &Schedule::paddedWidth},
    {"padded_value_width", &Schedule::paddedValueWidth}};

// What decides, besides the target.
struct Problem {
  int64_t width, valueWidth;
  Type storage;
  bool dropout;
};

// Query, key and value, and the probabilities where they go through shared memory (float32).
int64_t sharedBytes(const Schedule &s, Type storage) {
  int64_t size = storage.getIntOrFloatBitWidth() / 8;
  auto tile = [&](int64_t rows, int64_t columns) { return rows * (columns * size + kRowPadding); };
  int64_t probabilities = size == 4 ? tile(s.tileQueries, s.tileKeys) : 0;
  return tile(s.tileQueries, s.paddedWidth) + tile(s.tileKeys, s.paddedWidth) +
         tile(s.tileKeys, s.paddedValueWidth) + probabilities;
}

struct ChooseSchedule : tenon::impl::ChooseScheduleBase<ChooseSchedule> {
  using ChooseScheduleBase::ChooseScheduleBase;
  void runOnOperation() override;

private:
  LogicalResult readProblem(attention::FusedOp fused, Problem &problem);
  LogicalResult choose(const TargetFigures &figures, const Problem &problem, Schedule &schedule);
  LogicalResult chooseForGpu(const TargetFigures &figures, const Problem &problem, Schedule &schedule);
  LogicalResult checkOverride(const TargetFigures &figures, const Problem &problem);
};

void ChooseSchedule::runOnOperation() {
  func::FuncOp function = getOperation();
  if (function.isDeclaration() || function->hasAttr("tile.kernel"))
    return;
  auto fused = function.getOps<attention::FusedOp>();
  const TargetFigures *figures = findTargetFigures(target);
  Problem problem;
  Schedule schedule;
  LogicalResult result = success();
  if (fused.empty())
    result = refuse(function, "schedule", "there is no fused attention; run fuse-attention before "
                                          "choose-schedule");
  else if (!figures)
    result = refuse(function, "schedule", "the target '" + target + "' is none of " + targetFigureNames());
  else if (succeeded(result = readProblem(*fused.begin(), problem)))
    result = choose(*figures, problem, schedule);
  if (failed(result))
    return signalPassFailure();
  function->setAttr(kTargetAttribute, StringAttr::get(&getContext(), target));
  function->setAttr(kScheduleAttribute, schedule.attribute(&getContext()));
}

LogicalResult ChooseSchedule::readProblem(attention::FusedOp fused, Problem &problem) {
  if (failed(checkIsKernel(fused, "schedule")))
    return failure();
  auto input = [](Value value) { return storageOf(cast<BlockArgument>(value)); };
  InputStorage query = input(fused.getQuery()), key = input(fused.getKey()), value = input(fused.getValue());
  problem = {query.width, value.width, query.type, static_cast<bool>(fused.getProbability())};
  for (auto [name, width] : {std::pair{"query", query.width}, {"key", key.width}, {"value", value.width}})
    if (width <= 0)
      return refuse(fused, "schedule", Twine("the signature gives no width of the ") + name);
  if (query.width != key.width)
    return refuse(fused, "schedule", "the query is " + Twine(query.width) + " wide, the key " + Twine(key.width));
  return success();
}

LogicalResult ChooseSchedule::checkOverride(const TargetFigures &figures, const Problem &problem) {
  func::FuncOp function = getOperation();
  int64_t columns = problem.dropout || !figures.gpu ? kDropoutColumns : kColumnMultiple;
  if (tileQueries < 0 || tileQueries > 128 || (tileQueries && (tileQueries < 16 || !llvm::isPowerOf2_64(tileQueries))))
    return refuse(function, "schedule", "tile-queries is " + Twine(tileQueries) + ", must be 16, 32, 64 or 128");
  if (tileKeys < 0 || tileKeys > 1024 || tileKeys % columns)
    return refuse(function, "schedule", "tile-keys is " + Twine(tileKeys) + ", must be a multiple of " +
                                            Twine(columns) + " up to 1024");
  return success();
}

LogicalResult ChooseSchedule::choose(const TargetFigures &figures, const Problem &problem,
                                     Schedule &schedule) {
  int64_t limit = figures.gpu ? kMaxGpuWidth : kMaxWidth;
  if (std::max(problem.width, problem.valueWidth) > limit)
    return refuse(getOperation(), "schedule", "the width " + Twine(std::max(problem.width, problem.valueWidth)) +
                                                  " is beyond " + Twine(limit));
  if (failed(checkOverride(figures, problem)))
    return failure();
  schedule.paddedWidth = llvm::alignTo(problem.width, kColumnMultiple);
  schedule.paddedValueWidth = llvm::alignTo(problem.valueWidth, kColumnMultiple);
  if (figures.gpu)
    return chooseForGpu(figures, problem, schedule);
  schedule.tileQueries = tileQueries ? tileQueries : figures.tileQueries;
  schedule.tileKeys = tileKeys ? tileKeys : figures.tileKeys;
  int64_t block = schedule.tileKeys * (schedule.paddedWidth + schedule.paddedValueWidth) * 4;
  schedule.explanation = llvm::formatv(
      "{0} queries, a multiple of the {1} lanes of a vector; {2} keys, whose {3} KiB stay in the {4} KiB "
      "second-level cache", schedule.tileQueries, figures.lanes, schedule.tileKeys, block / 1024,
      figures.secondLevelBytes / 1024);
  return success();
}

// The largest tiles come first; fewer keys cost less than fewer queries, which read all keys again.
LogicalResult ChooseSchedule::chooseForGpu(const TargetFigures &figures, const Problem &problem,
                                           Schedule &schedule) {
  int64_t leastKeys = problem.dropout ? kDropoutColumns : kColumnMultiple;
  int64_t mostKeys = std::max(problem.width, problem.valueWidth) > kWideGpuWidth ? 32 : figures.tileKeys;
  for (int64_t queries = figures.tileQueries; queries >= kRowsOfWarp; queries /= 2) {
    for (int64_t keys = mostKeys; keys >= leastKeys; keys /= 2) {
      schedule.tileQueries = tileQueries ? tileQueries : queries;
      schedule.tileKeys = tileKeys ? tileKeys : keys;
      schedule.threads = schedule.tileQueries / kRowsOfWarp * figures.lanes;
      int64_t bytes = sharedBytes(schedule, problem.storage);
      if (bytes > figures.sharedBytes)
        continue;
      schedule.explanation = llvm::formatv(
          "{0} warps of 16 queries; {1} keys; {2} of {3} bytes of shared memory hold the tiles",
          schedule.tileQueries / kRowsOfWarp, schedule.tileKeys, bytes, figures.sharedBytes);
      return success();
    }
  }
  return refuse(getOperation(), "schedule", "tiles of " + Twine(schedule.tileQueries) + " queries and " +
                Twine(schedule.tileKeys) + " keys need " + Twine(sharedBytes(schedule, problem.storage)) +
                " bytes of shared memory, a block of " + Twine(figures.name) + " has " +
                Twine(figures.sharedBytes));
}

} // namespace

DictionaryAttr Schedule::attribute(MLIRContext *context) const {
  Builder b(context);
  SmallVector<NamedAttribute> fields;
  for (auto [name, member] : kFields)
    fields.push_back(b.getNamedAttr(name, b.getI32IntegerAttr(static_cast<int32_t>(this->*member))));
  fields.push_back(b.getNamedAttr("explanation", b.getStringAttr(explanation)));
  return b.getDictionaryAttr(fields);
}

std::optional<Schedule> Schedule::of(Operation *function) {
  auto dictionary = function->getAttrOfType<DictionaryAttr>(kScheduleAttribute);
  if (!dictionary)
    return std::nullopt;
  Schedule schedule;
  for (auto [name, member] : kFields) {
    auto field = dictionary.getAs<IntegerAttr>(name);
    if (!field || field.getInt() <= 0)
      return std::nullopt;
    schedule.*member = field.getInt();
  }
  if (auto explanation = dictionary.getAs<StringAttr>("explanation"))
    schedule.explanation = explanation.str();
  return schedule;
}
