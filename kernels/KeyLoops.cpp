#include "kernels/KeyLoops.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::kernels;

namespace {

class Planner {
public:
  Planner(ImplicitLocOpBuilder &builder, const FlashForwardPlan &plan) : b(builder), plan_(plan) {}

  void clip(KeyBounds &bounds, const KeyRange &range);
  KeyLoops plan(KeyBounds bounds);

private:
  Value index(int64_t value) { return arith::ConstantOp::create(b, b.getI32IntegerAttr(value)); }
  Value roundDown(Value key);
  void ascending(const KeyBounds &bounds, bool open, bool leading);
  void descending(const KeyBounds &bounds, bool open, bool leading);
  void addLoop(Value end, Visibility visibility);

  ImplicitLocOpBuilder &b;
  const FlashForwardPlan &plan_;
  KeyLoops result_;
  Value next_; // where the next loop begins
};

Value Planner::roundDown(Value key) {
  Value blocks = b.createOrFold<arith::DivUIOp>(key, index(plan_.tileKeys));
  return b.createOrFold<arith::MulIOp>(blocks, index(plan_.tileKeys));
}

void Planner::addLoop(Value end, Visibility visibility) {
  result_.loops.push_back({next_, end, visibility});
  next_ = end;
}

// What of the bounds lies in the range. Bounds known to be 0 stay so: they say that there is no such loop.
void Planner::clip(KeyBounds &bounds, const KeyRange &range) {
  for (Value *end : {&bounds.keyBegin, &bounds.keyEnd, &bounds.openBegin, &bounds.openEnd})
    if (end == &bounds.keyBegin || !matchPattern(*end, m_Zero()))
      *end = arith::MinSIOp::create(b, arith::MaxSIOp::create(b, *end, range.begin), range.end);
}

// Without a whole open block all loops have a mask.
KeyLoops Planner::plan(KeyBounds bounds) {
  KeyBounds rounded = bounds;
  rounded.keyBegin = rounded.openBegin = roundDown(bounds.keyBegin);
  bool open = !matchPattern(bounds.openEnd, m_Zero());
  // If anything is open but not from key 0 on, key 0 is visible, and the loops begin at 0.
  bool leading = open && !matchPattern(bounds.openBegin, m_Zero());
  if (open)
    rounded.openEnd = roundDown(bounds.openEnd);
  if (leading) {
    Value up = roundDown(arith::AddIOp::create(b, bounds.openBegin, index(plan_.tileKeys - 1)));
    Value some = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, up, rounded.openEnd);
    rounded.openBegin = arith::SelectOp::create(b, some, up, rounded.keyBegin);
    rounded.openEnd = arith::SelectOp::create(b, some, rounded.openEnd, rounded.keyBegin);
  }
  if (plan_.fromLastKey)
    descending(rounded, open, leading);
  else
    ascending(rounded, open, leading);
  return std::move(result_);
}

void Planner::ascending(const KeyBounds &bounds, bool open, bool leading) {
  next_ = bounds.keyBegin;
  if (leading)
    addLoop(bounds.openBegin, Visibility::kMasked);
  if (open)
    addLoop(bounds.openEnd, Visibility::kAll);
  else if (!plan_.oneLoop) // all but the tail are whole
    addLoop(roundDown(arith::MaxSIOp::create(b, bounds.keyEnd, bounds.keyBegin)), Visibility::kMasked);
  addLoop(bounds.keyEnd, Visibility::kMaskedWithTail);
}

// A first block with a mask gives the open ones a reference. Where none is open the last keys are computed apart too: the
// tests of keys that do not exist would cost an instruction a score in all blocks. Few blocks of a chunk do not repay
// the code.
void Planner::descending(const KeyBounds &bounds, bool open, bool leading) {
  Value end = arith::MaxSIOp::create(b, bounds.keyEnd, index(0));
  end = roundDown(arith::AddIOp::create(b, end, index(plan_.tileKeys - 1)));
  Value first = result_.firstVisited = arith::SubIOp::create(b, end, index(plan_.tileKeys));
  next_ = index(0);
  auto distance = [&](Value key) -> Value { return arith::SubIOp::create(b, end, key); };
  bool tailApart = plan_.chunkKeys == 0;
  if (open || tailApart) {
    Value openEnd = open ? Value(arith::MinSIOp::create(b, bounds.openEnd, first)) : first;
    openEnd = arith::MaxSIOp::create(b, openEnd, bounds.keyBegin);
    addLoop(distance(openEnd), Visibility::kMaskedWithTail);
    if (leading) // not beyond openEnd, which may have moved
      addLoop(distance(arith::MinSIOp::create(b, bounds.openBegin, openEnd)), Visibility::kAll);
  }
  addLoop(distance(bounds.keyBegin), open && !leading       ? Visibility::kAll
                                     : leading || tailApart ? Visibility::kMasked
                                                            : Visibility::kMaskedWithTail);
}

} // namespace

Value kernels::keysOfChunk(ImplicitLocOpBuilder &b, Value keyLength, int64_t chunkKeys, int64_t mostChunks) {
  auto index = [&](int64_t value) -> Value { return arith::ConstantOp::create(b, b.getI32IntegerAttr(value)); };
  auto ceilDiv = [&](Value value, int64_t divisor) -> Value {
    return arith::DivUIOp::create(b, arith::AddIOp::create(b, value, index(divisor - 1)), index(divisor));
  };
  if (mostChunks == 0)
    return index(chunkKeys);
  return arith::MulIOp::create(b, index(chunkKeys), ceilDiv(ceilDiv(keyLength, chunkKeys), mostChunks));
}

KeyRange kernels::rangeOfChunk(ImplicitLocOpBuilder &b, const FlashForwardPlan &plan, Value keyLength, Value chunk) {
  Value keys = keysOfChunk(b, keyLength, plan.chunkKeys, plan.mostChunks);
  Value begin = arith::MulIOp::create(b, chunk, keys);
  return {begin, arith::AddIOp::create(b, begin, keys)};
}

KeyLoops kernels::planKeyLoops(ImplicitLocOpBuilder &builder, const FlashForwardPlan &plan,
                               std::optional<KeyBounds> bounds, Value keyLength, std::optional<KeyRange> range) {
  Planner planner(builder, plan);
  if (!bounds) {
    Value zero = arith::ConstantOp::create(builder, builder.getI32IntegerAttr(0));
    bounds = KeyBounds{zero, zero, keyLength, keyLength};
  }
  if (plan.oneLoop)
    bounds->openBegin = bounds->openEnd = arith::ConstantOp::create(builder, builder.getI32IntegerAttr(0));
  if (range)
    planner.clip(*bounds, *range);
  return planner.plan(*bounds);
}
