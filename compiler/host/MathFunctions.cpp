#include "compiler/host/MathFunctions.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>
#include <numbers>

using namespace mlir;
using namespace tenon;

static constexpr double kInfinity = std::numeric_limits<double>::infinity();
static constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

MathFunctions::MathFunctions(ImplicitLocOpBuilder &builder, Type type, bool avx512)
    : b_(builder), type_(type), f32_(builder.getF32Type()), f64_(builder.getF64Type()),
      i32_(builder.getI32Type()), i64_(builder.getI64Type()) {
  auto vector = dyn_cast<VectorType>(type);
  avx512_ = avx512 && vector && (vector.getNumElements() == 16 || vector.getNumElements() == 4);
}

//===-- Short forms
//----------------------------------------------------------------------------===//

Type MathFunctions::like(Type element) const {
  auto vector = dyn_cast<VectorType>(type_);
  return vector ? Type(VectorType::get(vector.getShape(), element)) : element;
}
static Value constant(ImplicitLocOpBuilder &b, Type type, TypedAttr value) {
  if (auto vector = dyn_cast<VectorType>(type))
    value = DenseElementsAttr::get(vector, Attribute(value));
  return arith::ConstantOp::create(b, value);
}
Value MathFunctions::real(double value, Type element) {
  element = element ? element : f32_;
  return constant(b_, like(element), b_.getFloatAttr(element, value));
}
Value MathFunctions::integer(int64_t value, Type element) {
  element = element ? element : i32_;
  return constant(b_, like(element), b_.getIntegerAttr(element, value));
}
Value MathFunctions::add(Value a, Value b) {
  if (isa<FloatType>(getElementTypeOrSelf(a)))
    return arith::AddFOp::create(b_, a, b);
  return arith::AddIOp::create(b_, a, b);
}
Value MathFunctions::subtract(Value a, Value b) {
  if (isa<FloatType>(getElementTypeOrSelf(a)))
    return arith::SubFOp::create(b_, a, b);
  return arith::SubIOp::create(b_, a, b);
}
Value MathFunctions::multiply(Value a, Value b) {
  if (isa<FloatType>(getElementTypeOrSelf(a)))
    return arith::MulFOp::create(b_, a, b);
  return arith::MulIOp::create(b_, a, b);
}
Value MathFunctions::fma(Value a, Value b, Value c) {
  return math::FmaOp::create(b_, a, b, c);
}
Value MathFunctions::select(Value condition, Value a, Value b) {
  return arith::SelectOp::create(b_, condition, a, b);
}
Value MathFunctions::less(Value a, Value b) {
  return arith::CmpFOp::create(b_, arith::CmpFPredicate::OLT, a, b);
}
Value MathFunctions::equal(Value a, Value b) {
  return arith::CmpFOp::create(b_, arith::CmpFPredicate::OEQ, a, b);
}
Value MathFunctions::clamp(Value x, double low, double high) {
  Value lowest = real(low), highest = real(high);
  x = select(less(x, lowest), lowest, x);
  return select(less(highest, x), highest, x);
}
Value MathFunctions::polynomial(Value x, ArrayRef<double> coefficients) {
  Type element = getElementTypeOrSelf(x);
  Value sum = real(coefficients.front(), element);
  for (double coefficient : coefficients.drop_front())
    sum = fma(sum, x, real(coefficient, element));
  return sum;
}
Value MathFunctions::absolute(Value x) {
  return math::AbsFOp::create(b_, x);
}
Value MathFunctions::floor(Value x) {
  return math::FloorOp::create(b_, x);
}
Value MathFunctions::bits(Value x) {
  bool wide = getElementTypeOrSelf(x).isF64();
  return arith::BitcastOp::create(b_, like(wide ? i64_ : i32_), x);
}
Value MathFunctions::fromBits(Value x) {
  bool wide = getElementTypeOrSelf(x).isInteger(64);
  return arith::BitcastOp::create(b_, like(wide ? f64_ : f32_), x);
}
Value MathFunctions::whole(Value x) {
  return arith::FPToSIOp::create(b_, like(i32_), x);
}
Value MathFunctions::widen(Value x) {
  if (getElementTypeOrSelf(x).isInteger(32))
    return arith::SIToFPOp::create(b_, like(f64_), x);
  return arith::ExtFOp::create(b_, like(f64_), x);
}
Value MathFunctions::narrow(Value x) {
  return arith::TruncFOp::create(b_, like(f32_), x);
}

Value MathFunctions::call(StringRef intrinsic, ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(b_, type_, b_.getStringAttr(intrinsic), operands)
      .getResult(0);
}

Value MathFunctions::powerOfTwo(Value exponent) {
  return fromBits(arith::ShLIOp::create(b_, add(exponent, integer(127)), integer(23)));
}

// Of 16 lanes an instruction says how it rounds: as it is set.
Value MathFunctions::instruction(StringRef name, Value x, Value operand) {
  int64_t lanes = cast<VectorType>(type_).getNumElements();
  bool whole = lanes == 16;
  SmallVector<Value> operands = {x, operand, real(0)};
  operands.push_back(arith::ConstantOp::create(b_, b_.getIntegerAttr(b_.getIntegerType(whole ? 16 : 8), -1)));
  if (whole)
    operands.push_back(arith::ConstantOp::create(b_, b_.getI32IntegerAttr(4)));
  return call(("llvm.x86.avx512.mask." + name + (whole ? ".ps.512" : ".ps.128")).str(), operands);
}

Value MathFunctions::scale(Value x, Value exponent) {
  if (avx512_)
    return instruction("scalef", x, exponent);
  // In two steps, so that neither factor overflows.
  Value whole = this->whole(exponent);
  Value half = arith::ShRSIOp::create(b_, whole, integer(1));
  return multiply(multiply(x, powerOfTwo(half)), powerOfTwo(subtract(whole, half)));
}

//===-- Exponentials
//---------------------------------------------------------------------------===//

// Both minimax of relative error on [0, 1], with p(0) = 1 exactly.
Value MathFunctions::exp2(Value x) {
  return exp2(x, {0x1.e974fep-10, 0x1.277854p-7, 0x1.c91ce6p-5, 0x1.ebdb56p-3, 0x1.62e4bap-1, 1}); // 8.2e-8
}
Value MathFunctions::exp2ForBFloat16(Value x) {
  return exp2(x, {0x1.b7f744p-7, 0x1.abf862p-5, 0x1.ee2452p-3, 0x1.62d6c6p-1, 1}); // 2.9e-06
}

// Minimax of relative error on [0, 1]: 0.99993 and 1.99985 at its ends, which bfloat16 rounds to 1 and 2.
Value MathFunctions::exp2RoundedToBFloat16(Value x) {
  return exp2(x, {7.802452269e-02, 2.260671554e-01, 6.958335405e-01, 9.999252186e-01}); // 7.5e-5
}

// 2^x = 2^floor(x) p(x - floor(x))
Value MathFunctions::exp2(Value x, ArrayRef<double> fractionalPower) {
  if (avx512_) {
    Value down = arith::ConstantOp::create(b_, b_.getI32IntegerAttr(1));
    Value result = polynomial(instruction("reduce", x, down), fractionalPower);
    // Takes the floor of x itself. What would be subnormal is 0, since a kernel runs with results flushed.
    return instruction("scalef", result, x);
  }
  x = clamp(x, -127, 128);
  Value below = floor(x);
  Value result = polynomial(subtract(x, below), fractionalPower);
  return multiply(result, powerOfTwo(whole(below)));
}

// e^x = 2^n e^r, r = x - n ln 2 in [-ln 2 / 2, ln 2 / 2]. Coefficients: Cephes, expf.
Value MathFunctions::exp(Value x) {
  constexpr double kPolynomial[] = {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
                                    4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1};
  constexpr double kLn2High = 0.693359375, kLn2Low = -2.12194440e-4;
  x = clamp(x, -104, 89);
  Value n = floor(fma(x, real(std::numbers::log2e), real(0.5)));
  Value r = fma(n, real(-kLn2High), x);
  r = fma(n, real(-kLn2Low), r);
  Value result = fma(polynomial(r, kPolynomial), multiply(r, r), add(r, real(1)));
  return scale(result, n);
}

// Near 0 by x + x³ p(x²) (Cephes, tanhf), else by 1 - 2 / (e^2|x| + 1).
Value MathFunctions::tanh(Value x) {
  constexpr double kPolynomial[] = {-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2,
                                    1.33314422036e-1, -3.33332819422e-1};
  Value magnitude = absolute(x);
  Value square = multiply(x, x);
  Value near = fma(multiply(polynomial(square, kPolynomial), square), x, x);
  Value power = exp(add(magnitude, magnitude));
  Value quotient = arith::DivFOp::create(b_, real(2), add(power, real(1)));
  Value far = math::CopySignOp::create(b_, subtract(real(1), quotient), x);
  return select(less(magnitude, real(0.625)), near, far);
}

//===-- Logarithms
//-----------------------------------------------------------------------------===//

std::pair<Value, Value> MathFunctions::split(Value x) {
  constexpr double kSmallestNormal = 0x1p-126;
  Value tiny = less(x, real(kSmallestNormal));
  x = select(tiny, multiply(x, real(0x1p23)), x);
  // The exponent counts from sqrt(1/2), so that the mantissa lies around 1.
  constexpr int32_t kRootOfHalf = 0x3f3504f3;
  Value word = subtract(bits(x), integer(kRootOfHalf));
  Value exponent = arith::ShRSIOp::create(b_, word, integer(23));
  Value mantissa = subtract(bits(x), arith::ShLIOp::create(b_, exponent, integer(23)).getResult());
  Value e = arith::SIToFPOp::create(b_, like(f32_), exponent);
  e = subtract(e, select(tiny, real(23), real(0)));
  return {fromBits(mantissa), e};
}

// ln(1 + f) - f, and f. Coefficients: Cephes, logf.
std::pair<Value, Value> MathFunctions::logarithmOf(Value mantissa) {
  constexpr double kPolynomial[] = {7.0376836292e-2,  -1.1514610310e-1, 1.1676998740e-1,
                                    -1.2420140846e-1, 1.4249322787e-1,  -1.6668057665e-1,
                                    2.0000714765e-1,  -2.4999993993e-1, 3.3333331174e-1};
  Value f = subtract(mantissa, real(1));
  Value square = multiply(f, f);
  Value cubic = multiply(multiply(polynomial(f, kPolynomial), f), square);
  return {fma(square, real(-0.5), cubic), f};
}

Value MathFunctions::logarithmOfSpecial(Value x, Value result) {
  result = select(equal(x, real(kInfinity)), x, result);
  result = select(equal(x, real(0)), real(-kInfinity), result);
  Value valid = arith::CmpFOp::create(b_, arith::CmpFPredicate::OGE, x, real(0));
  return select(valid, result, real(kNaN));
}

Value MathFunctions::log2(Value x) {
  constexpr double kRest = std::numbers::log2e - 1; // kept apart from 1 for its lower bits
  auto [mantissa, exponent] = split(x);
  auto [rest, f] = logarithmOf(mantissa);
  Value sum = fma(f, real(kRest), multiply(rest, real(kRest)));
  sum = add(add(sum, rest), f);
  return logarithmOfSpecial(x, add(sum, exponent));
}

Value MathFunctions::log(Value x) {
  constexpr double kLn2High = 0.693359375, kLn2Low = -2.12194440e-4;
  auto [mantissa, exponent] = split(x);
  auto [rest, f] = logarithmOf(mantissa);
  Value sum = add(fma(exponent, real(kLn2Low), rest), f);
  return logarithmOfSpecial(x, fma(exponent, real(kLn2High), sum));
}

//===-- The rest
//-------------------------------------------------------------------------------===//

// x P(x²) / Q(x²); beyond ±4 it is ±1. Coefficients: Eigen, GenericPacketMathFunctions.
Value MathFunctions::erf(Value x) {
  constexpr double kNumerator[] = {
      -2.72614225801306e-10, 2.77068142495902e-08,  -2.10102402082508e-06, -5.69250639462346e-05,
      -7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02};
  constexpr double kDenominator[] = {-1.45660718464996e-05, -2.13374055278905e-04,
                                     -1.68282697438203e-03, -7.37332916720468e-03,
                                     -1.42647390514189e-02};
  x = clamp(x, -4, 4);
  Value square = multiply(x, x);
  Value quotient =
      arith::DivFOp::create(b_, polynomial(square, kNumerator), polynomial(square, kDenominator));
  return multiply(x, quotient);
}

// In float64: x = n π/2 + r, and of sin and cos of r the one that belongs to n + quarter.
Value MathFunctions::sine(Value x, int64_t quarter) {
  constexpr double kHalfPi = 0x1.921fb54442d18p0, kHalfPiLow = 0x1.1a62633145c07p-54;
  constexpr double kSine[] = {2.7557313707070068e-6, -1.9841269841201840e-4, 8.3333333333224895e-3,
                              -1.6666666666666616e-1};
  constexpr double kCosine[] = {-2.7557319223985891e-7, 2.4801587301492746e-5,
                                -1.3888888888874108e-3, 4.1666666666666602e-2, -0.5};
  Value wide = widen(x);
  Value n = floor(fma(wide, real(2 / std::numbers::pi, f64_), real(0.5, f64_)));
  Value r = fma(n, real(-kHalfPi, f64_), wide);
  r = fma(n, real(-kHalfPiLow, f64_), r);
  Value square = multiply(r, r);
  Value sine = fma(multiply(polynomial(square, kSine), square), r, r);
  Value cosine = fma(polynomial(square, kCosine), square, real(1, f64_));
  n = add(n, real(quarter, f64_));
  auto modulo = [&](double m) { // of n, exactly
    Value quotient = floor(multiply(n, real(1 / m, f64_)));
    return fma(quotient, real(-m, f64_), n);
  };
  Value result = select(equal(modulo(2), real(0, f64_)), sine, cosine);
  // Of great x the reduction fails; the result stays within ±1 all the same. NaN passes.
  Value one = real(1, f64_), minusOne = real(-1, f64_);
  result = select(less(result, minusOne), minusOne, select(less(one, result), one, result));
  Value negative = arith::NegFOp::create(b_, result);
  return narrow(select(less(modulo(4), real(2, f64_)), result, negative));
}
Value MathFunctions::sin(Value x) {
  return sine(x, 0);
}
Value MathFunctions::cos(Value x) {
  return sine(x, 1);
}

Value MathFunctions::rsqrt(Value x) {
  return arith::DivFOp::create(b_, real(1), math::SqrtOp::create(b_, x));
}

// 2^(y log2 |x|) in float64, of which float32 keeps all bits. log2 by 2 atanh((m - 1) / (m + 1)) /
// ln 2.
Value MathFunctions::power(Value x, Value y) {
  constexpr double kRoot = std::numbers::sqrt2 / 2;
  Value base = widen(absolute(x)), exponent = widen(y);
  Value word = subtract(bits(base), integer(llvm::bit_cast<int64_t>(kRoot), i64_));
  Value e = arith::ShRSIOp::create(b_, word, integer(52, i64_));
  Value mantissa = fromBits(subtract(bits(base), arith::ShLIOp::create(b_, e, integer(52, i64_))));
  Value e32 = arith::TruncIOp::create(b_, like(i32_), e);
  Value s =
      arith::DivFOp::create(b_, subtract(mantissa, real(1, f64_)), add(mantissa, real(1, f64_)));
  Value square = multiply(s, s);
  SmallVector<double>
      series; // 2 / (ln 2 (2 k + 1)): |s| < 0.172, so that 2^-56 is reached at k = 10
  for (int k = 10; k >= 0; --k)
    series.push_back(2 * std::numbers::log2e / (2 * k + 1));
  Value logarithm = fma(polynomial(square, series), s, widen(e32));
  logarithm = select(equal(base, real(0, f64_)), real(-kInfinity, f64_), logarithm);
  Value finiteBase = less(base, real(kInfinity, f64_));
  logarithm = select(finiteBase, logarithm, base); // an infinity, or NaN

  Value product = multiply(exponent, logarithm);
  Value lowest = real(-200, f64_), highest = real(200, f64_);
  product = select(less(product, lowest), lowest, product);
  product = select(less(highest, product), highest, product);
  Value n = floor(add(product, real(0.5, f64_)));
  Value r = multiply(subtract(product, n), real(std::numbers::ln2, f64_));
  SmallVector<double> exponential; // 1 / k!: |r| < 0.347
  double factorial = 1;
  for (int k = 0; k <= 11; ++k, factorial *= k)
    exponential.insert(exponential.begin(), 1 / factorial);
  Value n64 = arith::FPToSIOp::create(b_, like(i64_), select(equal(n, n), n, real(0, f64_)));
  Value scale = fromBits(
      arith::ShLIOp::create(b_, add(n64, integer(1023, i64_)), integer(52, i64_)).getResult());
  Value result = narrow(multiply(polynomial(r, exponential), scale));

  // A negative base has a power where the exponent is whole, and its sign where that is odd.
  Value zero = real(0), one = real(1);
  Value isWhole = equal(floor(y), y);
  Value half = multiply(y, real(0.5));
  Value isOdd = arith::AndIOp::create(
      b_, isWhole, arith::CmpFOp::create(b_, arith::CmpFPredicate::ONE, floor(half), half));
  Value isNegative = arith::CmpIOp::create(b_, arith::CmpIPredicate::slt, bits(x), integer(0));
  Value flips = arith::AndIOp::create(b_, isOdd, isNegative);
  result = select(flips, arith::NegFOp::create(b_, result), result);
  Value finite = arith::CmpFOp::create(b_, arith::CmpFPredicate::OGT, x, real(-kInfinity));
  Value undefined =
      arith::AndIOp::create(b_, arith::AndIOp::create(b_, less(x, zero), finite),
                            arith::CmpFOp::create(b_, arith::CmpFPredicate::UNE, floor(y), y));
  result = select(undefined, real(kNaN), result);
  // x^0 and 1^y are 1, even of a NaN; so is (-1)^±inf.
  Value infinite = equal(absolute(y), real(kInfinity));
  Value unit = arith::AndIOp::create(b_, equal(absolute(x), one), infinite);
  unit = arith::OrIOp::create(b_, unit, arith::OrIOp::create(b_, equal(x, one), equal(y, zero)));
  return select(unit, one, result);
}

Value MathFunctions::divide(Value a, Value b) {
  if (!isa<VectorType>(type_)) {
    auto wide = [&](Value x) { return arith::ExtSIOp::create(b_, i64_, x); };
    return arith::TruncIOp::create(b_, i32_, arith::DivSIOp::create(b_, wide(a), wide(b)));
  }
  return whole(arith::DivFOp::create(b_, widen(a), widen(b)));
}
Value MathFunctions::remainder(Value a, Value b) {
  return subtract(a, multiply(divide(a, b), b));
}
