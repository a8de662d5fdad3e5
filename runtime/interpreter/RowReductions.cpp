#include "interpreter/Blocks.h"
#include "interpreter/ElementwiseOps.h"
#include "interpreter/Value.h"

#include <limits>

namespace tenon::interpreter {
namespace {

/// Of one element: exponential, sum, maximum.
constexpr int64_t kStepsPerElement = 16;

/// The scores of one row and their maximum: -inf where there is nothing to attend to, NaN where any
/// is.
template <typename Real> struct Row {
  const Real *scores;
  int64_t count, stride;
  Real maximum = -std::numeric_limits<Real>::infinity();

  Row(const Value &value, int64_t index)
      : scores(value.elements<Real>() + value.at(index / value.shape[2] / value.shape[1],
                                                 index / value.shape[2] % value.shape[1],
                                                 index % value.shape[2], 0)),
        count(value.shape[3]), stride(value.strides[3]) {
    for (int64_t j = 0; j < count; ++j)
      maximum = ops::maximum(maximum, scores[j * stride]);
  }
  bool is_empty() const { return maximum == -std::numeric_limits<Real>::infinity(); }
  /// NaN where the maximum is NaN or +inf.
  Real weight(int64_t j) const { return std::exp(scores[j * stride] - maximum); }
};

template <typename Real, typename Body> void for_rows(const Value &value, const Body &body) {
  const int64_t count = value.shape[0] * value.shape[1] * value.shape[2];
  for_blocks(count, value.shape[3] * kStepsPerElement, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i)
      body(i, Row<Real>(value, i));
  });
}

} // namespace

template <typename Real> TENON_EVALUATION(softmax) {
  auto fresh = allocate(shape, sizeof(Real));
  if (!fresh)
    return fresh.error();
  for_rows<Real>(operands[0], [&](int64_t index, const Row<Real> &row) {
    Real *result = fresh->template elements<Real>() + index * row.count;
    if (row.is_empty()) {
      std::fill_n(result, row.count, Real{0});
      return;
    }
    Real sum = 0;
    for (int64_t j = 0; j < row.count; ++j)
      sum += result[j] = row.weight(j);
    for (int64_t j = 0; j < row.count; ++j)
      result[j] /= sum;
  });
  return std::move(fresh->value);
}

template <typename Real> TENON_EVALUATION(logsumexp) {
  auto fresh = allocate(shape, sizeof(Real));
  if (!fresh)
    return fresh.error();
  for_rows<Real>(operands[0], [&](int64_t index, const Row<Real> &row) {
    Real sum = 0;
    if (!row.is_empty())
      for (int64_t j = 0; j < row.count; ++j)
        sum += row.weight(j);
    fresh->template elements<Real>()[index] =
        row.is_empty() ? row.maximum : row.maximum + std::log(sum);
  });
  return std::move(fresh->value);
}

TENON_INSTANTIATE_EVALUATION(softmax);
TENON_INSTANTIATE_EVALUATION(logsumexp);

} // namespace tenon::interpreter
