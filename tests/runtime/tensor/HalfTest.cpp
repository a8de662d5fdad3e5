#include "Support.h"

#include "tenon/Half.h"

#include <cmath>
#include <random>

namespace tenon {
namespace {

// What a 16-bit pattern means, by the definition of IEEE 754: sign, exponent and mantissa as
// numbers.
double meaning(uint16_t bits, int exponent_bits, int mantissa_bits) {
  int mantissa = bits & ((1 << mantissa_bits) - 1),
      exponent = bits >> mantissa_bits & ((1 << exponent_bits) - 1);
  int bias = (1 << (exponent_bits - 1)) - 1;
  double sign = bits >> 15 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1)
    return mantissa ? std::nan("") : sign * HUGE_VAL;
  if (exponent == 0)
    return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
}

struct Format {
  int exponent_bits, mantissa_bits;
  float (*widen)(uint16_t);
  uint16_t (*narrow)(float);
  uint16_t infinity() const {
    return static_cast<uint16_t>(((1 << exponent_bits) - 1) << mantissa_bits);
  }
};
constexpr Format kFloat16 = {5, 10, float_from_float16, float16_from_float};
constexpr Format kBFloat16 = {8, 7, float_from_bfloat16, bfloat16_from_float};

class Half : public testing::TestWithParam<Format> {};

TEST_P(Half, EveryPatternWidensToWhatItMeans) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    double expected =
        meaning(static_cast<uint16_t>(bits), GetParam().exponent_bits, GetParam().mantissa_bits);
    float actual = GetParam().widen(static_cast<uint16_t>(bits));
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(actual)) << bits;
      continue;
    }
    ASSERT_EQ(actual, expected) << bits;
    ASSERT_EQ(std::signbit(actual), bits >> 15 == 1) << bits;
  }
}

TEST_P(Half, EveryPatternSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    float wide = GetParam().widen(static_cast<uint16_t>(bits));
    uint16_t back = GetParam().narrow(wide);
    if (std::isnan(wide)) {
      ASSERT_TRUE(std::isnan(GetParam().widen(back))) << bits;
      ASSERT_EQ(back >> 15, bits >> 15) << bits;
    } else {
      ASSERT_EQ(back, bits);
    }
  }
}

TEST_P(Half, TiesGoToEvenAndTheirNeighboursToTheNearer) {
  for (uint32_t bits = 0; bits < GetParam().infinity(); ++bits) {
    uint16_t lower = static_cast<uint16_t>(bits), upper = static_cast<uint16_t>(bits + 1);
    float low = GetParam().widen(lower);
    // Beyond the largest number lies, for the sake of rounding, the next power of two.
    double high = upper == GetParam().infinity()
                      ? std::ldexp(1.0, 1 << (GetParam().exponent_bits - 1))
                      : GetParam().widen(upper);
    double exact = (static_cast<double>(low) + high) / 2;
    float middle = static_cast<float>(exact);
    if (static_cast<double>(middle) != exact)
      continue; // the middle of two subnormals of bfloat16 may lie below float32
    ASSERT_EQ(GetParam().narrow(middle), bits % 2 ? upper : lower) << bits;
    ASSERT_EQ(GetParam().narrow(std::nextafter(middle, 0.0f)), lower) << bits;
    ASSERT_EQ(GetParam().narrow(std::nextafter(middle, HUGE_VALF)), upper) << bits;
    ASSERT_EQ(GetParam().narrow(-middle), 0x8000u | (bits % 2 ? upper : lower)) << bits;
  }
}

TEST_P(Half, RandomNumbersGoToTheNearest) {
  std::mt19937 bits(7);
  for (int i = 0; i < 200000; ++i) {
    float value = std::bit_cast<float>(static_cast<uint32_t>(bits()));
    if (!std::isfinite(value))
      continue;
    uint16_t narrow = GetParam().narrow(value);
    if ((narrow & 0x7fff) == GetParam().infinity())
      continue; // covered by the ties above
    double error = std::abs(static_cast<double>(GetParam().widen(narrow)) - value);
    for (int step : {-1, 1}) {
      uint16_t neighbour = static_cast<uint16_t>(narrow + step);
      if ((neighbour ^ narrow) >> 15 || (neighbour & 0x7fff) >= GetParam().infinity())
        continue;
      ASSERT_LE(error, std::abs(static_cast<double>(GetParam().widen(neighbour)) - value)) << value;
    }
  }
}

TEST_P(Half, InfinitiesAndNansStay) {
  EXPECT_EQ(GetParam().narrow(HUGE_VALF), GetParam().infinity());
  EXPECT_EQ(GetParam().narrow(-HUGE_VALF), 0x8000u | GetParam().infinity());
  for (uint32_t payload : {0x7fc00000u, 0x7f800001u, 0x7fffffffu, 0xff800001u, 0xffc00000u})
    EXPECT_TRUE(std::isnan(GetParam().widen(GetParam().narrow(std::bit_cast<float>(payload)))))
        << payload;
}

INSTANTIATE_TEST_SUITE_P(Formats, Half, testing::Values(kFloat16, kBFloat16),
                         [](const auto &format) {
                           return format.param.exponent_bits == 5 ? "float16" : "bfloat16";
                         });

static_assert(float16_from_float(1.0f) == 0x3c00 && bfloat16_from_float(-2.0f) == 0xc000);
static_assert(float_from_float16(0x0001) == 0x1p-24f && float_from_bfloat16(0x3f80) == 1.0f);

} // namespace
} // namespace tenon
