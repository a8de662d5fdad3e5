// Every way computes what the interpreter computes in float64, for each argument of attention.
#include "EmptyKernel.h"

#include "tenon/Compiler.h"

#include <cmath>
#include <gtest/gtest.h>

namespace tenon {
namespace {

using test::largest_difference;
using test::random;

struct Case {
  const char *name;
  Shape query, key, value;
  DataType type = DataType::kFloat32;
  Shape mask = {};
  bool bool_mask = false;
  double dropout = 0;
  CausalAlignment causal = CausalAlignment::kNone;
  std::optional<double> scale = {};
};

const Case kCases[] = {
    {"plain", {1, 2, 64, 64}, {1, 2, 64, 64}, {1, 2, 64, 64}},
    {"odd_lengths", {2, 3, 77, 32}, {2, 3, 131, 32}, {2, 3, 131, 32}},
    {"two_dimensions", {33, 16}, {65, 16}, {65, 16}},
    {"three_dimensions", {5, 33, 64}, {5, 17, 64}, {5, 17, 64}},
    {"other_value_width", {1, 2, 40, 64}, {1, 2, 50, 64}, {1, 2, 50, 32}},
    {"odd_width", {1, 2, 40, 24}, {1, 2, 50, 24}, {1, 2, 50, 40}},
    {"one_query", {2, 4, 1, 64}, {2, 4, 300, 64}, {2, 4, 300, 64}},
    {"one_key", {2, 4, 30, 64}, {2, 4, 1, 64}, {2, 4, 1, 64}},
    {"grouped", {2, 6, 40, 32}, {2, 2, 50, 32}, {2, 2, 50, 32}},
    {"one_shared_head", {2, 6, 40, 32}, {2, 1, 50, 32}, {2, 1, 50, 32}},
    {"one_value_head", {2, 6, 40, 32}, {2, 6, 50, 32}, {2, 1, 50, 32}},
    {"shared_batch", {3, 2, 40, 32}, {1, 2, 50, 32}, {1, 2, 50, 32}},
    {"causal",
     {1, 2, 130, 64},
     {1, 2, 130, 64},
     {1, 2, 130, 64},
     DataType::kFloat32,
     {},
     false,
     0,
     CausalAlignment::kTopLeft},
    {"causal_wide",
     {1, 2, 40, 64},
     {1, 2, 130, 64},
     {1, 2, 130, 64},
     DataType::kFloat32,
     {},
     false,
     0,
     CausalAlignment::kTopLeft},
    {"causal_bottom_right",
     {1, 2, 40, 64},
     {1, 2, 130, 64},
     {1, 2, 130, 64},
     DataType::kFloat32,
     {},
     false,
     0,
     CausalAlignment::kBottomRight},
    {"causal_rows_without_keys",
     {1, 2, 130, 64},
     {1, 2, 40, 64},
     {1, 2, 40, 64},
     DataType::kFloat32,
     {},
     false,
     0,
     CausalAlignment::kBottomRight},
    {"scale",
     {1, 2, 40, 64},
     {1, 2, 40, 64},
     {1, 2, 40, 64},
     DataType::kFloat32,
     {},
     false,
     0,
     CausalAlignment::kNone,
     0.3},
    {"bool_mask_of_keys",
     {2, 2, 40, 32},
     {2, 2, 50, 32},
     {2, 2, 50, 32},
     DataType::kFloat32,
     {2, 1, 1, 50},
     true},
    {"bool_mask_whole",
     {2, 2, 40, 32},
     {2, 2, 50, 32},
     {2, 2, 50, 32},
     DataType::kFloat32,
     {2, 2, 40, 50},
     true},
    {"bool_mask_of_queries",
     {2, 2, 40, 32},
     {2, 2, 50, 32},
     {2, 2, 50, 32},
     DataType::kFloat32,
     {40, 1},
     true},
    {"bool_mask_and_causal",
     {2, 2, 50, 32},
     {2, 2, 50, 32},
     {2, 2, 50, 32},
     DataType::kFloat32,
     {50},
     true,
     0,
     CausalAlignment::kTopLeft},
    {"additive_mask",
     {2, 2, 40, 32},
     {2, 2, 50, 32},
     {2, 2, 50, 32},
     DataType::kFloat32,
     {2, 40, 50}},
    {"additive_mask_of_heads",
     {2, 2, 40, 32},
     {2, 2, 50, 32},
     {2, 2, 50, 32},
     DataType::kFloat32,
     {2, 1, 1}},
    {"dropout", {2, 2, 70, 64}, {2, 2, 70, 64}, {2, 2, 70, 64}, DataType::kFloat32, {}, false, 0.3},
    {"dropout_causal",
     {1, 2, 70, 64},
     {1, 2, 70, 64},
     {1, 2, 70, 64},
     DataType::kFloat32,
     {},
     false,
     0.5,
     CausalAlignment::kTopLeft},
    {"float16", {2, 2, 77, 64}, {2, 2, 77, 64}, {2, 2, 77, 64}, DataType::kFloat16},
    {"float16_causal_wide",
     {1, 2, 130, 128},
     {1, 2, 130, 128},
     {1, 2, 130, 128},
     DataType::kFloat16,
     {},
     false,
     0,
     CausalAlignment::kTopLeft},
    {"float16_dropout",
     {1, 2, 70, 64},
     {1, 2, 70, 64},
     {1, 2, 70, 64},
     DataType::kFloat16,
     {},
     false,
     0.2},
    {"bfloat16", {2, 2, 77, 64}, {2, 2, 77, 64}, {2, 2, 77, 64}, DataType::kBFloat16},
    {"bfloat16_mask",
     {2, 2, 40, 32},
     {2, 2, 50, 32},
     {2, 2, 50, 32},
     DataType::kBFloat16,
     {2, 1, 1, 50},
     true},
};

/// Two units in the last place of values up to 4, for the type of probabilities and results;
/// float32 sums of some hundred terms.
double tolerance(DataType type) {
  if (type == DataType::kFloat16)
    return 2 * 4 * 0x1p-10;
  return type == DataType::kBFloat16 ? 2 * 4 * 0x1p-7 : 1e-5;
}

void PrintTo(const Case &each, std::ostream *out) { *out << each.name; }

class Devices : public ::testing::TestWithParam<std::tuple<Way, Case>> {
protected:
  void SetUp() override {
    const Way way = std::get<0>(GetParam());
    if (const Result<void> compiler = compiler_available(); !compiler)
      GTEST_SKIP() << compiler.error().message();
    const DeviceKind kind = way == Way::kHost   ? DeviceKind::kHost
                            : way == Way::kCuda ? DeviceKind::kCuda
                                                : DeviceKind::kEmulator;
    if (const Result<Device *> device = Device::open(kind); !device)
      GTEST_SKIP() << device.error().message();
    location_ = {.kind = kind};
  }

  DeviceLocation location_;
};

TEST_P(Devices, AgreesWithFloat64) {
  const auto &[way, each] = GetParam();
  const Tensor query = random(each.query, 1, each.type), key = random(each.key, 2, each.type),
               value = random(each.value, 3, each.type);
  Tensor mask;
  if (!each.mask.empty()) {
    mask = random(each.mask, 4);
    if (each.bool_mask)
      for (int64_t i = 0; i < mask.element_count(); ++i)
        mask.data_as<float>()[i] = mask.data_as<float>()[i] > -0.5f;
    mask = mask.to(each.bool_mask ? DataType::kBool : each.type).value();
  }
  Tensor logsumexp, exact_logsumexp;
  AttentionOptions options{.mask = mask.defined() ? &mask : nullptr,
                           .dropout = each.dropout,
                           .causal = each.causal,
                           .scale = each.scale,
                           .enable_gqa = true,
                           .logsumexp = &logsumexp,
                           .device = way,
                           .seed = 42,
                           .offset = 7};
  const Result<Tensor> output = scaled_dot_product_attention(query, key, value, options);
  ASSERT_TRUE(output.ok()) << output.error().message();

  options.device = Way::kEager;
  options.logsumexp = &exact_logsumexp;
  auto exact = [](const Tensor &tensor) { return tensor.to(DataType::kFloat64).value(); };
  Tensor exact_mask;
  if (mask.defined()) {
    exact_mask = each.bool_mask ? mask : exact(mask);
    options.mask = &exact_mask;
  }
  const Tensor reference =
      scaled_dot_product_attention(exact(query), exact(key), exact(value), options).value();
  EXPECT_EQ(output->shape(), reference.shape());
  EXPECT_EQ(output->dtype(), each.type);
  EXPECT_LE(largest_difference(*output, reference), tolerance(each.type) / (1 - each.dropout));
  ASSERT_EQ(logsumexp.shape(), exact_logsumexp.shape());
  for (int64_t i = 0; i < logsumexp.element_count(); ++i) {
    const double expected = exact_logsumexp.data_as<double>()[i],
                 found = logsumexp.data_as<float>()[i];
    if (std::isinf(expected))
      ASSERT_EQ(found, expected) << i;
    else
      ASSERT_NEAR(found, expected, 1e-5 * (1 + std::abs(expected))) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Devices,
                         ::testing::Combine(::testing::Values(Way::kHost, Way::kEmulator,
                                                              Way::kCuda),
                                            ::testing::ValuesIn(kCases)),
                         [](const auto &info) {
                           return std::string(name(std::get<0>(info.param))) + "_" +
                                  std::get<1>(info.param).name;
                         });

// ---- Lambdas beyond attention's own options.

class Lambdas : public Devices {};

TEST_P(Lambdas, AlibiSoftCapAndWindow) {
  const Way way = std::get<0>(GetParam());
  const Tensor slopes = Tensor::from_values<float>({3}, {0.5f, 0.25f, 0.125f}).value();
  auto graph = [&](Value q, Value k, Value v, IndexScalar window) {
    Value scores = 20 * tanh(matmul(q, transpose(k)) * 0.125 / 20);
    scores = scores + load(slopes, head_index()) * (key_index() - query_index());
    scores =
        where(query_index() >= key_index() && query_index() - key_index() < window, scores, -inf);
    return matmul(softmax(scores), v);
  };
  const std::vector<std::string> names{"query", "key", "value", "window"};
  KernelCache cache;
  const Function compiled =
      compile(graph, {.device = way, .inputs = names, .cache = &cache}).value();
  const Function eager = compile(graph, {.device = Way::kEager, .inputs = names}).value();
  for (int64_t length : {1, 40, 130}) {
    const Tensor query = random({2, 3, length, 64}, 1), key = random({2, 3, length, 64}, 2);
    for (double window : {1, 17, 1000}) {
      const LaunchOptions options{.scalars = {{"window", window}}};
      const auto found = compiled.call({query, key, key}, options);
      ASSERT_TRUE(found.ok()) << found.error().message();
      EXPECT_LE(
          largest_difference(found.value()[0], eager.call({query, key, key}, options).value()[0]),
          1e-5);
    }
  }
  EXPECT_LE(cache.list().size(), 2u); // lengths and windows compile nothing new
}

TEST_P(Lambdas, DocumentsFromATable) {
  const Way way = std::get<0>(GetParam());
  auto graph = [&](Value q, Value k, Value v, Index document) {
    const Value same =
        load(document, batch_index(), query_index()) == load(document, batch_index(), key_index());
    return matmul(
        softmax(where(same && query_index() >= key_index(), matmul(q, transpose(k)) * 0.1, -inf)),
        v);
  };
  const std::vector<std::string> names{"query", "key", "value", "document"};
  std::vector<int32_t> numbers;
  for (int32_t i = 0; i < 2 * 100; ++i)
    numbers.push_back(i / 33);
  const Tensor documents =
      Tensor::from_values<int32_t>({2, 100}, std::span<const int32_t>(numbers)).value();
  const Tensor query = random({2, 3, 100, 32}, 1), key = random({2, 3, 100, 32}, 2);
  const auto found =
      compile(graph, {.device = way, .inputs = names}).value().call({query, key, key, documents});
  ASSERT_TRUE(found.ok()) << found.error().message();
  const auto expected = compile(graph, {.device = Way::kEager, .inputs = names})
                            .value()
                            .call({query, key, key, documents});
  EXPECT_LE(largest_difference(found.value()[0], expected.value()[0]), 1e-5);
}

/// `graph` on this device beside the interpreter, 100 queries and keys of 3 heads.
template <class Graph> void expect_as_eager(Way way, const Graph &graph) {
  const Tensor query = random({2, 3, 100, 32}, 1), key = random({2, 3, 100, 32}, 2);
  const auto found = compile(graph, {.device = way}).value().call({query, key, key});
  ASSERT_TRUE(found.ok()) << found.error().message();
  const auto expected = compile(graph, {.device = Way::kEager}).value().call({query, key, key});
  EXPECT_LE(largest_difference(found.value()[0], expected.value()[0]), 1e-5);
}

// What walked such a graph path by path would never end.
TEST_P(Lambdas, PartsThatAreUsedTwice) {
  expect_as_eager(std::get<0>(GetParam()), [](Value q, Value k, Value v) {
    Value scores = matmul(q, transpose(k)) * 0.1;
    Value both = query_index() >= key_index(), any = key_index() < 77;
    for (int i = 0; i < 24; ++i) {
      scores = (scores + tanh(scores)) * 0.5;
      const Value before = both;
      both = both && any;
      any = before || any;
    }
    return matmul(softmax(where(both, scores, -inf)), v);
  });
}

// The mask is known to be false: no kernel has a loop.
TEST_P(Lambdas, NothingIsVisible) {
  expect_as_eager(std::get<0>(GetParam()), [](Value q, Value k, Value v) {
    return matmul(softmax(where(query_index() > query_index(), matmul(q, transpose(k)), -inf)), v);
  });
}

TEST_P(Lambdas, ExpressionsBeyondWhatFusesAreRefused) {
  const Way way = std::get<0>(GetParam());
  const auto graph = [](Value q, Value k, Value v) {
    Value scores = matmul(q, transpose(k));
    for (int i = 0; i < 600; ++i)
      scores = tanh(scores);
    return matmul(softmax(scores), v);
  };
  const Tensor query = random({1, 1, 3, 32}, 1);
  const auto found = compile(graph, {.device = way}).value().call({query, query, query});
  ASSERT_FALSE(found.ok());
  EXPECT_NE(found.error().message().find("up to 500 fuse"), std::string::npos) << found.error().message();
}

TEST_P(Lambdas, StridedInputsAndOutputs) {
  const Function compiled =
      attention_function({}, {.device = std::get<0>(GetParam())}).value();
  const Function eager = attention_function({}, {.device = Way::kEager}).value();
  // [batch, length, heads, width] in memory; and a key whose width runs over rows.
  const auto query = [](const Tensor &all) { return all.transpose(1, 2).value(); }, value = query;
  const auto key = [](const Tensor &all) { return all.transpose(2, 3).value(); };
  const Tensor queries = random({2, 40, 3, 32}, 1), keys = random({2, 3, 32, 50}, 2),
               values = random({2, 50, 3, 32}, 3);
  const auto there = [&](const Tensor &tensor) { return tensor.to(location_).value(); };
  const Tensor output = there(Tensor::zeros({2, 40, 3, 32}).value());
  const LaunchOptions options{.scalars = {{"scale", 0.2}}};
  const Status done =
      compiled.launch({query(output)},
                      {query(there(queries)), key(there(keys)), value(there(values))}, options);
  ASSERT_TRUE(done.ok()) << done.error().message();
  const Tensor expected =
      eager.call({query(queries), key(keys), value(values)}, options).value()[0];
  const Tensor found = output.to(DeviceLocation{}).value();
  EXPECT_LE(largest_difference(query(found), expected), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(
    All, Lambdas,
    ::testing::Combine(::testing::Values(Way::kHost, Way::kEmulator, Way::kCuda),
                       ::testing::Values(kCases[0])),
    [](const auto &info) { return std::string(name(std::get<0>(info.param))); });

} // namespace
} // namespace tenon
