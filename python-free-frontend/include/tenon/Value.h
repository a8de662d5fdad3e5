/// Symbolic values: attention written as on paper, by C++ expressions that build a graph.
///
///     Value scores = matmul(query, transpose(key)) * scale;
///     scores = where(query_index() >= key_index(), scores, -inf);          // causal
///     scores = scores + load(slopes, head_index()) * (key_index() - query_index());   // ALiBi
///     return matmul(dropout(softmax(scores), 0.1), value);
///
/// Values live while `tenon::compile` traces a lambda. A value is a function of [batch, head, row,
/// column], broadcast as needed; numbers of C++ mix in freely and are frozen into the graph. Where
/// an index meets a real number, the index is converted; nothing else is converted without being
/// asked.
///
/// An expression that makes no sense (a mask times a number, a table that is no input) yields a
/// poisoned value; the first such error is kept and returned by `compile`. Nothing here throws or
/// prints.
#pragma once

#include "tenon/Api.h"
#include "tenon/Graph.h"
#include "tenon/Tensor.h"

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace tenon {

inline constexpr float inf = std::numeric_limits<float>::infinity();

class Value;
namespace detail {
class Trace;
TENON_API Value apply(Operation operation, std::initializer_list<Value> operands);
TENON_API Value load_value(const Value &table, std::initializer_list<Value> indices);
TENON_API Value load_captured(const Tensor &table, std::initializer_list<Value> indices);
} // namespace detail

class TENON_API Value {
public:
  Value() = default; ///< poisoned: no value
  template <class Number>
  requires std::is_arithmetic_v<Number>
  Value(Number number) { // NOLINT(google-explicit-constructor): 0.5f * scores
    if constexpr (std::same_as<Number, bool>)
      *this = literal(ElementKind::kMask, number, 0);
    else if constexpr (std::is_integral_v<Number>)
      *this = literal(ElementKind::kIndex, 0,
                      fits(number) ? static_cast<int64_t>(number) : kOutOfRange);
    else
      *this = literal(ElementKind::kReal, static_cast<double>(number), 0);
  }

  friend Value operator+(const Value &a, const Value &b) {
    return detail::apply(Operation::kAdd, {a, b});
  }
  friend Value operator-(const Value &a, const Value &b) {
    return detail::apply(Operation::kSubtract, {a, b});
  }
  friend Value operator*(const Value &a, const Value &b) {
    return detail::apply(Operation::kMultiply, {a, b});
  }
  /// Of reals the quotient; of two indices rounded toward minus infinity, and 0 where b is 0.
  friend TENON_API Value operator/(const Value &a, const Value &b);
  /// Of indices, a - b * (a / b), / rounding down; 0 where b is 0.
  friend Value operator%(const Value &a, const Value &b) {
    return detail::apply(Operation::kModulo, {a, b});
  }
  friend TENON_API Value operator-(const Value &a);
  friend Value operator+(const Value &a) { return a; }

  friend Value operator==(const Value &a, const Value &b) {
    return detail::apply(Operation::kEqual, {a, b});
  }
  friend Value operator!=(const Value &a, const Value &b) {
    return detail::apply(Operation::kNotEqual, {a, b});
  }
  friend Value operator<(const Value &a, const Value &b) {
    return detail::apply(Operation::kLess, {a, b});
  }
  friend Value operator<=(const Value &a, const Value &b) {
    return detail::apply(Operation::kLessEqual, {a, b});
  }
  friend Value operator>(const Value &a, const Value &b) {
    return detail::apply(Operation::kGreater, {a, b});
  }
  friend Value operator>=(const Value &a, const Value &b) {
    return detail::apply(Operation::kGreaterEqual, {a, b});
  }
  /// Of masks. Both sides are part of the graph: nothing is cut short.
  friend Value operator&&(const Value &a, const Value &b) {
    return detail::apply(Operation::kAnd, {a, b});
  }
  friend Value operator||(const Value &a, const Value &b) {
    return detail::apply(Operation::kOr, {a, b});
  }
  friend Value operator!(const Value &a) { return detail::apply(Operation::kNot, {a}); }

  Value &operator+=(const Value &other) { return *this = *this + other; }
  Value &operator-=(const Value &other) { return *this = *this - other; }
  Value &operator*=(const Value &other) { return *this = *this * other; }
  Value &operator/=(const Value &other) { return *this = *this / other; }

private:
  friend class detail::Trace;
  static constexpr int64_t kOutOfRange = int64_t{1} << 40;
  template <class Number> static constexpr bool fits(Number number) {
    if constexpr (std::is_signed_v<Number>)
      return number >= std::numeric_limits<int32_t>::min() &&
             number <= std::numeric_limits<int32_t>::max();
    else
      return number <= static_cast<uint32_t>(std::numeric_limits<int32_t>::max());
  }
  static Value literal(ElementKind kind, double real, int64_t index) {
    Value value;
    value.literal_ = true;
    value.kind_ = kind;
    value.real_ = real;
    value.index_ = index;
    return value;
  }

  uint64_t trace_ = 0; // serial number of the trace that made it; 0 for literals and poison
  ValueId id_ = -1;
  bool literal_ = false;
  ElementKind kind_ = ElementKind::kReal; // of a literal
  double real_ = 0;
  int64_t index_ = 0;
};

/// Parameters of a traced lambda that are no real tensors: the type says what the caller will pass.
struct Mask : Value {
  explicit Mask(const Value &value) : Value(value) {}
}; ///< a bool tensor
struct Index : Value {
  explicit Index(const Value &value) : Value(value) {}
}; ///< an int32 tensor
struct Scalar : Value {
  explicit Scalar(const Value &value) : Value(value) {}
}; ///< a number per launch
struct IndexScalar : Value {
  explicit IndexScalar(const Value &value) : Value(value) {}
};

/// A number given at each launch (LaunchOptions::scalars), so that a thousand values share one
/// kernel. Without a default it must be given. kReal and kIndex only.
TENON_API Value parameter(std::string name, ElementKind kind, std::optional<double> initial = {});
inline Value scalar(std::string name, std::optional<double> initial = {}) {
  return parameter(std::move(name), ElementKind::kReal, initial);
}

// ---- Where an element of the scores stands.

inline Value query_index() {
  return detail::apply(Operation::kQueryIndex, {});
}
inline Value key_index() {
  return detail::apply(Operation::kKeyIndex, {});
}
inline Value batch_index() {
  return detail::apply(Operation::kBatchIndex, {});
}
inline Value head_index() {
  return detail::apply(Operation::kHeadIndex, {});
}
inline Value query_length() {
  return detail::apply(Operation::kQueryLength, {});
}
inline Value key_length() {
  return detail::apply(Operation::kKeyLength, {});
}

// ---- Products and rows.

/// a[…, m, k] · b[…, k, n]. The heads of b may divide those of a: consecutive groups share one.
inline Value matmul(const Value &a, const Value &b) {
  return detail::apply(Operation::kMatmul, {a, b});
}
/// The last two dimensions exchanged.
inline Value transpose(const Value &a) {
  return detail::apply(Operation::kTranspose, {a});
}
/// Over the last dimension; zeros where all of a row is −∞.
inline Value softmax(const Value &a) {
  return detail::apply(Operation::kSoftmax, {a});
}
/// log Σ e^a over the last dimension, which vanishes; −∞ where all of a row is.
inline Value logsumexp(const Value &a) {
  return detail::apply(Operation::kLogsumexp, {a});
}
/// Drops elements with this probability (a constant in [0, 1], or a scalar of the launch) and
/// scales the rest by 1 / (1 − probability): a function of seed, offset and position alone, see
/// Dropout.h.
TENON_API Value dropout(const Value &probabilities, const Value &probability);

// ---- Element by element.

/// A selection: what is not chosen does not leak. With −∞ for one side, and a condition that does not
/// depend on a product, it masks: a masked score stays −∞ whatever is added to it or subtracted from
/// it, NaN and ∞ included, and by positive constant factors.
inline Value where(const Value &mask, const Value &a, const Value &b) {
  return detail::apply(Operation::kWhere, {mask, a, b});
}
inline Value exp(const Value &a) {
  return detail::apply(Operation::kExp, {a});
}
inline Value exp2(const Value &a) {
  return detail::apply(Operation::kExp2, {a});
}
inline Value log(const Value &a) {
  return detail::apply(Operation::kLog, {a});
}
inline Value tanh(const Value &a) {
  return detail::apply(Operation::kTanh, {a});
}
inline Value sqrt(const Value &a) {
  return detail::apply(Operation::kSqrt, {a});
}
inline Value rsqrt(const Value &a) {
  return detail::apply(Operation::kRsqrt, {a});
}
inline Value abs(const Value &a) {
  return detail::apply(Operation::kAbs, {a});
}
inline Value sigmoid(const Value &a) {
  return detail::apply(Operation::kSigmoid, {a});
}
inline Value erf(const Value &a) {
  return detail::apply(Operation::kErf, {a});
}
inline Value sin(const Value &a) {
  return detail::apply(Operation::kSin, {a});
}
inline Value cos(const Value &a) {
  return detail::apply(Operation::kCos, {a});
}
inline Value floor(const Value &a) {
  return detail::apply(Operation::kFloor, {a});
}
inline Value pow(const Value &a, const Value &b) {
  return detail::apply(Operation::kPower, {a, b});
}
inline Value min(const Value &a, const Value &b) {
  return detail::apply(Operation::kMinimum, {a, b});
}
inline Value max(const Value &a, const Value &b) {
  return detail::apply(Operation::kMaximum, {a, b});
}
/// A mask as 0 or 1, an index as a real number.
TENON_API Value to_real(const Value &a);
/// A real number rounded toward zero.
TENON_API Value to_index(const Value &a);

// ---- Tables.

/// table[i, j, …], each index clamped into range; as many indices, 1 to 4, as the table has
/// dimensions. A tensor is captured: its elements are read at the launch, from the memory it
/// shares.
template <class... Indices>
requires(sizeof...(Indices) >= 1) Value load(const Tensor &table, const Indices &...indices) {
  return detail::load_captured(table, {Value(indices)...});
}
/// The table is a parameter of the lambda.
template <class... Indices>
requires(sizeof...(Indices) >= 1) Value load(const Value &table, const Indices &...indices) {
  return detail::load_value(table, {Value(indices)...});
}

} // namespace tenon
