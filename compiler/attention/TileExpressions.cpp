#include "compiler/attention/TileExpressions.h"

#include "compiler/attention/KernelSignature.h"
#include "compiler/attention/ScalarExpressions.h"
#include "dialects/tile/Tile.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"

#include <cmath>

using namespace mlir;
using namespace tenon;
using namespace tenon::attention;

//===-- CapturedInputs -------------------------------------------------------------------------===//

Value CapturedInputs::get(Builder &b, Value value, const kernels::FlashForwardBlock &block) {
  if (Value made = made_.lookup(value))
    return made;
  Value result;
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    bool tensor = isTensor(argument.getType());
    SmallVector<int32_t> &slots = tensor ? tensors_ : scalars_;
    auto slot = static_cast<uint32_t>(slots.size());
    slots.push_back(static_cast<int32_t>(argument.getArgNumber()));
    if (tensor)
      result = tile::TensorOp::create(b, tile::TensorType::get(b.getContext(), storageOf(argument).type), slot);
    else
      result = tile::ScalarOp::create(b, argument.getType(), slot);
  } else if (TypedAttr constant; matchPattern(value, m_Constant(&constant))) {
    result = arith::ConstantOp::create(b, constant);
  } else if (isa<QueryLengthOp, KeyLengthOp>(value.getDefiningOp())) {
    result = isa<QueryLengthOp>(value.getDefiningOp()) ? block.queryLength : block.keyLength;
  } else {
    SmallVector<Value> operands;
    for (Value operand : value.getDefiningOp()->getOperands())
      operands.push_back(get(b, operand, block));
    result = buildScalar(b, value.getDefiningOp(), operands);
  }
  made_[value] = result;
  return result;
}

//===-- TileExpressions ------------------------------------------------------------------------===//

RankedTensorType TileExpressions::typeOf(Type element, Extent extent) const {
  if (extent == Extent::kRows)
    return RankedTensorType::get({tileQueries_}, element);
  return RankedTensorType::get({tileQueries_, tileKeys_}, element);
}

Value TileExpressions::lift(Builder &b, Value value, Extent from, Extent to) {
  if (from == to)
    return value;
  RankedTensorType type = typeOf(getElementTypeOrSelf(value), to);
  if (from == Extent::kRows)
    return tile::ExpandOp::create(b, type, value);
  Attribute constant;
  if (matchPattern(value, m_Constant(&constant)))
    return arith::ConstantOp::create(b, DenseElementsAttr::get(type, constant));
  return tile::SplatOp::create(b, type, value);
}

Extent TileExpressions::extentOf(Operation &op) const {
  Extent extent = Extent::kScalar;
  for (Value operand : op.getOperands())
    extent = std::max(extent, extents_.lookup(operand)); // what is captured is a scalar, or a tensor
  return extent;
}

Value TileExpressions::operand(Builder &b, Value value, Extent to, bool keepScalar) {
  Extent from = extents_.lookup(value);
  Value mapped = values_.lookup(value);
  return keepScalar && from == Extent::kScalar ? mapped : lift(b, mapped, from, to);
}

// A captured tensor's elements are gathered; anything else is the same operation on tiles.
void TileExpressions::emit(Builder &b, Operation &op, Extent extent) {
  Value result = op.getResult(0);
  auto element = dyn_cast<ElementOp>(op);
  SmallVector<Value> operands;
  for (Value value : element ? element.getIndices() : op.getOperands())
    operands.push_back(operand(b, value, extent, /*keepScalar=*/static_cast<bool>(element)));
  Type type = extent == Extent::kScalar ? result.getType() : Type(typeOf(result.getType(), extent));
  if (element) {
    Value gathered = tile::GatherOp::create(b, type, values_.lookup(element.getTensor()), operands, Value(),
                                            storageOf(cast<BlockArgument>(element.getTensor())).layout);
    values_.map(result, gathered);
    return;
  }
  IRMapping mapping;
  for (auto [from, to] : llvm::zip_equal(op.getOperands(), operands))
    mapping.map(from, to);
  Operation *copy = b.clone(op, mapping);
  copy->getResult(0).setType(type);
  if (isa<arith::AddFOp, arith::SubFOp, arith::MulFOp>(copy))
    copy->setAttr("fastmath", arith::FastMathFlagsAttr::get(b.getContext(), arith::FastMathFlags::contract));
  values_.map(result, copy->getResult(0));
}

void TileExpressions::capture(Builder &b, ValueRange values, const kernels::FlashForwardBlock &block,
                              CapturedInputs &inputs) {
  for (Value value : values)
    if (value.getParentBlock() != &block_ && !values_.contains(value))
      values_.map(value, inputs.get(b, value, block));
}

void TileExpressions::prepare(Builder &b, ArrayRef<Argument> arguments,
                              const kernels::FlashForwardBlock &block, CapturedInputs &inputs) {
  for (auto [inside, given] : llvm::zip_equal(block_.getArguments(), arguments)) {
    extents_[inside] = given.extent;
    if (given.value)
      values_.map(inside, given.value);
  }
  for (Operation &op : block_) {
    capture(b, op.getOperands(), block, inputs);
    if (op.getNumResults() == 0)
      continue;
    Value result = op.getResult(0);
    extents_[result] = extentOf(op);
    if (isa<QueryLengthOp, KeyLengthOp>(op))
      values_.map(result, isa<QueryLengthOp>(op) ? block.queryLength : block.keyLength);
    else if (extents_[result] != Extent::kTile)
      emit(b, op, extents_[result]);
  }
}

Value TileExpressions::build(Builder &b, ArrayRef<std::pair<unsigned, Value>> arguments) {
  for (auto [number, value] : arguments) {
    tileKeys_ = cast<RankedTensorType>(value.getType()).getDimSize(1);
    values_.map(block_.getArgument(number), value);
  }
  for (Operation &op : block_.without_terminator())
    if (extents_.lookup(op.getResult(0)) == Extent::kTile)
      emit(b, op, Extent::kTile);
  return operand(b, block_.getTerminator()->getOperand(0), Extent::kTile, /*keepScalar=*/false);
}

Value TileExpressions::buildElement(Builder &b, unsigned number, Value keys, ElementOp element) {
  tileKeys_ = cast<RankedTensorType>(keys.getType()).getDimSize(1);
  values_.map(block_.getArgument(number), keys);
  emit(b, *element, Extent::kTile);
  return values_.lookup(element.getResult());
}

static bool isPositiveConstant(Value value) {
  FloatAttr constant;
  return matchPattern(value, m_Constant(&constant)) && constant.getValue().isFiniteNonZero() &&
         !constant.getValue().isNegative();
}

// table[…, key], where what lies before the key is the same for all of a block, or the query, or a packed row's head.
bool TileExpressions::isPlainElement(ElementOp element, unsigned query) const {
  OperandRange indices = element.getIndices();
  Value head = block_.getArgument(query - 1), key = block_.getArgument(query + 1);
  return !indices.empty() && indices.back() == key && llvm::all_of(indices.drop_back(), [&](Value index) {
    return extents_.lookup(index) == Extent::kScalar || index == block_.getArgument(query) || index == head;
  });
}

// Through conjunctions, or sums and products with positive numbers.
ElementOp TileExpressions::decidingElementOf(Value value, unsigned query) const {
  Operation *op = value.getDefiningOp();
  if (auto element = dyn_cast_if_present<ElementOp>(op))
    return isPlainElement(element, query) ? element : ElementOp();
  if (!isa_and_nonnull<arith::AndIOp, arith::AddFOp, arith::MulFOp>(op))
    return {};
  for (int i : {0, 1}) {
    if (isa<arith::MulFOp>(op) && !isPositiveConstant(op->getOperand(1 - i)))
      continue;
    if (ElementOp found = decidingElementOf(op->getOperand(i), query))
      return found;
  }
  return {};
}

ElementOp TileExpressions::decidingElement(unsigned query) const {
  return decidingElementOf(block_.getTerminator()->getOperand(0), query);
}

Value TileExpressions::factorOf(unsigned number) const {
  auto product = block_.getTerminator()->getOperand(0).getDefiningOp<arith::MulFOp>();
  if (!product)
    return Value();
  for (int i : {0, 1})
    if (Value factor = product->getOperand(1 - i);
        product->getOperand(i) == block_.getArgument(number) && extents_.lookup(factor) == Extent::kScalar)
      return values_.lookup(factor);
  return Value();
}

SmallVector<Value> TileExpressions::scalars() const {
  return llvm::map_to_vector(block_.getTerminator()->getOperands(),
                             [&](Value value) { return values_.lookup(value); });
}

//===-- scaleScore -----------------------------------------------------------------------------===//

namespace {

constexpr int kMaxSumDepth = 8; // of sums whose terms are scaled one by one

// Values that are the same for all queries and keys of a block.
llvm::DenseSet<Value> uniformValues(Block &block) {
  llvm::DenseSet<Value> uniform = {block.getArgument(1), block.getArgument(2)}; // batch, head
  for (Operation &op : block)
    if (llvm::all_of(op.getOperands(), [&](Value operand) {
          return operand.getParentBlock() != &block || uniform.contains(operand);
        }))
      uniform.insert_range(op.getResults());
  return uniform;
}

class ScoreScaling {
public:
  ScoreScaling(ImplicitLocOpBuilder &builder, Block &block, float factor)
      : b(builder), block_(block), uniform_(uniformValues(block)), factor_(factor) {}

  bool mergesInto(Value value, int depth = 0) const {
    Operation *op = value.getDefiningOp();
    if (!op || depth > kMaxSumDepth)
      return false;
    if (isa<arith::AddFOp, arith::SubFOp>(op))
      return mergesInto(op->getOperand(0), depth + 1) && mergesInto(op->getOperand(1), depth + 1);
    return isa<arith::ConstantOp>(op) || (isa<arith::MulFOp>(op) && uniformOperand(op) >= 0);
  }

  Value merged(Value value) {
    Operation *op = value.getDefiningOp();
    if (isa<arith::ConstantOp>(op))
      return times(value);
    SmallVector<Value, 2> operands(op->getOperands());
    int uniform = isa<arith::MulFOp>(op) ? uniformOperand(op) : -1;
    for (int i : {0, 1})
      if (uniform < 0)
        operands[i] = merged(operands[i]);
      else if (uniform == i)
        operands[i] = times(operands[i]);
    Operation *copy = b.clone(*op);
    copy->setOperands(operands);
    return copy->getResult(0);
  }

  Value times(Value value) {
    Value factor = arith::ConstantOp::create(b, b.getF32FloatAttr(factor_));
    return b.createOrFold<arith::MulFOp>(value, factor);
  }

private:
  int uniformOperand(Operation *op) const {
    for (int i : {1, 0})
      if (op->getOperand(i).getParentBlock() != &block_ || uniform_.contains(op->getOperand(i)))
        return i;
    return -1;
  }

  ImplicitLocOpBuilder &b;
  Block &block_;
  llvm::DenseSet<Value> uniform_;
  float factor_;
};

} // namespace

bool tenon::mayOverflow(FusedOp fused, float factor) {
  Block &block = fused.getScore().front();
  // Slopes are factors alone.
  auto isFactor = [](Value value) {
    return llvm::all_of(value.getUsers(), [](Operation *user) { return isa<arith::MulFOp>(user); });
  };
  auto isGreat = [&](Value value) {
    std::optional<float> constant = value.getType().isF32() ? realConstant(value) : std::nullopt;
    return constant && std::isfinite(*constant) && std::isinf(*constant * factor);
  };
  return llvm::any_of(block, [&](Operation &op) {
    auto element = dyn_cast<ElementOp>(op);
    bool isOfTable = element && element.getType().isF32() && !isFactor(element.getResult());
    auto table = isOfTable ? dyn_cast<BlockArgument>(element.getTensor()) : BlockArgument();
    return (isOfTable && !(table && storageOf(table).type.isF16())) || llvm::any_of(op.getOperands(), isGreat);
  });
}

void tenon::scaleScore(FusedOp fused, float factor) {
  Block &block = fused.getScore().front();
  Operation *yield = block.getTerminator();
  ImplicitLocOpBuilder b(fused.getLoc(), yield);
  ScoreScaling scaling(b, block, factor);
  Value score = yield->getOperand(0);
  yield->setOperand(0, scaling.mergesInto(score) ? scaling.merged(score) : scaling.times(score));
}
