#include "EmptyKernel.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tenon {
namespace {

using test::random;
using ::testing::HasSubstr;

Result<Function> eager_attention() {
  return compile(
      [](Value q, Value k, Value v) {
        return matmul(softmax(matmul(q, transpose(k)) * scalar("scale", 1)), v);
      },
      {.device = Way::kEager});
}

TEST(Function, TheShortFormAllocates) {
  const Function function = eager_attention().value();
  const Tensor query = random({2, 3, 5, 8}, 1), key = random({2, 3, 7, 8}, 2),
               value = random({2, 3, 7, 4}, 3);
  const Result<Tensor> output = function(query, key, value);
  ASSERT_TRUE(output.ok()) << output.error().message();
  EXPECT_EQ(output->shape(), (Shape{2, 3, 5, 4}));
  EXPECT_EQ(function.explain().executed_by, Way::kEager);
}

TEST(Function, ResultsHaveTheRankOfTheQuery) {
  const Function function = eager_attention().value();
  EXPECT_EQ(function(random({5, 8}, 1), random({7, 8}, 2), random({7, 4}, 3)).value().shape(),
            (Shape{5, 4}));
  EXPECT_EQ(
      function(random({3, 5, 8}, 1), random({3, 7, 8}, 2), random({3, 7, 4}, 3)).value().shape(),
      (Shape{3, 5, 4}));
}

TEST(Function, LaunchWritesIntoStridedTensorsOfTheCaller) {
  const Function function = eager_attention().value();
  const Tensor query = random({2, 3, 5, 8}, 1);
  const Tensor fresh = function(query, query, query).value();
  const Tensor whole = Tensor::zeros({2, 5, 3, 8}).value();
  const Tensor output = whole.transpose(1, 2).value(); // [batch, queries, heads, width] in memory
  const Status done = function.launch({output}, {query, query, query});
  ASSERT_TRUE(done.ok()) << done.error().message();
  EXPECT_EQ(test::largest_difference(output, fresh), 0);
}

TEST(Function, ScalarsAreSetByNameAtEachLaunch) {
  const Function function = eager_attention().value();
  const Tensor query = random({1, 1, 4, 8}, 1);
  const std::vector<Tensor> flat =
      function.call({query, query, query}, {.scalars = {{"scale", 0}}}).value();
  double sum = 0;
  for (int64_t i = 0; i < 4; ++i)
    sum += query.data_as<float>()[i * 8];
  EXPECT_NEAR(flat[0].data_as<float>()[0], sum / 4, 1e-6); // the mean of the values
  const auto unknown = function.call({query, query, query}, {.scalars = {{"scall", 0}}});
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(unknown.error().message(), HasSubstr("one of scale"));
  auto refused = [&](std::initializer_list<ScalarArgument> scalars) {
    return function.call({query, query, query}, {.scalars = scalars}).error().message();
  };
  EXPECT_THAT(refused({{"scale", NAN}}), HasSubstr("scale: was NaN"));
  EXPECT_THAT(refused({{"scale", 1e39}}), HasSubstr("a number that float32 holds"));
  EXPECT_THAT(refused({{"scale", 1}, {"scale", 2}}), HasSubstr("\"scale\" twice"));
}

TEST(Function, AScalarWithoutDefaultMustBeGiven) {
  const Function function =
      compile([](Value q, Value k, Value v,
                 Scalar scale) { return matmul(softmax(matmul(q, transpose(k)) * scale), v); },
              {.device = Way::kEager, .inputs = {"query", "key", "value", "scale"}})
          .value();
  const Tensor query = random({1, 1, 4, 8}, 1);
  const auto missing = function(query, query, query);
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message(), HasSubstr("scale"));
  EXPECT_TRUE(function.call({query, query, query}, {.scalars = {{"scale", 0.1}}}).ok());
}

TEST(Function, WrongTensorsAreNamed) {
  const Function function = eager_attention().value();
  const Tensor query = random({1, 2, 4, 8}, 1);
  struct {
    std::vector<Tensor> inputs;
    const char *argument;
  } const cases[] = {
      {{query, query}, "inputs"},
      {{query, random({1, 2, 4, 9}, 2), query}, "key"},
      {{query, query, random({1, 2, 5, 8}, 2)}, "value"},
      {{query, query, Tensor::zeros({1, 2, 4, 8}, DataType::kInt32).value()}, "value"},
      {{query, query, Tensor()}, "value"},
      {{query, random({1, 1, 1, 4, 8}, 2), query}, "key"}};
  for (const auto &each : cases) {
    const std::vector<TensorReference> inputs(each.inputs.begin(), each.inputs.end());
    const auto result = function.call(inputs);
    ASSERT_FALSE(result.ok()) << each.argument;
    EXPECT_EQ(result.error().argument(), each.argument) << result.error().message();
  }
  const Tensor small = Tensor::zeros({1, 2, 3, 8}).value();
  EXPECT_EQ(function.launch({small}, {query, query, query}).error().argument(), "output");
  const Tensor shared = Tensor::zeros({1, 1, 4, 8}).value().expand({1, 2, 4, 8}).value();
  EXPECT_EQ(function.launch({shared}, {query, query, query}).error().argument(), "output");
  EXPECT_FALSE(function.launch({}, {query, query, query}).ok());
  EXPECT_FALSE(Function()(query, query, query).ok());
}

TEST(Function, EmptySizesNeedNoKernel) {
  const Function function = compile(
                                [](Value q, Value k, Value v) {
                                  const Value scores = matmul(q, transpose(k));
                                  return std::pair(matmul(softmax(scores), v), logsumexp(scores));
                                },
                                {.device = Way::kHost})
                                .value();
  auto call = [&](Shape query, Shape key) {
    const Tensor q = random(std::move(query), 1), k = random(std::move(key), 2);
    return function.call({q, k, k});
  };
  EXPECT_EQ(call({0, 2, 4, 8}, {0, 2, 4, 8}).value()[0].shape(), (Shape{0, 2, 4, 8}));
  EXPECT_EQ(call({1, 2, 0, 8}, {1, 2, 4, 8}).value()[0].shape(), (Shape{1, 2, 0, 8}));
  const std::vector<Tensor> results = call({1, 2, 4, 8}, {1, 2, 0, 8}).value();
  EXPECT_EQ(results[0].data_as<float>()[0], 0);
  EXPECT_EQ(results[1].data_as<float>()[0], -inf);
  EXPECT_EQ(function.explain().executed_by, Way::kHost);
}

TEST(Function, EagerTakesWhatKernelsDoNot) {
  const Function function = compile([](Value q, Value k, Value v) {
                              return matmul(softmax(matmul(q, transpose(k))), v);
                            }).value();
  const Tensor wide = random({1, 1, 4, 300}, 1, DataType::kFloat64);
  const Result<Tensor> output = function(wide, wide, wide);
  ASSERT_TRUE(output.ok()) << output.error().message();
  EXPECT_EQ(output->dtype(), DataType::kFloat64);
  const Explanation explanation = function.explain();
  EXPECT_EQ(explanation.executed_by, Way::kEager);
  ASSERT_EQ(explanation.ways.size(), 3u);
  EXPECT_EQ(explanation.ways[1].way, Way::kHost);
  EXPECT_THAT(explanation.ways[1].reason, HasSubstr("f64"));
  EXPECT_THAT(explanation.json(), HasSubstr("\"executed_by\":\"eager\""));
}

TEST(Function, ANamedDeviceRunsItOrTheCallFails) {
  const Function function =
      compile([](Value q, Value k, Value v) { return matmul(softmax(matmul(q, transpose(k))), v); },
              {.device = Way::kHost})
          .value();
  const Tensor wide = random({1, 1, 4, 300}, 1);
  const Result<Tensor> output = function(wide, wide, wide);
  ASSERT_FALSE(output.ok());
  EXPECT_THAT(output.error().message(), HasSubstr("300"));
  EXPECT_FALSE(output.error().reasons().empty());
}

TEST(Function, LengthsThatKernelsCannotCountAreLeftToTheInterpreter) {
  const int64_t length = (int64_t{1} << 30) + 1;
  const Tensor query = random({1, 8}, 1),
               key = Tensor::zeros({1, 8}).value().expand({length, 8}).value();
  const Function function = compile([](Value q, Value k, Value v) {
                              return matmul(softmax(matmul(q, transpose(k))), v);
                            }).value();
  const Explanation explanation = function.explain({query, key, key}).value();
  EXPECT_EQ(explanation.executed_by, Way::kEager);
  EXPECT_THAT(explanation.text(), HasSubstr("1073741825 keys; kernels count at most 1073741824"));
}

TEST(Function, GridsHoldSoManyHeadsAndSequences) {
  const Function function = compile([](Value q, Value k, Value v) {
                              return matmul(softmax(matmul(q, transpose(k))), v);
                            }).value();
  const Tensor one = random({1, 1, 4, 8}, 1);
  for (const auto &[shape, says] : {std::pair(Shape{65536, 1, 4, 8}, "65536 sequences"),
                                    {Shape{1, 65536, 4, 8}, "65536 heads"}}) {
    const Tensor many = one.expand(shape).value();
    EXPECT_TRUE(function.request({{many, many, many}}, "host:x86-64-v3").ok());
    EXPECT_THAT(function.request({{many, many, many}}, "sm_80").error().message(), HasSubstr(says));
  }
}

TEST(Function, KernelsReadWhatIsGivenTransposedByOtherStrides) {
  auto plain = [](Value q, Value k, Value v) {
    return matmul(softmax(matmul(q, transpose(k)) * 0.5), v);
  };
  auto by_columns = [](Value q, Value k, Value v) {
    return matmul(softmax(matmul(transpose(q), k * 0.5)), transpose(v));
  };
  const Function rows = compile(plain, {.device = Way::kEager}).value(),
                 columns = compile(by_columns, {.device = Way::kEager}).value();
  const Tensor query = random({2, 3, 5, 8}, 1), key = random({2, 3, 7, 8}, 2),
               value = random({2, 3, 7, 4}, 3);
  auto turned = [](const Tensor &tensor) { return tensor.transpose(-2, -1).value(); };
  const Tensor q = turned(query).contiguous().value(), k = turned(key), v = turned(value);
  EXPECT_LT(test::largest_difference(rows(query, key, value).value(), columns(q, k, v).value()),
            1e-6);

  // The key and the value are views of rows, the query is not.
  const std::string signature = columns.request({{q, k, v}}).value().signature;
  EXPECT_EQ(rows.request({{query, key, value}}).value().graph.find("transpose %query"),
            std::string::npos);
  EXPECT_EQ(columns.request({{q, k, v}}).value().graph.find("transpose %query"), std::string::npos);
  EXPECT_THAT(columns.request({{q, k, v}}).value().graph, HasSubstr("transpose %key"));
  EXPECT_NE(signature, rows.request({{query, key, value}}).value().signature);
  EXPECT_EQ(columns.request({{turned(query), k, v}}).value().signature,
            rows.request({{query, key, value}}).value().signature);
}

TEST(Function, OptionsThatMakeNoSense) {
  auto attention = [](Value q, Value k, Value v) {
    return matmul(softmax(matmul(q, transpose(k))), v);
  };
  EXPECT_FALSE(compile(attention, {.target = "sm_80"}).ok());
  EXPECT_FALSE(compile(attention, {.device = Way::kHost, .target = "sm_80"}).ok());
  EXPECT_FALSE(compile(attention, {.device = Way::kEmulator, .target = "sm_8"}).ok());
  EXPECT_FALSE(compile(attention, {.ordinal = -1}).ok());
  EXPECT_FALSE(compile(attention, {.device = static_cast<Way>(99)}).ok());
  const Tensor query = random({2, 2, 4, 8}, 1);
  EXPECT_FALSE(scaled_dot_product_attention(query, query, query, {.device = static_cast<Way>(99)}).ok());
  EXPECT_FALSE(scaled_dot_product_attention(query, query, query,
                                            {.causal = static_cast<CausalAlignment>(77)})
                   .ok());
}

TEST(Function, OutputsHaveMemoryOfTheirOwn) {
  const Function function = eager_attention().value();
  const Tensor query = random({1, 3, 5, 8}, 1), key = random({1, 3, 5, 8}, 2),
               all = Tensor::zeros({1, 4, 5, 8}).value();
  auto launch = [&](const Tensor &output, const Tensor &value) {
    const Status done = function.launch({output}, {query, key, value});
    return done.ok() ? std::string() : done.error().message();
  };
  EXPECT_THAT(launch(key, query), HasSubstr("output: was memory of key, must be memory of its own"));
  const Tensor front = all.slice(1, 0, 3).value(), back = all.slice(1, 1, 4).value();
  EXPECT_THAT(launch(front, back), HasSubstr("memory of value"));
  // Columns beside each other in one allocation do not overlap.
  const Tensor both = Tensor::zeros({1, 3, 5, 16}).value();
  EXPECT_EQ(launch(both.slice(3, 0, 8).value(), both.slice(3, 8, 16).value()), "");
}

TEST(Function, DropoutIsAFunctionOfSeedAndOffset) {
  const Function function =
      compile(
          [](Value q, Value k, Value v) {
            return matmul(dropout(softmax(matmul(q, transpose(k))), scalar("probability")), v);
          },
          {.device = Way::kEager})
          .value();
  const Tensor query = random({2, 2, 33, 8}, 1);
  auto run = [&](uint64_t seed, uint64_t offset) {
    return function
        .call({query, query, query},
              {.seed = seed, .offset = offset, .scalars = {{"probability", 0.5}}})
        .value()[0];
  };
  EXPECT_EQ(test::largest_difference(run(1, 2), run(1, 2)), 0);
  EXPECT_GT(test::largest_difference(run(1, 2), run(1, 3)), 0);
  EXPECT_GT(test::largest_difference(run(1, 2), run(2, 2)), 0);
  const uint64_t seed = 1, offset = 2;
  const LaunchOptions by_pointer{
      .seed_pointer = &seed, .offset_pointer = &offset, .scalars = {{"probability", 0.5}}};
  EXPECT_EQ(test::largest_difference(run(1, 2),
                                     function.call({query, query, query}, by_pointer).value()[0]),
            0);
  EXPECT_FALSE(function
                   .call({query, query, query},
                         {.offset = uint64_t{1} << 32, .scalars = {{"probability", 0.5}}})
                   .ok());
  EXPECT_FALSE(function.call({query, query, query}, {.scalars = {{"probability", 1.5}}}).ok());
}

TEST(Function, TheInterpreterReadsADevicesMemoryInTheStreamsOrder) {
  const Result<Device *> opened = Device::open(DeviceKind::kEmulator);
  if (!opened)
    GTEST_SKIP() << opened.error().message();
  Device *device = *opened;
  // Wider than any kernel: what lies on a device falls back to the interpreter.
  const Function function =
      compile([](Value q, Value k, Value v) {
        return matmul(dropout(softmax(matmul(q, transpose(k))), 0.5), v);
      }).value();
  const Tensor query = random({1, 2, 9, 300}, 1), there = query.to({DeviceKind::kEmulator}).value();
  void *numbers = device->allocate(2 * sizeof(uint64_t)).value();
  auto put = [&](uint64_t seed, uint64_t offset) {
    const uint64_t values[] = {seed, offset};
    ASSERT_TRUE(device->copy(numbers, values, sizeof values, CopyDirection::kHostToDevice, 0).ok());
    ASSERT_TRUE(device->synchronise(0).ok());
  };
  const LaunchOptions by_pointer{.seed_pointer = static_cast<const uint64_t *>(numbers),
                                 .offset_pointer = static_cast<const uint64_t *>(numbers) + 1};
  put(7, 3);
  const Result<std::vector<Tensor>> by_device = function.call({there, there, there}, by_pointer);
  ASSERT_TRUE(by_device.ok()) << by_device.error().message();
  EXPECT_EQ(function.explain().executed_by, Way::kEager);
  const Tensor by_number = function.call({query, query, query}, {.seed = 7, .offset = 3}).value()[0];
  EXPECT_EQ(test::largest_difference((*by_device)[0].to(DeviceLocation{}).value(), by_number), 0);
  put(7, uint64_t{1} << 32);
  EXPECT_THAT(function.call({there, there, there}, by_pointer).error().message(),
              HasSubstr("32 bits"));
  EXPECT_TRUE(device->free(numbers).ok());
}

} // namespace
} // namespace tenon
