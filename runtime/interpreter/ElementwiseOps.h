/// Inside the interpreter: the meaning of every element-wise operation, one pure function each.
///
/// `Real` is float or double. Indices are int32_t and wrap; masks are bool.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace tenon::ops {

// clang-format off: one line each, so that the whole can be read as a table.

// ---- Real.

template <typename Real> Real negate(Real a) { return -a; }
template <typename Real> Real exp(Real a) { return std::exp(a); }
template <typename Real> Real exp2(Real a) { return std::exp2(a); }
template <typename Real> Real log(Real a) { return std::log(a); }
template <typename Real> Real tanh(Real a) { return std::tanh(a); }
template <typename Real> Real sqrt(Real a) { return std::sqrt(a); }
template <typename Real> Real rsqrt(Real a) { return 1 / std::sqrt(a); }
template <typename Real> Real abs(Real a) { return std::abs(a); }
template <typename Real> Real sigmoid(Real a) { return 1 / (1 + std::exp(-a)); }
template <typename Real> Real erf(Real a) { return std::erf(a); }
template <typename Real> Real sin(Real a) { return std::sin(a); }
template <typename Real> Real cos(Real a) { return std::cos(a); }
template <typename Real> Real floor(Real a) { return std::floor(a); }

template <typename Real> Real add(Real a, Real b) { return a + b; }
template <typename Real> Real subtract(Real a, Real b) { return a - b; }
template <typename Real> Real multiply(Real a, Real b) { return a * b; }
template <typename Real> Real divide(Real a, Real b) { return a / b; }
template <typename Real> Real power(Real a, Real b) { return std::pow(a, b); }
/// NaN if either is.
template <typename Real> Real minimum(Real a, Real b) { return a < b || std::isnan(a) ? a : b; }
template <typename Real> Real maximum(Real a, Real b) { return a > b || std::isnan(a) ? a : b; }

// ---- Index.

inline int32_t add_index(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}
inline int32_t subtract_index(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) - static_cast<uint32_t>(b));
}
inline int32_t multiply_index(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) * static_cast<uint32_t>(b));
}
inline int32_t minimum_index(int32_t a, int32_t b) { return a < b ? a : b; }
inline int32_t maximum_index(int32_t a, int32_t b) { return a > b ? a : b; }

/// In 64 bits, since -2^31 / -1 is no int32: it wraps to -2^31.
inline int32_t floor_divide(int32_t a, int32_t b) {
  if (b == 0)
    return 0;
  const int64_t quotient = int64_t{a} / b;
  const bool round_down = int64_t{a} % b != 0 && (a < 0) != (b < 0);
  return static_cast<int32_t>(static_cast<uint32_t>(quotient - (round_down ? 1 : 0)));
}
inline int32_t modulo(int32_t a, int32_t b) {
  if (b == 0)
    return 0;
  const int64_t remainder = int64_t{a} % b;
  return static_cast<int32_t>(remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b
                                                                            : remainder);
}

// ---- Mask.

inline bool logical_not(bool a) { return !a; }
inline bool logical_and(bool a, bool b) { return a && b; }
inline bool logical_or(bool a, bool b) { return a || b; }

// ---- From one kind to another.

template <typename Number> bool equal(Number a, Number b) { return a == b; }
template <typename Number> bool not_equal(Number a, Number b) { return a != b; }
template <typename Number> bool less(Number a, Number b) { return a < b; }
template <typename Number> bool less_equal(Number a, Number b) { return a <= b; }
template <typename Number> bool greater(Number a, Number b) { return a > b; }
template <typename Number> bool greater_equal(Number a, Number b) { return a >= b; }

template <typename Element> Element where(bool mask, Element a, Element b) { return mask ? a : b; }

template <typename Real> Real index_to_real(int32_t a) { return static_cast<Real>(a); }
template <typename Real> Real mask_to_real(bool a) { return a ? Real{1} : Real{0}; }
/// Toward zero; what is out of range saturates, NaN gives 0.
template <typename Real> int32_t real_to_index(Real a) {
  constexpr Real kBeyond = 2147483648.0; // 2^31, exact in both precisions
  if (std::isnan(a))
    return 0;
  if (a >= kBeyond)
    return std::numeric_limits<int32_t>::max();
  return a <= -kBeyond ? std::numeric_limits<int32_t>::min() : static_cast<int32_t>(a);
}

// clang-format on

} // namespace tenon::ops
