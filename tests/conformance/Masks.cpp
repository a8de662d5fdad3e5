#include "Masks.h"

#include <cmath>
#include <cstdlib>
#include <limits>

namespace tenon::conformance {
namespace {

Tensor make_bool(Shape shape, auto visible) {
  Tensor mask = Tensor::empty(std::move(shape), DataType::kBool).value();
  for (int64_t i = 0; i < mask.element_count(); ++i)
    mask.data_as<uint8_t>()[i] = visible(i);
  return mask;
}

// Keys near three times the query, and of every eleventh query none; behind query 120 two groups of keys, far apart.
bool in_band(const Case &c, int64_t query, int64_t key) {
  if (query % 11 == 3)
    return false;
  return query < 120 ? std::abs(key - 3 * query) < 20 : key < 5 || key >= c.keys - 10;
}

Tensor make_band(const Case &c) {
  const int64_t of_one = c.queries * c.keys;
  return make_bool({c.heads, c.queries, c.keys}, [&](int64_t i) {
    int64_t head = c.mask == Mask::kBoolBandHeads ? i / of_one : 0;
    return in_band(c, i % of_one / c.keys + 40 * head, i % c.keys);
  });
}

Tensor of_first_head(const Tensor &mask) {
  return mask.slice(0, 0, 1).value().reshape({mask.size(1), mask.size(2)}).value();
}

Tensor make_additive_band(const Case &c) {
  Tensor band = make_band(c), mask = Tensor::random(band.shape(), DataType::kFloat32, 99).value();
  for (int64_t i = 0; i < mask.element_count(); ++i)
    if (!band.data_as<uint8_t>()[i])
      mask.data_as<float>()[i] = -INFINITY;
  return of_first_head(mask).to(c.dtype).value();
}

// As libraries write masks that must not give NaN: a row that hides all keys weighs them alike.
Tensor make_additive_lowest(const Case &c, const Tensor &numbers) {
  static constexpr double kLowest[] = {-std::numeric_limits<float>::max(), -65504, -0x1.fep127};
  const double lowest = kLowest[c.dtype == DataType::kFloat16 ? 1 : c.dtype == DataType::kBFloat16 ? 2 : 0];
  Tensor mask = Tensor::zeros(numbers.shape(), c.dtype).value();
  const auto bytes = static_cast<int64_t>(size_in_bytes(c.dtype));
  for (int64_t i = 0; i < mask.element_count(); ++i)
    if (i / c.keys % c.queries % 7 == 2 || numbers.data_as<float>()[i] < 0)
      store_from_double(mask.data_as<char>() + i * bytes, c.dtype, lowest);
  return mask;
}

Shape shape_of(const Case &c) {
  switch (c.mask) {
  case Mask::kBoolRows:
    return {c.queries, 1};
  case Mask::kBoolKeys:
    return {c.batch, 1, 1, c.keys};
  case Mask::kAdditiveHeads:
    return {c.heads, c.queries, c.keys};
  default:
    return {c.batch, 1, c.queries, c.keys};
  }
}

} // namespace

Tensor make_mask(const Case &c) {
  switch (c.mask) {
  case Mask::kNothingVisible:
    return Tensor::full(shape_of(c), 0, DataType::kBool).value();
  case Mask::kBoolBand:
    return of_first_head(make_band(c)).expand({c.batch, c.heads, c.queries, c.keys}).value();
  case Mask::kBoolBandHeads:
    return make_band(c);
  case Mask::kBoolBandByColumns:
    return of_first_head(make_band(c)).transpose(0, 1).value().contiguous().value().transpose(0, 1).value();
  case Mask::kAdditiveBand:
    return make_additive_band(c);
  case Mask::kBoolGap:
    return make_bool({c.batch, 1, 1, c.keys}, [&](int64_t i) { return i % c.keys < 70 || i % c.keys > 430; });
  default:
    break;
  }
  Tensor numbers = Tensor::random(shape_of(c), DataType::kFloat32, 99).value();
  if (c.mask == Mask::kAdditiveLowest)
    return make_additive_lowest(c, numbers);
  if (c.mask == Mask::kAdditive || c.mask == Mask::kAdditiveHeads)
    return numbers.to(c.dtype).value();
  return make_bool(shape_of(c), [&](int64_t i) { return numbers.data_as<float>()[i] < 0.6f; });
}

} // namespace tenon::conformance
