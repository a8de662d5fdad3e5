#include "tenon/ShapeInference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace tenon {
namespace {

using testing::ElementsAre;

Graph parse(const std::string &body, const std::string &arguments,
            const std::string &results = "tensor<*xf32>") {
  Result<Graph> graph = Graph::parse("func.func @attention(" + arguments + ") -> (" + results +
                                     ") {\n" + body + "}\n");
  EXPECT_TRUE(graph) << graph.error().message();
  return std::move(*graph);
}

/// Attention with a mask, and its logsumexp.
Graph attention() {
  return parse(
      "%0 = attention.transpose %key : tensor<*xf32>\n"
      "%1 = attention.matmul %query, %0 : tensor<*xf32>\n"
      "%2 = attention.constant 0xFF800000 : f32\n"
      "%3 = attention.where %mask, %1, %2 : (tensor<*xi1>, tensor<*xf32>, f32) -> tensor<*xf32>\n"
      "%4 = attention.softmax %3 : tensor<*xf32>\n"
      "%5 = attention.matmul %4, %value : tensor<*xf32>\n"
      "%6 = attention.logsumexp %3 : tensor<*xf32>\n"
      "return %5, %6 : tensor<*xf32>, tensor<*xf32>\n",
      "%query: tensor<*xf32>, %key: tensor<*xf32>, %value: tensor<*xf32>, %mask: tensor<*xi1>",
      "tensor<*xf32>, tensor<*xf32>");
}

TEST(ShapeInference, Attention) {
  const std::vector<Shape> inputs{{2, 8, 5, 64}, {2, 2, 7, 64}, {2, 2, 7, 32}, {5, 7}};
  const auto shapes = infer_all_shapes(attention(), inputs);
  ASSERT_TRUE(shapes) << shapes.error().message();
  EXPECT_THAT(shapes->results, ElementsAre(ElementsAre(2, 8, 5, 32), ElementsAre(2, 8, 5)));
  EXPECT_EQ(shapes->scores, (ValueShape{2, 8, 5, 7}));
}

TEST(ShapeInference, MasksBroadcast) {
  for (const Shape &mask :
       {Shape{}, {7}, {5, 1}, {1, 1, 5, 7}, {2, 1, 1, 7}, {8, 1, 1}, {2, 8, 5, 7}}) {
    const std::vector<Shape> inputs{{2, 8, 5, 64}, {2, 8, 7, 64}, {2, 8, 7, 32}, mask};
    const auto shapes = infer_all_shapes(attention(), inputs);
    ASSERT_TRUE(shapes) << shapes.error().message();
    EXPECT_EQ(shapes->scores, (ValueShape{2, 8, 5, 7}));
  }
}

TEST(ShapeInference, EmptyDimensions) {
  for (const auto &[batch, queries, keys] :
       {std::array{0, 5, 7}, {2, 0, 7}, {2, 5, 0}, {0, 0, 0}}) {
    const std::vector<Shape> inputs{
        {batch, 8, queries, 64}, {batch, 8, keys, 64}, {batch, 8, keys, 64}, {1, 1}};
    const auto shapes = infer_all_shapes(attention(), inputs);
    ASSERT_TRUE(shapes) << shapes.error().message();
    EXPECT_THAT(shapes->results[0], ElementsAre(batch, 8, queries, 64));
  }
}

struct Misfit {
  std::vector<Shape> inputs;
  const char *message;
};

TEST(ShapeInference, MisfitsNameTheInput) {
  const Misfit cases[] = {
      {{{2, 8, 5, 64}, {2, 8, 7, 32}, {2, 8, 7, 32}, {1}},
       "key: was width 32 in [2, 8, 7, 32], must be width 64, the width of query"},
      {{{2, 8, 5, 64}, {2, 8, 7, 64}, {2, 8, 9, 32}, {1}},
       "value: was rows 9 in [2, 8, 9, 32], must be rows 7, the rows of key"},
      {{{2, 8, 5, 64}, {2, 3, 7, 64}, {2, 3, 7, 64}, {1}},
       "key: was heads 3 in [2, 3, 7, 64], must be a divisor of 8, the heads of query"},
      {{{2, 8, 5, 64}, {2, 8, 7, 64}, {2, 16, 7, 64}, {1}},
       "value: was heads 16 in [2, 16, 7, 64], must be a divisor of 8, the heads of query"},
      {{{2, 8, 5, 64}, {2, 0, 7, 64}, {2, 8, 7, 64}, {1}},
       "key: was heads 0 in [2, 0, 7, 64], must be a divisor of 8, the heads of query"},
      {{{2, 8, 5, 64}, {3, 8, 7, 64}, {2, 8, 7, 64}, {1}},
       "key: was batch 3 in [3, 8, 7, 64], must be batch 1 or 2, the batch of query"},
      {{{2, 8, 5, 64}, {2, 8, 7, 64}, {2, 8, 7, 64}, {5, 6}},
       "mask: was width 6 in [5, 6], must be width 1 or 7, the rows of key"},
      {{{2, 8, 5, 64}, {2, 8, 7, 64}, {2, 8, 7, 64}, {4, 7}},
       "mask: was rows 4 in [4, 7], must be rows 1 or 5, the rows of query"},
      {{{2, 8, 5, 64}, {2, 8, 7, 64}, {2, 8, 7, 64}, {2, 2, 1, 1}},
       "mask: was heads 2 in [2, 2, 1, 1], must be heads 1 or 8, the heads of query"},
      {{{1, 2, 8, 5, 64}, {2, 8, 7, 64}, {2, 8, 7, 64}, {1}},
       "query: was 5 dimensions, must be at most 4"},
      {{{2, 8, 5, 64}, {2, 8, 7, 64}, {2, 8, 7, 64}, {int64_t{1} << 31, 1}},
       "mask: was sizes [2147483648, 1], must be sizes from 0 to 2147483647"},
      {{{2, 8, 5, 64}}, "inputs: was 1, must be 4, those of the graph"},
  };
  for (const Misfit &test : cases) {
    const auto shapes = infer_all_shapes(attention(), test.inputs);
    ASSERT_FALSE(shapes) << test.message;
    EXPECT_EQ(shapes.error().message(), test.message);
  }
}

TEST(ShapeInference, ScalarsAndTables) {
  const Graph graph = parse(
      "%0 = attention.head_index : tensor<*xi32>\n"
      "%1 = attention.load %slopes[%0] : (tensor<*xf32>, tensor<*xi32>) -> tensor<*xf32>\n"
      "%2 = attention.multiply %scores, %1 : (tensor<*xf32>, tensor<*xf32>) -> tensor<*xf32>\n"
      "%3 = attention.multiply %2, %scale : (tensor<*xf32>, f32) -> tensor<*xf32>\n"
      "%4 = attention.softmax %3 : tensor<*xf32>\n"
      "return %4 : tensor<*xf32>\n",
      "%scores: tensor<*xf32>, %slopes: tensor<*xf32>, %scale: f32");
  const auto message = [&](const std::vector<Shape> &inputs) {
    const auto shapes = infer_all_shapes(graph, inputs);
    return shapes ? std::string() : shapes.error().message();
  };
  EXPECT_EQ(message({{2, 8, 5, 7}, {8}, {}}), "");
  EXPECT_EQ(message({{2, 8, 5, 7}, {3}, {}}), "") << "indices are clamped: any size will do";
  EXPECT_EQ(message({{2, 8, 5, 7}, {8, 1}, {}}),
            "slopes: was sizes [8, 1], must be a table of 1 dimension, as many as attention.load "
            "has indices");
  EXPECT_EQ(message({{2, 8, 5, 7}, {0}, {}}),
            "slopes: was sizes [0], must be a table with elements to load");
  EXPECT_EQ(message({{2, 8, 5, 7}, {8}, {1}}),
            "scale: was a tensor of sizes [1], must be a scalar, a tensor of rank 0");
}

TEST(ShapeInference, ScoreSpaceWithoutSoftmaxIsTheLargestProduct) {
  const Graph graph =
      parse("%0 = attention.key_index : tensor<*xi32>\n"
            "%1 = attention.convert %0 : (tensor<*xi32>) -> tensor<*xf32>\n"
            "%2 = attention.transpose %key : tensor<*xf32>\n"
            "%3 = attention.matmul %query, %2 : tensor<*xf32>\n"
            "%4 = attention.multiply %3, %1 : (tensor<*xf32>, tensor<*xf32>) -> tensor<*xf32>\n"
            "%5 = attention.matmul %4, %value : tensor<*xf32>\n"
            "return %5 : tensor<*xf32>\n",
            "%query: tensor<*xf32>, %key: tensor<*xf32>, %value: tensor<*xf32>");
  const std::vector<Shape> inputs{{2, 8, 5, 4}, {2, 8, 7, 4}, {2, 8, 7, 4}};
  const auto shapes = infer_all_shapes(graph, inputs);
  ASSERT_TRUE(shapes) << shapes.error().message();
  EXPECT_EQ(shapes->scores, (ValueShape{2, 8, 5, 7}));
  EXPECT_THAT(shapes->results[0], ElementsAre(2, 8, 5, 4));
}

TEST(ShapeInference, WithoutScoresNobodyCanSpeakOfThem) {
  const Graph graph =
      parse("%0 = attention.key_index : tensor<*xi32>\n return %0 : tensor<*xi32>\n",
            "%a: tensor<*xf32>", "tensor<*xi32>");
  const std::vector<Shape> inputs{{2, 3}};
  const auto shapes = infer_all_shapes(graph, inputs);
  ASSERT_FALSE(shapes);
  EXPECT_EQ(shapes.error().argument(), "attention.key_index");
}

TEST(ShapeInference, TwoScoreSpacesAreAnErrorOnlyWhereSpokenOf) {
  const std::string softmaxes = "%0 = attention.softmax %a : tensor<*xf32>\n"
                                "%1 = attention.softmax %b : tensor<*xf32>\n"
                                "%2 = attention.matmul %0, %1 : tensor<*xf32>\n";
  const std::vector<Shape> inputs{{3, 4}, {4, 5}};
  const auto silent = infer_all_shapes(
      parse(softmaxes + "return %2 : tensor<*xf32>\n", "%a: tensor<*xf32>, %b: tensor<*xf32>"),
      inputs);
  ASSERT_TRUE(silent) << silent.error().message();
  EXPECT_EQ(silent->scores, std::nullopt);
  const auto spoken = infer_all_shapes(
      parse(softmaxes + "%3 = attention.key_length : i32\n"
                        "%4 = attention.convert %3 : (i32) -> f32\n"
                        "%5 = attention.multiply %2, %4 : (tensor<*xf32>, f32) -> tensor<*xf32>\n"
                        "return %5 : tensor<*xf32>\n",
            "%a: tensor<*xf32>, %b: tensor<*xf32>"),
      inputs);
  ASSERT_FALSE(spoken);
  EXPECT_THAT(spoken.error().message(), testing::HasSubstr("[1, 1, 3, 4] and [1, 1, 4, 5]"));
}

TEST(ShapeInference, WhatIsComputedFromLogsumexpAloneHasItsRank) {
  const Graph graph =
      parse("%0 = attention.logsumexp %a : tensor<*xf32>\n"
            "%1 = attention.constant 2.0 : f32\n"
            "%2 = attention.multiply %0, %1 : (tensor<*xf32>, f32) -> tensor<*xf32>\n"
            "%3 = attention.subtract %a, %0 : (tensor<*xf32>, tensor<*xf32>) -> tensor<*xf32>\n"
            "return %2, %3 : tensor<*xf32>, tensor<*xf32>\n",
            "%a: tensor<*xf32>", "tensor<*xf32>, tensor<*xf32>");
  const std::vector<Shape> inputs{{2, 3, 4, 5}};
  EXPECT_THAT(infer_all_shapes(graph, inputs)->results,
              ElementsAre(ElementsAre(2, 3, 4), ElementsAre(2, 3, 4, 5)));
}

} // namespace
} // namespace tenon
