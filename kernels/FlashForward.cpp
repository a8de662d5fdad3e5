#include "kernels/FlashForward.h"

#include "dialects/tile/Tile.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"

#include <numbers>

using namespace mlir;
using namespace tenon;
using namespace tenon::kernels;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kDropoutNumbers = 65536;

// Layouts of what the kernel stores: rows adjacent, and any strides.
constexpr uint32_t kRowsAdjacent = 1, kAnyStrides = 2;

class FlashForward {
public:
  FlashForward(ImplicitLocOpBuilder &builder, const FlashForwardPlan &plan,
               const FlashForwardHoles &holes)
      : b(builder), plan_(plan), holes_(holes), f32_(b.getF32Type()),
        rows_(RankedTensorType::get({plan.tileQueries}, f32_)),
        scores_(RankedTensorType::get({plan.tileQueries, plan.tileKeys}, f32_)),
        output_(RankedTensorType::get({plan.tileQueries, plan.paddedValueWidth}, f32_)) {}

  void build();

private:
  struct State {
    Value maximum, sum, output; // m, ℓ, O
  };

  Value index(int64_t value) { return arith::ConstantOp::create(b, b.getI32IntegerAttr(value)); }
  Value real(float value) { return arith::ConstantOp::create(b, b.getF32FloatAttr(value)); }
  Value filled(RankedTensorType type, float value) {
    return arith::ConstantOp::create(b, DenseElementsAttr::get(type, value));
  }
  Value tensor(uint32_t slot, Type element) {
    return tile::TensorOp::create(b, tile::TensorType::get(b.getContext(), element), slot);
  }
  // Sums and products of the softmax may be contracted to fused multiply-adds.
  template <typename Op> Value contracted(Value left, Value right) {
    return Op::create(b, left, right, arith::FastMathFlags::contract);
  }
  Value expand(Value rows, RankedTensorType type) { return tile::ExpandOp::create(b, type, rows); }
  Value select(Value condition, Value yes, Value no) {
    return arith::SelectOp::create(b, condition, yes, no);
  }

  void prologue();
  void prepareDropout();
  void planLoops();
  Value roundDown(Value key);
  State loop(Value begin, Value end, bool masked, State state);
  State step(Value firstKey, bool masked, const State &state);
  Value load(Value tensor, Type element, Value head, Value row, Value limit, int64_t rows,
             int64_t width, int64_t padded, uint32_t layout);
  Value visible(Value firstKey);
  Value dropped(Value probabilities, Value firstKey);
  void epilogue(const State &state);

  ImplicitLocOpBuilder &b;
  const FlashForwardPlan &plan_;
  const FlashForwardHoles &holes_;
  Type f32_;
  RankedTensorType rows_, scores_, output_;

  FlashForwardBlock block_;
  Value keyHead_, queryTensor_, keyTensor_, valueTensor_, outputTensor_, query_;
  Value begin_, openBegin_, openEnd_, end_; // of the loops; openBegin_ null: no leading or open loop
  bool leading_ = false;
  // Dropout: the threshold of the 16-bit numbers, 1 / (1 − p), and what the numbers depend on.
  Value threshold_, keepScale_, seed_, offset_, stream_;
};

void FlashForward::build() {
  prologue();
  planLoops();
  prepareDropout();
  State state{filled(rows_, -kInfinity), filled(rows_, 0), filled(output_, 0)};
  if (leading_)
    state = loop(begin_, openBegin_, /*masked=*/true, state);
  if (openBegin_)
    state = loop(openBegin_, openEnd_, /*masked=*/false, state);
  state = loop(openBegin_ ? openEnd_ : begin_, end_, /*masked=*/true, state);
  epilogue(state);
  func::ReturnOp::create(b);
}

Value FlashForward::load(Value tensor, Type element, Value head, Value row, Value limit,
                         int64_t rows, int64_t width, int64_t padded, uint32_t layout) {
  return tile::LoadOp::create(b, RankedTensorType::get({rows, padded}, element), tensor,
                              block_.batch, head, row, limit, width, layout);
}

void FlashForward::prologue() {
  queryTensor_ = tensor(kQuerySlot, plan_.query);
  keyTensor_ = tensor(kKeySlot, plan_.key);
  valueTensor_ = tensor(kValueSlot, plan_.value);
  outputTensor_ = tensor(kOutputSlot, plan_.output);
  block_.queryLength = tile::SizeOp::create(b, b.getI32Type(), tile::Size::query_length);
  block_.keyLength = tile::SizeOp::create(b, b.getI32Type(), tile::Size::key_length);
  block_.batch = tile::ProgramIdOp::create(b, b.getI32Type(), tile::Axis::z);
  block_.head = tile::ProgramIdOp::create(b, b.getI32Type(), tile::Axis::y);
  Value block = tile::ProgramIdOp::create(b, b.getI32Type(), tile::Axis::x);
  block_.first = arith::MulIOp::create(b, block, index(plan_.tileQueries));
  Value beyond = arith::AddIOp::create(b, block_.first, index(plan_.tileQueries));
  Value end = arith::MinSIOp::create(b, beyond, block_.queryLength);
  block_.last = arith::SubIOp::create(b, end, index(1));
  keyHead_ = block_.head;
  if (plan_.group != 1)
    keyHead_ = arith::DivUIOp::create(b, block_.head, index(plan_.group));
  query_ = load(queryTensor_, plan_.tile, block_.head, block_.first, block_.queryLength,
                plan_.tileQueries, plan_.width, plan_.paddedWidth, plan_.queryLayout);
}

// A probability is dropped where its number, below 65536, is below round(p · 65536), halves up: p · 65536
// is exact in float32, and so is its fraction, while p · 65536 + ½ would not be.
void FlashForward::prepareDropout() {
  Value given = holes_.dropoutProbability ? holes_.dropoutProbability(b) : Value();
  if (!given)
    return;
  Value atLeast0 = arith::MaxNumFOp::create(b, given, real(0));
  Value p = arith::MinNumFOp::create(b, atLeast0, real(1));
  Value scaled = arith::MulFOp::create(b, p, real(kDropoutNumbers));
  Value whole = arith::FPToSIOp::create(b, b.getI32Type(), scaled);
  Value fraction = arith::SubFOp::create(b, scaled, arith::SIToFPOp::create(b, f32_, whole));
  Value up = arith::CmpFOp::create(b, arith::CmpFPredicate::OGE, fraction, real(0.5f));
  threshold_ = arith::AddIOp::create(b, whole, arith::ExtUIOp::create(b, b.getI32Type(), up));
  // Where p = 1 nothing is kept, and 0 · (1 / 0) would be NaN.
  Value some = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, p, real(1));
  Value kept = arith::SubFOp::create(b, real(1), p);
  keepScale_ = select(some, arith::DivFOp::create(b, real(1), kept), real(0));
  seed_ = tile::SeedOp::create(b, b.getI64Type());
  offset_ = tile::OffsetOp::create(b, b.getI32Type());
  Value heads = tile::SizeOp::create(b, b.getI32Type(), tile::Size::heads);
  stream_ = arith::AddIOp::create(b, arith::MulIOp::create(b, block_.batch, heads), block_.head);
}

Value FlashForward::roundDown(Value key) {
  Value blocks = b.createOrFold<arith::DivUIOp>(key, index(plan_.tileKeys));
  return b.createOrFold<arith::MulIOp>(blocks, index(plan_.tileKeys));
}

// The loops run over [begin, openBegin) [openBegin, openEnd) [openEnd, end), cut at multiples of tileKeys.
// Without a whole open block the first two are empty.
void FlashForward::planLoops() {
  std::optional<KeyBounds> bounds = holes_.bounds(b, block_);
  if (!bounds)
    bounds = KeyBounds{index(0), index(0), block_.keyLength, block_.keyLength};
  begin_ = roundDown(bounds->keyBegin);
  end_ = bounds->keyEnd;
  if (matchPattern(bounds->openEnd, m_Zero()))
    return;
  leading_ = !matchPattern(bounds->openBegin, m_Zero());
  openEnd_ = roundDown(bounds->openEnd);
  if (!leading_) {
    // If anything is open, key 0 is visible, and the loops begin at 0.
    openBegin_ = begin_;
    return;
  }
  Value roundedUp =
      roundDown(arith::AddIOp::create(b, bounds->openBegin, index(plan_.tileKeys - 1)));
  Value some = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, roundedUp, openEnd_);
  openBegin_ = select(some, roundedUp, begin_);
  openEnd_ = select(some, openEnd_, begin_);
}

FlashForward::State FlashForward::loop(Value begin, Value end, bool masked, State state) {
  auto loop = scf::ForOp::create(b, begin, end, index(plan_.tileKeys),
                                 ValueRange{state.maximum, state.sum, state.output});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  State now{loop.getRegionIterArg(0), loop.getRegionIterArg(1), loop.getRegionIterArg(2)};
  State next = step(loop.getInductionVar(), masked, now);
  scf::YieldOp::create(b, ValueRange{next.maximum, next.sum, next.output});
  return {loop.getResult(0), loop.getResult(1), loop.getResult(2)};
}

// The mask of the graph, and the tail of the keys.
Value FlashForward::visible(Value firstKey) {
  auto indices = scores_.clone(b.getI32Type());
  Value key = tile::IndexOp::create(b, indices, tile::Direction::columns, firstKey);
  Value limit = tile::SplatOp::create(b, indices, block_.keyLength);
  Value inside = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, key, limit);
  Value mask = holes_.mask(b, firstKey);
  return mask ? Value(arith::AndIOp::create(b, mask, inside)) : inside;
}

Value FlashForward::dropped(Value probabilities, Value firstKey) {
  auto indices = scores_.clone(b.getI32Type());
  Value numbers =
      tile::RandomOp::create(b, indices, seed_, offset_, stream_, block_.first, firstKey);
  Value threshold = tile::SplatOp::create(b, indices, threshold_);
  Value keep = arith::CmpIOp::create(b, arith::CmpIPredicate::sge, numbers, threshold);
  return select(keep, probabilities, filled(scores_, 0));
}

FlashForward::State FlashForward::step(Value firstKey, bool masked, const State &state) {
  // X = log₂e · score(Q Kᵀ), −∞ where not visible
  Value key = load(keyTensor_, plan_.tile, keyHead_, firstKey, block_.keyLength, plan_.tileKeys,
                   plan_.width, plan_.paddedWidth, plan_.keyLayout);
  Value products = tile::DotOp::create(b, scores_, query_, key, filled(scores_, 0),
                                       /*transposed=*/b.getUnitAttr());
  Value x = holes_.score(b, products, firstKey);
  if (masked)
    x = select(visible(firstKey), x, filled(scores_, -kInfinity));

  // m' = max(m, rowmax X), α = 2^(m − m'), P = 2^(X − m'); where m' = −∞ the reference is 0
  Value blockMaximum = tile::ReduceOp::create(b, rows_, tile::Reduction::maximum, x);
  Value maximum = arith::MaxNumFOp::create(b, state.maximum, blockMaximum);
  Value nothing = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, maximum, filled(rows_, -kInfinity));
  Value reference = select(nothing, filled(rows_, 0), maximum);
  Value correction =
      math::Exp2Op::create(b, contracted<arith::SubFOp>(state.maximum, reference));
  Value p = math::Exp2Op::create(b, contracted<arith::SubFOp>(x, expand(reference, scores_)));

  // ℓ' = α ℓ + rowsum P
  Value blockSum = tile::ReduceOp::create(b, rows_, tile::Reduction::sum, p);
  Value sum =
      contracted<arith::AddFOp>(contracted<arith::MulFOp>(state.sum, correction), blockSum);

  // O' = α O + dropout(P) V
  if (threshold_)
    p = dropped(p, firstKey);
  if (plan_.tile != f32_)
    p = arith::TruncFOp::create(b, scores_.clone(plan_.tile), p);
  Value value = load(valueTensor_, plan_.tile, keyHead_, firstKey, block_.keyLength,
                     plan_.tileKeys, plan_.valueWidth, plan_.paddedValueWidth, plan_.valueLayout);
  Value rescaled = contracted<arith::MulFOp>(state.output, expand(correction, output_));
  Value output = tile::DotOp::create(b, output_, p, value, rescaled, /*transposed=*/UnitAttr());
  return {maximum, sum, output};
}

void FlashForward::epilogue(const State &state) {
  // output = O / ℓ · 1 / (1 − p) · factor, zero where ℓ = 0
  Value nothing = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, state.sum, filled(rows_, 0));
  Value divisor = select(nothing, filled(rows_, 1), state.sum);
  Value factor = arith::DivFOp::create(b, filled(rows_, 1), divisor);
  if (keepScale_)
    factor = arith::MulFOp::create(b, factor, tile::SplatOp::create(b, rows_, keepScale_));
  if (Value scale = holes_.outputFactor ? holes_.outputFactor(b) : Value())
    factor = arith::MulFOp::create(b, factor, tile::SplatOp::create(b, rows_, scale));
  Value output = arith::MulFOp::create(b, state.output, expand(factor, output_));
  tile::StoreOp::create(b, output, outputTensor_, block_.batch, block_.head, block_.first,
                        block_.queryLength, plan_.valueWidth, kRowsAdjacent);
  if (!plan_.logsumexp)
    return;

  // logsumexp = ln 2 · (m + log₂ ℓ), −∞ where ℓ = 0
  Value log = arith::AddFOp::create(b, state.maximum, math::Log2Op::create(b, state.sum));
  Value logsumexp = arith::MulFOp::create(b, log, filled(rows_, std::numbers::ln2_v<float>));
  tile::StoreOp::create(b, logsumexp, tensor(kLogsumexpSlot, f32_), block_.batch, block_.head,
                        block_.first, block_.queryLength, 1, kAnyStrides);
}

} // namespace

func::FuncOp kernels::buildFlashForward(OpBuilder &builder, Location loc, const FlashForwardPlan &plan,
                                        const FlashForwardHoles &holes) {
  auto kernel = func::FuncOp::create(builder, loc, "flash_forward",
                                     builder.getFunctionType(TypeRange(), TypeRange()));
  kernel->setAttr("tile.kernel", builder.getUnitAttr());
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(kernel.addEntryBlock());
  ImplicitLocOpBuilder body(loc, builder);
  FlashForward(body, plan, holes).build();
  return kernel;
}
