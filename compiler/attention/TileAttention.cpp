#include "compiler/attention/TileAttention.h"

#include "compiler/attention/ChooseSchedule.h"
#include "compiler/attention/GpuSchedule.h"
#include "compiler/attention/Effects.h"
#include "compiler/attention/KernelSignature.h"
#include "compiler/attention/PassOrder.h"
#include "compiler/attention/Refusal.h"
#include "compiler/attention/SplitQueries.h"
#include "compiler/attention/Targets.h"
#include "compiler/attention/TileExpressions.h"
#include "dialects/tile/Schedule.h"
#include "kernels/Combine.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"

#include "tenon/KernelImage.h"

#include <limits>
#include <numbers>

using namespace mlir;
using namespace tenon;
using namespace tenon::attention;

namespace tenon {
#define GEN_PASS_DEF_TILEATTENTION
#include "compiler/attention/TileAttention.h.inc"
} // namespace tenon

namespace {

using kernels::FlashForwardBlock;
using Builder = ImplicitLocOpBuilder;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
// Of a head with so many groups of blocks that share keys, no processor waits long for the last.
constexpr int64_t kLeastGroupsOfHead = 8;

// Tensors of the workspace that hold what chunks leave: outputs, m and ℓ for kernels/Combine.h, or all in one.
int32_t tensorsOfChunks(const Schedule &schedule) {
  return schedule.chunkKeys == 0 ? 0 : schedule.chunkedQueries == 0 ? 3 : 1;
}

/// Makes the kernel of one fused operation.
class KernelMaker {
public:
  /// `chunkTensors`: of the workspace, as many as the kernel of the launch that leaves most in them has.
  KernelMaker(func::FuncOp function, FusedOp fused, Schedule schedule, int32_t chunkTensors)
      : function_(function), fused_(fused), schedule_(std::move(schedule)), chunkTensors_(chunkTensors),
        inputs_(firstSlots(fused, chunkTensors)),
        mask_(fused.getMask(), schedule_.tileQueries), score_(fused.getScore(), schedule_.tileQueries) {}

  LogicalResult make();

private:
  static bool hasLogsumexp(FusedOp fused) { return fused.getLogsumexp() && !fused.getLogsumexp().use_empty(); }
  static SmallVector<int32_t> firstSlots(FusedOp fused, int32_t chunkTensors);
  LogicalResult plan(kernels::FlashForwardPlan &plan);
  kernels::CombinePlan planCombine(const kernels::FlashForwardPlan &plan) const;
  std::pair<TileExpressions::Argument, TileExpressions::Argument> headAndQuery(Builder &b, const FlashForwardBlock &block);
  std::optional<kernels::KeyBounds> prepare(Builder &b, const FlashForwardBlock &block);
  Value keys(Builder &b, Value firstKey, int64_t number);
  Value someVisible(Builder &b, Value firstKey);
  LogicalResult checkInputs();
  void explain(StringRef more);
  void describe(func::FuncOp kernel);
  void setWarps(func::FuncOp kernel, int64_t warps);
  void fixSizes(func::FuncOp kernel);

  func::FuncOp function_;
  FusedOp fused_;
  Schedule schedule_;
  int32_t chunkTensors_;
  CapturedInputs inputs_;
  TileExpressions mask_, score_;
  FlashForwardBlock block_;
  bool leavesOutHidden_ = false; ///< blocks of keys that a table hides
};

// Query, key, value, output, logsumexp, and what chunks leave: inputs by their number, results r as -1 - r. The same
// for all kernels of a launch, which share its arguments.
SmallVector<int32_t> KernelMaker::firstSlots(FusedOp fused, int32_t chunkTensors) {
  SmallVector<int32_t> slots;
  for (Value input : {fused.getQuery(), fused.getKey(), fused.getValue()})
    slots.push_back(static_cast<int32_t>(cast<BlockArgument>(input).getArgNumber()));
  auto resultSlot = [&](Value result) {
    OpOperand &use = *result.getUses().begin();
    slots.push_back(-1 - static_cast<int32_t>(use.getOperandNumber()));
  };
  resultSlot(scaledOutput(fused).value);
  if (hasLogsumexp(fused))
    resultSlot(fused.getLogsumexp());
  for (int32_t tensor = 0; tensor < chunkTensors; ++tensor)
    slots.push_back(kFirstWorkspaceTensor + tensor);
  return slots;
}

// Query, key and value may stand for captured tensors too, which then take slots of their own.
LogicalResult KernelMaker::checkInputs() {
  size_t tensors = inputs_.tensors().size(), scalars = 0;
  llvm::SmallDenseSet<Value> captured;
  fused_.walk([&](Operation *op) {
    for (Value value : op->getOperands())
      if (op != fused_ && isa<BlockArgument>(value) && value.getParentBlock() == fused_->getBlock() &&
          captured.insert(value).second)
        ++(isTensor(value.getType()) ? tensors : scalars);
  });
  for (BlockArgument argument : function_.getArguments())
    if (!isTensor(argument.getType()) && !argument.use_empty() && captured.insert(argument).second)
      ++scalars;
  if (tensors > kMaxTensorArguments || scalars > kMaxScalarArguments)
    return refuse(fused_, "tile", "the graph reads " + Twine(tensors) + " tensors and " + Twine(scalars) +
                                      " scalars; an argument block holds " + Twine(kMaxTensorArguments) +
                                      " and " + Twine(kMaxScalarArguments));
  return success();
}

LogicalResult KernelMaker::plan(kernels::FlashForwardPlan &plan) {
  InputStorage query = storageOf(cast<BlockArgument>(fused_.getQuery()));
  InputStorage key = storageOf(cast<BlockArgument>(fused_.getKey()));
  InputStorage value = storageOf(cast<BlockArgument>(fused_.getValue()));
  auto target = function_->getAttrOfType<StringAttr>(kTargetAttribute);
  std::optional<TargetFigures> figures;
  if (target)
    figures = findTargetFigures(target);
  Type tile = Float32Type::get(function_.getContext());
  if (figures && figures->gpu) {
    tile = query.type;
    if (key.type != tile || value.type != tile) {
      std::string types;
      llvm::raw_string_ostream(types) << query.type << ", " << key.type << " and " << value.type;
      return refuse(fused_, "tile", "query, key and value are stored as " + types +
                                        "; a GPU's product takes one type");
    }
  } else if (figures && figures->multipliesBFloat16(schedule_.tileQueries) && query.type.isBF16() && key.type.isBF16() &&
             value.type.isBF16()) {
    tile = query.type;
  }
  plan = {schedule_.tileQueries, schedule_.tileKeys, query.width, value.width, schedule_.paddedWidth,
          schedule_.paddedValueWidth, tile, query.type, key.type, value.type, outputStorage(function_),
          query.layout, key.layout, value.layout, groupOf(function_), hasLogsumexp(fused_)};
  plan.fromLastKey = figures && figures->gpu;
  plan.rescaling = schedule_.rescaling == kByRowSum       ? kernels::Rescaling::kByRowSum
                   : schedule_.rescaling == kByLaneMaxima ? kernels::Rescaling::kByLaneMaxima
                                                          : kernels::Rescaling::kEveryTurn;
  plan.smallReferencesOnly = plan.rescaling == kernels::Rescaling::kByRowSum && figures && !figures->gpu &&
                             !isLeftOut(function_, Effect::kJoinedReference) && !isLeftOut(function_, Effect::kFixedPoint);
  plan.tf32 = mayUseTf32(function_) && figures && figures->gpu && tile.isF32();
  plan.naturalScores = plan.rescaling == kernels::Rescaling::kEveryTurn && mayOverflow(fused_, std::numbers::log2e_v<float>);
  plan.chunkKeys = schedule_.chunkKeys;
  plan.mostChunks = schedule_.mostChunks;
  plan.chunkedQueries = schedule_.chunkedQueries;
  plan.packed = schedule_.packedHeads;
  plan.queryGroups = schedule_.queryGroups;
  plan.groupKeys = schedule_.groupKeys;
  plan.groupsFromKeys = schedule_.groupsFromKeys;
  plan.groupsFromQueries = kLeastGroupsOfHead * schedule_.queryGroups * schedule_.tileQueries;
  // On the host few queries wait for their keys: they have the time for a mask, and compile in half of it.
  plan.storesLoneChunk = figures && !figures->gpu;
  plan.oneLoop = plan.storesLoneChunk && hasFewQueries(function_);
  plan.partialSlot = static_cast<uint32_t>(inputs_.tensors().size()) - static_cast<uint32_t>(chunkTensors_);
  return success();
}

kernels::CombinePlan KernelMaker::planCombine(const kernels::FlashForwardPlan &plan) const {
  kernels::CombinePlan combine{kernels::kCombineRows, plan.chunkKeys, plan.mostChunks, plan.packed, plan.valueWidth,
                               plan.paddedValueWidth, plan.output, plan.logsumexp, kernels::kOutputSlot,
                               kernels::kLogsumexpSlot, plan.partialSlot, plan.naturalScores};
  if (schedule_.threads == 1) // on the host
    combine.chunksAtOnce = 1, combine.columnsAtOnce = plan.paddedValueWidth;
  return combine;
}

// The heads of packed rows are as many as the queries: vectors, both.
std::pair<TileExpressions::Argument, TileExpressions::Argument>
KernelMaker::headAndQuery(Builder &b, const FlashForwardBlock &block) {
  auto rows = RankedTensorType::get({schedule_.tileQueries}, b.getI32Type());
  Value row = tile::IndexOp::create(b, rows, tile::Direction::rows, block.firstRow);
  if (schedule_.packedHeads == 1)
    return {{block.head, Extent::kScalar}, {row, Extent::kRows}};
  auto packed = DenseElementsAttr::get(rows, static_cast<int32_t>(schedule_.packedHeads));
  Value heads = arith::ConstantOp::create(b, packed);
  Value inGroup = arith::RemUIOp::create(b, row, heads);
  Value head = arith::AddIOp::create(b, tile::SplatOp::create(b, rows, block.head), inGroup);
  return {{head, Extent::kRows}, {arith::DivUIOp::create(b, row, heads), Extent::kRows}};
}

// What the regions compute before the loops, and the bounds of these.
std::optional<kernels::KeyBounds> KernelMaker::prepare(Builder &b, const FlashForwardBlock &block) {
  block_ = block;
  auto [head, row] = headAndQuery(b, block);
  TileExpressions::Argument score{{}, Extent::kTile}, batch{block.batch, Extent::kScalar}, key{{}, Extent::kTile};
  score_.prepare(b, {score, batch, head, row, key}, block, inputs_);
  mask_.prepare(b, {batch, head, row, key}, block, inputs_);
  Value visible = fused_.getMask().front().getTerminator()->getOperand(0);
  if (matchPattern(visible, m_One()))
    return std::nullopt;
  if (fused_.getBounds().empty()) {
    Value zero = arith::ConstantOp::create(b, b.getI32IntegerAttr(0));
    return kernels::KeyBounds{zero, zero, zero, block.keyLength};
  }
  TileExpressions bounds(fused_.getBounds(), schedule_.tileQueries);
  TileExpressions::Argument first{block.first, Extent::kScalar}, last{block.last, Extent::kScalar};
  TileExpressions::Argument anyHead{block.head, Extent::kScalar}; // of packed ones bounds do not depend
  bounds.prepare(b, {batch, anyHead, first, last}, block, inputs_);
  SmallVector<Value> keys = bounds.scalars();
  return kernels::KeyBounds{keys[0], keys[1], keys[2], keys[3]};
}

void KernelMaker::explain(StringRef more) {
  schedule_.explanation += more;
  function_->setAttr(kScheduleAttribute, schedule_.attribute(function_.getContext()));
}

void KernelMaker::describe(func::FuncOp kernel) {
  OpBuilder b(kernel.getContext());
  for (StringRef name : {kTargetAttribute, kScheduleAttribute, kGroupAttribute, kFewQueriesAttribute, kExactAttribute,
                         kWithoutAttribute})
    if (Attribute attribute = function_->getAttr(name))
      kernel->setAttr(name, attribute);
  kernel->setAttr(kTensorsAttribute, b.getDenseI32ArrayAttr(inputs_.tensors()));
  kernel->setAttr(kScalarsAttribute, b.getDenseI32ArrayAttr(inputs_.scalars()));
  if (fused_.getProbability())
    kernel->setAttr(kDropoutAttribute, b.getUnitAttr());
  if (schedule_.chunkedQueries != 0) {
    auto left = static_cast<int32_t>(kernels::leftByChunk(schedule_.tileQueries, schedule_.paddedValueWidth));
    kernel->setAttr(kWorkspaceAttribute, b.getDenseI32ArrayAttr({left}));
  } else if (schedule_.chunkKeys != 0) {
    auto width = static_cast<int32_t>(storageOf(cast<BlockArgument>(fused_.getValue())).width);
    kernel->setAttr(kWorkspaceAttribute, b.getDenseI32ArrayAttr({width, 1, 1}));
  }
}

// What the passes of a GPU read.
void KernelMaker::setWarps(func::FuncOp kernel, int64_t warps) {
  OpBuilder b(kernel.getContext());
  if (schedule_.threads == 1)
    return;
  kernel->setAttr(kWarpsAttribute, b.getI32IntegerAttr(static_cast<int32_t>(warps)));
  kernel->setAttr(kStagesAttribute, b.getI32IntegerAttr(static_cast<int32_t>(schedule_.stages)));
  if (schedule_.shared == kSwizzled)
    kernel->setAttr(kSwizzledAttribute, b.getUnitAttr());
}

// Sizes that the signature gives become constants.
void KernelMaker::fixSizes(func::FuncOp kernel) {
  OpBuilder b(kernel.getContext());
  std::optional<ExactShape> exact = exactShapeOf(function_);
  if (!exact)
    return;
  const int32_t sizes[] = {exact->batch, exact->heads, exact->key_heads, exact->query_length, exact->key_length};
  kernel.walk([&](tile::SizeOp size) {
    b.setInsertionPoint(size);
    Value constant = arith::ConstantOp::create(
        b, size.getLoc(), b.getI32IntegerAttr(sizes[static_cast<int>(size.getSize())]));
    size.replaceAllUsesWith(constant);
    size.erase();
  });
}

Value KernelMaker::keys(Builder &b, Value firstKey, int64_t number) {
  auto type = RankedTensorType::get({schedule_.tileQueries, number}, b.getI32Type());
  return tile::IndexOp::create(b, type, tile::Direction::columns, firstKey);
}

// On the host: any(mask), or any(bias ≠ −∞).
Value KernelMaker::someVisible(Builder &b, Value firstKey) {
  constexpr unsigned kQueryOfMask = 2, kQueryOfScore = 3;
  if (schedule_.threads != 1 || isLeftOut(function_, Effect::kHiddenBlocks))
    return {};
  Value shown;
  if (ElementOp element = mask_.decidingElement(kQueryOfMask)) {
    shown = mask_.buildElement(b, kQueryOfMask + 1, keys(b, firstKey, schedule_.tileKeys), element);
  } else if (ElementOp bias = score_.decidingElement(kQueryOfScore)) {
    Value elements = score_.buildElement(b, kQueryOfScore + 1, keys(b, firstKey, schedule_.tileKeys), bias);
    auto hidden = DenseElementsAttr::get(cast<RankedTensorType>(elements.getType()), -kInfinity);
    shown = arith::CmpFOp::create(b, arith::CmpFPredicate::UNE, elements, arith::ConstantOp::create(b, hidden));
  } else {
    return {};
  }
  leavesOutHidden_ = true;
  return tile::AnyOp::create(b, b.getI1Type(), shown);
}

LogicalResult KernelMaker::make() {
  kernels::FlashForwardPlan plan;
  if (failed(checkInputs()) || failed(this->plan(plan)))
    return failure();
  if (!plan.naturalScores)
    scaleScore(fused_, std::numbers::log2e_v<float>);
  kernels::FlashForwardHoles holes;
  holes.bounds = [&](Builder &b, const FlashForwardBlock &block) { return prepare(b, block); };
  holes.score = [&](Builder &b, Value products, Value firstKey) {
    return score_.build(b, {{0u, products}, {4u, keys(b, firstKey, schedule_.tileKeys)}});
  };
  holes.factor = [&](Builder &) { return score_.factorOf(0); };
  Value visible = fused_.getMask().front().getTerminator()->getOperand(0);
  bool allVisible = matchPattern(visible, m_One());
  holes.mask = [&, allVisible](Builder &b, Value firstKey, int64_t number) {
    return allVisible ? Value() : mask_.build(b, {{3u, keys(b, firstKey, number)}});
  };
  holes.someVisible = [&](Builder &b, Value firstKey) { return someVisible(b, firstKey); };
  holes.dropoutProbability = [&](Builder &b) -> Value {
    Value probability = fused_.getProbability();
    return probability ? inputs_.get(b, probability, block_) : Value();
  };
  holes.outputFactor = [&](Builder &b) -> Value {
    Value product;
    for (Value factor : scaledOutput(fused_).factors) {
      Value number = inputs_.get(b, factor, block_);
      product = product ? Value(arith::MulFOp::create(b, product, number)) : number;
    }
    return product;
  };
  OpBuilder builder(function_);
  SmallVector<func::FuncOp> phases = {kernels::buildFlashForward(builder, fused_.getLoc(), plan, holes)};
  if (schedule_.chunkKeys != 0 && schedule_.chunkedQueries == 0)
    phases.push_back(kernels::buildCombine(builder, fused_.getLoc(), planCombine(plan)));
  if (leavesOutHidden_)
    explain("; blocks of keys that the mask's or the bias's elements hide from all these queries are left out");
  setWarps(phases.front(), schedule_.threads / kLanesOfWarp);
  for (func::FuncOp phase : ArrayRef(phases).drop_front())
    setWarps(phase, 1);
  for (func::FuncOp phase : phases) {
    if (function_.getName().ends_with(kFewQueriesSuffix))
      phase.setName((phase.getName() + kFewQueriesSuffix).str());
    describe(phase);
    fixSizes(phase);
  }
  function_.erase();
  return success();
}

struct TileAttention : tenon::impl::TileAttentionBase<TileAttention> {
  void runOnOperation() override {
    int32_t chunkTensors = 0;
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (std::optional<Schedule> schedule = Schedule::of(function))
        chunkTensors = std::max(chunkTensors, tensorsOfChunks(*schedule));
    for (auto function : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>()))
      if (!function.isDeclaration() && failed(tile(function, chunkTensors)))
        return signalPassFailure();
  }

private:
  LogicalResult tile(func::FuncOp function, int32_t chunkTensors) {
    if (failed(checkOrder(function, getArgument(), Form::kGraph, Form::kScheduled)))
      return failure();
    auto fused = function.getOps<FusedOp>();
    if (fused.empty())
      return refuse(function, "tile", "there is no fused attention; run fuse-attention before tile-attention");
    std::optional<Schedule> schedule = Schedule::of(function);
    if (!schedule)
      return refuse(function, "tile", "there is no schedule; run choose-schedule before tile-attention");
    if (failed(checkIsKernel(*fused.begin(), "tile")))
      return failure();
    return KernelMaker(function, *fused.begin(), *schedule, chunkTensors).make();
  }
};

} // namespace
