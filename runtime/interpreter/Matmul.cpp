#include "interpreter/Blocks.h"
#include "interpreter/Value.h"

#include <algorithm>
#include <cstring>

namespace tenon::interpreter {
namespace {

/// Of the result: rows whose sums are held at once, and bytes of columns. The panel of the right
/// operand that they meet (width x 256 bytes) stays in the first cache while the rows of a part go
/// by.
constexpr int64_t kRows = 4;
constexpr int64_t kPanelBytes = 256;
/// Rows of the result that one part of the work computes.
constexpr int64_t kRowsOfPart = 32;

template <typename Real> struct Product {
  const Value &left, &right; // the columns of right are adjacent
  ValueShape shape;
  int64_t width, group;
  Real *result;

  static constexpr int64_t kColumns = kPanelBytes / int64_t{sizeof(Real)};

  /// `rows` and `columns` are at most kRows and kColumns. Every sum is taken over k in ascending
  /// order.
  template <int64_t rows> void tile(const Real *a, const Real *b, Real *c, int64_t columns) const {
    Real sums[rows][kColumns] = {};
    const int64_t row_stride = left.strides[2], k_stride = left.strides[3];
    for (int64_t k = 0; k < width; ++k) {
      const Real *b_row = b + k * right.strides[2];
      for (int64_t r = 0; r < rows; ++r) {
        const Real factor = a[r * row_stride + k * k_stride];
        if (columns == kColumns)
          for (int64_t j = 0; j < kColumns; ++j)
            sums[r][j] += factor * b_row[j];
        else
          for (int64_t j = 0; j < columns; ++j)
            sums[r][j] += factor * b_row[j];
      }
    }
    for (int64_t r = 0; r < rows; ++r)
      std::copy_n(sums[r], columns, c + r * shape[3]);
  }

  /// Rows [first, last) of one head.
  void rows(int64_t batch, int64_t head, int64_t first, int64_t last) const {
    const Real *b = right.elements<Real>() + right.at(batch, head / group, 0, 0);
    Real *c = result + (batch * shape[1] + head) * shape[2] * shape[3];
    for (int64_t column = 0; column < shape[3]; column += kColumns) {
      const int64_t columns = std::min(kColumns, shape[3] - column);
      int64_t row = first;
      for (; row + kRows <= last; row += kRows)
        tile<kRows>(left.elements<Real>() + left.at(batch, head, row, 0), b + column,
                    c + row * shape[3] + column, columns);
      for (; row < last; ++row)
        tile<1>(left.elements<Real>() + left.at(batch, head, row, 0), b + column,
                c + row * shape[3] + column, columns);
    }
  }
};

/// A copy of `value` whose columns are adjacent.
template <typename Real> Result<Value> with_adjacent_columns(const Value &value) {
  if (value.shape[3] <= 1 || value.strides[3] == 1)
    return value;
  auto fresh = allocate(value.shape, sizeof(Real));
  if (!fresh)
    return fresh.error();
  const ValueShape &shape = value.shape;
  for_blocks(shape[0] * shape[1] * shape[2], shape[3] * 4, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const Real *from =
          value.elements<Real>() +
          value.at(i / shape[2] / shape[1], i / shape[2] % shape[1], i % shape[2], 0);
      Real *to = fresh->template elements<Real>() + i * shape[3];
      for (int64_t column = 0; column < shape[3]; ++column)
        to[column] = from[column * value.strides[3]];
    }
  });
  return std::move(fresh->value);
}

} // namespace

template <typename Real> TENON_EVALUATION(matmul) {
  auto right = with_adjacent_columns<Real>(operands[1]);
  if (!right)
    return right.error();
  auto fresh = allocate(shape, sizeof(Real));
  if (!fresh)
    return fresh.error();
  const Value &left = operands[0];
  const Product<Real> product{
      left,
      *right,
      shape,
      left.shape[3],
      std::max<int64_t>(1, shape[1] / std::max<int64_t>(1, right->shape[1])),
      fresh->template elements<Real>()};
  const int64_t parts = (shape[2] + kRowsOfPart - 1) / kRowsOfPart;
  for_blocks(shape[0] * shape[1] * parts,
             kRowsOfPart * shape[3] * std::max<int64_t>(1, left.shape[3]),
             [&](int64_t begin, int64_t end) {
               for (int64_t i = begin; i < end; ++i) {
                 const int64_t first = i % parts * kRowsOfPart;
                 product.rows(i / parts / shape[1], i / parts % shape[1], first,
                              std::min(shape[2], first + kRowsOfPart));
               }
             });
  return std::move(fresh->value);
}

template <typename Real> TENON_EVALUATION(transpose) {
  Value result = operands[0];
  std::swap(result.shape[2], result.shape[3]);
  std::swap(result.strides[2], result.strides[3]);
  return result;
}

TENON_INSTANTIATE_EVALUATION(matmul);
TENON_INSTANTIATE_EVALUATION(transpose);

} // namespace tenon::interpreter
