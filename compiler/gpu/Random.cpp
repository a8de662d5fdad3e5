/// Dropout: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), and the
/// decisions it is drawn for.
///
/// One call gives a lane the eight numbers of its columns 8j + 2t + {0, 1}, j = 0 ... 3, of 32: number
/// 2j + {0, 1}, the halves of word j.
///
/// The counter is (row, column, stream, offset). What a round multiplies depends on the row or on the column alone
/// up to the third: those parts are written apart, so that LLVM hoists what the row alone decides out of the loop
/// over columns, and a column's part serves all rows.
#include "compiler/gpu/ThreadProgram.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

namespace {

constexpr int kRounds = 10;
constexpr uint32_t kMultipliers[2] = {0xD2511F53, 0xCD9E8D57};
constexpr uint32_t kKeySteps[2] = {0x9E3779B9, 0xBB67AE85};
constexpr int kColumnsOfCall = 32; // that share a call among four lanes
constexpr int kRoundOfRowHigh = 2; // where the high word of the row's product meets a low word of the column's
constexpr int64_t kTopBits = 0x80008000, kSignSpread = 0xBB99; // prmt: the top bits of bytes 1 and 3, over halves

/// One value of a warp, where all its lanes hold the same: in a uniform register on a GPU that has them.
Value uniform(ImplicitLocOpBuilder &b, Value word) {
  Value everyone = arith::ConstantOp::create(b, b.getI32IntegerAttr(-1));
  return NVVM::ReduxOp::create(b, b.getI32Type(), word, NVVM::ReduxKind::OR, everyone);
}

/// Bits that two of three words have: one instruction, which ptxas does not make of four.
Value majority(ImplicitLocOpBuilder &b, Value x, Value y, Value z) {
  return LLVM::InlineAsmOp::create(b, b.getI32Type(), ValueRange{x, y, z}, "lop3.b32 $0, $1, $2, $3, 0xE8;",
                                   "=r,r,r,r", /*has_side_effects=*/false, /*is_align_stack=*/false,
                                   LLVM::tailcallkind::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr())
      .getResult(0);
}

} // namespace

/// Goes to where what all turns of the loops around have in common is computed once: LLVM leaves redux where it is.
/// Stays where no loop came before: the first one, with its mask, has no registers to spare, and few turns if another
/// follows.
void ThreadProgram::leaveLoops() {
  Operation *outermost = nullptr;
  for (Operation *op = builder_.getInsertionBlock()->getParentOp(); op; op = op->getParentOp())
    outermost = isa<scf::ForOp>(op) ? op : outermost;
  if (outermost && *outermost->getBlock()->getOps<scf::ForOp>().begin() != outermost)
    builder_.setInsertionPoint(outermost);
}

Values ThreadProgram::roundKeys(Value seed) {
  OpBuilder::InsertionGuard guard(builder_);
  leaveLoops();
  Type word = builder_.getI32Type();
  Values result;
  Value wide = scalar(seed);
  Value keys[2] = {arith::TruncIOp::create(builder_, word, wide),
                   arith::TruncIOp::create(builder_, word, arith::ShRUIOp::create(builder_, wide, i64(32)))};
  for (Value &key : keys)
    key = uniform(builder_, key);
  for (uint32_t round = 0; round < kRounds; ++round)
    for (int k : {0, 1})
      result.push_back(add(keys[k], i32(static_cast<int32_t>(round * kKeySteps[k]))));
  return result;
}

template <typename Op> ThreadProgram::Philox ThreadProgram::philox(Op op) {
  Philox result{roundKeys(op.getSeed()), {}, {}, {}, {}, op.getGroup()};
  result.row = add(scalar(op.getRow()), rowOfThread());
  Value group = arith::ShRUIOp::create(builder_, scalar(op.getColumn()), i32(llvm::Log2_32(kColumnsOfCall)));
  result.column = add(multiply(group, 4), arith::AndIOp::create(builder_, lane_, i32(3)));
  result.stream = scalar(op.getStream());
  result.offset = scalar(op.getOffset());
  return result;
}

Values ThreadProgram::draw(const Philox &philox, int row, int group) {
  auto constant = [&](uint32_t value) { return i32(static_cast<int32_t>(value)); };
  auto [stream, query] = unpackRow(philox.stream, add(philox.row, row), philox.group);
  Value counter[4] = {query, add(philox.column, 4 * group), stream, philox.offset};
  auto mix = [&](Value a, Value b, Value c) -> Value { // a after what b and c make
    return arith::XOrIOp::create(builder_, a, arith::XOrIOp::create(builder_, b, c));
  };
  for (int round = 0; round < kRounds; ++round) {
    Value key0 = philox.keys[2 * round], key1 = philox.keys[2 * round + 1];
    auto a = arith::MulUIExtendedOp::create(builder_, counter[0], constant(kMultipliers[0]));
    auto b = arith::MulUIExtendedOp::create(builder_, counter[2], constant(kMultipliers[1]));
    Value first = mix(b.getHigh(), counter[1], key0);
    Value third = round == kRoundOfRowHigh ? mix(counter[3], a.getHigh(), key1) : mix(a.getHigh(), counter[3], key1);
    counter[0] = first, counter[1] = b.getLow(), counter[2] = third, counter[3] = a.getLow();
  }
  return Values(counter, counter + 4);
}

LogicalResult ThreadProgram::lowerRandom(RandomOp op) {
  Philox numbers = philox(op);
  Layout layout = layoutOf(op.getType());
  llvm::DenseMap<std::pair<int, int>, Values> calls;
  Values values;
  for (int i = 0; i < layout.registers(); ++i) {
    Element element = layout.element({i, 0, 0});
    Values &words = calls[{element.row, element.column / kColumnsOfCall}];
    if (words.empty())
      words = draw(numbers, element.row, element.column / kColumnsOfCall);
    Value number = words[element.column % kColumnsOfCall / 8];
    values.push_back(element.column % 2 == 0
                         ? Value(arith::AndIOp::create(builder_, number, i32(0xFFFF)))
                         : Value(arith::ShRUIOp::create(builder_, number, i32(16))));
  }
  define(op, std::move(values));
  return success();
}

/// T' in both halves, and the word that says which of two probabilities' conditions holds: see lowerDrop. What they are
/// made of is uniform; in a block of one call a row so are they themselves, or each would take a register beside the
/// wide output there. In wider blocks, which narrow outputs have, ptxas spills for it.
std::pair<Value, Value> ThreadProgram::thresholds(Value given, int64_t columns) {
  OpBuilder::InsertionGuard guard(builder_);
  leaveLoops();
  bool narrow = columns == kColumnsOfCall;
  Value threshold = narrow ? scalar(given) : uniform(builder_, scalar(given));
  Value upper = arith::CmpIOp::create(builder_, arith::CmpIPredicate::sgt, threshold, i32(0x8000));
  Value beyond = arith::SelectOp::create(builder_, upper, i32(0x8000), i32(0));
  Value least = multiply(arith::SubIOp::create(builder_, threshold, beyond), 0x10001);
  Value either = arith::SelectOp::create(builder_, upper, i32(0), i32(-1));
  if (narrow)
    return {uniform(builder_, least), uniform(builder_, either)};
  return {least, either};
}

/// Two numbers n of a word against the threshold T at once. With the top bit of a half set, nothing is borrowed
/// from the half above by d = (n | 2^15) - T', where T' = T for T <= 2^15, else T - 2^15:
///
///     T <= 2^15:  n >= T  iff  the top bit of d, or of n        T > 2^15:  iff the top bits of d and n
///
/// The majority of d, n and a word that says which is both; its top bits, spread, mask two probabilities.
LogicalResult ThreadProgram::lowerDrop(DropOp op) {
  Philox numbers = philox(op);
  auto [least, either] = thresholds(op.getThreshold(), cast<RankedTensorType>(op.getType()).getDimSize(1));
  Value top = i32(static_cast<int32_t>(kTopBits));

  auto bits = [&](auto op, Value a, Value b) -> Value { return decltype(op)::create(builder_, a, b); };
  auto keep = [&](Value number) -> Value {
    Value d = arith::SubIOp::create(builder_, bits(arith::OrIOp(), number, top), least);
    Value most = majority(builder_, d, number, either);
    auto name = builder_.getStringAttr("llvm.nvvm.prmt");
    return LLVM::CallIntrinsicOp::create(builder_, builder_.getI32Type(), name,
                                         ValueRange{most, i32(0), i32(kSignSpread)}).getResult(0);
  };
  Layout layout = layoutOf(op.getType());
  llvm::DenseMap<std::pair<int, int>, Values> calls;
  Values source = pairs(op.getSource()), words;
  for (int i = 0; i < layout.registers(); i += 2) {
    Element element = layout.element({i, 0, 0});
    Values &drawn = calls[{element.row, element.column / kColumnsOfCall}];
    if (drawn.empty())
      drawn = draw(numbers, element.row, element.column / kColumnsOfCall);
    words.push_back(bits(arith::AndIOp(), source[i / 2], keep(drawn[element.column % kColumnsOfCall / 8])));
  }
  definePairs(op, std::move(words));
  return success();
}
