#include "kernels/FlashForward.h"

#include "kernels/Combine.h"
#include "kernels/FlashForwardMaker.h"

#include "mlir/IR/Matchers.h"

#include <numbers>

using namespace mlir;
using namespace tenon;
using namespace tenon::kernels;

namespace {

constexpr float kDropoutNumbers = 65536;

// Layouts of what the kernel stores: rows adjacent, and any strides.
constexpr uint32_t kRowsAdjacent = 1, kAnyStrides = 2;

} // namespace

void FlashForwardMaker::build() {
  prologue();
  if (plan_.queryGroups == 1) {
    beginRows(number_);
    KeyLoops loops = planLoops(blocks_  ? std::optional(rangeOfCut())
                               : chunk_ ? std::optional(rangeOfChunk(b, plan_, block_.keyLength, chunk_))
                                        : std::nullopt);
    State first{firstReference(loops), filled(rows_, 0), filled(output_, 0)};
    epilogue(visit(loops, first));
  } else {
    buildGroups();
  }
  func::ReturnOp::create(b);
}

KeyLoops FlashForwardMaker::planLoops(std::optional<KeyRange> range) {
  KeyLoops loops = planKeyLoops(b, plan_, findBounds(), block_.keyLength, range);
  firstVisited_ = loops.firstVisited;
  standsBesideMasks_ = hasFirstReference(loops);
  prepareDropout();
  return loops;
}

FlashForwardMaker::State FlashForwardMaker::visit(const KeyLoops &loops, State state) {
  for (const KeyLoop &keys : loops.loops)
    state = loop(keys, state);
  return blocks_ ? addChunks(state) : state;
}

tile::LoadOp FlashForwardMaker::load(Value tensor, Type element, Value head, Value row, Value limit,
                                int64_t rows, int64_t width, int64_t padded, uint32_t layout,
                                int64_t group) {
  return tile::LoadOp::create(b, RankedTensorType::get({rows, padded}, element), tensor,
                              block_.batch, head, row, limit, width, layout, group);
}

void FlashForwardMaker::prologue() {
  queryTensor_ = tensor(kQuerySlot, plan_.query);
  keyTensor_ = tensor(kKeySlot, plan_.key);
  valueTensor_ = tensor(kValueSlot, plan_.value);
  outputTensor_ = tensor(kOutputSlot, plan_.output);
  block_.queryLength = tile::SizeOp::create(b, b.getI32Type(), tile::Size::query_length);
  block_.keyLength = tile::SizeOp::create(b, b.getI32Type(), tile::Size::key_length);
  findBlock();
}

// The grid is blocks of rows × heads × batch; with chunks, blocks of rows times chunks along x, so that blocks
// that read the same keys are neighbours.
void FlashForwardMaker::findBlock() {
  block_.batch = tile::ProgramIdOp::create(b, b.getI32Type(), tile::Axis::z);
  block_.head = tile::ProgramIdOp::create(b, b.getI32Type(), tile::Axis::y);
  Value block = tile::ProgramIdOp::create(b, b.getI32Type(), tile::Axis::x);
  block_.rows = block_.queryLength;
  keyHead_ = block_.head;
  if (plan_.packed != 1) {
    block_.rows = arith::MulIOp::create(b, block_.queryLength, index(plan_.packed));
    block_.head = arith::MulIOp::create(b, keyHead_, index(plan_.packed));
  } else if (plan_.group != 1) {
    keyHead_ = arith::DivUIOp::create(b, block_.head, index(plan_.group));
  }
  if (plan_.chunkKeys != 0) {
    Value beyond = arith::AddIOp::create(b, block_.rows, index(plan_.tileQueries - 1));
    Value blocks = arith::DivUIOp::create(b, beyond, index(plan_.tileQueries));
    chunk_ = arith::DivUIOp::create(b, block, blocks);
    block = arith::RemUIOp::create(b, block, blocks);
    if (plan_.chunkedQueries != 0)
      cutKeys(blocks);
  }
  number_ = block;
}

void FlashForwardMaker::beginRows(Value number) {
  block_.firstRow = arith::MulIOp::create(b, number, index(plan_.tileQueries));
  Value beyond = arith::AddIOp::create(b, block_.firstRow, index(plan_.tileQueries));
  Value end = arith::MinSIOp::create(b, beyond, block_.rows);
  Value lastRow = arith::SubIOp::create(b, end, index(1));
  block_.first = b.createOrFold<arith::DivUIOp>(block_.firstRow, index(plan_.packed));
  block_.last = b.createOrFold<arith::DivUIOp>(lastRow, index(plan_.packed));
  query_ = load(queryTensor_, plan_.tile, block_.head, block_.firstRow, block_.rows,
                plan_.tileQueries, plan_.width, plan_.paddedWidth, plan_.queryLayout, plan_.packed);
}

// The greatest product gives the greatest score where its factor is above 0; else no block is open.
std::optional<KeyBounds> FlashForwardMaker::findBounds() {
  std::optional<KeyBounds> bounds = holes_.bounds(b, block_);
  bool ofProducts = plan_.rescaling == Rescaling::kByLaneMaxima ||
                    (plan_.rescaling == Rescaling::kByRowSum && !plan_.fromLastKey);
  factor_ = ofProducts && holes_.factor ? holes_.factor(b) : Value();
  if (!factor_)
    return bounds;
  if (!bounds)
    bounds = KeyBounds{index(0), index(0), block_.keyLength, block_.keyLength};
  if (!matchPattern(bounds->openEnd, m_Zero())) {
    Value positive = b.createOrFold<arith::CmpFOp>(arith::CmpFPredicate::OGT, factor_, real(0));
    bounds->openEnd = b.createOrFold<arith::SelectOp>(positive, bounds->openEnd, index(0));
  }
  return bounds;
}

// A probability is dropped where its number, below 65536, is below round(p · 65536), halves up: p · 65536
// is exact in float32, and so is its fraction, while p · 65536 + ½ would not be.
void FlashForwardMaker::prepareDropout() {
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

FlashForwardMaker::State FlashForwardMaker::loop(const KeyLoop &keys, State state) {
  auto loop = scf::ForOp::create(b, keys.begin, keys.end, index(plan_.tileKeys),
                                 ValueRange{state.maximum, state.sum, state.output});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  State now{loop.getRegionIterArg(0), loop.getRegionIterArg(1), loop.getRegionIterArg(2)};
  Value firstKey = loop.getInductionVar();
  if (plan_.fromLastKey)
    firstKey = arith::SubIOp::create(b, firstVisited_, firstKey);
  State next = turn(firstKey, keys, now);
  scf::YieldOp::create(b, ValueRange{next.maximum, next.sum, next.output});
  return {loop.getResult(0), loop.getResult(1), loop.getResult(2)};
}

// A block that a table hides from all rows leaves the state as it is.
FlashForwardMaker::State FlashForwardMaker::turn(Value firstKey, const KeyLoop &keys, const State &state) {
  Step step = stepOf(keys);
  Value some = holes_.someVisible ? holes_.someVisible(b, firstKey) : Value();
  if (!some)
    return (this->*step)(firstKey, keys, state);
  auto yield = [&](const State &next) { scf::YieldOp::create(b, ValueRange{next.maximum, next.sum, next.output}); };
  auto branch = scf::IfOp::create(b, TypeRange{rows_, rows_, output_}, some, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  yield((this->*step)(firstKey, keys, state));
  b.setInsertionPointToStart(branch.elseBlock());
  yield(state);
  return {branch.getResult(0), branch.getResult(1), branch.getResult(2)};
}

// Where the sum decides, blocks with a mask take maxima if they come first, and give a reference. Beside random
// numbers and an output wider than the block lanes compare theirs instead: without the rescaling of every turn fewer
// registers are alive at once.
FlashForwardMaker::Step FlashForwardMaker::stepOf(const KeyLoop &keys) const {
  if (plan_.rescaling == Rescaling::kEveryTurn)
    return &FlashForwardMaker::step;
  if (plan_.rescaling == Rescaling::kByLaneMaxima)
    return &FlashForwardMaker::stepByLaneMaxima;
  if (keys.visibility == Visibility::kAll || standsBesideMasks_)
    return &FlashForwardMaker::stepByRowSum;
  bool crowded = threshold_ && plan_.paddedValueWidth > plan_.tileKeys;
  return crowded ? &FlashForwardMaker::stepByLaneMaxima : &FlashForwardMaker::step;
}

// The mask of the graph, and the end of the keys, if given; null where neither hides anything.
Value FlashForwardMaker::visible(Value firstKey, Value end, RankedTensorType scores) {
  Value mask = holes_.mask(b, firstKey, scores.getDimSize(1));
  if (!end)
    return mask;
  auto indices = scores.clone(b.getI32Type());
  Value key = tile::IndexOp::create(b, indices, tile::Direction::columns, firstKey);
  Value limit = tile::SplatOp::create(b, indices, end);
  Value inside = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, key, limit);
  return mask ? Value(arith::AndIOp::create(b, mask, inside)) : inside;
}

// -∞ where the mask, if there is one, hides a key.
Value FlashForwardMaker::hidden(Value mask, Value scores) {
  return mask ? select(mask, scores, filled(cast<RankedTensorType>(scores.getType()), -kInfinity)) : scores;
}

// dropout(P), of the rounded probabilities where they have 16 bits.
Value FlashForwardMaker::dropped(Value p, Value operand, Value firstKey) {
  if (!threshold_)
    return operand;
  if (plan_.tile != f32_)
    return tile::DropOp::create(b, operand.getType(), operand, seed_, offset_, stream_, block_.firstRow, firstKey,
                                threshold_, plan_.packed);
  auto indices = scores_.clone(b.getI32Type());
  Value numbers =
      tile::RandomOp::create(b, indices, seed_, offset_, stream_, block_.firstRow, firstKey, plan_.packed);
  Value threshold = tile::SplatOp::create(b, indices, threshold_);
  Value keep = arith::CmpIOp::create(b, arith::CmpIPredicate::sge, numbers, threshold);
  return select(keep, p, filled(scores_, 0));
}

// Without an end all rows exist.
static tile::LoadOp wholeWithout(Value end, tile::LoadOp load) {
  if (!end)
    load->setAttr(tile::kWholeAttribute, UnitAttr::get(load.getContext()));
  return load;
}

Value FlashForwardMaker::loadKey(Value firstKey, Value end, int64_t keys) {
  return wholeWithout(end, load(keyTensor_, plan_.tile, keyHead_, firstKey, end ? end : block_.keyLength,
                                keys, plan_.width, plan_.paddedWidth, plan_.keyLayout));
}

Value FlashForwardMaker::loadValue(Value firstKey, Value end) {
  return wholeWithout(end, load(valueTensor_, plan_.tile, keyHead_, firstKey, end ? end : block_.keyLength,
                                plan_.tileKeys, plan_.valueWidth, plan_.paddedValueWidth, plan_.valueLayout));
}

// Q Kᵀ
Value FlashForwardMaker::products(Value key, bool again) {
  auto products = tile::DotOp::create(b, scores_, query_, key, filled(scores_, 0), /*transposed=*/true, plan_.tf32);
  if (again)
    products->setAttr(tile::kAgainAttribute, b.getUnitAttr());
  return products;
}

// X = log₂e · score(Q Kᵀ)
Value FlashForwardMaker::score(Value firstKey, Value key) {
  return holes_.score(b, products(key, /*again=*/false), firstKey);
}

// m' = max(m, rowmax X), α = 2^(m − m'), P = 2^(X − m'); where m' = −∞ the reference is 0. Rows that are not
// stale keep their m, and α is 1.
FlashForwardMaker::Probabilities FlashForwardMaker::exponentiate(Value x, Value blockMaximum, Value before,
                                                                 Value stale, Value mask) {
  Value maximum = inSteps(arith::MaxNumFOp::create(b, before, blockMaximum));
  if (stale)
    maximum = select(stale, maximum, before);
  Value nothing = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, maximum, filled(rows_, -kInfinity));
  Value reference = select(nothing, filled(rows_, 0), maximum);
  Value correction = power(contracted<arith::SubFOp>(before, reference));
  Value difference = lessReference(x, reference);
  if (stale && plan_.smallReferencesOnly) // rows that stay have the bits that they have where none is stale
    difference = select(tile::ExpandOp::create(b, scores_.clone(b.getI1Type()), isSmall(reference)),
                        lessReference(x, smallOrNaN(reference)), difference);
  return {maximum, correction, power(hidden(mask, difference))};
}

// 2 to a difference of scores.
Value FlashForwardMaker::power(Value difference) {
  if (plan_.naturalScores) {
    auto type = cast<RankedTensorType>(difference.getType());
    difference = contracted<arith::MulFOp>(difference, filled(type, std::numbers::log2e_v<float>));
  }
  return math::Exp2Op::create(b, difference);
}

Value FlashForwardMaker::rounded(Value probabilities) {
  if (plan_.tile == f32_)
    return probabilities;
  return arith::TruncFOp::create(b, scores_.clone(plan_.tile), probabilities);
}

// Of the rounded probabilities, so that a product with ones can do it; not where the logsumexp is a result, whose
// error that would be.
Value FlashForwardMaker::rowSum(Value p, Value operand) {
  return tile::ReduceOp::create(b, rows_, tile::Reduction::sum, plan_.logsumexp ? p : operand);
}

// Null where all keys exist. No key at or behind the end of an ascending loop is visible.
Value FlashForwardMaker::endOf(const KeyLoop &keys) {
  if (keys.visibility != Visibility::kMaskedWithTail)
    return Value();
  return plan_.fromLastKey ? block_.keyLength : keys.end;
}

FlashForwardMaker::State FlashForwardMaker::step(Value firstKey, const KeyLoop &keys, const State &state) {
  Value end = endOf(keys);
  Value x = score(firstKey, loadKey(firstKey, end));
  if (keys.visibility != Visibility::kAll)
    x = hidden(visible(firstKey, end, scores_), x);
  Value blockMaximum = greatestScore(x, /*factor=*/Value(), /*ofLane=*/false);
  auto [maximum, correction, p] = exponentiate(x, blockMaximum, state.maximum, /*stale=*/Value(), /*mask=*/Value());

  // ℓ' = α ℓ + rowsum P
  Value operand = rounded(p);
  Value blockSum = rowSum(p, operand);
  Value sum =
      contracted<arith::AddFOp>(contracted<arith::MulFOp>(state.sum, correction), blockSum);

  // O' = α O + dropout(P) V
  operand = dropped(p, operand, firstKey);
  Value rescaled = contracted<arith::MulFOp>(state.output, expand(correction, output_));
  Value output = tile::DotOp::create(b, output_, operand, loadValue(firstKey, end), rescaled,
                                     /*transposed=*/false, plan_.tf32);
  return {maximum, sum, output};
}

void FlashForwardMaker::epilogue(const State &state) {
  Value rows = blocks_ ? leaveChunk(state) : block_.rows;

  // output = O / ℓ · 1 / (1 − p) · factor, zero where ℓ = 0
  Value nothing = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, state.sum, filled(rows_, 0));
  Value divisor = select(nothing, filled(rows_, 1), state.sum);
  Value factor = arith::DivFOp::create(b, filled(rows_, 1), divisor);
  if (keepScale_)
    factor = arith::MulFOp::create(b, factor, tile::SplatOp::create(b, rows_, keepScale_));
  if (Value scale = holes_.outputFactor ? holes_.outputFactor(b) : Value())
    factor = arith::MulFOp::create(b, factor, tile::SplatOp::create(b, rows_, scale));
  Value output = arith::MulFOp::create(b, state.output, expand(factor, output_));
  Value logsumexp; // in base 2 but of natural scores, −∞ where ℓ = 0
  if (plan_.logsumexp) {
    Value log = math::Log2Op::create(b, state.sum);
    if (plan_.naturalScores)
      log = arith::MulFOp::create(b, log, filled(rows_, std::numbers::ln2_v<float>));
    logsumexp = arith::AddFOp::create(b, state.maximum, log);
  }
  if (!chunk_ || blocks_)
    return storeResults(output, logsumexp, rows);
  if (!plan_.storesLoneChunk)
    return storePartial(output, state);
  Value lone = arith::CmpIOp::create(b, arith::CmpIPredicate::sle, block_.keyLength, index(plan_.chunkKeys));
  auto either = scf::IfOp::create(b, lone, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(either.thenBlock());
  storeResults(output, logsumexp, rows);
  b.setInsertionPointToStart(either.elseBlock());
  storePartial(output, state);
}

void FlashForwardMaker::storeResults(Value output, Value logsumexp, Value rows) {
  tile::StoreOp::create(b, output, outputTensor_, block_.batch, block_.head, block_.firstRow, rows,
                        plan_.valueWidth, kRowsAdjacent, plan_.packed);
  if (!plan_.logsumexp)
    return;
  // logsumexp = ln 2 · (m + log₂ ℓ)
  if (!plan_.naturalScores)
    logsumexp = arith::MulFOp::create(b, logsumexp, filled(rows_, std::numbers::ln2_v<float>));
  tile::StoreOp::create(b, logsumexp, tensor(kLogsumexpSlot, f32_), block_.batch, block_.head,
                        block_.firstRow, rows, 1, kAnyStrides, plan_.packed);
}

// Of the chunk, for kernels/Combine.h.
void FlashForwardMaker::storePartial(Value output, const State &state) {
  Value before = arith::MulIOp::create(b, chunk_, block_.rows);
  Value firstRow = arith::AddIOp::create(b, before, block_.firstRow);
  Value end = arith::AddIOp::create(b, before, block_.rows);
  auto store = [&](Value value, uint32_t slot, int64_t width, uint32_t layout) {
    tile::StoreOp::create(b, value, tensor(slot, f32_), block_.batch, block_.head, firstRow, end, width, layout,
                          plan_.packed);
  };
  store(output, plan_.partialSlot, plan_.valueWidth, partialLayout(plan_.valueWidth));
  store(state.maximum, plan_.partialSlot + 1, 1, kAnyStrides);
  store(state.sum, plan_.partialSlot + 2, 1, kAnyStrides);
}

func::FuncOp kernels::buildFlashForward(OpBuilder &builder, Location loc, const FlashForwardPlan &plan,
                                        const FlashForwardHoles &holes) {
  auto kernel = func::FuncOp::create(builder, loc, "flash_forward",
                                     builder.getFunctionType(TypeRange(), TypeRange()));
  kernel->setAttr("tile.kernel", builder.getUnitAttr());
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(kernel.addEntryBlock());
  ImplicitLocOpBuilder body(loc, builder);
  FlashForwardMaker(body, plan, holes).build();
  return kernel;
}
