/// Functions of float32 in arithmetic that x86-64 has, on vectors of any length and on scalars.
#pragma once

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace tenon {

/// Largest errors against float64, in units in the last place, over all float32 where nothing else
/// is said (tests/compiler/host/MathFunctionsTest.cpp):
///   exp2 3 (results below 2^-126 may be 0), exp 2, log2 2, log 2, tanh 3, erf 8, sin cos 2 (|x| <
///   2^26), power 1.
/// On math.exp2: all its users round it to bfloat16.
inline constexpr llvm::StringLiteral kIsRoundedAttribute = "tile.is_rounded";

class MathFunctions {
public:
  MathFunctions(mlir::ImplicitLocOpBuilder &builder, mlir::Type type, bool avx512);

  mlir::Value exp2(mlir::Value x);
  /// For what is rounded to bfloat16: relative error 2.9e-6, which a logsumexp can bear; exact at whole x.
  mlir::Value exp2ForBFloat16(mlir::Value x);
  /// For what is used rounded to bfloat16 alone: relative error 7.5e-5, a fiftieth of what the rounding leaves.
  mlir::Value exp2RoundedToBFloat16(mlir::Value x);
  mlir::Value exp(mlir::Value x);
  mlir::Value log2(mlir::Value x);
  mlir::Value log(mlir::Value x);
  mlir::Value tanh(mlir::Value x);
  mlir::Value erf(mlir::Value x);
  mlir::Value sin(mlir::Value x);
  mlir::Value cos(mlir::Value x);
  mlir::Value rsqrt(mlir::Value x);
  mlir::Value power(mlir::Value x, mlir::Value y);
  /// Quotient towards zero, and the remainder that goes with it; operands are i32. -2^31 / -1 is
  /// -2^31, without a trap; a vector's division by zero has no trap either, and no defined result.
  mlir::Value divide(mlir::Value a, mlir::Value b);
  mlir::Value remainder(mlir::Value a, mlir::Value b);

private:
  using Value = mlir::Value;
  mlir::Type like(mlir::Type element) const;
  Value exp2(Value x, llvm::ArrayRef<double> fractionalPower);
  Value real(double value, mlir::Type element = {});
  Value integer(int64_t value, mlir::Type element = {});
  Value add(Value a, Value b);
  Value subtract(Value a, Value b);
  Value multiply(Value a, Value b);
  Value fma(Value a, Value b, Value c);
  Value select(Value condition, Value a, Value b);
  Value less(Value a, Value b);
  Value equal(Value a, Value b);
  Value clamp(Value x, double low, double high); ///< NaN stays NaN
  /// ((c0 x + c1) x + c2) x + …
  Value polynomial(Value x, llvm::ArrayRef<double> coefficients);
  Value absolute(Value x);
  Value floor(Value x);
  Value bits(Value x); ///< as i32 or i64
  Value fromBits(Value x);
  Value whole(Value x);                 ///< as i32
  Value powerOfTwo(Value exponent);     ///< float32 of an i32 from -127, which gives 0, to 128
  Value scale(Value x, Value exponent); ///< x 2^exponent, exponent a whole float32
  Value call(llvm::StringRef intrinsic, mlir::ValueRange operands);
  Value instruction(llvm::StringRef name, Value x, Value operand); ///< of AVX-512
  /// x = m 2^e with m from sqrt(1/2) to sqrt(2); positive and normal, or scaled to be.
  std::pair<Value, Value> split(Value x);
  std::pair<Value, Value> logarithmOf(Value mantissa);
  Value logarithmOfSpecial(Value x, Value result);
  Value sine(Value x, int64_t quarter);
  Value widen(Value x);
  Value narrow(Value x);

  mlir::ImplicitLocOpBuilder &b_;
  mlir::Type type_, f32_, f64_, i32_, i64_;
  bool avx512_;
};

} // namespace tenon
