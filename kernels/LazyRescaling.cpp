// Steps that follow a row's maximum only where it has outgrown the reference: the usual one rescales nothing.
#include "kernels/FlashForwardMaker.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::kernels;

namespace {
constexpr float kGreatestSum = 4096; // of a row of a block, against a reference that is not its maximum
constexpr float kGreatestGrowth = 8; // of a row's maximum beyond its reference
constexpr int64_t kReferenceKeys = 32;
// 1.5 · 2¹⁵: sums with it, in [2¹⁵, 2¹⁶), are multiples of 2⁻⁸. A compiler may add this and some hundred more to references,
// whose sums stay there for magnitudes up to 16,000.
constexpr float kNoFinerBits = 49'152, kGreatReference = 16'000;
} // namespace

// Where the first loop is open and the sum decides: then all loops look at the sum.
bool FlashForwardMaker::hasFirstReference(const KeyLoops &keys) const {
  return plan_.rescaling == Rescaling::kByRowSum && factor_ && keys.loops.front().visibility == Visibility::kAll;
}

// The greatest score of a few keys, so that no row that sees one of them begins stale.
Value FlashForwardMaker::firstReference(const KeyLoops &keys) {
  Value none = filled(rows_, -kInfinity);
  if (!hasFirstReference(keys))
    return none;
  Value begin = keys.loops.front().begin, end = keys.loops.back().end;
  Value some = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, begin, end);
  auto branch = scf::IfOp::create(b, TypeRange{rows_}, some, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, none);
  b.setInsertionPointToStart(branch.thenBlock());
  Value key = loadKey(begin, end, kReferenceKeys);
  auto scores = RankedTensorType::get({plan_.tileQueries, kReferenceKeys}, f32_);
  Value x = tile::DotOp::create(b, scores, query_, key, filled(scores, 0), /*transposed=*/true, plan_.tf32);
  x = contracted<arith::MulFOp>(x, tile::SplatOp::create(b, scores, factor_));
  x = hidden(visible(begin, end, scores), x);
  scf::YieldOp::create(b, inSteps(greatestScore(x, /*factor=*/Value(), /*ofLane=*/false)));
  return branch.getResult(0);
}

Value FlashForwardMaker::isSmall(Value reference) {
  return arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, math::AbsFOp::create(b, reference),
                               filled(rows_, kGreatReference));
}

// NaN in place of a great one: the row's sum is then no number, and the row stale.
Value FlashForwardMaker::smallOrNaN(Value reference) {
  if (!plan_.smallReferencesOnly)
    return reference;
  return select(isSmall(reference), reference, filled(rows_, std::numeric_limits<float>::quiet_NaN()));
}

// A small one as a multiple of 2⁻⁸.
Value FlashForwardMaker::inSteps(Value reference) {
  if (!plan_.smallReferencesOnly)
    return reference;
  Value shift = filled(rows_, kNoFinerBits), sum = arith::AddFOp::create(b, reference, shift);
  return select(isSmall(reference), arith::SubFOp::create(b, sum, shift), reference);
}

// X − m
Value FlashForwardMaker::lessReference(Value x, Value reference) {
  return contracted<arith::SubFOp>(x, expand(reference, scores_));
}

FlashForwardMaker::State FlashForwardMaker::stepByRowSum(Value firstKey, const KeyLoop &keys, const State &state) {
  // P = 2^(X − m)
  bool open = keys.visibility == Visibility::kAll;
  Value end = endOf(keys), key = loadKey(firstKey, end);
  Value mask = open ? Value() : visible(firstKey, end, scores_);
  Value x = score(firstKey, key);
  Value exact = math::Exp2Op::create(b, hidden(mask, lessReference(x, smallOrNaN(state.maximum))));
  Value p = rounded(exact);
  Value blockSum = rowSum(exact, p);

  // Stale where rowsum P is not ≤ 2¹²
  Value stale = arith::CmpFOp::create(b, arith::CmpFPredicate::UGT, blockSum, filled(rows_, kGreatestSum));
  Value some = tile::AnyOp::create(b, b.getI1Type(), stale);
  SmallVector<Value> kept = {state.maximum, state.sum, state.output, p, blockSum};
  auto branch = scf::IfOp::create(b, ValueRange(kept).getTypes(), some, /*withElseRegion=*/true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    scf::YieldOp::create(b, renew(firstKey, key, mask, stale, state));
    b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(b, kept);
  }

  // ℓ' = ℓ + rowsum P, O' = O + dropout(P) V
  Value sum = contracted<arith::AddFOp>(branch.getResult(1), branch.getResult(4));
  Value operand = dropped(Value(), branch.getResult(3), firstKey);
  Value output = tile::DotOp::create(b, output_, operand, loadValue(firstKey, end), branch.getResult(2),
                                     /*transposed=*/UnitAttr());
  return {branch.getResult(0), sum, output};
}

// The scores of the block again, their maxima, and with these m', α ℓ, α O, P and rowsum P. Where the maxima are of
// products, the scores are used once as in the usual branch, and the P of rows that stay are the same, bit by bit. Beside
// a mask they may be of the products' negatives, since c may be below 0.
SmallVector<Value> FlashForwardMaker::renew(Value firstKey, Value key, Value mask, Value stale, const State &state) {
  Value again = products(key, /*again=*/true), x = holes_.score(b, again, firstKey), factor = factor_, greatest = again;
  if (mask) {
    Value positive = b.createOrFold<arith::CmpFOp>(arith::CmpFPredicate::OGT, factor, real(0));
    Value sign = select(positive, real(1), real(-1));
    factor = arith::MulFOp::create(b, factor, sign);
    greatest = hidden(mask, arith::MulFOp::create(b, again, tile::SplatOp::create(b, scores_, sign)));
  }
  greatest = greatestScore(factor ? greatest : x, factor, /*ofLane=*/false);
  auto [maximum, correction, p] = exponentiate(x, greatest, state.maximum, stale, mask);
  Value operand = rounded(p);
  return {maximum, contracted<arith::MulFOp>(state.sum, correction),
          contracted<arith::MulFOp>(state.output, expand(correction, output_)), operand, rowSum(p, operand)};
}

FlashForwardMaker::State FlashForwardMaker::stepByLaneMaxima(Value firstKey, const KeyLoop &keys, const State &state) {
  bool open = keys.visibility == Visibility::kAll;
  Value factor = open ? factor_ : Value(), end = endOf(keys), key = loadKey(firstKey, end);
  Value x = tile::DotOp::create(b, scores_, query_, key, filled(scores_, 0), /*transposed=*/true, plan_.tf32);
  if (!factor)
    x = holes_.score(b, x, firstKey);
  if (!open)
    x = hidden(visible(firstKey, end, scores_), x);

  // Where a row grew: m', α ℓ and α O
  Value some = tile::AnyOp::create(b, b.getI1Type(), grown(greatestScore(x, factor, /*ofLane=*/true), state.maximum));
  SmallVector<Value> kept = {state.maximum, state.sum, state.output};
  auto branch = scf::IfOp::create(b, ValueRange(kept).getTypes(), some, /*withElseRegion=*/true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    scf::YieldOp::create(b, follow(x, factor, state));
    b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(b, kept);
  }

  // P = 2^(X − m), ℓ' = ℓ + rowsum P, O' = O + dropout(P) V
  if (factor)
    x = holes_.score(b, x, firstKey);
  Value p = math::Exp2Op::create(b, contracted<arith::SubFOp>(x, expand(branch.getResult(0), scores_)));
  Value operand = rounded(p);
  Value sum = contracted<arith::AddFOp>(branch.getResult(1), rowSum(p, operand));
  operand = dropped(p, operand, firstKey);
  Value output = tile::DotOp::create(b, output_, operand, loadValue(firstKey, end), branch.getResult(2),
                                     /*transposed=*/UnitAttr());
  return {branch.getResult(0), sum, output};
}

// factor · rowmax X, of a lane's own elements or of the row.
Value FlashForwardMaker::greatestScore(Value x, Value factor, bool ofLane) {
  auto greatest = tile::ReduceOp::create(b, rows_, tile::Reduction::maximum, x);
  if (ofLane)
    greatest->setAttr(tile::kLaneAttribute, b.getUnitAttr());
  if (!factor)
    return greatest;
  return contracted<arith::MulFOp>(greatest, tile::SplatOp::create(b, rows_, factor));
}

// Unless both are known to be near: −∞ less −∞ is NaN.
Value FlashForwardMaker::grown(Value maximum, Value reference) {
  return arith::CmpFOp::create(b, arith::CmpFPredicate::UGE, contracted<arith::SubFOp>(maximum, reference),
                               filled(rows_, kGreatestGrowth));
}

// m', α ℓ and α O of rows that grew, each by its own test. Of a row that sees nothing m' is finite, so that its P is 0.
SmallVector<Value> FlashForwardMaker::follow(Value x, Value factor, const State &state) {
  Value greatest = greatestScore(x, factor, /*ofLane=*/false);
  Value maximum = inSteps(arith::MaxNumFOp::create(b, state.maximum, greatest));
  maximum = arith::MaxNumFOp::create(b, maximum, filled(rows_, std::numeric_limits<float>::lowest()));
  maximum = select(grown(greatest, state.maximum), maximum, state.maximum);
  Value correction = math::Exp2Op::create(b, contracted<arith::SubFOp>(state.maximum, maximum));
  return {maximum, contracted<arith::MulFOp>(state.sum, correction),
          contracted<arith::MulFOp>(state.output, expand(correction, output_))};
}
