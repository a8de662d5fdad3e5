// One key that outweighs the others by 2^x, for every x where exponents in fixed point, or their marks, could go over: its
// value alone is the result, whatever reference a row has by then.
#include "Ways.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace tenon::conformance {
namespace {

constexpr int64_t kQueries = 33, kKeys = 512, kWidth = 32, kOutlier = 300;
constexpr double kFinest = 1.0 / 256; ///< of exponents in fixed point

struct Range {
  double first, last, step;
};
constexpr Range kRanges[] = {{11, 13, 1.0 / 16},     {126.5, 130.5, kFinest / 2}, {16'255, 16'259, 1.0 / 16},
                             {81'700, 83'000, 7},    {147'000, 148'500, 13},      {475'000, 479'200, 37},
                             {2'047'000, 2'064'300, 111}};

class Outliers : public testing::TestWithParam<RunWay> {};

TEST_P(Outliers, AloneAreTheResult) {
  const RunWay &way = GetParam();
  if (!way.missing.empty())
    GTEST_SKIP() << way.name << " is not available: " << way.missing;
  const Function attend = attention_function({}, {.device = way.way, .target = way.target}).value();
  const DataType dtype = DataType::kBFloat16;
  const auto size = static_cast<int64_t>(size_in_bytes(dtype));
  Tensor query = Tensor::zeros({1, 1, kQueries, kWidth}, dtype).value();
  Tensor key = Tensor::zeros({1, 1, kKeys, kWidth}, dtype).value();
  const Tensor value = Tensor::random({1, 1, kKeys, kWidth}, dtype, 3).value();
  for (int64_t row = 0; row < kQueries; ++row)
    store_from_double(query.data_as<std::byte>() + row * kWidth * size, dtype, 1);
  store_from_double(key.data_as<std::byte>() + kOutlier * kWidth * size, dtype, 1);
  auto number = [&](const Tensor &tensor, int64_t row, int64_t column) {
    return load_as_double(tensor.data_as<std::byte>() + (row * kWidth + column) * size, dtype);
  };
  for (const Range &range : kRanges)
    for (double x = range.first; x <= range.last; x += range.step) {
      LaunchOptions launch;
      launch.scalars.add({"scale", x * std::numbers::ln2});
      const Tensor result = attend.call({query, key, value}, launch).value()[0];
      const double tolerance = 8 * kKeys * std::exp2(-x) + 1.0 / 32; // the others' share, and a rounding to bfloat16
      for (int64_t row = 0; row < kQueries; ++row)
        for (int64_t column : {0, 17})
          ASSERT_NEAR(number(result, row, column), number(value, kOutlier, column), tolerance) << x << " row " << row;
    }
}

INSTANTIATE_TEST_SUITE_P(Every, Outliers, testing::ValuesIn(host_ways()),
                         [](const auto &info) { return info.param.name; });

} // namespace
} // namespace tenon::conformance
