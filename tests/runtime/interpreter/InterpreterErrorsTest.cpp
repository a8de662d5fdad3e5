#include "Evaluate.h"

#include <gmock/gmock.h>

namespace tenon::testing_support {
namespace {

Graph sum() {
  return parse("%a: tensor<*xf32>, %scale: f32, %i: tensor<*xi32>, %m: tensor<*xi1>",
               "%0 = attention.multiply %a, %scale : (tensor<*xf32>, f32) -> tensor<*xf32>\n"
               "%1 = attention.convert %i : (tensor<*xi32>) -> tensor<*xf32>\n"
               "%2 = attention.where %m, %0, %1 : (tensor<*xi1>, tensor<*xf32>, tensor<*xf32>) -> "
               "tensor<*xf32>\n"
               "return %2 : tensor<*xf32>");
}

std::vector<Tensor> good() {
  return {random({2, 3}, 1), floats({}, {2}), indices({3}, {1, 2, 3}), mask({3}, {1, 0, 1})};
}

std::string message(const Graph &graph, const std::vector<Tensor> &inputs,
                    const InterpreterOptions &options = {}) {
  const auto results = interpret(graph, inputs, options);
  return results ? "" : results.error().message();
}

TEST(InterpreterErrors, InputsOfTheWrongKind) {
  EXPECT_EQ(message(sum(), good()), "");
  const auto with = [&](size_t position, Tensor tensor) {
    std::vector<Tensor> inputs = good();
    inputs[position] = std::move(tensor);
    return message(sum(), inputs);
  };
  EXPECT_EQ(with(0, indices({3}, {1, 2, 3})), "a: was i32, must be f32, f16, bf16 or f64");
  EXPECT_EQ(with(2, floats({3}, {1, 2, 3})), "i: was f32, must be i32");
  EXPECT_EQ(with(2, indices({3}, {1, 2, 3}).to(DataType::kInt64).value()),
            "i: was i64, must be i32");
  EXPECT_EQ(with(3, indices({3}, {1, 0, 1})), "m: was i32, must be bool");
  EXPECT_EQ(with(1, floats({1}, {2})),
            "scale: was a tensor of sizes [1], must be a scalar, a tensor of rank 0");
  EXPECT_EQ(with(3, Tensor()), "m: was no tensor, must be a tensor");
  EXPECT_EQ(with(3, mask({2}, {1, 0})),
            "m: was width 2 in [2], must be width 1 or 3, the width of a");
}

TEST(InterpreterErrors, Counts) {
  std::vector<Tensor> inputs = good();
  inputs.pop_back();
  EXPECT_EQ(message(sum(), inputs), "inputs: was 3, must be 4, those of the graph");
  EXPECT_EQ(message(Graph(), {}), "results of the graph: was none, must be 1 to 8");
}

TEST(InterpreterErrors, Options) {
  InterpreterOptions options;
  options.output = DataType::kInt32;
  EXPECT_EQ(message(sum(), good(), options), "output: was i32, must be f32, f16, bf16 or f64");
  options = {};
  options.key_length = -1;
  EXPECT_EQ(message(sum(), good(), options), "length: was -1, must be 0 or more");
}

TEST(InterpreterErrors, MoreThanTheMemoryOfAnyMachine) {
  const Graph graph =
      parse("%a: tensor<*xf32>, %b: tensor<*xf32>",
            "%0 = attention.add %a, %b : (tensor<*xf32>, tensor<*xf32>) -> tensor<*xf32>\n"
            "return %0 : tensor<*xf32>");
  const Tensor one = floats({1}, {1});
  constexpr int64_t kLarge = (int64_t{1} << 31) - 1;
  const Tensor a = one.expand({kLarge, 1, 1}).value(), b = one.expand({kLarge}).value();
  const Tensor inputs[] = {a, b};
  InterpreterOptions options;
  const auto results = interpret(graph, inputs, options);
  ASSERT_FALSE(results);
  EXPECT_EQ(results.error().code(), ErrorCode::kOutOfMemory);
}

} // namespace
} // namespace tenon::testing_support
