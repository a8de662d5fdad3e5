#include "compiler/attention/ScalarExpressions.h"

#include "dialects/attention/Attention.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace {

using Builder = ImplicitLocOpBuilder;
using Operands = ArrayRef<Value>;
using Build = Value (*)(Builder &, Operands);

Value constant(Builder &b, float value) {
  return arith::ConstantOp::create(b, b.getF32FloatAttr(value));
}
Value constant(Builder &b, int32_t value) {
  return arith::ConstantOp::create(b, b.getI32IntegerAttr(value));
}

template <typename Op> Value unary(Builder &b, Operands x) { return Op::create(b, x[0]); }
template <typename Op> Value binary(Builder &b, Operands x) { return Op::create(b, x[0], x[1]); }
template <typename Real, typename Index> Value number(Builder &b, Operands x) {
  return x[0].getType().isF32() ? binary<Real>(b, x) : binary<Index>(b, x);
}
template <arith::CmpFPredicate real, arith::CmpIPredicate index> Value compare(Builder &b, Operands x) {
  if (x[0].getType().isF32())
    return arith::CmpFOp::create(b, real, x[0], x[1]);
  return arith::CmpIOp::create(b, index, x[0], x[1]);
}

Value sigmoid(Builder &b, Operands x) {
  Value exponential = math::ExpOp::create(b, arith::NegFOp::create(b, x[0]));
  Value sum = arith::AddFOp::create(b, constant(b, 1.0f), exponential);
  return arith::DivFOp::create(b, constant(b, 1.0f), sum);
}

Value invert(Builder &b, Operands x) {
  Value yes = arith::ConstantOp::create(b, b.getBoolAttr(true));
  return arith::XOrIOp::create(b, x[0], yes);
}

// To the index toward zero: arith.fptosi is undefined outside the range and for NaN.
Value toIndex(Builder &b, Value x) {
  Value ordered = arith::CmpFOp::create(b, arith::CmpFPredicate::ORD, x, x);
  Value number = arith::SelectOp::create(b, ordered, x, constant(b, 0.0f));
  Value above = arith::CmpFOp::create(b, arith::CmpFPredicate::OGE, number, constant(b, 0x1p31f));
  Value below = arith::SelectOp::create(b, above, constant(b, 0.0f), number);
  Value inside = arith::MaximumFOp::create(b, below, constant(b, -0x1p31f));
  Value index = arith::FPToSIOp::create(b, b.getI32Type(), inside);
  return arith::SelectOp::create(b, above, constant(b, std::numeric_limits<int32_t>::max()), index);
}

Value convert(Builder &b, Operands x) {
  if (x[0].getType().isF32())
    return toIndex(b, x[0]);
  if (x[0].getType().isInteger(1))
    return arith::UIToFPOp::create(b, b.getF32Type(), x[0]);
  return arith::SIToFPOp::create(b, b.getF32Type(), x[0]);
}

// a / b and a mod b toward zero, with 1 for a divisor of 0 or -1, which the machine does not divide by.
struct Division {
  Value quotient, remainder, divisor, isZero, isMinusOne, roundsDown;
};
Division divide(Builder &b, Value a, Value divisor) {
  auto equals = [&](int32_t value) -> Value {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, divisor, constant(b, value));
  };
  Division result;
  result.isZero = equals(0);
  result.isMinusOne = equals(-1);
  Value special = arith::OrIOp::create(b, result.isZero, result.isMinusOne);
  result.divisor = arith::SelectOp::create(b, special, constant(b, 1), divisor);
  result.quotient = arith::DivSIOp::create(b, a, result.divisor);
  result.remainder = arith::RemSIOp::create(b, a, result.divisor);
  Value inexact = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, result.remainder, constant(b, 0));
  Value signs = arith::XOrIOp::create(b, result.remainder, result.divisor);
  Value opposite = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, signs, constant(b, 0));
  result.roundsDown = arith::AndIOp::create(b, inexact, opposite);
  return result;
}

Value floorDivide(Builder &b, Operands x) {
  Division d = divide(b, x[0], x[1]);
  Value below = arith::SubIOp::create(b, d.quotient, constant(b, 1));
  Value floor = arith::SelectOp::create(b, d.roundsDown, below, d.quotient);
  Value negated = arith::SubIOp::create(b, constant(b, 0), x[0]);
  Value whole = arith::SelectOp::create(b, d.isMinusOne, negated, floor);
  return arith::SelectOp::create(b, d.isZero, constant(b, 0), whole);
}

Value modulo(Builder &b, Operands x) {
  Division d = divide(b, x[0], x[1]);
  Value raised = arith::AddIOp::create(b, d.remainder, d.divisor);
  return arith::SelectOp::create(b, d.roundsDown, raised, d.remainder);
}

Value select(Builder &b, Operands x) { return arith::SelectOp::create(b, x[0], x[1], x[2]); }

using F = arith::CmpFPredicate;
using I = arith::CmpIPredicate;

const llvm::StringMap<Build> kBuilders = {
    {"negate", unary<arith::NegFOp>},
    {"exp", unary<math::ExpOp>},
    {"exp2", unary<math::Exp2Op>},
    {"log", unary<math::LogOp>},
    {"tanh", unary<math::TanhOp>},
    {"sqrt", unary<math::SqrtOp>},
    {"rsqrt", unary<math::RsqrtOp>},
    {"abs", unary<math::AbsFOp>},
    {"sigmoid", sigmoid},
    {"erf", unary<math::ErfOp>},
    {"sin", unary<math::SinOp>},
    {"cos", unary<math::CosOp>},
    {"floor", unary<math::FloorOp>},
    {"not", invert},
    {"convert", convert},
    {"add", number<arith::AddFOp, arith::AddIOp>},
    {"subtract", number<arith::SubFOp, arith::SubIOp>},
    {"multiply", number<arith::MulFOp, arith::MulIOp>},
    {"divide", binary<arith::DivFOp>},
    {"minimum", number<arith::MinimumFOp, arith::MinSIOp>},
    {"maximum", number<arith::MaximumFOp, arith::MaxSIOp>},
    {"power", binary<math::PowFOp>},
    {"floor_divide", floorDivide},
    {"modulo", modulo},
    {"and", binary<arith::AndIOp>},
    {"or", binary<arith::OrIOp>},
    {"equal", compare<F::OEQ, I::eq>},
    {"not_equal", compare<F::UNE, I::ne>},
    {"less", compare<F::OLT, I::slt>},
    {"less_equal", compare<F::OLE, I::sle>},
    {"greater", compare<F::OGT, I::sgt>},
    {"greater_equal", compare<F::OGE, I::sge>},
    {"where", select},
};

} // namespace

Value tenon::buildScalar(ImplicitLocOpBuilder &builder, Operation *op, ArrayRef<Value> operands) {
  if (!isa_and_nonnull<attention::AttentionDialect>(op->getDialect()))
    return {};
  auto found = kBuilders.find(op->getName().stripDialect());
  return found == kBuilders.end() ? Value() : found->second(builder, operands);
}

std::optional<float> tenon::realConstant(Value value) {
  FloatAttr attribute;
  if (value.getType().isF32() && matchPattern(value, m_Constant(&attribute)))
    return attribute.getValue().convertToFloat();
  return std::nullopt;
}
