#include "tenon/Graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

namespace tenon {
namespace {

using testing::HasSubstr;

constexpr const char *kHead =
    "func.func @attention(%a: tensor<*xf32>, %n: i32) -> tensor<*xf32> {\n";
constexpr const char *kTail = "  return %a : tensor<*xf32>\n}\n";

TEST(GraphParser, FreeSpaceCommentsNamesAndModule) {
  const Result<Graph> graph = Graph::parse(R"(
// Scores of a query.
module @library {
  func.func private @scores ( %0 : tensor < * x f32 > , %arg1:tensor<*xf32>)
      -> (tensor<*xf32>) {   // one result
    %key_transposed = attention.transpose %arg1 : tensor<*xf32>
    %a-b = attention.matmul %0,%key_transposed:tensor<*xf32>
    %half = attention.constant 5.0e-01 : f32
    %scaled = attention.multiply %a-b, %half : (tensor<*xf32>, f32)->tensor<*xf32>
    func.return %scaled : tensor<*xf32>
  }
})");
  ASSERT_TRUE(graph) << graph.error().message();
  EXPECT_EQ(graph->text(),
            "func.func @attention(%arg0: tensor<*xf32>, %arg1: tensor<*xf32>) -> tensor<*xf32> {\n"
            "  %0 = attention.transpose %arg1 : tensor<*xf32>\n"
            "  %1 = attention.matmul %arg0, %0 : tensor<*xf32>\n"
            "  %2 = attention.constant 0x3F000000 : f32\n"
            "  %3 = attention.multiply %1, %2 : (tensor<*xf32>, f32) -> tensor<*xf32>\n"
            "  return %3 : tensor<*xf32>\n"
            "}\n");
}

TEST(GraphParser, ArgumentsNamedByNumberGetNamesThatNoOtherHas) {
  const Result<Graph> graph =
      Graph::parse("func.func @f(%0: f32, %arg0: f32, %1: tensor<*xf32>) -> tensor<*xf32> {"
                   " return %1 : tensor<*xf32> }");
  ASSERT_TRUE(graph) << graph.error().message();
  EXPECT_EQ(graph->inputs()[0].name, "arg0_");
  EXPECT_EQ(graph->inputs()[1].name, "arg0");
  EXPECT_EQ(graph->inputs()[2].name, "arg1");
}

TEST(GraphParser, TheTypeOfMatmulMayBeWrittenInFull) {
  const Result<Graph> graph =
      Graph::parse(std::string(kHead)
                       .append("%t = attention.transpose %a : (tensor<*xf32>) -> tensor<*xf32>\n")
                       .append(kTail));
  EXPECT_TRUE(graph) << graph.error().message();
}

struct Literal {
  const char *text;
  uint32_t bits;
};

TEST(GraphParser, Literals) {
  const auto payload = [](const std::string &literal) -> std::optional<uint32_t> {
    const Result<Graph> graph =
        Graph::parse(std::string(kHead) + "%c = attention.constant " + literal + "\n" + kTail);
    return graph ? std::optional(graph->node(2).payload) : std::nullopt;
  };
  for (const Literal &good : {Literal{"1 : f32", 0x3F800000},
                              {"-1.0 : f32", 0xBF800000},
                              {"+2.5e-1 : f32", 0x3E800000},
                              {"0.1 : f32", 0x3DCCCCCD},
                              {"1.00000006 : f32", 0x3F800001},
                              {"0xFF800000 : f32", 0xFF800000},
                              {"0x1 : f32", 1},
                              {"1e-45 : f32", 1},
                              {"-.5 : f32", 0xBF000000},
                              {"-1 : i32", 0xFFFFFFFF},
                              {"2147483647 : i32", 0x7FFFFFFF},
                              {"-2147483648 : i32", 0x80000000},
                              {"0xffffffff : i32", 0xFFFFFFFF}})
    EXPECT_EQ(payload(good.text), good.bits) << good.text;
  for (const char *bad :
       {"2147483648 : i32", "-2147483649 : i32", "1.0 : i32", "1e39 : f32", "0x100000000 : f32",
        "0x : f32", "1.2.3 : f32", "1f : f32", "--1 : i32", "inf : f32", "nan : f32", "1 : i1",
        "1 : tensor<*xf32>", "1", ": f32", "1e : f32", "0x1p3 : f32"})
    EXPECT_EQ(payload(bad), std::nullopt) << bad;
}

struct ParseError {
  std::string text;
  const char *place, *actual, *expected;
};

TEST(GraphParser, ErrorsHaveLineAndColumn) {
  const std::string head = kHead, tail = kTail;
  const ParseError cases[] = {
      {"", "1:1", "the end of the text", "'func.func'"},
      {"// only a comment", "1:18", "the end of the text", "'func.func'"},
      {"func", "1:1", "\"func\"", "'func.func'"},
      {"func.func attention(", "1:11", "\"attention\"", "a symbol name such as @attention"},
      {"func.func @f(%a tensor", "1:17", "\"tensor\"", "':'"},
      {"func.func @f(%a: tensor<2xf32>", "1:25", "\"2xf32\"", "'*'"},
      {"func.func @f(%a: tensor<*xf16>", "1:26", "\"xf16\"", "an element type: f32, i32 or i1"},
      {"func.func @f(%a: f64)", "1:18", "\"f64\"",
       "a type: tensor<*xf32>, tensor<*xi32>, tensor<*xi1>, f32, i32 or i1"},
      {"func.func @f(%a: f32, %a: f32)", "1:23", "name of an input of \"a\"",
       "a name that no other input has"},
      {"func.func @f(a: f32)", "1:14", "\"a\"", "an argument such as %query"},
      {head, "2:1", "the end of the text", "an operation or 'return'"},
      {head + "  %0 = arith.addf %a, %a\n", "2:8", "\"arith.addf\"",
       "an operation such as attention.matmul"},
      {head + "  %0 = attention.fly %a\n", "2:8", "\"attention.fly\"",
       "an operation of the attention dialect"},
      {head + "  %0 = attention.input\n", "2:8", "\"attention.input\"",
       "an operation of the attention dialect"},
      {head + "  %0 = attention.exp %b : tensor<*xf32>\n", "2:22", "\"%b\"",
       "a value that is defined before"},
      {head + "  %0 = attention.exp : tensor<*xf32>\n", "2:22", "\":\"", "a value such as %0"},
      {head + "  %0 = attention.exp %n : i32\n", "2:8", "operand 0 of attention.exp of i32",
       "tensor<*xf32> or f32"},
      {head + "  %0 = attention.exp %a : f32\n", "2:27", "f32", "tensor<*xf32>"},
      {head + "  %0 = attention.add %a, %a : tensor<*xf32>\n", "2:31", "\"tensor\"", "'('"},
      {head + "  %0 = attention.add %a, %a : (tensor<*xf32>, f32) -> tensor<*xf32>\n", "2:47",
       "f32", "tensor<*xf32>"},
      {head + "  %0 = attention.matmul %a, %a, %a : tensor<*xf32>\n", "2:8",
       "operands of attention.matmul of 3", "2"},
      {head + "  %0 = attention.load %a, %n\n", "2:25", "\",\"", "'['"},
      {head + "  %0 = attention.load %a[%n, %n, %n, %n, %n] :", "2:8",
       "operands of attention.load of 6", "2 to 5"},
      {head + "  %0 = attention.constant 1.5 : i32\n", "2:27", "\"1.5\"",
       "an integer of 32 bits: decimal, or 0x and up to 8 hex digits"},
      {head + "  %0 = attention.constant 1 : i1\n", "2:31", "i1", "f32 or i32"},
      {head + "  %a = attention.key_index : tensor<*xi32>\n", "2:3", "%a, which is defined already",
       "a new name"},
      {head + "  return %n : i32\n}", "2:3", "result 0 of i32", "a tensor"},
      {head + "  return : tensor<*xf32>\n}", "2:10", "\":\"", "a value such as %0"},
      {head + "  return %a : tensor<*xi32>\n}", "2:15", "tensor<*xi32>", "tensor<*xf32>"},
      {head + "  return %a, %a : tensor<*xf32>, tensor<*xf32>\n}", "1:50",
       "a list of types that is not that of return", "the types of what is returned"},
      {head + tail + "}", "4:1", "\"}\"", "the end of the text"},
      {"module {\n" + head + tail, "5:1", "the end of the text", "'}'"},
      {"\xff\xfe", "1:1", "\"\\xFF\"", "'func.func'"},
      {std::string("func.func @f\0", 13), "1:13", "\"\\x00\"", "'('"},
  };
  for (const ParseError &test : cases) {
    const Result<Graph> graph = Graph::parse(test.text);
    ASSERT_FALSE(graph) << test.text;
    EXPECT_EQ(graph.error().argument(), test.place) << test.text;
    EXPECT_EQ(graph.error().actual(), test.actual) << test.text;
    EXPECT_EQ(graph.error().expected(), test.expected) << test.text;
  }
}

/// No prefix, no single change of a byte and no shuffling of pieces crashes; what is accepted goes
/// round.
TEST(GraphParser, DamagedTextIsRefusedOrGoesRound) {
  const std::string text =
      "module { func.func @attention(%query: tensor<*xf32>, %table: tensor<*xf32>) -> "
      "tensor<*xf32> {\n"
      "  %0 = attention.key_index : tensor<*xi32>\n"
      "  %1 = attention.load %table[%0, %0] : (tensor<*xf32>, tensor<*xi32>, tensor<*xi32>) -> "
      "tensor<*xf32>\n"
      "  %2 = attention.constant -0.5e1 : f32\n"
      "  %3 = attention.multiply %1, %2 : (tensor<*xf32>, f32) -> tensor<*xf32>\n"
      "  return %3 : tensor<*xf32> // end\n}}";
  ASSERT_TRUE(Graph::parse(text));
  int accepted = 0;
  const auto check = [&](const std::string &damaged) {
    if (const Result<Graph> graph = Graph::parse(damaged)) {
      ++accepted;
      const std::string canonical = graph->text();
      const Result<Graph> again = Graph::parse(canonical);
      ASSERT_TRUE(again) << canonical << again.error().message();
      EXPECT_EQ(again->text(), canonical);
    } else {
      EXPECT_THAT(graph.error().argument(), testing::MatchesRegex("[0-9]+:[0-9]+"));
    }
  };
  for (size_t i = 0; i < text.size(); ++i)
    check(text.substr(0, i));
  std::mt19937 random(20240607);
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = text;
    for (int changes = 1 + static_cast<int>(random() % 3); changes > 0; --changes) {
      const size_t at = random() % damaged.size(), from = random() % damaged.size();
      switch (random() % 3) {
      case 0:
        damaged[at] = static_cast<char>(random());
        break;
      case 1:
        damaged.erase(at, random() % 8);
        break;
      default:
        damaged.insert(at, damaged.substr(from, random() % 16));
      }
    }
    check(damaged);
  }
  EXPECT_GT(accepted, 100) << "some damage is harmless: names, spaces, comments";
}

} // namespace
} // namespace tenon
