#include "tenon/Dropout.h"

#include "Evaluate.h"

#include <cstring>

namespace tenon::testing_support {
namespace {

using Words = std::array<uint32_t, 4>;

/// The published vectors: Random123 1.14, tests/kat_vectors, philox4x32 with 10 rounds.
TEST(Philox, KnownAnswers) {
  static_assert(philox4x32_10({0, 0, 0, 0}, {0, 0}) ==
                Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  EXPECT_EQ(
      philox4x32_10({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
      (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(
      philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

/// The contract, read word for word: eight little-endian 16-bit numbers in the 128 bits.
uint16_t number_by_contract(uint64_t seed, uint32_t offset, uint32_t head, uint32_t query,
                            uint32_t key) {
  const Words bits =
      philox4x32_10({query, 4 * (key / 32) + (key % 8) / 2, head, offset},
                    {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  unsigned char bytes[16];
  for (size_t i = 0; i < 16; ++i)
    bytes[i] = static_cast<unsigned char>(bits[i / 4] >> (8 * (i % 4)));
  const size_t number = 2 * ((key % 32) / 8) + key % 2;
  return static_cast<uint16_t>(bytes[2 * number] | bytes[2 * number + 1] << 8);
}

constexpr uint64_t kSeed = 0x0123456789ABCDEFu;

TEST(Dropout, NumbersFollowTheContract) {
  for (uint32_t query : {0u, 1u, 77u, 0xFFFFFFFFu})
    for (uint32_t key = 0; key < 100; ++key) {
      const uint16_t expected = number_by_contract(kSeed, 9, 5, query, key);
      EXPECT_EQ(dropout_number(kSeed, 9, 5, query, key), expected);
      EXPECT_EQ(dropout_numbers(kSeed, 9, 5, query, key / 32)[key % 32], expected);
    }
}

TEST(Dropout, EightKeysShareOneCallAndNoTwoShareANumber) {
  std::array<int, 8> calls{};
  for (uint32_t key = 0; key < 64; ++key) {
    ++calls[4 * (key / 32) + (key % 8) / 2];
    for (uint32_t other = 0; other < key; ++other)
      EXPECT_FALSE(4 * (key / 32) + (key % 8) / 2 == 4 * (other / 32) + (other % 8) / 2 &&
                   2 * ((key % 32) / 8) + key % 2 == 2 * ((other % 32) / 8) + other % 2);
  }
  EXPECT_EQ(calls, (std::array<int, 8>{8, 8, 8, 8, 8, 8, 8, 8}));
}

TEST(Dropout, Threshold) {
  EXPECT_EQ(dropout_threshold(0.0f), 0u);
  EXPECT_EQ(dropout_threshold(0.5f), 32768u);
  EXPECT_EQ(dropout_threshold(0.1f), 6554u);
  EXPECT_EQ(dropout_threshold(1.0f), 65536u);
  EXPECT_EQ(dropout_threshold(0x1p-17f), 1u) << "halves go up";
  EXPECT_EQ(dropout_threshold(0x1p-18f), 0u);
}

TEST(Dropout, MaskFollowsTheContract) {
  const Tensor kept = dropout_mask(kSeed, 3, 2, 3, 4, 70, 0.3f).value();
  EXPECT_EQ(kept.shape(), (Shape{2, 3, 4, 70}));
  const bool *element = kept.data_as<bool>();
  for (uint32_t head = 0; head < 6; ++head)
    for (uint32_t query = 0; query < 4; ++query)
      for (uint32_t key = 0; key < 70; ++key)
        ASSERT_EQ(*element++,
                  number_by_contract(kSeed, 3, head, query, key) >= dropout_threshold(0.3f));
}

TEST(Dropout, MaskRefusesWhatIsOutOfRange) {
  EXPECT_FALSE(dropout_mask(0, 0, 1, 1, 1, 1, -0.1f));
  EXPECT_FALSE(dropout_mask(0, 0, 1, 1, 1, 1, 1.1f));
  EXPECT_FALSE(dropout_mask(0, 0, 1, 1, 1, 1, std::numeric_limits<float>::quiet_NaN()));
  EXPECT_FALSE(dropout_mask(0, uint64_t{1} << 32, 1, 1, 1, 1, 0.5f));
  EXPECT_FALSE(dropout_mask(0, 0, 1, -1, 1, 1, 0.5f));
  EXPECT_FALSE(dropout_mask(0, 0, 1, 1, int64_t{1} << 31, 1, 0.5f));
  EXPECT_EQ(dropout_mask(0, 0, 2, 0, 4, 5, 0.5f).value().element_count(), 0);
}

TEST(Dropout, NothingAndAll) {
  for (const double value : elements(dropout_mask(1, 2, 1, 2, 30, 50, 0.0f).value()))
    ASSERT_EQ(value, 1);
  for (const double value : elements(dropout_mask(1, 2, 1, 2, 30, 50, 1.0f).value()))
    ASSERT_EQ(value, 0);
}

std::vector<double> mask_values(uint64_t seed, uint64_t offset, float probability) {
  return elements(dropout_mask(seed, offset, 4, 4, 64, 256, probability).value());
}

TEST(DropoutStatistics, TheRightFractionIsDropped) {
  for (const float probability : {0.01f, 0.1f, 0.5f, 0.9f}) {
    const std::vector<double> kept = mask_values(kSeed, 1, probability);
    double sum = 0;
    for (const double value : kept)
      sum += 1 - value;
    const auto count = static_cast<double>(kept.size()); // 2^18
    const double exact = dropout_threshold(probability) / 65536.0;
    EXPECT_NEAR(sum / count, exact, 5 * std::sqrt(exact * (1 - exact) / count)) << probability;
  }
}

double correlation(const std::vector<double> &a, const std::vector<double> &b) {
  double product = 0;
  for (size_t i = 0; i < a.size(); ++i)
    product += (a[i] - 0.5) * (b[i] - 0.5) * 4;
  return product / static_cast<double>(a.size());
}

/// Draws at distance 1, 2, 8, 32 along keys, queries, heads and batch are not correlated; nor are
/// seeds and offsets.
TEST(DropoutStatistics, IndependentAlongEveryAxis) {
  const std::vector<double> kept = mask_values(kSeed, 1, 0.5f);
  const size_t strides[] = {1, 2, 8, 32, 256, 2 * 256, 64 * 256, 4 * 64 * 256};
  for (const size_t stride : strides) {
    const std::vector<double> here(kept.begin(), kept.end() - static_cast<int64_t>(stride));
    const std::vector<double> there(kept.begin() + static_cast<int64_t>(stride), kept.end());
    EXPECT_LT(std::abs(correlation(here, there)), 5 / std::sqrt(static_cast<double>(here.size())))
        << stride;
  }
  const double bound = 5 / std::sqrt(static_cast<double>(kept.size()));
  EXPECT_LT(std::abs(correlation(kept, mask_values(kSeed, 2, 0.5f))), bound);
  EXPECT_LT(std::abs(correlation(kept, mask_values(kSeed + 1, 1, 0.5f))), bound);
  EXPECT_LT(std::abs(correlation(kept, mask_values(kSeed + (uint64_t{1} << 32), 1, 0.5f))), bound);
}

/// Chi-squared over 256 bins of the 16-bit numbers.
TEST(DropoutStatistics, NumbersAreUniform) {
  std::array<int, 256> bins{};
  constexpr int kDraws = 256 * 1024;
  for (uint32_t query = 0; query < 256; ++query)
    for (uint32_t key = 0; key < 1024; ++key)
      ++bins[dropout_number(kSeed, 0, 0, query, key) >> 8];
  double chi_squared = 0;
  for (const int count : bins)
    chi_squared += (count - kDraws / 256.0) * (count - kDraws / 256.0) / (kDraws / 256.0);
  EXPECT_NEAR(chi_squared, 255, 5 * std::sqrt(2.0 * 255));
}

Graph dropout_graph() {
  return parse("%p: tensor<*xf32>, %rate: f32",
               "%0 = attention.dropout %p, %rate : (tensor<*xf32>, f32) -> tensor<*xf32>\n"
               "return %0 : tensor<*xf32>");
}

InterpreterOptions seeded(uint64_t offset = 7) {
  return {.seed = kSeed, .offset = offset};
}

TEST(DropoutOperation, KeepsByTheMaskAndScalesTheRest) {
  const Tensor probabilities = random({2, 3, 5, 67}, 1);
  const std::vector<double> result =
      evaluate_one(dropout_graph(), {probabilities, floats({}, {0.25f})}, seeded());
  const std::vector<double> kept = elements(dropout_mask(kSeed, 7, 2, 3, 5, 67, 0.25f).value());
  const std::vector<double> values = elements(probabilities);
  ASSERT_EQ(result.size(), values.size());
  for (size_t i = 0; i < values.size(); ++i)
    ASSERT_EQ(result[i], kept[i] != 0 ? static_cast<float>(values[i]) * (1.0f / 0.75f) : 0.0f);
}

TEST(DropoutOperation, NothingAndAll) {
  const Tensor probabilities = doubles({1, 3}, {0.5, kNaN, kInfinity});
  expect_close(evaluate_one(dropout_graph(), {probabilities, floats({}, {0})}, seeded()),
               {0.5, kNaN, kInfinity}, 0, "p = 0");
  EXPECT_EQ(evaluate_one(dropout_graph(), {probabilities, floats({}, {1})}, seeded()),
            (std::vector<double>{0, 0, 0}));
}

TEST(DropoutOperation, Refusals) {
  const Tensor probabilities = random({2, 2}, 1);
  for (const float rate : {-0.1f, 1.5f, std::numeric_limits<float>::quiet_NaN()}) {
    const Tensor inputs[] = {probabilities, floats({}, {rate})};
    const auto result = interpret(dropout_graph(), inputs, seeded());
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().argument(), "dropout probability");
  }
  const Tensor inputs[] = {probabilities, floats({}, {0.5f})};
  const auto result = interpret(dropout_graph(), inputs, seeded(uint64_t{1} << 32));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message(), "offset: was 4294967296, must be at most 4294967295");
}

} // namespace
} // namespace tenon::testing_support
