#include "Evaluate.h"

#include <oneapi/tbb/task_arena.h>

namespace tenon::testing_support {
namespace {

Graph product() {
  return parse("%a: tensor<*xf32>, %b: tensor<*xf32>",
               "%0 = attention.matmul %a, %b : tensor<*xf32>\nreturn %0 : tensor<*xf32>");
}
Graph product_with_transposed() {
  return parse("%a: tensor<*xf32>, %b: tensor<*xf32>",
               "%0 = attention.transpose %b : tensor<*xf32>\n"
               "%1 = attention.matmul %a, %0 : tensor<*xf32>\nreturn %1 : tensor<*xf32>");
}

double at(const Tensor &t, int64_t b, int64_t h, int64_t i, int64_t j) {
  const int64_t index[] = {t.size(0) == 1 ? 0 : b, h, i, j};
  return t.element_as_double(index);
}

/// The definition, summed in ascending k.
std::vector<double> naive(const Tensor &a, const Tensor &b) {
  const int64_t batch = std::max(a.size(0), b.size(0)), heads = a.size(1),
                group = heads / b.size(1);
  std::vector<double> result;
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t i = 0; i < a.size(2); ++i)
        for (int64_t j = 0; j < b.size(3); ++j) {
          double sum = 0;
          for (int64_t k = 0; k < a.size(3); ++k)
            sum += at(a, n, h, i, k) * at(b, n, h / group, k, j);
          result.push_back(sum);
        }
  return result;
}

struct Sizes {
  int64_t batch_a, batch_b, heads, key_heads, m, k, n;
};

TEST(Matmul, IsTheSumOfProducts) {
  for (const Sizes &s : {Sizes{1, 1, 1, 1, 1, 1, 1},
                         {2, 2, 3, 3, 5, 7, 9},
                         {1, 2, 4, 2, 33, 16, 65},
                         {2, 1, 8, 1, 3, 64, 64},
                         {1, 1, 6, 3, 70, 5, 130},
                         {1, 1, 1, 1, 4, 128, 32}}) {
    const Tensor a = random({s.batch_a, s.heads, s.m, s.k}, 1),
                 b = random({s.batch_b, s.key_heads, s.k, s.n}, 2);
    const std::vector<double> expected = naive(a, b);
    expect_close(evaluate_one(product(), {a, b}, oracle()), expected, 0, "float64, the same order");
    // k roundings of sums of N(0, 1) products
    expect_close(evaluate_one(product(), {a, b}), expected, 6e-8 * 4 * static_cast<double>(s.k + 1),
                 "float32");
    const Tensor stored = b.transpose(2, 3).value().contiguous().value();
    EXPECT_EQ(evaluate_one(product_with_transposed(), {a, stored}),
              evaluate_one(product(), {a, b}));
    EXPECT_EQ(evaluate_one(product(), {a, stored.transpose(2, 3).value()}),
              evaluate_one(product(), {a, b}));
  }
}

TEST(Matmul, ConsecutiveHeadsShareOne) {
  const Tensor a = floats({1, 4, 1, 1}, {1, 1, 1, 1}), b = floats({1, 2, 1, 1}, {10, 20});
  EXPECT_EQ(evaluate_one(product(), {a, b}), (std::vector<double>{10, 10, 20, 20}));
}

TEST(Matmul, EmptyDimensions) {
  EXPECT_EQ(evaluate_one(product(), {random({1, 1, 2, 0}, 1), random({1, 1, 0, 3}, 2)}),
            std::vector<double>(6, 0.0));
  EXPECT_TRUE(evaluate_one(product(), {random({1, 1, 0, 4}, 1), random({1, 1, 4, 3}, 2)}).empty());
  EXPECT_TRUE(evaluate_one(product(), {random({0, 1, 2, 4}, 1), random({0, 1, 4, 3}, 2)}).empty());
  EXPECT_TRUE(evaluate_one(product(), {random({1, 0, 2, 4}, 1), random({1, 0, 4, 3}, 2)}).size() ==
              0);
  EXPECT_TRUE(evaluate_one(product(), {random({1, 1, 2, 4}, 1), random({1, 1, 4, 0}, 2)}).empty());
}

/// The same row gives the same bits, whatever else runs and on however many threads.
TEST(Matmul, RowsDependOnNothingElse) {
  const Tensor a = random({3, 4, 37, 64}, 1), b = random({3, 2, 64, 200}, 2);
  const std::vector<double> all = evaluate_one(product(), {a, b});
  oneapi::tbb::task_arena one_thread(1);
  EXPECT_EQ(one_thread.execute([&] { return evaluate_one(product(), {a, b}); }), all);
  for (const int64_t row : {0, 3, 35, 36}) {
    const Tensor alone = a.slice(0, 1, 2).value().slice(2, row, row + 1).value();
    const std::vector<double> result = evaluate_one(product(), {alone, b.slice(0, 1, 2).value()});
    for (int64_t head = 0; head < 4; ++head)
      for (int64_t j = 0; j < 200; ++j)
        ASSERT_EQ(result[static_cast<size_t>(head * 200 + j)],
                  all[static_cast<size_t>(((1 * 4 + head) * 37 + row) * 200 + j)]);
  }
}

} // namespace
} // namespace tenon::testing_support
