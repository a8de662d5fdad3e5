#include "Evaluate.h"

namespace tenon::testing_support {
namespace {

Graph reduction(const std::string &mnemonic) {
  return parse("%a: tensor<*xf32>",
               "%0 = attention." + mnemonic + " %a : tensor<*xf32>\nreturn %0 : tensor<*xf32>");
}

TEST(Softmax, IsTheQuotientOfExponentials) {
  const Tensor scores = random({2, 3, 5, 70}, 1, DataType::kFloat64);
  const std::vector<double> values = elements(scores),
                            result = evaluate_one(reduction("softmax"), {scores}, oracle());
  for (size_t row = 0; row < 30; ++row) {
    double sum = 0;
    for (size_t j = 0; j < 70; ++j)
      sum += std::exp(values[row * 70 + j]);
    for (size_t j = 0; j < 70; ++j)
      ASSERT_NEAR(result[row * 70 + j], std::exp(values[row * 70 + j]) / sum, 1e-15);
  }
  expect_close(evaluate_one(reduction("softmax"), {scores}), result, 1e-6, "float32");
}

TEST(Logsumexp, IsTheNaturalLogarithmAndHasNoColumns) {
  const Tensor scores = random({2, 3, 5, 70}, 2, DataType::kFloat64);
  const auto results = evaluate(reduction("logsumexp"), {scores}, oracle());
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].shape(), (Shape{2, 3, 5}));
  const std::vector<double> values = elements(scores), result = elements(results[0]);
  for (size_t row = 0; row < 30; ++row) {
    double sum = 0;
    for (size_t j = 0; j < 70; ++j)
      sum += std::exp(values[row * 70 + j]);
    ASSERT_NEAR(result[row], std::log(sum), 1e-14);
  }
}

/// Large scores neither overflow nor vanish.
TEST(Softmax, SubtractsTheMaximum) {
  const Tensor scores = doubles({1, 3}, {1e30, 1e30, -1e30});
  EXPECT_EQ(evaluate_one(reduction("softmax"), {scores}), (std::vector<double>{0.5, 0.5, 0}));
  EXPECT_EQ(evaluate_one(reduction("logsumexp"), {scores}, oracle()), (std::vector<double>{1e30}));
}

struct Row {
  std::vector<double> scores, softmax;
  double logsumexp;
};

TEST(RowReductions, RowsThatAreNotFinite) {
  const Row rows[] = {
      {{-kInfinity, -kInfinity, -kInfinity}, {0, 0, 0}, -kInfinity},
      {{-kInfinity, 2, -kInfinity}, {0, 1, 0}, 2},
      {{-kInfinity, kInfinity, 0}, {kNaN, kNaN, kNaN}, kNaN},
      {{0, kNaN, 0}, {kNaN, kNaN, kNaN}, kNaN},
      {{kNaN, kNaN, kNaN}, {kNaN, kNaN, kNaN}, kNaN},
      {{-kInfinity, -kInfinity, kNaN}, {kNaN, kNaN, kNaN}, kNaN},
      {{kNaN, -kInfinity, -kInfinity}, {kNaN, kNaN, kNaN}, kNaN},
  };
  for (const Row &row : rows)
    for (const auto &options : {InterpreterOptions{}, oracle()}) {
      const Tensor scores = doubles({1, 3}, row.scores);
      expect_close(evaluate_one(reduction("softmax"), {scores}, options), row.softmax, 0,
                   "softmax");
      expect_close(evaluate_one(reduction("logsumexp"), {scores}, options), {row.logsumexp}, 0,
                   "logsumexp");
    }
}

TEST(RowReductions, WithoutColumns) {
  const Tensor scores = random({2, 1, 3, 0}, 1);
  EXPECT_TRUE(evaluate_one(reduction("softmax"), {scores}).empty());
  EXPECT_EQ(evaluate_one(reduction("logsumexp"), {scores}), std::vector<double>(6, -kInfinity));
}

TEST(RowReductions, OfTransposedScores) {
  const Graph graph = parse("%a: tensor<*xf32>",
                            "%0 = attention.transpose %a : tensor<*xf32>\n"
                            "%1 = attention.softmax %0 : tensor<*xf32>\nreturn %1 : tensor<*xf32>");
  const Tensor scores = random({1, 2, 4, 6}, 5);
  EXPECT_EQ(
      evaluate_one(graph, {scores}),
      evaluate_one(reduction("softmax"), {scores.transpose(2, 3).value().contiguous().value()}));
}

/// A logsumexp broadcasts as a column: exp(scores - logsumexp) is softmax.
TEST(Logsumexp, BroadcastsOverColumns) {
  const Graph graph =
      parse("%a: tensor<*xf32>",
            "%0 = attention.logsumexp %a : tensor<*xf32>\n"
            "%1 = attention.subtract %a, %0 : (tensor<*xf32>, tensor<*xf32>) -> tensor<*xf32>\n"
            "%2 = attention.exp %1 : tensor<*xf32>\nreturn %2 : tensor<*xf32>");
  const Tensor scores = random({2, 2, 3, 9}, 6);
  expect_close(evaluate_one(graph, {scores}, oracle()),
               evaluate_one(reduction("softmax"), {scores}, oracle()), 1e-14, "");
}

} // namespace
} // namespace tenon::testing_support
