#include "compiler/gpu/ScalarMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/StringSwitch.h"

#include <functional>
#include <limits>
#include <map>

using namespace mlir;
using namespace tenon;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLog2E = 1.44269502f, kLog2ELow = 1.92596299e-8f; // their sum is log2(e) to 48 bits
constexpr float kLn2 = 0.693147182f;

/// Arithmetic on float32 values, short enough that a polynomial can be read.
struct Real {
  std::reference_wrapper<ImplicitLocOpBuilder> builder;
  Value value;

  ImplicitLocOpBuilder &b() const { return builder; }
  Real constant(float number) const {
    return {builder, arith::ConstantOp::create(b(), b().getF32FloatAttr(number))};
  }
  Real intrinsic(StringRef name) const {
    return {builder, LLVM::CallIntrinsicOp::create(b(), b().getF32Type(), b().getStringAttr(name), value).getResult(0)};
  }
  Real fma(Real times, Real plus) const { return {builder, LLVM::FMAOp::create(b(), value, times.value, plus.value)}; }
  Real fma(Real times, float plus) const { return fma(times, constant(plus)); }
  Real fma(float times, Real plus) const { return fma(constant(times), plus); }
  Real abs() const { return {builder, LLVM::FAbsOp::create(b(), value)}; }
  Real nearest() const { return {builder, LLVM::RintOp::create(b(), value)}; }
  Real signOf(Real other) const { return {builder, LLVM::CopySignOp::create(b(), value, other.value)}; }
  Value compare(arith::CmpFPredicate predicate, float number) const {
    return arith::CmpFOp::create(b(), predicate, value, constant(number).value);
  }
  Real select(Value condition, Real otherwise) const { // condition ? this : otherwise
    return {builder, arith::SelectOp::create(b(), condition, value, otherwise.value)};
  }
};
Real operator+(Real x, Real y) { return {x.builder, arith::AddFOp::create(x.b(), x.value, y.value)}; }
Real operator-(Real x, Real y) { return {x.builder, arith::SubFOp::create(x.b(), x.value, y.value)}; }
Real operator*(Real x, Real y) { return {x.builder, arith::MulFOp::create(x.b(), x.value, y.value)}; }
Real operator/(Real x, Real y) { return {x.builder, arith::DivFOp::create(x.b(), x.value, y.value)}; }
Real operator-(Real x) { return {x.builder, arith::NegFOp::create(x.b(), x.value)}; }

/// c[0] + x (c[1] + x (c[2] + …))
Real polynomial(Real x, ArrayRef<float> coefficients) {
  Real sum = x.constant(coefficients.back());
  for (float coefficient : llvm::reverse(coefficients.drop_back()))
    sum = sum.fma(x, coefficient);
  return sum;
}

Real exp2(Real x) { return x.intrinsic("llvm.nvvm.ex2.approx.ftz.f32"); }
Real log2(Real x) { return x.intrinsic("llvm.nvvm.lg2.approx.f"); }
Real log(Real x) { return log2(x) * x.constant(kLn2); }

/// 2^(x log2 e), with the part that the product loses: 2^t (1 + ln 2 · r).
Real exp(Real x) {
  constexpr float limit = 150; // beyond it the result is 0 or infinite; keeps the remainder finite
  Real bounded = {x.builder, arith::MaximumFOp::create(x.b(), x.value, x.constant(-limit).value)};
  bounded = {x.builder, arith::MinimumFOp::create(x.b(), bounded.value, x.constant(limit).value)};
  Real product = bounded * x.constant(kLog2E);
  Real rest = bounded.fma(kLog2E, -product).fma(1.0f, bounded * x.constant(kLog2ELow));
  Real power = exp2(product);
  Value finite = power.compare(arith::CmpFPredicate::OLT, kInfinity);
  return (power * rest).fma(kLn2, power).select(finite, power);
}

/// Near 0 an odd polynomial (Cephes tanhf), else 1 - 2 / (e^(2|x|) + 1).
Real tanh(Real x) {
  Real magnitude = x.abs(), square = x * x;
  Real series = polynomial(square, {-3.33332819422e-1f, 1.33314422036e-1f, -5.37397155531e-2f,
                                    2.06390887954e-2f, -5.70498872745e-3f});
  Real near = (series * square).fma(x, x);
  Real far = x.constant(1) - x.constant(2) / (exp(magnitude + magnitude) + x.constant(1));
  return near.select(magnitude.compare(arith::CmpFPredicate::OLT, 0.625f), far.signOf(x));
}

/// Two minimax polynomials (N. Juffa), 1 ulp: x + x·p(x²), and 1 - e^(p(|x|)).
Real erf(Real x) {
  Real magnitude = x.abs(), square = x * x;
  Real near = polynomial(square, {1.28379166e-1f, -3.76125336e-1f, 1.12819925e-1f, -2.67681349e-2f,
                                  4.99119423e-3f, -5.96761703e-4f});
  near = near.fma(x, x);
  Real exponent = polynomial(magnitude, {-1.28717512e-1f, -6.34846687e-1f, -1.06777877e-1f, 2.42546219e-2f,
                                         -3.88396438e-3f, 3.83197126e-4f, -1.72853470e-5f});
  exponent = exponent.fma(magnitude, -magnitude);
  Real far = (x.constant(1) - exp(exponent)).signOf(x);
  return far.select(magnitude.compare(arith::CmpFPredicate::OGT, 0.927734375f), near);
}

/// x less the nearest multiple of pi/2 in three parts (Cody and Waite), then polynomials on
/// [-pi/4, pi/4] (Cephes sinf, cosf), exchanged and negated by the quadrant.
Real sine(Real x, int32_t quadrants) {
  ImplicitLocOpBuilder &b = x.b();
  Real turns = (x * x.constant(0.636619772f)).nearest();
  Real r = turns.fma(-1.57079601e+00f, x);
  r = turns.fma(-3.13916473e-07f, r);
  r = turns.fma(-5.39030253e-15f, r);
  Real square = r * r;
  Real sine = polynomial(square, {-1.6666654611e-1f, 8.3321608736e-3f, -1.9515295891e-4f});
  sine = (sine * square).fma(r, r);
  Real cosine = polynomial(square, {4.166664568298827e-2f, -1.388731625493765e-3f, 2.443315711809948e-5f});
  cosine = (cosine * square).fma(square, square.fma(-0.5f, x.constant(1)));
  auto integer = [&](int32_t value) -> Value {
    return arith::ConstantOp::create(b, b.getI32IntegerAttr(value));
  };
  Value quadrant = arith::FPToSIOp::create(b, b.getI32Type(), turns.value);
  quadrant = arith::AddIOp::create(b, quadrant, integer(quadrants));
  auto hasBit = [&](int32_t mask) -> Value {
    Value bits = arith::AndIOp::create(b, quadrant, integer(mask));
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, bits, integer(0));
  };
  Real result = cosine.select(hasBit(1), sine);
  return (-result).select(hasBit(2), result);
}

/// |x|^y by logarithms; the sign of an odd power; NaN for a fractional power of a negative number.
Real power(Real x, Real y) {
  ImplicitLocOpBuilder &b = x.b();
  using P = arith::CmpFPredicate;
  Real magnitude = exp2(y * log2(x.abs()));
  Real half = y * y.constant(0.5f);
  Value isInteger = arith::CmpFOp::create(b, P::OEQ, y.nearest().value, y.value);
  Value isEven = arith::CmpFOp::create(b, P::OEQ, half.nearest().value, half.value);
  Real odd = magnitude.signOf(x);
  Real whole = magnitude.select(isEven, odd);
  Real result = whole.select(isInteger, magnitude);
  Value isNegative = x.compare(P::OLT, 0);
  Real fractional = magnitude.select(isInteger, x.constant(std::numeric_limits<float>::quiet_NaN()));
  result = (whole.select(isInteger, fractional)).select(isNegative, result);
  Value isOne = arith::OrIOp::create(b, y.compare(P::OEQ, 0), x.compare(P::OEQ, 1));
  return x.constant(1).select(isOne, result);
}

template <typename LLVMOp> Real through(Real x) { return {x.builder, LLVMOp::create(x.b(), x.value)}; }
Real reciprocalRoot(Real x) { return x.constant(1) / through<LLVM::SqrtOp>(x); }

using Function = Real (*)(ArrayRef<Real>);
template <Real (*function)(Real)> Real unary(ArrayRef<Real> x) { return function(x[0]); }

const std::map<StringRef, Function> &functions() {
  static const std::map<StringRef, Function> table = {
      {"math.exp2", unary<exp2>},
      {"math.exp", unary<exp>},
      {"math.log2", unary<log2>},
      {"math.log", unary<log>},
      {"math.tanh", unary<tanh>},
      {"math.erf", unary<erf>},
      {"math.sin", [](ArrayRef<Real> x) { return sine(x[0], 0); }},
      {"math.cos", [](ArrayRef<Real> x) { return sine(x[0], 1); }},
      {"math.powf", [](ArrayRef<Real> x) { return power(x[0], x[1]); }},
      {"math.sqrt", unary<through<LLVM::SqrtOp>>},
      {"math.rsqrt", unary<reciprocalRoot>},
      {"math.absf", unary<through<LLVM::FAbsOp>>},
      {"math.floor", unary<through<LLVM::FFloorOp>>},
      {"math.ceil", unary<through<LLVM::FCeilOp>>},
      {"math.roundeven", unary<through<LLVM::RintOp>>},
      {"math.trunc", unary<through<LLVM::FTruncOp>>},
      {"math.fma", [](ArrayRef<Real> x) { return x[0].fma(x[1], x[2]); }},
      {"math.copysign", [](ArrayRef<Real> x) { return x[0].signOf(x[1]); }},
  };
  return table;
}

} // namespace

bool tile::isMath(Operation *op) { return functions().contains(op->getName().getStringRef()); }

Value tile::expandMath(ImplicitLocOpBuilder &builder, Operation *op, ValueRange operands) {
  auto found = functions().find(op->getName().getStringRef());
  if (found == functions().end())
    return Value();
  SmallVector<Real> reals = llvm::map_to_vector(operands, [&](Value value) { return Real{builder, value}; });
  return found->second(reals).value;
}
