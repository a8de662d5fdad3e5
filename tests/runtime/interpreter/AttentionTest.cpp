#include "tenon/Dropout.h"

#include "Evaluate.h"

#include <functional>

namespace tenon::testing_support {
namespace {

/// Scaled scores, changed by `middle` from %scores to %changed, and attention and logsumexp of
/// these.
Graph attention(const std::string &middle, const std::string &arguments = "") {
  return parse(
      "%query: tensor<*xf32>, %key: tensor<*xf32>, %value: tensor<*xf32>" + arguments,
      "%t = attention.transpose %key : tensor<*xf32>\n"
      "%product = attention.matmul %query, %t : tensor<*xf32>\n"
      "%scale = attention.constant 0.25 : f32\n"
      "%minus_infinity = attention.constant 0xFF800000 : f32\n"
      "%scores = attention.multiply %product, %scale : (tensor<*xf32>, f32) -> tensor<*xf32>\n" +
          middle +
          "%p = attention.softmax %changed : tensor<*xf32>\n"
          "%out = attention.matmul %p, %value : tensor<*xf32>\n"
          "%sum = attention.logsumexp %changed : tensor<*xf32>\n"
          "return %out, %sum : tensor<*xf32>, tensor<*xf32>",
      "(tensor<*xf32>, tensor<*xf32>)");
}

constexpr const char *kCausal =
    "%i = attention.query_index : tensor<*xi32>\n"
    "%j = attention.key_index : tensor<*xi32>\n"
    "%allowed = attention.greater_equal %i, %j : (tensor<*xi32>, tensor<*xi32>) -> tensor<*xi1>\n"
    "%changed = attention.where %allowed, %scores, %minus_infinity : (tensor<*xi1>, tensor<*xf32>, "
    "f32) -> "
    "tensor<*xf32>\n";

/// The score as a function of what it was and of its place.
using Score = std::function<double(double score, int64_t b, int64_t h, int64_t i, int64_t j)>;

struct Attention {
  std::vector<double> output, logsumexp;
};

/// The definition in double, one row at a time.
Attention naive(const Tensor &query, const Tensor &key, const Tensor &value, const Score &score) {
  const std::vector<double> q = elements(query), k = elements(key), v = elements(value);
  const int64_t batch = query.size(0), heads = query.size(1), rows = query.size(2),
                width = query.size(3);
  const int64_t key_heads = key.size(1), keys = key.size(2), value_width = value.size(3);
  Attention result;
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t i = 0; i < rows; ++i) {
        const int64_t group = b * key_heads + h / (heads / key_heads);
        std::vector<double> weights;
        double sum = 0;
        for (int64_t j = 0; j < keys; ++j) {
          double dot = 0;
          for (int64_t d = 0; d < width; ++d)
            dot += q[static_cast<size_t>(((b * heads + h) * rows + i) * width + d)] *
                   k[static_cast<size_t>((group * keys + j) * width + d)];
          weights.push_back(std::exp(score(dot * 0.25, b, h, i, j)));
          sum += weights.back();
        }
        for (int64_t d = 0; d < value_width; ++d) {
          double out = 0;
          for (int64_t j = 0; j < keys && sum > 0; ++j)
            out += weights[static_cast<size_t>(j)] / sum *
                   v[static_cast<size_t>((group * keys + j) * value_width + d)];
          result.output.push_back(out);
        }
        result.logsumexp.push_back(std::log(sum));
      }
  return result;
}

void expect_attention(const Graph &graph, const std::vector<Tensor> &inputs, const Score &score) {
  const Attention expected = naive(inputs[0], inputs[1], inputs[2], score);
  const auto exact = evaluate(graph, inputs, oracle());
  ASSERT_EQ(exact.size(), 2u);
  expect_close(elements(exact[0]), expected.output, 1e-13, "output, float64");
  expect_close(elements(exact[1]), expected.logsumexp, 1e-13, "logsumexp, float64");
  const auto single = evaluate(graph, inputs);
  ASSERT_EQ(single.size(), 2u);
  expect_close(elements(single[0]), expected.output, 1e-5, "output, float32");
  expect_close(elements(single[1]), expected.logsumexp, 1e-5, "logsumexp, float32");
}

std::vector<Tensor> inputs(int64_t queries = 19, int64_t keys = 33, int64_t key_heads = 2,
                           DataType dtype = DataType::kFloat32) {
  return {random({2, 4, queries, 16}, 1, dtype), random({2, key_heads, keys, 16}, 2, dtype),
          random({2, key_heads, keys, 24}, 3, dtype)};
}

TEST(Attention, CausalWithSharedHeads) {
  for (const DataType dtype : {DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16})
    expect_attention(
        attention(kCausal), inputs(19, 33, 2, dtype),
        [](double score, auto, auto, int64_t i, int64_t j) { return i >= j ? score : -kInfinity; });
}

/// Aligned to the last key: with more queries than keys the first rows attend to nothing.
TEST(Attention, BottomRightCausal) {
  const Graph graph =
      attention("%i = attention.query_index : tensor<*xi32>\n"
                "%j = attention.key_index : tensor<*xi32>\n"
                "%nq = attention.query_length : i32\n"
                "%nk = attention.key_length : i32\n"
                "%shift = attention.subtract %nk, %nq : (i32, i32) -> i32\n"
                "%last = attention.add %i, %shift : (tensor<*xi32>, i32) -> tensor<*xi32>\n"
                "%allowed = attention.greater_equal %last, %j : (tensor<*xi32>, tensor<*xi32>) -> "
                "tensor<*xi1>\n"
                "%changed = attention.where %allowed, %scores, %minus_infinity : (tensor<*xi1>, "
                "tensor<*xf32>, f32) -> tensor<*xf32>\n");
  for (const auto &[queries, keys] : {std::pair{5, 9}, {9, 5}, {1, 8}})
    expect_attention(graph, inputs(queries, keys),
                     [=](double score, auto, auto, int64_t i, int64_t j) {
                       return i + keys - queries >= j ? score : -kInfinity;
                     });
  const auto results = evaluate(graph, inputs(9, 5));
  ASSERT_EQ(results.size(), 2u);
  const int64_t first[] = {0, 0, 0, 0}, first_row[] = {0, 0, 0};
  EXPECT_EQ(results[0].element_as_double(first), 0);
  EXPECT_EQ(results[1].element_as_double(first_row), -kInfinity);
}

TEST(Attention, SlopesFromATable) {
  std::vector<Tensor> all = inputs();
  all.push_back(floats({4}, {0.5f, 0.25f, 0.125f, 0.0625f}));
  expect_attention(
      attention(
          "%h = attention.head_index : tensor<*xi32>\n"
          "%slope = attention.load %slopes[%h] : (tensor<*xf32>, tensor<*xi32>) -> tensor<*xf32>\n"
          "%i = attention.query_index : tensor<*xi32>\n"
          "%j = attention.key_index : tensor<*xi32>\n"
          "%distance = attention.subtract %j, %i : (tensor<*xi32>, tensor<*xi32>) -> "
          "tensor<*xi32>\n"
          "%real = attention.convert %distance : (tensor<*xi32>) -> tensor<*xf32>\n"
          "%bias = attention.multiply %slope, %real : (tensor<*xf32>, tensor<*xf32>) -> "
          "tensor<*xf32>\n"
          "%changed = attention.add %scores, %bias : (tensor<*xf32>, tensor<*xf32>) -> "
          "tensor<*xf32>\n",
          ", %slopes: tensor<*xf32>"),
      all, [](double score, auto, int64_t h, int64_t i, int64_t j) {
        return score + std::ldexp(0.5, -static_cast<int>(h)) * static_cast<double>(j - i);
      });
}

TEST(Attention, SoftCap) {
  expect_attention(
      attention("%cap = attention.constant 2.0 : f32\n"
                "%a = attention.divide %scores, %cap : (tensor<*xf32>, f32) -> tensor<*xf32>\n"
                "%b = attention.tanh %a : tensor<*xf32>\n"
                "%changed = attention.multiply %b, %cap : (tensor<*xf32>, f32) -> tensor<*xf32>\n"),
      inputs(), [](double score, auto...) { return 2 * std::tanh(score / 2); });
}

TEST(Attention, AMaskThatBroadcasts) {
  std::vector<Tensor> all = inputs(3, 4);
  all.push_back(mask({2, 1, 1, 4}, {1, 0, 1, 1, 0, 0, 0, 0})); // nothing for the second sequence
  expect_attention(attention("%changed = attention.where %mask, %scores, %minus_infinity : "
                             "(tensor<*xi1>, tensor<*xf32>, f32) -> tensor<*xf32>\n",
                             ", %mask: tensor<*xi1>"),
                   all, [](double score, int64_t b, auto, auto, int64_t j) {
                     return b == 0 && j != 1 ? score : -kInfinity;
                   });
}

/// A key of NaNs that the mask hides changes nothing.
TEST(Attention, MaskedScoresThatAreNaNDoNotLeak) {
  std::vector<Tensor> clean = inputs(4, 6), dirty = clean;
  dirty[1] = clean[1].clone().value();
  const Graph graph = attention(kCausal);
  for (int64_t head = 0; head < 4; ++head) // batch and key heads
    for (int64_t d = 0; d < 16; ++d)
      for (int64_t key = 4; key < 6; ++key)
        dirty[1].data_as<float>()[(head * 6 + key) * 16 + d] =
            d % 2 ? std::nanf("") : std::numeric_limits<float>::infinity();
  const auto expected = evaluate(graph, clean), actual = evaluate(graph, dirty);
  ASSERT_EQ(actual.size(), 2u);
  EXPECT_EQ(elements(actual[0]), elements(expected[0]));
  EXPECT_EQ(elements(actual[1]), elements(expected[1]));
}

TEST(Attention, SizesOfZeroAndOne) {
  const auto no_keys = evaluate(attention(kCausal), inputs(3, 0));
  ASSERT_EQ(no_keys.size(), 2u);
  EXPECT_EQ(elements(no_keys[0]), std::vector<double>(2 * 4 * 3 * 24, 0.0));
  EXPECT_EQ(elements(no_keys[1]), std::vector<double>(2 * 4 * 3, -kInfinity));
  const auto no_queries = evaluate(attention(kCausal), inputs(0, 5));
  ASSERT_EQ(no_queries.size(), 2u);
  EXPECT_EQ(no_queries[0].shape(), (Shape{2, 4, 0, 24}));
  const auto no_batch =
      evaluate(attention(kCausal),
               {random({0, 1, 3, 8}, 1), random({0, 1, 3, 8}, 2), random({0, 1, 3, 8}, 3)});
  ASSERT_EQ(no_batch.size(), 2u);
  EXPECT_EQ(no_batch[1].shape(), (Shape{0, 1, 3}));
  expect_attention(attention(kCausal),
                   {random({1, 1, 1, 1}, 1), random({1, 1, 1, 1}, 2), random({1, 1, 1, 1}, 3)},
                   [](double score, auto...) { return score; });
}

TEST(Attention, InputsOfTwoDimensions) {
  const Tensor q = random({5, 8}, 1), k = random({7, 8}, 2), v = random({7, 8}, 3);
  const auto lift = [](const Tensor &t) { return t.reshape({1, 1, t.size(0), t.size(1)}).value(); };
  const auto flat = evaluate(attention(kCausal), {q, k, v}),
             lifted = evaluate(attention(kCausal), {lift(q), lift(k), lift(v)});
  EXPECT_EQ(flat.at(0).shape(), (Shape{1, 1, 5, 8}));
  EXPECT_EQ(elements(flat.at(0)), elements(lifted.at(0)));
}

/// A sequence alone gives the bits that it gives in a batch.
TEST(Attention, DoesNotDependOnTheBatch) {
  const Graph graph = attention(kCausal);
  const std::vector<Tensor> all = inputs();
  const std::vector<double> together = elements(evaluate(graph, all).at(0));
  for (int64_t b = 0; b < 2; ++b) {
    std::vector<Tensor> alone;
    for (const Tensor &tensor : all)
      alone.push_back(tensor.slice(0, b, b + 1).value());
    const std::vector<double> result = elements(evaluate(graph, alone).at(0));
    EXPECT_TRUE(std::equal(result.begin(), result.end(),
                           together.begin() + b * static_cast<int64_t>(result.size())));
  }
}

TEST(Attention, DropoutIsAppliedToTheProbabilities) {
  const Graph graph =
      parse("%query: tensor<*xf32>, %key: tensor<*xf32>, %value: tensor<*xf32>, %rate: f32",
            "%t = attention.transpose %key : tensor<*xf32>\n"
            "%scores = attention.matmul %query, %t : tensor<*xf32>\n"
            "%p = attention.softmax %scores : tensor<*xf32>\n"
            "%d = attention.dropout %p, %rate : (tensor<*xf32>, f32) -> tensor<*xf32>\n"
            "%out = attention.matmul %d, %value : tensor<*xf32>\n"
            "return %p, %out : tensor<*xf32>, tensor<*xf32>",
            "(tensor<*xf32>, tensor<*xf32>)");
  std::vector<Tensor> all = inputs(5, 40);
  all.push_back(floats({}, {0.5f}));
  InterpreterOptions options = oracle();
  options.seed = 11;
  options.offset = 13;
  const auto results = evaluate(graph, all, options);
  ASSERT_EQ(results.size(), 2u);
  const std::vector<double> p = elements(results[0]), v = elements(all[2]),
                            actual = elements(results[1]);
  const std::vector<double> kept = elements(dropout_mask(11, 13, 2, 4, 5, 40, 0.5f).value());
  std::vector<double> expected;
  for (size_t row = 0; row < 2 * 4 * 5; ++row)
    for (size_t d = 0; d < 24; ++d) {
      double out = 0;
      const size_t group = row / 20 * 2 + row / 5 % 4 / 2;
      for (size_t j = 0; j < 40; ++j)
        out += 2 * kept[row * 40 + j] * p[row * 40 + j] * v[(group * 40 + j) * 24 + d];
      expected.push_back(out);
    }
  expect_close(actual, expected, 1e-13, "output");
}

} // namespace
} // namespace tenon::testing_support
