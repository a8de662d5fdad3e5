// 2^x of two columns, straight to words of bfloat16, in fixed point: what the softmax rounds at once needs no float32.
//
//     t = x + 49152 + 127 - 22/256        the lower half of t's bits is y = 256 (x + 127) - 22, rounded
//     word = (y + table[y mod 256] + 1) / 2
//
// Where x = c s - r, s being a product and r the reference of its row, which is known to be small, the constant joins r
// before the loop, and t is one multiply-add. Of multiples of 1/256, as kernels have them, they join exactly.
//
// A bfloat16 of the bits 128 e + m is 2^(e - 127) (1 + m / 128), so that y / 2 already has the right exponent, and in
// place of 2^f the line 1 + f. The table takes the difference back, which is at most 22/256, and adds it.
// Relative error against 2^x: root mean square 1.9e-3, at most 6.1e-3, where rounding has 1.7e-3 and 3.9e-3; exact at
// whole x. What is below 2^-126 becomes a subnormal, which products of bfloat16 take for zero. Where x is 128 or
// more, or NaN, t is greater than elsewhere, as integers are compared: the greatest is kept as a mark.
#include "compiler/host/BlockProgram.h"
#include "compiler/host/MathFunctions.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

#include <limits>

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

namespace {

constexpr int kFractionBits = 8, kIndexBits = 6;
constexpr double kUnit = 1.0 / (1 << kFractionBits);
constexpr double kMostCorrection = 22 * kUnit; ///< 1 + f - 2^f is below
constexpr double kOnes = 49152;                ///< of its neighbours the lowest bit is worth kUnit
constexpr double kBias = 127 - kMostCorrection;
/// Of references up to this magnitude kOnes + kBias - r is in [2^15, 2^16), where a unit is 1/256: LazyRescaling.cpp.
constexpr double kMostReference = 65536 - kOnes - 128;

// By y's highest bits below its exponent: 256 (2^f - 1 - f) + 22 where f = y / 256 + 22/256, for the four y of an entry
// the number that leaves the least mean square error of the words.
constexpr int16_t kTable[1 << kIndexBits] = {
    15, 14, 13, 12, 11, 10, 9, 8, 7, 7, 6, 5, 5, 4, 3, 3, 3, 2, 1, 1,  1,  1,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
    0,  0,  0,  1,  1,  1,  2, 2, 3, 3, 4, 5, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 20, 21, 21, 19, 18, 17, 16};

// Of a constant of a tile, the same in all elements; else null.
FloatAttr elementOfConstant(Value tile) {
  DenseFPElementsAttr elements;
  return matchPattern(tile, m_Constant(&elements)) && elements.isSplat() ? elements.getSplatValue<FloatAttr>() : FloatAttr();
}

// Whether the elements of a tile are small or NaN: select(|r| < …, r, NaN).
bool isSmallOrNaN(Value rows) {
  auto select = rows.getDefiningOp<arith::SelectOp>();
  auto compare = select ? select.getCondition().getDefiningOp<arith::CmpFOp>() : arith::CmpFOp();
  auto magnitude = compare ? compare.getLhs().getDefiningOp<math::AbsFOp>() : math::AbsFOp();
  if (!magnitude || compare.getPredicate() != arith::CmpFPredicate::OLT || magnitude.getOperand() != select.getTrueValue())
    return false;
  FloatAttr limit = elementOfConstant(compare.getRhs()), otherwise = elementOfConstant(select.getFalseValue());
  return limit && otherwise && limit.getValueAsDouble() <= kMostReference && otherwise.getValue().isNaN();
}

} // namespace

// Not of rows in groups of four, whose vectors may be shorter.
math::Exp2Op BlockProgram::powerInFixedPoint(Value tile) {
  auto rounding = tile.getDefiningOp<arith::TruncFOp>();
  auto power = rounding ? rounding.getIn().getDefiningOp<math::Exp2Op>() : math::Exp2Op();
  bool fits = power && power->hasOneUse() && hasPairs(tile.getType()) && registers_.lanes == 16 && !rowGroups_ &&
              !isLeftOut(power, Effect::kFixedPoint);
  return fits ? power : math::Exp2Op();
}

// The corrections of words of y.
Value BlockProgram::correctionOf(Value y) {
  auto halves = cast<VectorType>(y.getType());
  Value index = arith::ShRUIOp::create(builder_, y, filled(halves, kFractionBits - kIndexBits));
  auto tableOf = [&](Type type, auto from) -> Value {
    return arith::ConstantOp::create(builder_, DenseElementsAttr::get(cast<ShapedType>(type), ArrayRef(from)));
  };
  if (products_ == Products::kPairs) {
    auto half = ArrayRef(kTable).take_front(halves.getNumElements());
    return instruction("llvm.x86.avx512.vpermi2var.hi.512", halves,
                       {tableOf(halves, half), index, tableOf(halves, ArrayRef(kTable).drop_front(half.size()))});
  }
  // Processors with tile units look up bytes in one instruction where words take three; of each word the lower one.
  auto bytes = VectorType::get({2 * halves.getNumElements()}, builder_.getI8Type());
  SmallVector<int8_t> table(std::begin(kTable), std::end(kTable));
  SmallVector<bool> lower;
  for (int64_t i = 0; i < bytes.getNumElements(); ++i)
    lower.push_back(i % 2 == 0);
  Value found = instruction("llvm.x86.avx512.permvar.qi.512", bytes,
                            {tableOf(bytes, ArrayRef<int8_t>(table)), LLVM::BitcastOp::create(builder_, bytes, index)});
  // A sum of masks: of a constant one LLVM makes an instruction more.
  VectorType flags = bytes.clone(builder_.getI1Type());
  Value isLower = instruction("llvm.x86.avx512.kadd.q", flags, {tableOf(flags, ArrayRef<bool>(lower)), filled(flags, 0)});
  found = arith::SelectOp::create(builder_, isLower, found, filled(bytes, 0));
  return LLVM::BitcastOp::create(builder_, halves, found);
}

Value BlockProgram::instruction(StringRef name, Type type, ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(builder_, type, builder_.getStringAttr(name), operands).getResult(0);
}

// Words of the lower halves of two. Of operations that it knows LLVM would make a permutation, on Intel three times as dear.
Value BlockProgram::lowerHalves(Value first, Value second) {
  constexpr int64_t kUpperOrMaskedLower = 0xf8; ///< a | (b & c)
  Type words = first.getType();
  Value upper = arith::ShLIOp::create(builder_, second, filled(words, 16)), table = i32(kUpperOrMaskedLower);
  return instruction("llvm.x86.avx512.pternlog.d.512", words, {upper, first, filled(words, 0xffff), table});
}

// Lets the constant join the references of an exponent, before the loop at hand: of c s - r that may be rounded once, and
// that the loop computes for nobody else.
bool BlockProgram::joinReferences(Value exponent, const Cone &cone) {
  auto isComputed = [&](Operation *op) { return op && llvm::is_contained(cone.ops, op); };
  auto contracts = [](auto op) { return bitEnumContainsAll(op.getFastmath(), arith::FastMathFlags::contract); };
  if (!exponent.hasOneUse())
    return false;
  if (auto select = exponent.getDefiningOp<arith::SelectOp>()) {
    bool yes = joinReferences(select.getTrueValue(), cone), no = joinReferences(select.getFalseValue(), cone);
    if (yes || no)
      joined_[select] = {};
    return yes || no;
  }
  auto difference = exponent.getDefiningOp<arith::SubFOp>();
  auto scaled = difference ? difference.getLhs().getDefiningOp<arith::MulFOp>() : arith::MulFOp();
  auto reference = difference ? difference.getRhs().getDefiningOp<ExpandOp>() : ExpandOp();
  if (!isComputed(difference) || !isComputed(scaled) || !reference || !contracts(difference) || !contracts(scaled) ||
      !isSmallOrNaN(reference.getSource()))
    return false;
  Values joined;
  for (Value rows : rowsOfLoop(reference.getSource()))
    joined.push_back(arith::SubFOp::create(builder_, filled(rows.getType(), kOnes + kBias), rows));
  joined_[difference] = joined;
  return true;
}

// The values of an exponent with the constant, which what it joined has already; -inf is below all with it and without.
Values BlockProgram::inFixedPoint(Value exponent, ColumnValues &values) {
  Values result = values[exponent];
  if (joined_.contains(exponent.getDefiningOp()) || matchPattern(exponent, m_NegInfFloat()))
    return result;
  for (Value &value : result)
    value = arith::AddFOp::create(builder_, value, filled(value.getType(), kOnes + kBias));
  return result;
}

// Explicitly one multiply-add, so that the same rows get the same bits wherever else their scores are used.
FailureOr<Values> BlockProgram::computeJoined(Operation *op, ColumnValues &values) {
  if (auto select = dyn_cast<arith::SelectOp>(op))
    return repeat(op, [&](Value operand) {
      return operand == select.getCondition() ? values[operand] : inFixedPoint(operand, values);
    });
  auto scaled = cast<arith::SubFOp>(op).getLhs().getDefiningOp<arith::MulFOp>();
  const Values left = values.lookup(scaled.getLhs()), right = values.lookup(scaled.getRhs());
  Values result;
  for (auto [i, joined] : llvm::enumerate(joined_[op])) {
    auto factor = [&, i = i, lanes = cast<VectorType>(joined.getType()).getNumElements()](const Values &of) {
      return broadcast(of.size() == 1 ? of[0] : of[i], lanes);
    };
    result.push_back(math::FmaOp::create(builder_, factor(left), factor(right), joined));
  }
  return result;
}

Values BlockProgram::powersOfPairs(const Values &even, const Values &odd, int64_t rows, Values &marks) {
  int64_t lanes = lanesOf(rows);
  auto vector = VectorType::get({lanes}, builder_.getF32Type());
  auto words = vector.clone(builder_.getI32Type());
  auto halves = VectorType::get({2 * lanes}, builder_.getI16Type());
  auto bitsOf = [&](Value t) -> Value {
    Value lowest = filled(vector, kOnes);
    Value below = arith::CmpFOp::create(builder_, arith::CmpFPredicate::OGT, lowest, t); // NaN stays
    return arith::BitcastOp::create(builder_, words, arith::SelectOp::create(builder_, below, lowest, t));
  };
  auto wide = [&](Value value) -> Value {
    return arith::ExtUIOp::create(builder_, halves.clone(builder_.getI32Type()), value);
  };
  Values result;
  for (int64_t i = 0; i < rows / lanes; ++i) {
    auto of = [&](const Values &column) { return broadcast(column.size() == 1 ? column[0] : column[i], lanes); };
    Value first = bitsOf(of(even)), second = bitsOf(of(odd));
    marks[i] = arith::MaxUIOp::create(builder_, marks[i], arith::MaxUIOp::create(builder_, first, second));
    Value y = LLVM::BitcastOp::create(builder_, halves, lowerHalves(first, second));
    Value sum = add(add(wide(y), wide(correctionOf(y))), filled(halves.clone(builder_.getI32Type()), 1));
    Value half = arith::ShRUIOp::create(builder_, sum, filled(sum.getType(), 1)); // with the sums one vpavgw
    result.push_back(LLVM::BitcastOp::create(builder_, words, arith::TruncIOp::create(builder_, halves, half)));
  }
  return result;
}

// NaN in the rows of which an exponent was, or was 128 or more.
Values BlockProgram::markBeyondRange(const Values &sums, ValueRange marks) {
  Values result;
  for (auto [sum, mark] : llvm::zip_equal(sums, marks)) {
    Value any = arith::CmpIOp::create(builder_, arith::CmpIPredicate::uge, mark, filled(mark.getType(), kBeyondRange));
    Value none = filled(sum.getType(), std::numeric_limits<double>::quiet_NaN());
    result.push_back(arith::SelectOp::create(builder_, any, none, sum));
  }
  return result;
}
