#include "tenon/Signature.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tenon {
namespace {

using ::testing::HasSubstr;

Signature sample() {
  Signature signature;
  signature.inputs = {{"query", DataType::kFloat16, 64, Layout::kAligned},
                      {"bias \"quoted\"", DataType::kFloat32, 0, Layout::kStrided}};
  signature.output = DataType::kBFloat16;
  signature.group = 4;
  return signature;
}

TEST(Signature, TextIsOneLineInAFixedOrder) {
  EXPECT_EQ(sample().text(),
            R"({"inputs":[{"name":"query","dtype":"f16","width":64,"layout":"aligned"},)"
            R"({"name":"bias \"quoted\"","dtype":"f32","width":0,"layout":"strided"}],)"
            R"("output":"bf16","group":4})");
}

TEST(Signature, TextReadsBack) {
  Signature signature = sample();
  EXPECT_EQ(Signature::parse(signature.text()).value(), signature);
  signature.exact = ExactShape{1, 8, 2, 512, 4096};
  EXPECT_THAT(signature.text(), HasSubstr(R"("exact":{"batch":1,"heads":8,"key_heads":2,)"
                                          R"("query_length":512,"key_length":4096})"));
  EXPECT_EQ(Signature::parse(signature.text()).value(), signature);
  signature.queries = QueryLengths::kFew;
  signature.tf32 = true;
  EXPECT_THAT(signature.text(), HasSubstr(R"("group":4,"queries":"few","tf32":true,"exact")"));
  EXPECT_EQ(Signature::parse(signature.text()).value(), signature);
  EXPECT_EQ(Signature::parse(Signature{}.text()).value(), Signature{});
}

TEST(Signature, WhatIsWrongIsNamed) {
  struct Case {
    const char *text, *message;
  };
  const Case cases[] = {
      {"", "not JSON"},
      {"[]", "must be an object"},
      {R"({"inputs":{},"output":"f32","group":1})", "\"inputs\" must be an array"},
      {R"({"inputs":[7],"output":"f32","group":1})", "input 0 must be an object"},
      {R"({"inputs":[{"name":"q"}],"output":"f32","group":1})", "input 0 has no \"dtype\""},
      {R"({"inputs":[],"output":"f31","group":1})", "f31"},
      {R"({"inputs":[],"output":"f32","group":0})", "\"group\" must be an integer from 1"},
      {R"({"inputs":[],"output":"f32","group":18446744073709551615})",
       "\"group\" must be an integer"},
      {R"({"inputs":[],"output":"f32","group":1.5})", "\"group\" must be an integer"},
      {R"({"inputs":[],"output":"f32","group":1,"exact":{"batch":1}})", "has no \"heads\""},
      {R"({"inputs":[],"output":"f32","group":1,"queries":"two"})", "must be any, few or many"},
      {R"({"inputs":[],"output":"f32","group":1,"tf32":1})", "\"tf32\" must be true or false"},
      {R"({"inputs":[],"output":"f32","group":1,"exakt":{}})", "unknown key \"exakt\""},
      {R"({"inputs":[{"name":"q","dtype":"f16","width":8,"layout":"x"}],"output":"f32","group":1})",
       "must be aligned, rows or strided"},
  };
  for (const Case &each : cases) {
    Result<Signature> signature = Signature::parse(each.text);
    ASSERT_FALSE(signature) << each.text;
    EXPECT_EQ(signature.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(signature.error().message(), HasSubstr(each.message));
  }
}

Tensor wrap(void *data, Shape shape, std::vector<int64_t> strides,
            DataType dtype = DataType::kFloat16) {
  return Tensor::wrap(data, std::move(shape), std::move(strides), dtype).value();
}

TEST(Layout, OfATensor) {
  alignas(64) static char memory[4096];
  EXPECT_EQ(layout_of(wrap(memory, {2, 3, 8}, {24, 8, 1})), Layout::kAligned);
  EXPECT_EQ(layout_of(wrap(memory, {2, 3, 8}, {27, 9, 1})), Layout::kRows);
  EXPECT_EQ(layout_of(wrap(memory, {2, 3, 8}, {24, 1, 3})), Layout::kStrided);
  EXPECT_EQ(layout_of(wrap(memory + 2, {2, 3, 8}, {24, 8, 1})), Layout::kRows)
      << "a base off by 2 bytes";
  EXPECT_EQ(layout_of(wrap(memory, {2, 3, 4}, {12, 4, 1}, DataType::kFloat32)), Layout::kAligned);
  EXPECT_EQ(layout_of(wrap(memory, {2, 3, 8}, {0, 8, 1})), Layout::kAligned) << "broadcast";
}

TEST(Layout, StridesOfSingleElementsDoNotMatter) {
  alignas(64) static char memory[4096];
  EXPECT_EQ(layout_of(wrap(memory, {1, 3, 8}, {5, 8, 1})), Layout::kAligned);
  EXPECT_EQ(layout_of(wrap(memory, {3, 1, 8}, {24, 7, 1})), Layout::kAligned);
  EXPECT_EQ(layout_of(wrap(memory, {2, 3, 1}, {24, 8, 99})), Layout::kAligned);
}

} // namespace
} // namespace tenon
