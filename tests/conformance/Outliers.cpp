// Scores near the limits of exponents in fixed point, of their marks and of their references: one key that outweighs the
// others, rows whose scores are all great, weights on both sides of a reference that moved.
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

constexpr DataType kDtype = DataType::kBFloat16;

double number(const Tensor &tensor, int64_t row, int64_t column) {
  return load_as_double(tensor.data_as<std::byte>() + (row * kWidth + column) * int64_t{size_in_bytes(kDtype)}, kDtype);
}
void set(Tensor &tensor, int64_t row, double element, int64_t column = 0) {
  store_from_double(tensor.data_as<std::byte>() + (row * kWidth + column) * int64_t{size_in_bytes(kDtype)}, kDtype, element);
}
double rounded(double number) {
  std::byte element[size_in_bytes(kDtype)];
  store_from_double(element, kDtype, number);
  return load_as_double(element, kDtype);
}

class Outliers : public testing::TestWithParam<RunWay> {
protected:
  void SetUp() override {
    if (!GetParam().missing.empty())
      GTEST_SKIP() << GetParam().name << " is not available: " << GetParam().missing;
    for (int64_t row = 0; row < kQueries; ++row)
      set(query_, row, 1);
  }
  Function attention(const AttentionGraphOptions &options = {}) const {
    return attention_function(options, {.device = GetParam().way, .target = GetParam().target}).value();
  }
  /// Scores are x times the first elements of keys, in base 2.
  Tensor attend(const Function &function, double x) const {
    LaunchOptions launch;
    launch.scalars.add({"scale", x * std::numbers::ln2});
    return function.call({query_, key_, value_}, launch).value()[0];
  }

  Tensor query_ = Tensor::zeros({1, 1, kQueries, kWidth}, kDtype).value();
  Tensor key_ = Tensor::zeros({1, 1, kKeys, kWidth}, kDtype).value();
  Tensor value_ = Tensor::random({1, 1, kKeys, kWidth}, kDtype, 3).value();
};

TEST_P(Outliers, AloneAreTheResult) {
  set(key_, kOutlier, 1);
  const Function function = attention();
  for (const Range &range : kRanges)
    for (double x = range.first; x <= range.last; x += range.step) {
      const Tensor result = attend(function, x);
      const double tolerance = 8 * kKeys * std::exp2(-x) + 1.0 / 32; // the others' share, and a rounding to bfloat16
      for (int64_t row = 0; row < kQueries; ++row)
        for (int64_t column : {0, 17})
          ASSERT_NEAR(number(result, row, column), number(value_, kOutlier, column), tolerance) << x << " row " << row;
    }
}

// All scores of a row are great, of either sign, whatever numbers are added to them: from 2^8 to 2^40. The greatest are of
// late keys, with the other sign of the first.
TEST_P(Outliers, ScoresMayAllBeGreat) {
  auto score = [](int64_t key) { // of x 1: 128ths, which bfloat16 has
    return key < 40 ? 0.5 : key % 97 == 3 && key > 200 ? 1 : 0.5 + 0.0078125 * static_cast<double>(key * 37 % 61);
  };
  for (int64_t key = 0; key < kKeys; ++key)
    set(key_, key, score(key));
  for (CausalAlignment causal : {CausalAlignment::kNone, CausalAlignment::kBottomRight}) {
    const Function function = attention({.causal = causal});
    for (double sign : {1, -1})
      for (double exponent = 8; exponent <= 40; exponent += 0.5) {
        const double x = sign * std::exp2(exponent);
        const Tensor result = attend(function, x);
        for (int64_t row : {0, 5, 31, 32}) {
          const int64_t seen = causal == CausalAlignment::kNone ? kKeys : kKeys - kQueries + row + 1;
          for (int64_t column : {0, 17}) {
            double sum = 0, weighted = 0;
            for (int64_t key = 0; key < seen; ++key) {
              const double weight = std::exp2(x * score(key) - (sign > 0 ? x : x / 2));
              sum += weight, weighted += weight * number(value_, key, column);
            }
            ASSERT_NEAR(number(result, row, column), weighted / sum, 1.0 / 32) << x << " row " << row;
          }
        }
      }
  }
}

// The last 512 keys outweigh each of the others by 2^4, which makes their rows stale: a sixth of the weight is from before,
// or, of 4,864 keys in chunks, a third. It stays so whatever all scores are besides: small, or near what a reference may be,
// on either side. Values are 1 before, -1 after.
TEST_P(Outliers, WeightsFromBeforeARenewalKeepTheirShare) {
  constexpr int64_t kLater = 512;
  constexpr double kGrowth = 4;
  for (int64_t row = 0; row < kQueries; ++row)
    for (int64_t column : {1, 2})
      set(query_, row, 1, column);
  const Function function = attention();
  for (int64_t keys : {2048, 4864}) {
    key_ = Tensor::zeros({1, 1, keys, kWidth}, kDtype).value();
    value_ = Tensor::zeros({1, 1, keys, kWidth}, kDtype).value();
    const double before = static_cast<double>(keys - kLater), after = kLater * std::exp2(kGrowth);
    for (double level : {0.0, 0.3, 3.17, -3.17, 211.7, 8191.3, 15'983.6, 15'999.9, 16'000.2, -15'999.9, 16'384.0,
                         -16'400.7, 32'767.4, 65'537.0, 131'071.0, -131'073.0}) {
      const double coarse = rounded(level), fine = rounded(level - coarse);
      for (int64_t key = 0; key < keys; ++key) {
        const bool later = key >= keys - kLater;
        set(key_, key, coarse), set(key_, key, fine, 1), set(key_, key, later ? kGrowth : 0, 2);
        for (int64_t column : {0, 17})
          set(value_, key, later ? -1 : 1, column);
      }
      const Tensor result = attend(function, 1);
      // The rounding of the result, of weights, and a unit of a great score.
      const double unit = std::exp2(std::floor(std::log2(std::abs(level) + 1)) - 23);
      for (int64_t row : {0, 32})
        for (int64_t column : {0, 17})
          ASSERT_NEAR(number(result, row, column), (before - after) / (before + after), 0.0025 + unit)
              << level << " of " << keys << " keys, row " << row;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Every, Outliers, testing::ValuesIn(host_ways()),
                         [](const auto &info) { return info.param.name; });

} // namespace
} // namespace tenon::conformance
