#include "Support.h"

#include <cmath>

namespace tenon {
namespace {

using test::expect_error;
using test::values;

TEST(Random, AnElementDependsOnSeedAndPositionAlone) {
  auto few = values(Tensor::random({2, 5}, DataType::kFloat32, 42).value());
  auto many = values(Tensor::random({1000}, DataType::kFloat32, 42).value());
  many.resize(few.size());
  EXPECT_EQ(few, many);
  EXPECT_NE(few, values(Tensor::random({2, 5}, DataType::kFloat32, 43).value()));
}

// The numbers of every platform: a change here changes every recorded experiment.
TEST(Random, KnownNumbers) {
  EXPECT_THAT(values(Tensor::random({4}, DataType::kFloat64, 1).value()),
              testing::ElementsAre(0x1.6363715b7e3c9p-2, 0x1.51c767bad8ecap-1, 0x1.d9bdab094b3f7p-1,
                                   -0x1.0566ca205b1a1p+0));
  EXPECT_THAT(values(Tensor::random({4}, DataType::kFloat64, 1, Distribution::kUniform).value()),
              testing::ElementsAre(0x1.631405e8db1bp-1, 0x1.aa2b36e686544p-1, 0x1.cd1cdf803be1p-1,
                                   0x1.81c3c516c88p-3));
}

TEST(Random, NormalHasItsMoments) {
  constexpr int64_t kCount = 200000;
  double sum = 0, squares = 0, fourth = 0, beyond_two = 0;
  for (double x : values(Tensor::random({kCount}, DataType::kFloat64, 7).value())) {
    sum += x;
    squares += x * x;
    fourth += x * x * x * x;
    beyond_two += std::abs(x) > 2;
  }
  // Five standard errors of each estimate.
  double n = kCount;
  EXPECT_NEAR(sum / n, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(squares / n, 1, 5 * std::sqrt(2 / n));
  EXPECT_NEAR(fourth / n, 3, 5 * std::sqrt(96 / n));
  EXPECT_NEAR(beyond_two / n, std::erfc(std::sqrt(2.0)), 5 * std::sqrt(0.0455 / n));
}

TEST(Random, UniformFillsItsRange) {
  double lowest = 1, highest = 0, sum = 0;
  for (double x :
       values(Tensor::random({100000}, DataType::kFloat64, 7, Distribution::kUniform).value())) {
    lowest = std::min(lowest, x);
    highest = std::max(highest, x);
    sum += x;
  }
  EXPECT_GE(lowest, 0);
  EXPECT_LT(highest, 1);
  EXPECT_LT(lowest, 1e-3);
  EXPECT_GT(highest, 0.999);
  EXPECT_NEAR(sum / 1e5, 0.5, 5 * std::sqrt(1.0 / 12 / 1e5));
}

TEST(Random, LowPrecisionIsTheSameNumbersRounded) {
  Tensor exact = Tensor::random({100}, DataType::kFloat64, 3).value();
  for (DataType dtype : {DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16})
    EXPECT_EQ(values(Tensor::random({100}, dtype, 3).value()), values(exact.to(dtype).value()));
}

TEST(Random, BooleansAreFairCoins) {
  double heads = 0;
  for (double x : values(Tensor::random({10000}, DataType::kBool, 5).value()))
    heads += x;
  EXPECT_NEAR(heads, 5000, 250);
}

TEST(Random, IntegersAreRefused) {
  expect_error(Tensor::random({2}, DataType::kInt32, 0), ErrorCode::kUnsupportedType,
               "dtype: was i32");
}

} // namespace
} // namespace tenon
