#include "Checkout.h"
#include "EmptyKernel.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tenon {
namespace {

using test::largest_difference;
using test::random;
using ::testing::HasSubstr;

const std::string kData = TENON_SOURCE_DIR "/tests/data/minilm-activations/";

struct Activations {
  Tensor query = load_tensor(kData + "query.npy").value(),
         key = load_tensor(kData + "key.npy").value(),
         value = load_tensor(kData + "value.npy").value();
};

// By its formula, one element at a time, in double.
double attention_element(const Tensor &q, const Tensor &k, const Tensor &v, int64_t b, int64_t h,
                         int64_t i, int64_t d, double scale, auto visible) {
  const int64_t shared = h / (q.size(1) / k.size(1));
  double sum = 0, weighted = 0;
  for (int64_t j = 0; j < k.size(2); ++j) {
    double dot = 0;
    for (int64_t e = 0; e < q.size(3); ++e) {
      const int64_t qi[] = {b, h, i, e}, ki[] = {b, shared, j, e};
      dot += q.element_as_double(qi) * k.element_as_double(ki);
    }
    const double weight = visible(i, j) ? std::exp(dot * scale) : 0;
    const int64_t vi[] = {b, shared, j, d};
    sum += weight;
    weighted += weight * v.element_as_double(vi);
  }
  return sum == 0 ? 0 : weighted / sum;
}

TEST(Attention, RealActivations) {
  const Activations a;
  const Tensor causal =
      scaled_dot_product_attention(a.query, a.key, a.value, {.causal = true, .device = Way::kEager})
          .value();
  EXPECT_LT(largest_difference(causal, load_tensor(kData + "output_causal.npy").value()), 5e-6);
  const Tensor mask = load_tensor(kData + "key_padding_mask.npy").value();
  const Tensor padded =
      scaled_dot_product_attention(a.query, a.key, a.value, {.mask = &mask, .device = Way::kEager})
          .value();
  EXPECT_LT(largest_difference(padded, load_tensor(kData + "output_padding_mask.npy").value()),
            5e-6);
}

TEST(Attention, CausalAlignments) {
  const Tensor q = random({1, 2, 3, 8}, 1), k = random({1, 2, 5, 8}, 2),
               v = random({1, 2, 5, 4}, 3);
  const struct {
    CausalAlignment alignment;
    int64_t shift;
  } cases[] = {{CausalAlignment::kTopLeft, 0}, {CausalAlignment::kBottomRight, 2}};
  for (const auto &each : cases) {
    const Tensor output =
        scaled_dot_product_attention(q, k, v, {.causal = each.alignment, .device = Way::kEager})
            .value();
    for (int64_t i = 0; i < 3; ++i) {
      const int64_t index[] = {0, 1, i, 2};
      const double expected =
          attention_element(q, k, v, 0, 1, i, 2, 1 / std::sqrt(8.0),
                            [&](int64_t query, int64_t key) { return key <= query + each.shift; });
      EXPECT_NEAR(output.element_as_double(index), expected, 1e-6);
    }
  }
}

TEST(Attention, CausalAndMaskBothApply) {
  const Tensor q = random({1, 1, 4, 8}, 1);
  const Tensor mask = Tensor::from_values<bool>({1, 4}, {0, 1, 1, 1}).value();
  const Tensor output =
      scaled_dot_product_attention(q, q, q, {.mask = &mask, .causal = true, .device = Way::kEager})
          .value();
  EXPECT_EQ(output.data_as<float>()[0], 0); // the first query sees no key: zeros
  const int64_t index[] = {0, 0, 2, 3};
  EXPECT_NEAR(output.element_as_double(index),
              attention_element(q, q, q, 0, 0, 2, 3, 1 / std::sqrt(8.0),
                                [](int64_t i, int64_t j) { return j <= i && j > 0; }),
              1e-6);
}

TEST(Attention, AdditiveMasksBroadcast) {
  const Tensor q = random({2, 2, 4, 8}, 1), k = random({2, 2, 6, 8}, 2);
  const Tensor plain = scaled_dot_product_attention(q, k, k, {.device = Way::kEager}).value();
  for (const Shape &shape :
       {Shape{6}, Shape{1, 6}, Shape{4, 1}, Shape{2, 1, 6}, Shape{2, 1, 1, 6}, Shape{2, 2, 4, 6}}) {
    const Tensor mask = Tensor::zeros(shape).value();
    const Result<Tensor> output =
        scaled_dot_product_attention(q, k, k, {.mask = &mask, .device = Way::kEager});
    ASSERT_TRUE(output.ok()) << to_string(shape) << output.error().message();
    EXPECT_EQ(largest_difference(*output, plain), 0) << to_string(shape);
  }
}

TEST(Attention, GroupedQueries) {
  const Tensor q = random({1, 4, 3, 8}, 1), k = random({1, 2, 5, 8}, 2),
               v = random({1, 2, 5, 8}, 3);
  const Tensor output =
      scaled_dot_product_attention(q, k, v, {.enable_gqa = true, .device = Way::kEager}).value();
  const int64_t index[] = {0, 3, 1, 2};
  EXPECT_NEAR(
      output.element_as_double(index),
      attention_element(q, k, v, 0, 3, 1, 2, 1 / std::sqrt(8.0), [](auto, auto) { return true; }),
      1e-6);
  const auto without = scaled_dot_product_attention(q, k, v, {.device = Way::kEager});
  ASSERT_FALSE(without.ok());
  EXPECT_THAT(without.error().message(), HasSubstr("enable_gqa"));
}

TEST(Attention, LogsumexpIsNatural) {
  const Tensor q = Tensor::zeros({3, 5, 8}).value();
  Tensor logsumexp;
  ASSERT_TRUE(
      scaled_dot_product_attention(q, q, q, {.logsumexp = &logsumexp, .device = Way::kEager}).ok());
  EXPECT_EQ(logsumexp.shape(), (Shape{3, 5}));
  EXPECT_NEAR(logsumexp.data_as<float>()[4], std::log(5.0), 1e-6);
}

TEST(Attention, ScaleAndDropout) {
  const Tensor q = random({1, 2, 4, 8}, 1);
  const Tensor zero =
      scaled_dot_product_attention(q, q, q, {.dropout = 1, .device = Way::kEager}).value();
  EXPECT_EQ(largest_difference(zero, Tensor::zeros({1, 2, 4, 8}).value()), 0);
  const Tensor scaled =
      scaled_dot_product_attention(q, q, q, {.scale = 0.3, .device = Way::kEager}).value();
  const int64_t index[] = {0, 1, 2, 3};
  EXPECT_NEAR(scaled.element_as_double(index),
              attention_element(q, q, q, 0, 1, 2, 3, 0.3, [](auto, auto) { return true; }), 1e-6);
}

TEST(Attention, IntoTheCallersTensors) {
  const Tensor q = random({2, 2, 4, 8}, 1);
  const Tensor fresh = scaled_dot_product_attention(q, q, q, {.device = Way::kEager}).value();
  const Tensor output = Tensor::zeros({2, 2, 4, 8}).value();
  ASSERT_TRUE(scaled_dot_product_attention_into(output, q, q, q, {.device = Way::kEager}).ok());
  EXPECT_EQ(largest_difference(output, fresh), 0);
}

TEST(Attention, EveryWrongArgumentIsNamed) {
  const Tensor q = random({2, 4, 5, 8}, 1);
  const Tensor bad_mask = Tensor::zeros({2, 4, 5, 6}).value(),
               integers = Tensor::zeros({2, 4, 5, 5}, DataType::kInt32).value();
  const struct {
    Tensor query, key, value;
    AttentionOptions options;
    const char *argument;
  } cases[] = {{Tensor(), q, q, {}, "query"},
               {random({8}, 1), q, q, {}, "query"},
               {integers, q, q, {}, "query"},
               {q, random({2, 4, 5, 9}, 1), q, {}, "key"},
               {q, random({2, 4, 5, 8}, 1, DataType::kFloat16), q, {}, "key"},
               {q, random({3, 4, 5, 8}, 1), random({3, 4, 5, 8}, 1), {}, "key"},
               {q, q, random({2, 4, 6, 8}, 1), {}, "value"},
               {q, random({2, 3, 5, 8}, 1), random({2, 3, 5, 8}, 1), {.enable_gqa = true}, "key"},
               {q, q, q, {.mask = &bad_mask}, "mask"},
               {q, q, q, {.mask = &integers}, "mask"},
               {q, q, q, {.dropout = 1.5}, "dropout"},
               {q, q, q, {.dropout = std::nan("")}, "dropout"},
               {q, q, q, {.scale = std::nan("")}, "scale"},
               {q, q, q, {.offset = uint64_t{1} << 32}, "offset"}};
  for (const auto &each : cases) {
    const auto result =
        scaled_dot_product_attention(each.query, each.key, each.value, each.options);
    ASSERT_FALSE(result.ok()) << each.argument;
    EXPECT_EQ(result.error().argument(), each.argument) << result.error().message();
    EXPECT_FALSE(result.error().expected().empty());
  }
}

TEST(Attention, OneFunctionForOneCombinationOfOptions) {
  const Tensor q = random({1, 1, 4, 8}, 1);
  const AttentionCall first =
      attention_call(q, q, q, {.scale = 0.1, .device = Way::kEager}).value();
  const AttentionCall second =
      attention_call(q, q, q, {.scale = 0.2, .device = Way::kEager}).value();
  EXPECT_EQ(&first.function.graph(), &second.function.graph());
}

} // namespace
} // namespace tenon
