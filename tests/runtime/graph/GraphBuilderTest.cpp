#include "tenon/Graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace tenon {
namespace {

using testing::HasSubstr;

/// One value of every type, to offer to every operation.
struct Palette {
  Graph graph;
  std::vector<ValueId> values;

  Palette() {
    int number = 0;
    for (const ValueType type :
         {kRealTensor, kIndexTensor, kMaskTensor, kRealScalar, kIndexScalar, kMaskScalar})
      values.push_back(graph.add_input("input" + std::to_string(number++), type).value());
  }
  ValueId of(ValueType type) const {
    return values[static_cast<size_t>(type.kind) + (type.scalar ? 3 : 0)];
  }
};

TEST(GraphBuilder, EveryMnemonicIsFoundAndNamesItsOperation) {
  std::set<std::string_view> mnemonics;
  for (const OperationInfo &info : operation_table()) {
    EXPECT_EQ(find_operation(info.mnemonic), info.operation) << info.mnemonic;
    EXPECT_EQ(&operation_info(info.operation), &info);
    EXPECT_TRUE(mnemonics.insert(info.mnemonic).second) << info.mnemonic;
  }
  EXPECT_EQ(mnemonics.size(), operation_table().size());
  EXPECT_EQ(find_operation("input"), std::nullopt);
  EXPECT_EQ(find_operation("matmu"), std::nullopt);
  EXPECT_EQ(find_operation(""), std::nullopt);
}

struct TypeCase {
  Operation operation;
  std::vector<ValueType> operands;
  ValueType result;
};

TEST(GraphBuilder, ResultTypes) {
  const TypeCase cases[] = {
      {Operation::kQueryIndex, {}, kIndexTensor},
      {Operation::kKeyLength, {}, kIndexScalar},
      {Operation::kLoad, {kRealTensor, kIndexTensor}, kRealTensor},
      {Operation::kLoad, {kMaskTensor, kIndexScalar, kIndexScalar}, kMaskTensor},
      {Operation::kConvert, {kIndexTensor}, kRealTensor},
      {Operation::kConvert, {kMaskScalar}, kRealScalar},
      {Operation::kConvert, {kRealTensor}, kIndexTensor},
      {Operation::kExp, {kRealScalar}, kRealScalar},
      {Operation::kNot, {kMaskTensor}, kMaskTensor},
      {Operation::kAdd, {kRealTensor, kRealScalar}, kRealTensor},
      {Operation::kAdd, {kIndexScalar, kIndexTensor}, kIndexTensor},
      {Operation::kAdd, {kIndexScalar, kIndexScalar}, kIndexScalar},
      {Operation::kFloorDivide, {kIndexTensor, kIndexScalar}, kIndexTensor},
      {Operation::kLess, {kRealScalar, kRealScalar}, kMaskScalar},
      {Operation::kLess, {kIndexTensor, kIndexScalar}, kMaskTensor},
      {Operation::kWhere, {kMaskTensor, kRealScalar, kRealScalar}, kRealTensor},
      {Operation::kWhere, {kMaskScalar, kIndexScalar, kIndexScalar}, kIndexScalar},
      {Operation::kMatmul, {kRealTensor, kRealTensor}, kRealTensor},
      {Operation::kDropout, {kRealTensor, kRealScalar}, kRealTensor},
  };
  Palette palette;
  for (const TypeCase &test : cases) {
    std::vector<ValueId> operands;
    for (const ValueType type : test.operands)
      operands.push_back(palette.of(type));
    const auto value = palette.graph.add(test.operation, operands);
    ASSERT_TRUE(value) << value.error().message();
    EXPECT_EQ(palette.graph.type(*value), test.result) << operation_info(test.operation).mnemonic;
  }
}

struct RefusalCase {
  Operation operation;
  std::vector<ValueType> operands;
  const char *argument, *actual, *expected;
};

TEST(GraphBuilder, RefusalsNameOperandAndWhatItMustBe) {
  const RefusalCase cases[] = {
      {Operation::kMatmul,
       {kRealTensor, kRealScalar},
       "operand 1 of attention.matmul",
       "f32",
       "tensor<*xf32>"},
      {Operation::kMatmul, {kRealTensor}, "operands of attention.matmul", "1", "2"},
      {Operation::kQueryIndex, {kRealTensor}, "operands of attention.query_index", "1", "0"},
      {Operation::kLoad, {kRealTensor}, "operands of attention.load", "1", "2 to 5"},
      {Operation::kLoad,
       {kRealTensor, kRealTensor},
       "operand 1 of attention.load",
       "tensor<*xf32>",
       "tensor<*xi32> or i32"},
      {Operation::kLoad,
       {kRealScalar, kIndexScalar},
       "operand 0 of attention.load",
       "f32",
       "tensor<*xf32> or tensor<*xi32> or tensor<*xi1>"},
      {Operation::kAdd,
       {kRealTensor, kIndexTensor},
       "operand 1 of attention.add",
       "tensor<*xi32>",
       "tensor<*xf32> or f32"},
      {Operation::kAdd,
       {kMaskTensor, kMaskTensor},
       "operand 0 of attention.add",
       "tensor<*xi1>",
       "tensor<*xf32> or tensor<*xi32> or f32 or i32"},
      {Operation::kDivide,
       {kIndexTensor, kIndexTensor},
       "operand 0 of attention.divide",
       "tensor<*xi32>",
       "tensor<*xf32> or f32"},
      {Operation::kModulo,
       {kIndexTensor, kRealScalar},
       "operand 1 of attention.modulo",
       "f32",
       "tensor<*xi32> or i32"},
      {Operation::kExp,
       {kIndexTensor},
       "operand 0 of attention.exp",
       "tensor<*xi32>",
       "tensor<*xf32> or f32"},
      {Operation::kNot,
       {kIndexTensor},
       "operand 0 of attention.not",
       "tensor<*xi32>",
       "tensor<*xi1> or i1"},
      {Operation::kWhere,
       {kRealTensor, kRealTensor, kRealTensor},
       "operand 0 of attention.where",
       "tensor<*xf32>",
       "tensor<*xi1> or i1"},
      {Operation::kWhere,
       {kMaskTensor, kRealTensor, kIndexScalar},
       "operand 2 of attention.where",
       "i32",
       "tensor<*xf32> or f32"},
      {Operation::kDropout,
       {kRealTensor, kRealTensor},
       "operand 1 of attention.dropout",
       "tensor<*xf32>",
       "f32"},
      {Operation::kSoftmax,
       {kRealScalar},
       "operand 0 of attention.softmax",
       "f32",
       "tensor<*xf32>"},
      {Operation::kConstant,
       {},
       "operation",
       "constant",
       "an operation on values: see add_input and constant"},
  };
  Palette palette;
  const size_t before = palette.graph.nodes().size();
  for (const RefusalCase &test : cases) {
    std::vector<ValueId> operands;
    for (const ValueType type : test.operands)
      operands.push_back(palette.of(type));
    const auto value = palette.graph.add(test.operation, operands);
    ASSERT_FALSE(value) << operation_info(test.operation).mnemonic;
    EXPECT_EQ(value.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(value.error().argument(), test.argument);
    EXPECT_EQ(value.error().actual(), test.actual);
    EXPECT_EQ(value.error().expected(), test.expected);
  }
  EXPECT_EQ(palette.graph.nodes().size(), before) << "a refused call leaves the graph as it was";
}

TEST(GraphBuilder, ValuesOfAnotherGraphAreRefused) {
  Graph graph;
  EXPECT_FALSE(graph.add(Operation::kExp, {0}));
  EXPECT_FALSE(graph.add(Operation::kExp, {-1}));
  EXPECT_FALSE(graph.convert(3, ElementKind::kReal));
  EXPECT_FALSE(graph.set_results({0}));
}

TEST(GraphBuilder, LoadReadsInputsAlone) {
  Palette palette;
  const ValueId computed = palette.graph.add(Operation::kExp, {palette.of(kRealTensor)}).value();
  const auto load = palette.graph.add(Operation::kLoad, {computed, palette.of(kIndexTensor)});
  ASSERT_FALSE(load);
  EXPECT_THAT(load.error().message(), HasSubstr("attention.exp"));
}

TEST(GraphBuilder, InputNames) {
  Graph graph;
  EXPECT_TRUE(graph.add_input("query", kRealTensor));
  EXPECT_TRUE(graph.add_input("_a.b$c-1", kRealTensor));
  for (const char *bad : {"query", "", "0", "-a", "a b", "ä", "a%", "a\n"})
    EXPECT_FALSE(graph.add_input(bad, kRealTensor)) << bad;
  for (size_t i = graph.inputs().size(); i < Graph::kMaxInputs; ++i)
    EXPECT_TRUE(graph.add_input("more" + std::to_string(i), kRealTensor));
  EXPECT_FALSE(graph.add_input("beyond", kRealTensor));
}

TEST(GraphBuilder, ConvertToNamedKind) {
  Palette palette;
  Graph &graph = palette.graph;
  const ValueId real = palette.of(kRealTensor), mask = palette.of(kMaskTensor);
  EXPECT_EQ(graph.convert(real, ElementKind::kReal).value(), real);
  EXPECT_EQ(graph.type(graph.convert(real, ElementKind::kIndex).value()), kIndexTensor);
  EXPECT_EQ(graph.type(graph.convert(mask, ElementKind::kIndex).value()), kIndexTensor);
  EXPECT_FALSE(graph.convert(real, ElementKind::kMask));
}

TEST(GraphBuilder, Results) {
  Palette palette;
  Graph &graph = palette.graph;
  EXPECT_FALSE(graph.verify()) << "no results yet";
  EXPECT_FALSE(graph.set_results({}));
  const auto scalar = graph.set_results({palette.of(kRealScalar)});
  ASSERT_FALSE(scalar);
  EXPECT_EQ(scalar.error().message(), "result 0: was f32, must be a tensor");
  EXPECT_FALSE(graph.set_results(std::vector<ValueId>(9, palette.of(kRealTensor))));
  EXPECT_TRUE(graph.set_results({palette.of(kRealTensor), palette.of(kMaskTensor)}));
  EXPECT_TRUE(graph.verify());
}

TEST(GraphBuilder, UsesDoesNotCountDeadNodes) {
  Palette palette;
  const ValueId softmax = palette.graph.add(Operation::kSoftmax, {palette.of(kRealTensor)}).value();
  (void)palette.graph.add(Operation::kDropout, {softmax, palette.of(kRealScalar)}).value();
  ASSERT_TRUE(palette.graph.set_results({softmax}));
  EXPECT_TRUE(palette.graph.uses(Operation::kSoftmax));
  EXPECT_FALSE(palette.graph.uses(Operation::kDropout));
}

} // namespace
} // namespace tenon
