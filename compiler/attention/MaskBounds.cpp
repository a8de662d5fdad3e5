#include "compiler/attention/MaskBounds.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include <limits>

using namespace mlir;
using namespace tenon;
using namespace tenon::attention;

namespace {

// With these, all sums below stay far within 64 bits: 16 terms of 2^15 · 2^31.
constexpr int64_t kMaxCoefficient = 1 << 15;
constexpr size_t kMaxSymbols = 8;
constexpr int64_t kLeast = std::numeric_limits<int32_t>::min(), kMost = std::numeric_limits<int32_t>::max();

struct AffineForm {
  int64_t constant = 0, query = 0, key = 0;
  SmallVector<std::pair<Value, int64_t>, 2> symbols;

  // this + scale · other; false if it gets too large.
  bool add(const AffineForm &other, int64_t scale) {
    constant += scale * other.constant;
    query += scale * other.query;
    key += scale * other.key;
    for (auto [symbol, coefficient] : other.symbols) {
      auto *found = llvm::find_if(symbols, [&](auto &entry) { return entry.first == symbol; });
      if (found == symbols.end())
        symbols.emplace_back(symbol, scale * coefficient);
      else
        found->second += scale * coefficient;
    }
    llvm::erase_if(symbols, [](auto &entry) { return entry.second == 0; });
    auto small = [](int64_t value, int64_t most) { return -most <= value && value <= most; };
    return symbols.size() <= kMaxSymbols && small(query, kMaxCoefficient) && small(key, kMaxCoefficient) &&
           small(constant, kMaxCoefficient * kMost) &&
           llvm::all_of(symbols, [&](auto &entry) { return small(entry.second, kMaxCoefficient); });
  }
  bool isConstant() const { return query == 0 && key == 0 && symbols.empty(); }
};

/// i32 values: what attention.fused calls bounds.
struct Interval {
  Value keyBegin, openBegin, openEnd, keyEnd;
};

/// Of a condition that holds, and of one that does not.
struct Condition {
  Interval whenTrue, whenFalse;
};

class BoundsBuilder {
public:
  explicit BoundsBuilder(FusedOp fused);
  void build();

private:
  // Values of the mask region.
  bool isUniform(Value value) const { return value.getParentBlock() != &mask_ || uniform_.contains(value); }
  void visit(Operation &op);
  std::optional<AffineForm> affine(Value value) const;
  std::optional<AffineForm> affineResult(Operation &op) const;
  Condition condition(Value value);
  Condition comparison(arith::CmpIOp op);

  // Code of the bounds region.
  template <typename Op> Value make(Value left, Value right) { return b.createOrFold<Op>(left, right); }
  Value index(int64_t value) { return arith::ConstantOp::create(b, b.getI32IntegerAttr(int32_t(value))); }
  Value wide(int64_t value) { return arith::ConstantOp::create(b, b.getI64IntegerAttr(value)); }
  Value widen(Value value) { return b.createOrFold<arith::ExtSIOp>(b.getI64Type(), value); }
  Value test(arith::CmpIPredicate predicate, Value left, Value right) {
    return b.createOrFold<arith::CmpIOp>(predicate, left, right);
  }
  Value choose(Value condition, Value yes, Value no) {
    return b.createOrFold<arith::SelectOp>(condition, yes, no);
  }
  // Of values between 0 and keys.
  static bool isZero(Value value) { return matchPattern(value, m_Zero()); }
  Value larger(Value a, Value c) { return isZero(a) ? c : isZero(c) ? a : make<arith::MaxSIOp>(a, c); }
  Value smaller(Value a, Value c) { return a == keys_ ? c : c == keys_ ? a : make<arith::MinSIOp>(a, c); }
  Value times(int64_t coefficient, Value value) { return make<arith::MulIOp>(wide(coefficient), widen(value)); }
  Value floorDivide(Value value, int64_t divisor);
  Value clamp(Value value);
  Value extreme(const AffineForm &form, bool most, bool withKey);
  Value fits(const AffineForm &side);
  Interval atLeastZero(const AffineForm &form);
  Interval both(const Interval &a, const Interval &c);
  Interval either(const Interval &a, const Interval &c);
  Interval choose(Value condition, const Interval &yes, const Interval &no);
  Interval unknown() { return {zero_, zero_, zero_, keys_}; }
  Interval all() { return {zero_, zero_, keys_, keys_}; }
  Interval none() { return {zero_, zero_, zero_, zero_}; }

  FusedOp fused_;
  Block &mask_;
  Block &bounds_;
  ImplicitLocOpBuilder b;
  IRMapping copies_; // of what is uniform
  llvm::DenseSet<Value> uniform_;
  llvm::DenseMap<Value, AffineForm> forms_;
  llvm::DenseMap<Value, Condition> conditions_;
  Value first_, last_, zero_, keys_;
};

BoundsBuilder::BoundsBuilder(FusedOp fused)
    : fused_(fused), mask_(fused.getMask().front()), bounds_(fused.getBounds().emplaceBlock()),
      b(fused.getLoc(), fused.getContext()) {
  bounds_.addArguments(SmallVector<Type>(4, b.getI32Type()), SmallVector<Location>(4, fused.getLoc()));
  b.setInsertionPointToEnd(&bounds_);
  for (int i : {0, 1}) {
    copies_.map(mask_.getArgument(i), bounds_.getArgument(i));
    uniform_.insert(mask_.getArgument(i));
  }
  AffineForm query, key;
  query.query = key.key = 1;
  forms_[mask_.getArgument(2)] = query;
  forms_[mask_.getArgument(3)] = key;
  first_ = bounds_.getArgument(2);
  last_ = bounds_.getArgument(3);
  zero_ = index(0);
  keys_ = KeyLengthOp::create(b, b.getI32Type());
}

//===-- The mask -------------------------------------------------------------------------------===//

std::optional<AffineForm> BoundsBuilder::affine(Value value) const {
  IntegerAttr constant;
  AffineForm form;
  if (matchPattern(value, m_Constant(&constant)))
    form.constant = constant.getInt();
  else if (auto found = forms_.find(value); found != forms_.end())
    form = found->second;
  else if (isUniform(value))
    form.symbols.emplace_back(value, 1);
  else
    return std::nullopt;
  return form;
}

std::optional<AffineForm> BoundsBuilder::affineResult(Operation &op) const {
  if (!isa<arith::AddIOp, arith::SubIOp, arith::MulIOp>(op) || !op.getResult(0).getType().isInteger(32))
    return std::nullopt;
  std::optional<AffineForm> left = affine(op.getOperand(0)), right = affine(op.getOperand(1));
  if (!left || !right)
    return std::nullopt;
  if (isa<arith::MulIOp>(op)) {
    if (left->isConstant())
      std::swap(left, right);
    AffineForm product;
    bool small = right->isConstant() && std::abs(right->constant) <= kMaxCoefficient;
    return small && product.add(*left, right->constant) ? std::optional(product) : std::nullopt;
  }
  return left->add(*right, isa<arith::AddIOp>(op) ? 1 : -1) ? left : std::nullopt;
}

void BoundsBuilder::visit(Operation &op) {
  Value result = op.getResult(0);
  if (llvm::all_of(op.getOperands(), [&](Value operand) { return isUniform(operand); })) {
    uniform_.insert(result);
    b.clone(op, copies_);
  }
  if (std::optional<AffineForm> form = affineResult(op))
    forms_[result] = *form;
  if (result.getType().isInteger(1))
    conditions_[result] = condition(result);
}

// Bounds of a condition, and of its negation, by De Morgan.
Condition BoundsBuilder::condition(Value value) {
  if (auto known = conditions_.find(value); known != conditions_.end())
    return known->second;
  Operation *op = value.getDefiningOp();
  if (isUniform(value)) {
    Value copy = copies_.lookupOrDefault(value);
    return {choose(copy, all(), none()), choose(copy, none(), all())};
  }
  if (auto compare = dyn_cast_or_null<arith::CmpIOp>(op))
    return comparison(compare);
  if (!isa_and_nonnull<arith::AndIOp, arith::OrIOp, arith::XOrIOp>(op))
    return {unknown(), unknown()};
  Condition left = condition(op->getOperand(0)), right = condition(op->getOperand(1));
  if (isa<arith::AndIOp>(op))
    return {both(left.whenTrue, right.whenTrue), either(left.whenFalse, right.whenFalse)};
  if (isa<arith::OrIOp>(op))
    return {either(left.whenTrue, right.whenTrue), both(left.whenFalse, right.whenFalse)};
  if (matchPattern(op->getOperand(1), m_One()))
    return {left.whenFalse, left.whenTrue};
  return {unknown(), unknown()};
}

Condition BoundsBuilder::comparison(arith::CmpIOp op) {
  std::optional<AffineForm> left = affine(op.getLhs()), right = affine(op.getRhs());
  AffineForm above, below; // left - right, right - left
  if (!left || !right || !op.getLhs().getType().isInteger(32) || !above.add(*left, 1) ||
      !above.add(*right, -1) || !below.add(above, -1))
    return {unknown(), unknown()};
  auto stricter = [](AffineForm form) {
    form.constant -= 1;
    return form;
  };
  Condition result;
  switch (op.getPredicate()) {
  case arith::CmpIPredicate::sge:
    result = {atLeastZero(above), atLeastZero(stricter(below))};
    break;
  case arith::CmpIPredicate::sgt:
    result = {atLeastZero(stricter(above)), atLeastZero(below)};
    break;
  case arith::CmpIPredicate::sle:
    result = {atLeastZero(below), atLeastZero(stricter(above))};
    break;
  case arith::CmpIPredicate::slt:
    result = {atLeastZero(stricter(below)), atLeastZero(above)};
    break;
  case arith::CmpIPredicate::eq:
    result = {both(atLeastZero(above), atLeastZero(below)), unknown()};
    break;
  case arith::CmpIPredicate::ne:
    result = {unknown(), both(atLeastZero(above), atLeastZero(below))};
    break;
  default:
    return {unknown(), unknown()};
  }
  Value fit = make<arith::AndIOp>(fits(*left), fits(*right));
  return {choose(fit, result.whenTrue, unknown()), choose(fit, result.whenFalse, unknown())};
}

//===-- Their bounds ---------------------------------------------------------------------------===//

Value BoundsBuilder::floorDivide(Value value, int64_t divisor) {
  if (divisor == 1)
    return value;
  Value quotient = make<arith::DivSIOp>(value, wide(divisor));
  Value remainder = make<arith::RemSIOp>(value, wide(divisor));
  Value below = make<arith::SubIOp>(quotient, wide(1));
  return choose(test(arith::CmpIPredicate::slt, remainder, wide(0)), below, quotient);
}

Value BoundsBuilder::clamp(Value value) {
  Value atLeast = make<arith::MaxSIOp>(value, wide(0));
  return b.createOrFold<arith::TruncIOp>(b.getI32Type(), make<arith::MinSIOp>(atLeast, widen(keys_)));
}

// The greatest or least value over the block's queries, and over the keys too or for key 0.
Value BoundsBuilder::extreme(const AffineForm &form, bool most, bool withKey) {
  Value sum = wide(form.constant);
  for (auto [symbol, coefficient] : form.symbols)
    sum = make<arith::AddIOp>(sum, times(coefficient, copies_.lookupOrDefault(symbol)));
  if (form.query)
    sum = make<arith::AddIOp>(sum, times(form.query, (form.query > 0) == most ? last_ : first_));
  if (withKey && form.key && (form.key > 0) == most)
    sum = make<arith::AddIOp>(sum, times(form.key, keys_));
  return sum;
}

// Whether one side of a comparison stays within 32 bits: known, or to be tested.
Value BoundsBuilder::fits(const AffineForm &side) {
  int64_t least = side.constant, most = side.constant;
  auto widenBy = [&](int64_t coefficient, int64_t low, int64_t high) {
    least += coefficient * (coefficient > 0 ? low : high);
    most += coefficient * (coefficient > 0 ? high : low);
  };
  widenBy(side.query, 0, kMost);
  widenBy(side.key, 0, kMost);
  for (auto [symbol, coefficient] : side.symbols)
    widenBy(coefficient, isa_and_nonnull<QueryLengthOp, KeyLengthOp>(symbol.getDefiningOp()) ? 0 : kLeast, kMost);
  Value result = arith::ConstantOp::create(b, b.getBoolAttr(true));
  if (least < kLeast)
    result = test(arith::CmpIPredicate::sge, extreme(side, false, true), wide(kLeast));
  if (most > kMost)
    result = make<arith::AndIOp>(
        result, test(arith::CmpIPredicate::sle, extreme(side, true, true), wide(kMost)));
  return result;
}

Interval BoundsBuilder::atLeastZero(const AffineForm &form) {
  Value most = extreme(form, true, false), least = extreme(form, false, false);
  if (form.key == 0) {
    auto keysIf = [&](Value g) {
      return choose(test(arith::CmpIPredicate::sge, g, wide(0)), keys_, zero_);
    };
    return {zero_, zero_, keysIf(least), keysIf(most)};
  }
  int64_t divisor = std::abs(form.key);
  auto bound = [&](Value g) {
    Value quotient = floorDivide(g, divisor);
    return clamp(form.key > 0 ? make<arith::SubIOp>(wide(0), quotient)
                              : make<arith::AddIOp>(quotient, wide(1)));
  };
  return form.key > 0 ? Interval{bound(most), bound(least), keys_, keys_}
                      : Interval{zero_, zero_, bound(least), bound(most)};
}

Interval BoundsBuilder::both(const Interval &a, const Interval &c) {
  Interval result{larger(a.keyBegin, c.keyBegin), zero_, zero_, smaller(a.keyEnd, c.keyEnd)};
  if (isZero(a.openEnd) || isZero(c.openEnd)) // nothing is open
    return result;
  result.openBegin = larger(a.openBegin, c.openBegin);
  result.openEnd = smaller(a.openEnd, c.openEnd);
  return result;
}

// What either can see; of what is open, the longer run.
Interval BoundsBuilder::either(const Interval &a, const Interval &c) {
  Interval result{make<arith::MinSIOp>(a.keyBegin, c.keyBegin), zero_, zero_,
                  make<arith::MaxSIOp>(a.keyEnd, c.keyEnd)};
  const Interval &open = isZero(a.openEnd) ? c : a;
  result.openBegin = open.openBegin;
  result.openEnd = open.openEnd;
  if (isZero(a.openEnd) || isZero(c.openEnd))
    return result;
  Value lengthA = make<arith::SubIOp>(a.openEnd, a.openBegin);
  Value lengthC = make<arith::SubIOp>(c.openEnd, c.openBegin);
  Value first = test(arith::CmpIPredicate::sge, lengthA, lengthC);
  result.openBegin = choose(first, a.openBegin, c.openBegin);
  result.openEnd = choose(first, a.openEnd, c.openEnd);
  return result;
}

Interval BoundsBuilder::choose(Value condition, const Interval &yes, const Interval &no) {
  return {choose(condition, yes.keyBegin, no.keyBegin), choose(condition, yes.openBegin, no.openBegin),
          choose(condition, yes.openEnd, no.openEnd), choose(condition, yes.keyEnd, no.keyEnd)};
}

void BoundsBuilder::build() {
  for (Operation &op : mask_.without_terminator())
    visit(op);
  Interval result = condition(mask_.getTerminator()->getOperand(0)).whenTrue;
  YieldOp::create(b, ValueRange{result.keyBegin, result.openBegin, result.openEnd, result.keyEnd});
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(bounds_)))
    if (isOpTriviallyDead(&op))
      op.erase();
}

} // namespace

void tenon::buildBounds(FusedOp fused) { BoundsBuilder(fused).build(); }
