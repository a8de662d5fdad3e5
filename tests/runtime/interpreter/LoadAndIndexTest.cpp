#include "Evaluate.h"

namespace tenon::testing_support {
namespace {

/// scores * 0 + convert(index), so that the score space is that of %scores.
Graph index_graph(const std::string &mnemonic) {
  return parse("%scores: tensor<*xf32>",
               "%0 = attention.softmax %scores : tensor<*xf32>\n"
               "%1 = attention.constant 0.0 : f32\n"
               "%2 = attention.multiply %0, %1 : (tensor<*xf32>, f32) -> tensor<*xf32>\n"
               "%3 = attention." +
                   mnemonic +
                   " : tensor<*xi32>\n"
                   "%4 = attention.convert %3 : (tensor<*xi32>) -> tensor<*xf32>\n"
                   "%5 = attention.add %2, %4 : (tensor<*xf32>, tensor<*xf32>) -> tensor<*xf32>\n"
                   "return %5 : tensor<*xf32>");
}

TEST(Index, IsThePositionOfTheElement) {
  const char *mnemonics[] = {"batch_index", "head_index", "query_index", "key_index"};
  const Shape shape{2, 3, 4, 5};
  for (size_t d = 0; d < 4; ++d) {
    const std::vector<double> result = evaluate_one(index_graph(mnemonics[d]), {random(shape, 1)});
    ASSERT_EQ(result.size(), 120u);
    int64_t stride = 1;
    for (size_t e = d + 1; e < 4; ++e)
      stride *= shape[e];
    for (size_t i = 0; i < result.size(); ++i)
      ASSERT_EQ(result[i], static_cast<double>(static_cast<int64_t>(i) / stride % shape[d]))
          << mnemonics[d];
  }
}

Graph lengths() {
  return parse("%scores: tensor<*xf32>",
               "%0 = attention.logsumexp %scores : tensor<*xf32>\n"
               "%1 = attention.constant 0.0 : f32\n"
               "%2 = attention.multiply %0, %1 : (tensor<*xf32>, f32) -> tensor<*xf32>\n"
               "%3 = attention.query_length : i32\n"
               "%4 = attention.constant 1000 : i32\n"
               "%5 = attention.multiply %3, %4 : (i32, i32) -> i32\n"
               "%6 = attention.key_length : i32\n"
               "%7 = attention.add %5, %6 : (i32, i32) -> i32\n"
               "%8 = attention.convert %7 : (i32) -> f32\n"
               "%9 = attention.add %2, %8 : (tensor<*xf32>, f32) -> tensor<*xf32>\n"
               "return %9 : tensor<*xf32>");
}

TEST(Length, IsThatOfTheScores) {
  EXPECT_EQ(evaluate_one(lengths(), {random({1, 1, 2, 7}, 1)}), (std::vector<double>{2007, 2007}));
}

TEST(Length, CanBeStatedByTheCall) {
  InterpreterOptions options;
  options.query_length = 12;
  options.key_length = 34;
  EXPECT_EQ(evaluate_one(lengths(), {random({1, 1, 1, 7}, 1)}, options),
            (std::vector<double>{12034}));
}

TEST(Load, ReadsTablesOfEveryRankAndClamps) {
  const std::string index = "tensor<*xi32>";
  for (size_t rank = 1; rank <= 4; ++rank) {
    std::string operands, types;
    std::vector<Tensor> inputs;
    Shape shape;
    for (size_t d = 0; d < rank; ++d) {
      operands += (d ? ", %i" : "%i") + std::to_string(d);
      types += ", " + index;
      shape.push_back(static_cast<int64_t>(d) + 2);
    }
    const Tensor table = random(shape, rank);
    std::string arguments = "%t: tensor<*xf32>";
    inputs.push_back(table);
    for (size_t d = 0; d < rank; ++d) {
      arguments += ", %i" + std::to_string(d) + ": " + index;
      std::vector<int32_t> values;
      for (int32_t i = 0; i < 40; ++i)
        values.push_back((i * 7 + static_cast<int32_t>(d) * 3) % 11 -
                         4); // some below 0, some beyond
      inputs.push_back(indices({40}, values));
    }
    const Graph graph =
        parse(arguments, "%0 = attention.load %t[" + operands + "] : (tensor<*xf32>" + types +
                             ") -> tensor<*xf32>\nreturn %0 : tensor<*xf32>");
    const std::vector<double> result = evaluate_one(graph, inputs);
    ASSERT_EQ(result.size(), 40u);
    for (int64_t i = 0; i < 40; ++i) {
      std::vector<int64_t> position;
      for (size_t d = 0; d < rank; ++d) {
        const int64_t at[] = {i};
        position.push_back(std::clamp<int64_t>(
            static_cast<int64_t>(inputs[d + 1].element_as_double(at)), 0, shape[d] - 1));
      }
      ASSERT_EQ(result[static_cast<size_t>(i)], table.element_as_double(position))
          << rank << " " << i;
    }
  }
}

TEST(Load, TablesOfIndicesAndMasks) {
  const Graph graph =
      parse("%t: tensor<*xi32>, %m: tensor<*xi1>, %i: tensor<*xi32>, %k: i32",
            "%0 = attention.load %t[%i] : (tensor<*xi32>, tensor<*xi32>) -> tensor<*xi32>\n"
            "%1 = attention.load %m[%k, %0] : (tensor<*xi1>, i32, tensor<*xi32>) -> tensor<*xi1>\n"
            "return %0, %1 : tensor<*xi32>, tensor<*xi1>",
            "(tensor<*xi32>, tensor<*xi1>)");
  const auto results = evaluate(graph, {indices({3}, {2, 0, 1}), mask({2, 3}, {0, 0, 0, 1, 0, 1}),
                                        indices({2, 2}, {0, 1, 2, 9}), indices({}, {1})});
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(elements(results[0]), (std::vector<double>{2, 0, 1, 1}));
  EXPECT_EQ(elements(results[1]), (std::vector<double>{1, 1, 0, 0}));
}

TEST(Load, ATableMayBeAValueToo) {
  const Graph graph =
      parse("%t: tensor<*xf32>, %i: tensor<*xi32>",
            "%0 = attention.load %t[%i] : (tensor<*xf32>, tensor<*xi32>) -> tensor<*xf32>\n"
            "%1 = attention.subtract %0, %t : (tensor<*xf32>, tensor<*xf32>) -> tensor<*xf32>\n"
            "return %1 : tensor<*xf32>");
  EXPECT_EQ(evaluate_one(graph, {floats({3}, {1, 10, 100}), indices({3}, {2, 1, 0})}),
            (std::vector<double>{99, 0, -99}));
}

TEST(Load, StridedTable) {
  const Graph graph = parse("%t: tensor<*xf32>, %i: tensor<*xi32>, %j: tensor<*xi32>",
                            "%0 = attention.load %t[%i, %j] : (tensor<*xf32>, tensor<*xi32>, "
                            "tensor<*xi32>) -> tensor<*xf32>\n"
                            "return %0 : tensor<*xf32>");
  const Tensor table = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(evaluate_one(graph, {table.transpose(0, 1).value(), indices({3, 1}, {0, 1, 2}),
                                 indices({2}, {0, 1})}),
            (std::vector<double>{1, 4, 2, 5, 3, 6}));
}

} // namespace
} // namespace tenon::testing_support
