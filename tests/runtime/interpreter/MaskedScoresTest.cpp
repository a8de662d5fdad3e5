#include "Evaluate.h"

namespace tenon::testing_support {
namespace {

/// Two scores beside a table; of both the second is masked. `expression` computes %2 of %masked and %table.
std::vector<double> scores(const std::string &expression, double table_of_masked) {
  const Graph graph = parse("%scores: tensor<*xf32>, %table: tensor<*xf32>, %visible: tensor<*xi1>",
                            "%minus_infinity = attention.constant 0xFF800000 : f32\n"
                            "%half = attention.constant 5.0e-1 : f32\n"
                            "%masked = attention.where %visible, %scores, %minus_infinity : "
                            "(tensor<*xi1>, tensor<*xf32>, f32) -> tensor<*xf32>\n" +
                                expression + "\nreturn %result : tensor<*xf32>");
  return evaluate_one(
      graph, {doubles({1, 2}, {3, 4}), doubles({1, 2}, {1, table_of_masked}), mask({1, 2}, {1, 0})},
      oracle());
}

const std::string kTensors = " : (tensor<*xf32>, tensor<*xf32>) -> tensor<*xf32>";
const std::string kFactor = " : (tensor<*xf32>, f32) -> tensor<*xf32>";

/// −∞ + ∞ and −∞ + NaN are NaN, but a key that is not there has no score at all.
TEST(MaskedScores, StayMaskedBehindSums) {
  for (const double other : {kNaN, kInfinity, -kInfinity, 7.0}) {
    EXPECT_EQ(scores("%result = attention.add %masked, %table" + kTensors, other),
              (std::vector<double>{4, -kInfinity}));
    EXPECT_EQ(scores("%result = attention.add %table, %masked" + kTensors, other),
              (std::vector<double>{4, -kInfinity}));
    EXPECT_EQ(scores("%result = attention.subtract %masked, %table" + kTensors, other),
              (std::vector<double>{2, -kInfinity}));
  }
}

TEST(MaskedScores, StayMaskedBehindPositiveFactors) {
  const std::string sum = "%sum = attention.add %masked, %table" + kTensors + "\n";
  EXPECT_EQ(scores(sum + "%result = attention.multiply %sum, %half" + kFactor, kNaN),
            (std::vector<double>{2, -kInfinity}));
  EXPECT_EQ(scores(sum + "%result = attention.divide %sum, %half" + kFactor, kNaN),
            (std::vector<double>{8, -kInfinity}));
}

/// Everything else sees −∞: e^(−∞) = 0, 1 − (−∞) = ∞.
TEST(MaskedScores, AreMinusInfinityForAllElse) {
  const std::string sum = "%sum = attention.add %masked, %table" + kTensors + "\n";
  EXPECT_EQ(scores(sum + "%result = attention.exp %sum : tensor<*xf32>", kNaN)[1], 0);
  EXPECT_EQ(scores("%result = attention.subtract %table, %masked" + kTensors, 1),
            (std::vector<double>{-2, kInfinity}));
}

/// What is visible is computed as it stands: a NaN that no mask hides is a NaN.
TEST(MaskedScores, HideNothingThatIsVisible) {
  const std::string sum = "%result = attention.add %scores, %table" + kTensors;
  EXPECT_TRUE(std::isnan(scores(sum, kNaN)[1]));
}

/// A condition on the scores themselves is arithmetic on scores, not a mask.
TEST(MaskedScores, AreNotMaskedByTheProduct) {
  const Graph graph =
      parse("%q: tensor<*xf32>, %k: tensor<*xf32>, %table: tensor<*xf32>",
            "%0 = attention.matmul %q, %k : tensor<*xf32>\n"
            "%zero = attention.constant 0.0 : f32\n"
            "%minus_infinity = attention.constant 0xFF800000 : f32\n"
            "%1 = attention.greater %0, %zero : (tensor<*xf32>, f32) -> tensor<*xi1>\n"
            "%2 = attention.where %1, %0, %minus_infinity : (tensor<*xi1>, tensor<*xf32>, f32) -> "
            "tensor<*xf32>\n"
            "%3 = attention.add %2, %table" +
                kTensors + "\nreturn %3 : tensor<*xf32>");
  const auto result = evaluate_one(
      graph, {doubles({1, 1}, {1}), doubles({1, 2}, {3, -3}), doubles({1, 2}, {1, kInfinity})},
      oracle());
  EXPECT_EQ(result[0], 4);
  EXPECT_TRUE(std::isnan(result[1]));
}

} // namespace
} // namespace tenon::testing_support
