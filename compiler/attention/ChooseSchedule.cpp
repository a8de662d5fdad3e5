#include "compiler/attention/ChooseSchedule.h"

#include "compiler/attention/Effects.h"
#include "compiler/attention/GpuCost.h"
#include "compiler/attention/GpuSchedule.h"
#include "compiler/attention/KernelSignature.h"
#include "compiler/attention/PassOrder.h"
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

constexpr int64_t kColumnMultiple = 16;  // k of mma.m16n8k16; a vector of AVX-512
constexpr int64_t kDropoutColumns = 32;  // keys that share draws of Philox: Dropout.h
constexpr int64_t kTileUnitMultiple = 32; // terms of bfloat16 in a row of a tile register
constexpr int64_t kTileUnitQueries = 32;
constexpr int64_t kScoreBytes = 4;
// Of a block on the host. Where queries see keys up to their own place, blocks of as many keys as queries have a mask in
// the fewest of them. Measured on an AMD EPYC: README.md of host/.
constexpr int64_t kKeyStep = 64, kMostTileUnitKeys = 256, kMostStandingKeys = 512;
constexpr int64_t kKeysOfFew = 384; // in bytes of a column: 96 of float32, 192 of bfloat16
// Blocks of queries that share a chunk of keys beside tile units, and the keys of it. A prototype on a Xeon whose keys and
// values exceeded the second-level cache, 4,096 of width 128: 1, 2, 4, 8 blocks gave 1940, 2260, 2530, 2700 GFLOP/s.
constexpr int64_t kQueryGroups = 4, kMostQueryGroups = 8, kGroupKeys = 512;
// Of launches of up to so many queries, two blocks of 64 or four of 32, keys are cut in chunks, for other threads. What a chunk of 2,048
// leaves, of width 64 in float32, is a sixtieth of what it reads. Measured on an AMD EPYC: README.md of host/.
constexpr int64_t kChunkedQueries = 128, kManyChunkKeys = 2048, kMostChunksOfMany = 16;
constexpr int64_t kMaxWidth = 512;
constexpr int64_t kMaxGpuWidth = 256;    // the accumulators of a wider output do not fit in registers

// The fields of tile.schedule that are numbers.
constexpr std::pair<StringLiteral, int64_t Schedule::*> kFields[] = {
    {"tile_queries", &Schedule::tileQueries},
    {"tile_keys", &Schedule::tileKeys},
    {"threads", &Schedule::threads},
    {"padded_width", &Schedule::paddedWidth},
    {"padded_value_width", &Schedule::paddedValueWidth},
    {"stages", &Schedule::stages}};

constexpr std::pair<StringLiteral, int64_t Schedule::*> kFieldsOfChunks[] = {
    {"chunk_keys", &Schedule::chunkKeys},
    {"most_chunks", &Schedule::mostChunks},
    {"chunked_queries", &Schedule::chunkedQueries},
    {"packed_heads", &Schedule::packedHeads}};

constexpr std::pair<StringLiteral, int64_t Schedule::*> kFieldsOfGroups[] = {
    {"query_groups", &Schedule::queryGroups},
    {"group_keys", &Schedule::groupKeys},
    {"groups_from_keys", &Schedule::groupsFromKeys}};

constexpr std::pair<StringLiteral, std::string Schedule::*> kTexts[] = {
    {"rescaling", &Schedule::rescaling}, {"shared", &Schedule::shared}, {"explanation", &Schedule::explanation}};

struct ChooseSchedule : tenon::impl::ChooseScheduleBase<ChooseSchedule> {
  using ChooseScheduleBase::ChooseScheduleBase;
  void runOnOperation() override;

private:
  LogicalResult readProblem(attention::FusedOp fused, GpuProblem &problem);
  LogicalResult choose(const TargetFigures &figures, const GpuProblem &problem, Schedule &schedule);
  void chooseHostSchedule(const TargetFigures &figures, const GpuProblem &problem, Schedule &schedule);
  void chooseChunks(Schedule &schedule);
  void chooseGroups(const TargetFigures &figures, Schedule &schedule);
  LogicalResult checkOverride(const TargetFigures &figures, const GpuProblem &problem);
};

void ChooseSchedule::runOnOperation() {
  func::FuncOp function = getOperation();
  if (function.isDeclaration())
    return;
  if (failed(checkOrder(function, getArgument(), Form::kGraph, Form::kScheduled)))
    return signalPassFailure();
  auto fused = function.getOps<attention::FusedOp>();
  std::optional<TargetFigures> figures = findTargetFigures(target);
  GpuProblem problem;
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

LogicalResult ChooseSchedule::readProblem(attention::FusedOp fused, GpuProblem &problem) {
  if (failed(checkIsKernel(fused, "schedule")))
    return failure();
  auto input = [](Value value) { return storageOf(cast<BlockArgument>(value)); };
  InputStorage query = input(fused.getQuery()), key = input(fused.getKey()), value = input(fused.getValue());
  problem = GpuProblem::of(fused, query.width, value.width, query.type);
  for (auto [name, width] : {std::pair{"query", query.width}, {"key", key.width}, {"value", value.width}})
    if (width <= 0)
      return refuse(fused, "schedule", Twine("the signature gives no width of the ") + name);
  if (query.width != key.width)
    return refuse(fused, "schedule", "the query is " + Twine(query.width) + " wide, the key " + Twine(key.width));
  return success();
}

LogicalResult ChooseSchedule::checkOverride(const TargetFigures &figures, const GpuProblem &problem) {
  func::FuncOp function = getOperation();
  int64_t columns = problem.dropout || !figures.gpu ? kDropoutColumns : kColumnMultiple;
  if (tileQueries < 0 || tileQueries > 128 || (tileQueries && (tileQueries < 16 || !llvm::isPowerOf2_64(tileQueries))))
    return refuse(function, kOptions, "tile-queries is " + Twine(tileQueries) + ", must be 16, 32, 64 or 128");
  if (tileKeys < 0 || tileKeys > 1024 || tileKeys % columns)
    return refuse(function, kOptions, "tile-keys is " + Twine(tileKeys) + ", must be a multiple of " +
                                          Twine(columns) + " up to 1024");
  if (queryGroups < 0 || queryGroups > kMostQueryGroups)
    return refuse(function, kOptions,
                  "query-groups is " + Twine(queryGroups) + ", must be 1 to " + Twine(kMostQueryGroups));
  if (queryGroups > 1 && !(figures.tileUnits && problem.storage.isBF16()))
    return refuse(function, kOptions, "query-groups is " + Twine(queryGroups) + ", must be left out: it is for bfloat16 by "
                                          "tile units, the target is " + figures.name);
  const std::pair<StringRef, std::string> ofGpu[] = {
      {"warps", warps ? std::to_string(warps) : ""}, {"stages", stages ? std::to_string(stages) : ""},
      {"rescaling", rescaling == kEveryTurn ? "" : rescaling.getValue()}, {"shared", shared.getValue()}};
  for (const auto &[name, given] : ofGpu)
    if (!figures.gpu && !given.empty())
      return refuse(function, kOptions, name + " is " + given + ", must be left out: it is a GPU's, the target is " +
                                            figures.name);
  if (warps < 0 || warps > 8)
    return refuse(function, kOptions, "warps is " + Twine(warps) + ", must be 1, 2, 4 or 8");
  if (stages < 0 || stages > kMostStages)
    return refuse(function, kOptions, "stages is " + Twine(stages) + ", must be 1 to " + Twine(kMostStages));
  if (!llvm::is_contained({"", kEveryTurn.data(), kByRowSum.data(), kByLaneMaxima.data()}, rescaling.getValue()))
    return refuse(function, kOptions, "rescaling is '" + rescaling.getValue() + "', must be " + kEveryTurn +
                                          ", " + kByRowSum + " or " + kByLaneMaxima);
  if (!llvm::is_contained({"", kSwizzled.data(), kPadded.data()}, shared.getValue()))
    return refuse(function, kOptions, "shared is '" + shared.getValue() + "', must be " + kSwizzled + " or " + kPadded);
  return success();
}

LogicalResult ChooseSchedule::choose(const TargetFigures &figures, const GpuProblem &problem,
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
    return chooseGpuSchedule(getOperation(), figures, problem,
                             {tileQueries, tileKeys, stages, warps, rescaling.getValue(), shared.getValue()},
                             schedule);
  chooseHostSchedule(figures, problem, schedule);
  if (problem.few)
    problem.few->addTo(schedule, kHostChunkKeys, kMostHostChunks);
  else
    chooseChunks(schedule);
  return success();
}

// Of a score that stays until its block is done: of bfloat16 where a row's reference stands.
int64_t scoreBytes(const Schedule &schedule) {
  return schedule.rescaling == kByRowSum ? kScoreBytes / 2 : kScoreBytes;
}

void ChooseSchedule::chooseChunks(Schedule &schedule) {
  const auto keys = static_cast<int64_t>(llvm::alignTo(kManyChunkKeys, static_cast<uint64_t>(schedule.tileKeys)));
  std::optional<ExactShape> exact = exactShapeOf(getOperation());
  if (isLeftOut(getOperation(), Effect::kKeyChunks) ||
      (exact && (exact->query_length > kChunkedQueries || exact->key_length <= keys)))
    return;
  schedule.chunkKeys = keys;
  schedule.mostChunks = kMostChunksOfMany;
  schedule.chunkedQueries = kChunkedQueries;
  schedule.explanation += llvm::formatv("; up to {0} queries: chunks of {1} keys, longer ones where there would be more than "
                                        "{2}, each a block of the grid, combined after",
                                        kChunkedQueries, keys, kMostChunksOfMany);
}

// As many keys as leave their scores a share of the first-level cache, and themselves half of the second, in whole steps.
// Where a reference stands, only their rounded powers stay.
int64_t keysByCaches(const TargetFigures &figures, const Schedule &schedule, int64_t elementBytes, bool tileUnits) {
  int64_t forScores = tileUnits ? figures.sharedBytes * 3 / 4 : figures.sharedBytes; // beside tiles on their way
  int64_t columnBytes = schedule.tileQueries * scoreBytes(schedule);
  int64_t rowBytes = (schedule.paddedWidth + schedule.paddedValueWidth) * elementBytes;
  int64_t keys = std::min(forScores / columnBytes, figures.secondLevelBytes / 2 / rowBytes);
  int64_t most = !tileUnits ? figures.mostKeys : schedule.rescaling == kByRowSum ? kMostStandingKeys : kMostTileUnitKeys;
  return std::clamp(keys / kKeyStep * kKeyStep, kKeyStep, most);
}

void ChooseSchedule::chooseHostSchedule(const TargetFigures &figures, const GpuProblem &problem, Schedule &schedule) {
  bool tileUnits = figures.tileUnits && problem.storage.isBF16();
  int64_t preferred = tileUnits ? kTileUnitQueries : figures.tileQueries;
  int64_t most = problem.few ? std::min(problem.few->tileQueries, preferred) : preferred;
  schedule.tileQueries = !tileQueries ? most : problem.few ? std::min<int64_t>(tileQueries, most) : tileQueries;
  bool pairs = figures.multipliesBFloat16(schedule.tileQueries) && problem.storage.isBF16();
  tileUnits &= pairs;
  if (tileUnits) {
    schedule.paddedWidth = llvm::alignTo(problem.width, kTileUnitMultiple);
    schedule.paddedValueWidth = llvm::alignTo(problem.valueWidth, kTileUnitMultiple);
  }
  int64_t elementBytes = pairs ? 2 : 4;
  // What the reference of the first keys and the ring of scores need: a score that is a multiple of the product.
  bool plain = problem.scaled && problem.tables == 0 && !problem.logsumexp && !problem.dropout && !problem.greatScores;
  bool standing = tileUnits && !problem.few && plain && !isLeftOut(getOperation(), Effect::kStandingReference);
  if (standing)
    schedule.rescaling = kByRowSum;
  schedule.tileKeys = tileKeys      ? tileKeys
                      : problem.few ? kKeysOfFew / elementBytes
                                    : keysByCaches(figures, schedule, elementBytes, tileUnits);
  // Causal blocks see half of the keys, of which the cache holds more.
  if (tileUnits && !problem.few && (queryGroups || !problem.endsAtQuery))
    chooseGroups(figures, schedule);
  auto kib = [](int64_t bytes) { return llvm::divideCeil(bytes, 1024); };
  schedule.explanation = llvm::formatv(
      "{0} queries, a multiple of the {1} lanes of a vector; {2} keys{3}: {4} KiB of scores, a first-level cache has {5}; "
      "{6} KiB of keys and values, a second-level cache has {7}{8}",
      schedule.tileQueries, figures.lanes, schedule.tileKeys, tileKeys ? ", as given" : "",
      kib(schedule.tileKeys * schedule.tileQueries * scoreBytes(schedule)), kib(figures.sharedBytes),
      kib(schedule.tileKeys * (schedule.paddedWidth + schedule.paddedValueWidth) * elementBytes),
      kib(figures.secondLevelBytes), !tileUnits ? ""
      : standing ? "; products by tile units; no maximum in open blocks: a row's reference follows when its sum of a block "
                   "exceeds 2^12"
                 : "; products by tile units; maxima each turn");
  if (schedule.queryGroups != 1)
    schedule.explanation += llvm::formatv("; from {0} keys on, which the second-level cache does not hold with their "
                                          "values, {1} blocks of queries share {2} of them",
                                          schedule.groupsFromKeys, schedule.queryGroups, schedule.groupKeys);
}

// Where three quarters of the second-level cache do not hold keys and values of a head.
void ChooseSchedule::chooseGroups(const TargetFigures &figures, Schedule &schedule) {
  constexpr int64_t kElementBytes = 2;
  schedule.queryGroups = queryGroups ? queryGroups : kQueryGroups;
  schedule.groupKeys = static_cast<int64_t>(llvm::alignTo(kGroupKeys, static_cast<uint64_t>(schedule.tileKeys)));
  schedule.groupsFromKeys =
      figures.secondLevelBytes * 3 / 4 / ((schedule.paddedWidth + schedule.paddedValueWidth) * kElementBytes);
}

} // namespace

DictionaryAttr Schedule::attribute(MLIRContext *context) const {
  Builder b(context);
  SmallVector<NamedAttribute> fields;
  for (auto [name, member] : kFields)
    fields.push_back(b.getNamedAttr(name, b.getI32IntegerAttr(static_cast<int32_t>(this->*member))));
  if (chunkKeys != 0)
    for (auto [name, member] : kFieldsOfChunks)
      fields.push_back(b.getNamedAttr(name, b.getI32IntegerAttr(static_cast<int32_t>(this->*member))));
  if (queryGroups != 1)
    for (auto [name, member] : kFieldsOfGroups)
      fields.push_back(b.getNamedAttr(name, b.getI32IntegerAttr(static_cast<int32_t>(this->*member))));
  for (auto [name, member] : kTexts)
    if (!(this->*member).empty())
      fields.push_back(b.getNamedAttr(name, b.getStringAttr(this->*member)));
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
  for (auto fields : {ArrayRef(kFieldsOfChunks), ArrayRef(kFieldsOfGroups)})
    for (auto [name, member] : fields)
      if (auto field = dictionary.getAs<IntegerAttr>(name); field && field.getInt() > 0)
        schedule.*member = field.getInt();
  for (auto [name, member] : kTexts)
    if (auto text = dictionary.getAs<StringAttr>(name))
      schedule.*member = text.str();
  return schedule;
}
