#include "EmptyKernel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tenon {
namespace {

using ::testing::HasSubstr;

Value attention(Value query, Value key, Value value) {
  return matmul(softmax(matmul(query, transpose(key))), value);
}

TEST(Tracing, WritesTheGraphOfTheLambda) {
  const float scale = 0.5f;
  const auto function = compile([&](Value query, Value key, Value value) {
    Value scores = matmul(query, transpose(key)) * scale;
    scores = where(query_index() >= key_index(), scores, -inf);
    return matmul(softmax(scores), value);
  });
  ASSERT_TRUE(function.ok()) << function.error().message();
  const std::string text = function->graph_text();
  EXPECT_THAT(text, HasSubstr("%query: tensor<*xf32>, %key: tensor<*xf32>, %value: tensor<*xf32>"));
  EXPECT_THAT(text, HasSubstr("attention.constant 0x3F000000 : f32")); // frozen
  EXPECT_THAT(text, HasSubstr("attention.greater_equal"));
  EXPECT_TRUE(Graph::parse(text).ok());
}

TEST(Tracing, IndicesThatMeetRealsAreConverted) {
  const auto function = compile([](Value query, Value key, Value value) {
    return matmul(softmax(matmul(query, transpose(key)) + 0.5 * (key_index() - query_index())),
                  value);
  });
  ASSERT_TRUE(function.ok()) << function.error().message();
  EXPECT_THAT(function->graph_text(), HasSubstr("attention.convert"));
  EXPECT_THAT(function->graph_text(), HasSubstr("attention.subtract"));
}

TEST(Tracing, IntegersStayIndicesAmongIndices) {
  const auto function = compile([](Value query, Value key, Value value) {
    const Value same_block = query_index() / 16 == key_index() / 16 && key_index() % 2 == 0;
    return matmul(softmax(where(same_block, matmul(query, transpose(key)), -inf)), value);
  });
  ASSERT_TRUE(function.ok()) << function.error().message();
  EXPECT_THAT(function->graph_text(), HasSubstr("attention.floor_divide"));
  EXPECT_THAT(function->graph_text(), HasSubstr("attention.modulo"));
  EXPECT_THAT(function->graph_text(), ::testing::Not(HasSubstr("attention.convert")));
}

TEST(Tracing, EveryFunctionIsAnOperation) {
  const auto function = compile([](Value q, Value k, Value v) {
    Value s = matmul(q, transpose(k));
    s = exp(s) + exp2(s) + log(s) + tanh(s) + sqrt(s) + rsqrt(s) + abs(s) + sigmoid(s) + erf(s);
    s = s + sin(s) + cos(s) + floor(s) + pow(s, 2) + min(s, 1) + max(s, 0) + to_real(to_index(s)) -
        (-s) / 3;
    s += to_real(!(query_index() < key_index()) || batch_index() > 0);
    s = where(query_length() <= key_length(), s, head_index());
    return matmul(dropout(softmax(s), 0.1), v);
  });
  ASSERT_TRUE(function.ok()) << function.error().message();
  for (const char *name :
       {"exp ",  "exp2",         "log ",       "tanh",       "sqrt",        "rsqrt",
        "abs",   "sigmoid",      "erf",        "sin",        "cos",         "floor",
        "power", "minimum",      "maximum",    "convert",    "negate",      "not",
        "or",    "query_length", "key_length", "head_index", "batch_index", "dropout"})
    EXPECT_THAT(function->graph_text(), HasSubstr("attention." + std::string(name))) << name;
}

TEST(Tracing, TheFirstErrorIsKeptAndReturned) {
  const auto function = compile([](Value query, Value key, Value value) {
    const Value wrong = (query_index() >= key_index()) + 1.5; // a mask is no number
    return matmul(softmax(matmul(query, transpose(key)) + wrong), value) && wrong;
  });
  ASSERT_FALSE(function.ok());
  EXPECT_THAT(function.error().message(), HasSubstr("add"));
}

TEST(Tracing, ValuesOfNowhereArePoison) {
  const Value outside = query_index();
  const auto function =
      compile([&](Value q, Value k, Value v) { return attention(q, k, v) * to_real(outside); });
  ASSERT_FALSE(function.ok());
  EXPECT_THAT(function.error().message(), HasSubstr("outside of tenon::compile"));
}

TEST(Tracing, ValuesOfAnotherTracingArePoison) {
  Value escaped;
  ASSERT_TRUE(
      compile([&](Value q, Value k, Value v) { return escaped = attention(q, k, v); }).ok());
  const auto function =
      compile([&](Value q, Value k, Value v) { return attention(q, k, v) + escaped; });
  ASSERT_FALSE(function.ok());
  EXPECT_THAT(function.error().message(), HasSubstr("another tracing"));
}

TEST(Tracing, WrongConstantsAreErrors) {
  const auto dropped = compile([](Value q, Value k, Value v) {
    return matmul(dropout(softmax(matmul(q, transpose(k))), 1.5), v);
  });
  ASSERT_FALSE(dropped.ok());
  EXPECT_EQ(dropped.error().argument(), "dropout");
  const auto large = compile([](Value q, Value k, Value v) {
    return matmul(softmax(where(key_index() < int64_t{1} << 33, matmul(q, transpose(k)), -inf)), v);
  });
  ASSERT_FALSE(large.ok());
  EXPECT_THAT(large.error().message(), HasSubstr("32 bits"));
}

TEST(Tracing, LambdasOfOneToEightParameters) {
  EXPECT_TRUE(compile([](Value a) { return softmax(a); }).ok());
  const auto eight =
      compile([](Value a, Value b, Value c, Value d, Value e, Value f, Value g, Value h) {
        return matmul(softmax(matmul(a, transpose(b)) + d + e + f + g + h), c);
      });
  ASSERT_TRUE(eight.ok()) << eight.error().message();
  EXPECT_THAT(eight->graph_text(), HasSubstr("%input7: tensor<*xf32>"));
  EXPECT_TRUE(compile([](auto q, auto k, auto v) { return attention(q, k, v); }).ok());
  EXPECT_TRUE(compile(attention).ok());
}

TEST(Tracing, ParametersSayWhatTheyAre) {
  const auto function = compile(
      [](Value q, Value k, Value v, Mask mask, Index document, Scalar scale, IndexScalar window) {
        Value scores = matmul(q, transpose(k)) * scale;
        const Value same = load(document, query_index()) == load(document, key_index());
        scores = where(mask && same && query_index() - key_index() < window, scores, -inf);
        return std::tuple(matmul(softmax(scores), v), logsumexp(scores));
      },
      {.inputs = {"query", "key", "value", "mask", "document", "scale", "window"}});
  ASSERT_TRUE(function.ok()) << function.error().message();
  EXPECT_THAT(
      function->graph_text(),
      HasSubstr("%mask: tensor<*xi1>, %document: tensor<*xi32>, %scale: f32, %window: i32"));
  EXPECT_EQ(function->graph().results().size(), 2u);
}

TEST(Tracing, NamesMustBeIdentifiersAndAsManyAsParameters) {
  EXPECT_FALSE(compile(attention, {.inputs = {"query", "key"}}).ok());
  EXPECT_FALSE(compile(attention, {.inputs = {"query", "key", "key"}}).ok());
  EXPECT_FALSE(compile(attention, {.inputs = {"query", "key", "not a name"}}).ok());
}

TEST(Tracing, ACapturedTableHasADimensionForEachIndex) {
  const Tensor slopes = test::random({4}, 1);
  const auto function = compile([&](Value q, Value k, Value v) {
    return matmul(softmax(matmul(q, transpose(k)) + load(slopes, head_index(), key_index())), v);
  });
  ASSERT_FALSE(function.ok());
  EXPECT_EQ(function.error().message(),
            "load: was 2 indices, must be one for each dimension of the table, which has 1");
}

TEST(Tracing, OneTableIsCapturedOnce) {
  const Tensor slopes = test::random({4}, 1);
  const auto function = compile([&](Value q, Value k, Value v) {
    const Value scores =
        matmul(q, transpose(k)) + load(slopes, head_index()) * load(slopes, head_index() + 0);
    return matmul(softmax(scores), v);
  });
  ASSERT_TRUE(function.ok()) << function.error().message();
  EXPECT_EQ(function->graph().inputs().size(), 4u);
  const auto no_table =
      compile([&](Value q, Value k, Value v) { return attention(q, k, v) + load(q * 2, 0); });
  EXPECT_FALSE(no_table.ok());
}

} // namespace
} // namespace tenon
