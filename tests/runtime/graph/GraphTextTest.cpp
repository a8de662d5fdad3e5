#include "tenon/Graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace tenon {
namespace {

constexpr const char *kCausal =
    "func.func @attention(%query: tensor<*xf32>, %key: tensor<*xf32>, %value: tensor<*xf32>, "
    "%scale: f32) -> tensor<*xf32> {\n"
    "  %0 = attention.query_index : tensor<*xi32>\n"
    "  %1 = attention.key_index : tensor<*xi32>\n"
    "  %2 = attention.greater_equal %0, %1 : (tensor<*xi32>, tensor<*xi32>) -> tensor<*xi1>\n"
    "  %3 = attention.transpose %key : tensor<*xf32>\n"
    "  %4 = attention.matmul %query, %3 : tensor<*xf32>\n"
    "  %5 = attention.multiply %4, %scale : (tensor<*xf32>, f32) -> tensor<*xf32>\n"
    "  %6 = attention.constant 0xFF800000 : f32\n"
    "  %7 = attention.where %2, %5, %6 : (tensor<*xi1>, tensor<*xf32>, f32) -> tensor<*xf32>\n"
    "  %8 = attention.softmax %7 : tensor<*xf32>\n"
    "  %9 = attention.matmul %8, %value : tensor<*xf32>\n"
    "  return %9 : tensor<*xf32>\n"
    "}\n";

/// Causal attention; `mask_first` says which operand of `where` is built first, as a C++ compiler
/// may choose.
Graph causal(bool mask_first, bool repeated) {
  Graph graph;
  const ValueId query = graph.add_input("query", kRealTensor).value();
  const ValueId key = graph.add_input("key", kRealTensor).value();
  const ValueId value = graph.add_input("value", kRealTensor).value();
  const ValueId scale = graph.add_input("scale", kRealScalar).value();
  const auto mask = [&] {
    const ValueId i = graph.add(Operation::kQueryIndex).value();
    const ValueId j = graph.add(Operation::kKeyIndex).value();
    return graph.add(Operation::kGreaterEqual, {i, j}).value();
  };
  const auto scores = [&] {
    const ValueId transposed = graph.add(Operation::kTranspose, {key}).value();
    const ValueId product = graph.add(Operation::kMatmul, {query, transposed}).value();
    return graph.add(Operation::kMultiply, {product, scale}).value();
  };
  ValueId allowed = -1, score = -1;
  for (int i = 0; i < (repeated ? 2 : 1); ++i) {
    if (mask_first)
      allowed = mask();
    score = scores();
    if (!mask_first)
      allowed = mask();
  }
  const ValueId nothing = graph.constant(-std::numeric_limits<float>::infinity());
  const ValueId masked = graph.add(Operation::kWhere, {allowed, score, nothing}).value();
  const ValueId softmax = graph.add(Operation::kSoftmax, {masked}).value();
  EXPECT_TRUE(graph.set_results({graph.add(Operation::kMatmul, {softmax, value}).value()}));
  return graph;
}

TEST(GraphText, CanonicalText) {
  EXPECT_EQ(causal(true, false).text(), kCausal);
}

TEST(GraphText, OrderOfEvaluationAndRepetitionDoNotShow) {
  EXPECT_EQ(causal(false, false).text(), kCausal);
  EXPECT_EQ(causal(true, true).text(), kCausal);
  EXPECT_EQ(causal(false, true).hash(), causal(true, false).hash());
}

TEST(GraphText, DeadNodesAreDroppedAndUnusedInputsStay) {
  Graph graph = causal(true, false);
  (void)graph.add(Operation::kExp, {0}).value();
  EXPECT_EQ(graph.text(), kCausal);
  (void)graph.add_input("unused", kMaskTensor).value();
  EXPECT_THAT(graph.text(), testing::HasSubstr("%scale: f32, %unused: tensor<*xi1>)"));
}

TEST(GraphText, RoundTrip) {
  const Result<Graph> parsed = Graph::parse(kCausal);
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_TRUE(parsed->verify());
  EXPECT_EQ(parsed->text(), kCausal);
}

/// One graph with every operation of the table, on tensors and on scalars wherever it takes them.
Graph everything() {
  Graph graph;
  std::vector<ValueId> operands_of[3][2];
  const ValueType types[] = {kRealTensor, kIndexTensor, kMaskTensor,
                             kRealScalar, kIndexScalar, kMaskScalar};
  std::vector<ValueId> inputs;
  for (const ValueType type : types)
    inputs.push_back(graph.add_input("i" + std::to_string(inputs.size()), type).value());
  std::vector<ValueId> tensors, scalars;
  for (const OperationInfo &info : operation_table()) {
    if (info.operation == Operation::kConstant)
      continue;
    // All combinations of operand types; the graph takes those that fit.
    const auto arity = static_cast<size_t>(std::min<int>(info.maximum_operands, 3));
    size_t combinations = 1;
    for (size_t i = 0; i < arity; ++i)
      combinations *= inputs.size();
    for (size_t c = 0; c < combinations; ++c) {
      std::vector<ValueId> operands;
      for (size_t i = 0, rest = c; i < arity; ++i, rest /= inputs.size())
        operands.push_back(inputs[rest % inputs.size()]);
      if (const auto value = graph.add(info.operation, operands))
        (graph.type(*value).scalar ? scalars : tensors).push_back(*value);
    }
  }
  // All of it in one result: every value is compared or converted, and taken into one sum.
  ValueId sum = graph.constant(1.5f);
  for (auto list : {scalars, tensors})
    for (const ValueId value : list)
      sum = graph.add(Operation::kAdd, {sum, graph.convert(value, ElementKind::kReal).value()})
                .value();
  EXPECT_TRUE(graph.set_results({sum}));
  return graph;
}

TEST(GraphText, EveryOperationGoesRound) {
  const Graph graph = everything();
  const std::string text = graph.text();
  for (const OperationInfo &info : operation_table())
    EXPECT_THAT(text, testing::HasSubstr("attention." + std::string(info.mnemonic) + " "));
  const Result<Graph> parsed = Graph::parse(text);
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parsed->text(), text);
  EXPECT_EQ(parsed->hash(), graph.hash());
}

TEST(GraphText, ConstantsKeepTheirBits) {
  for (const uint32_t bits :
       {0x00000000u, 0x80000000u, 0x00000001u, 0x7FC00001u, 0xFFFFFFFFu, 0x3DCCCCCDu}) {
    Graph graph;
    const ValueId input = graph.add_input("x", kRealTensor).value();
    const ValueId constant = graph.constant(std::bit_cast<float>(bits));
    ASSERT_TRUE(graph.set_results({graph.add(Operation::kAdd, {input, constant}).value()}));
    const Result<Graph> parsed = Graph::parse(graph.text());
    ASSERT_TRUE(parsed) << parsed.error().message();
    EXPECT_EQ(parsed->text(), graph.text());
    char literal[16];
    std::snprintf(literal, sizeof literal, "0x%08X", bits);
    EXPECT_THAT(graph.text(), testing::HasSubstr(literal));
  }
}

TEST(GraphText, ZerosOfBothSignsAreTwoConstants) {
  Graph graph;
  const ValueId input = graph.add_input("x", kRealTensor).value();
  const ValueId a = graph.add(Operation::kDivide, {input, graph.constant(0.0f)}).value();
  const ValueId b = graph.add(Operation::kDivide, {input, graph.constant(-0.0f)}).value();
  ASSERT_TRUE(graph.set_results({a, b}));
  EXPECT_EQ(graph.canonical().nodes().size(), 5u);
}

TEST(GraphText, ScalarIntegerAndFloatOfEqualBitsAreTwoConstants) {
  Graph graph;
  const ValueId input = graph.add_input("x", kRealTensor).value();
  const ValueId one = graph.convert(graph.constant(0x3F800000), ElementKind::kReal).value();
  const ValueId sum = graph.add(Operation::kAdd, {one, graph.constant(1.0f)}).value();
  ASSERT_TRUE(graph.set_results({graph.add(Operation::kAdd, {input, sum}).value()}));
  EXPECT_THAT(graph.text(), testing::AllOf(testing::HasSubstr("constant 1065353216 : i32"),
                                           testing::HasSubstr("constant 0x3F800000 : f32")));
}

TEST(GraphText, HashIsOfTheText) {
  // XXH3-128 of the text above, as `xxhsum -H128` prints it: fixed, so that a cache made by one
  // build is found by another.
  EXPECT_EQ(causal(true, false).hash(), "36761bfb63352eb583c95875c3be845d");
  EXPECT_EQ(causal(true, false).hash(), Graph::parse(kCausal).value().hash());
  Graph other = causal(true, false);
  ASSERT_TRUE(other.set_results({other.results()[0], other.results()[0]}));
  EXPECT_NE(other.hash(), causal(true, false).hash());
}

TEST(GraphText, TwoResults) {
  Graph graph;
  const ValueId x = graph.add_input("x", kRealTensor).value();
  const ValueId sums = graph.add(Operation::kLogsumexp, {x}).value();
  ASSERT_TRUE(graph.set_results({x, sums}));
  EXPECT_EQ(graph.text(),
            "func.func @attention(%x: tensor<*xf32>) -> (tensor<*xf32>, tensor<*xf32>) {\n"
            "  %0 = attention.logsumexp %x : tensor<*xf32>\n"
            "  return %x, %0 : tensor<*xf32>, tensor<*xf32>\n"
            "}\n");
  EXPECT_EQ(Graph::parse(graph.text()).value().text(), graph.text());
}

TEST(GraphText, LongChainsNeedNoStack) {
  Graph graph;
  ValueId value = graph.add_input("x", kRealTensor).value();
  for (int i = 0; i < 300000; ++i)
    value = graph.add(Operation::kNegate, {value}).value();
  ASSERT_TRUE(graph.set_results({value}));
  const std::string text = graph.text();
  EXPECT_EQ(Graph::parse(text).value().text(), text);
}

} // namespace
} // namespace tenon
