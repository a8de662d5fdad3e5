// float16 and bfloat16 arithmetic against exact arithmetic, rounded by looking for the nearest number of the format.
#include "Elementwise.h"
#include <array>
#include <cmath>
#include <limits>
#include <random>

namespace tenon::emulator {
namespace {

using Wide = __float128; // 113 bits: a product of halves and a third half, nearly always exact

/// A 16-bit format: its finite numbers from 0 up are 0, 1, … as integers.
struct Format {
  const char *name;
  int fraction, bias, infinity;

  Wide value(uint16_t bits) const {
    int magnitude = bits & 0x7fff, exponent = magnitude >> fraction, part = magnitude & ((1 << fraction) - 1);
    double number = exponent == 0 ? std::ldexp(part, 1 - bias - fraction)
                                  : std::ldexp(part + (1 << fraction), exponent - bias - fraction);
    return bits & 0x8000 ? -static_cast<Wide>(number) : static_cast<Wide>(number);
  }
  bool is_nan(uint16_t bits) const { return (bits & 0x7fff) > infinity; }
  bool is_infinite(uint16_t bits) const { return (bits & 0x7fff) == infinity; }
  /// Nearest number, ties to the even one; `beyond` says on which side of x the exact value lies.
  uint16_t nearest(Wide x, int beyond = 0) const {
    Wide magnitude = x < 0 ? -x : x;
    int side = x < 0 ? -beyond : beyond, low = 0, high = infinity;
    while (high - low > 1) {
      int middle = (low + high) / 2;
      bool below = value_of(middle) < magnitude || (value_of(middle) == magnitude && side >= 0);
      (below ? low : high) = middle;
    }
    Wide down = magnitude - value_of(low), up = value_of(low + 1) - magnitude;
    bool rounds_up = up < down || (up == down && (side > 0 || (side == 0 && (low & 1))));
    return static_cast<uint16_t>((rounds_up ? low + 1 : low) | (x < 0 ? 0x8000 : 0));
  }
  /// The number one above the largest stands for infinity.
  Wide value_of(int magnitude) const {
    return magnitude == infinity ? std::ldexp(1.0, (infinity >> fraction) - bias) : value(static_cast<uint16_t>(magnitude));
  }
};
constexpr Format kF16 = {"f16", 10, 15, 0x7c00}, kBf16 = {"bf16", 7, 127, 0x7f80};

std::vector<uint16_t> values(const Format &format, unsigned seed) {
  std::mt19937 random(seed);
  const uint16_t edges[] = {0, 0x8000, 1, 0x8001, 0x03ff, 0x0400, static_cast<uint16_t>(format.infinity),
                            static_cast<uint16_t>(format.infinity | 0x8000), static_cast<uint16_t>(format.infinity - 1),
                            static_cast<uint16_t>(format.infinity + 1), 0x3c00, 0xbc00, 0x3f80, 0xbf80};
  std::vector<uint16_t> all;
  auto one = static_cast<uint32_t>(format.bias << format.fraction);
  for (int i = 0; i < 2048; i++) {
    uint32_t draw = random();
    if (draw % 8 == 0)
      all.push_back(edges[draw / 8 % std::size(edges)]);
    else if (draw % 2) // near one, where sums round and cancel
      all.push_back(static_cast<uint16_t>((one + (draw >> 8) % (4u << format.fraction) - (2u << format.fraction)) | (draw & 0x8000)));
    else
      all.push_back(static_cast<uint16_t>(draw >> 16));
  }
  return all;
}

/// Exact result of an operation on finite numbers, and on which side of it the truth lies.
struct Exact {
  Wide value;
  int beyond = 0;
};
Exact sum(Wide a, Wide b) {
  Wide total = a + b, back = total - a, error = (a - (total - back)) + (b - back);
  return {total, error > 0 ? 1 : error < 0 ? -1 : 0};
}

struct Operation {
  const char *name;
  int operands;
  double (*in_double)(double, double, double); // for what is not finite: only its kind matters
  Exact (*exact)(Wide, Wide, Wide);
};
const Operation kOperations[] = {
    {"add", 2, [](double a, double b, double) { return a + b; }, [](Wide a, Wide b, Wide) { return sum(a, b); }},
    {"sub", 2, [](double a, double b, double) { return a - b; }, [](Wide a, Wide b, Wide) { return sum(a, -b); }},
    {"mul", 2, [](double a, double b, double) { return a * b; }, [](Wide a, Wide b, Wide) { return Exact{a * b}; }},
    {"fma.rn", 3, [](double a, double b, double c) { return std::fma(a, b, c); }, [](Wide a, Wide b, Wide c) { return sum(a * b, c); }}};

uint16_t expected(const Format &format, const Operation &operation, const std::array<uint16_t, 3> &in) {
  auto as_double = [&](uint16_t bits) {
    return format.is_nan(bits) ? NAN : format.is_infinite(bits) ? (bits & 0x8000 ? -INFINITY : INFINITY) : static_cast<double>(format.value(bits));
  };
  double kind = operation.in_double(as_double(in[0]), as_double(in[1]), operation.operands > 2 ? as_double(in[2]) : 0);
  if (std::isnan(kind))
    return 0x7fff;
  bool finite = true;
  for (int i = 0; i < operation.operands; i++)
    finite &= !format.is_infinite(in[static_cast<size_t>(i)]);
  if (!finite)
    return static_cast<uint16_t>(format.infinity | (kind < 0 ? 0x8000 : 0));
  Exact exact = operation.exact(format.value(in[0]), format.value(in[1]), operation.operands > 2 ? format.value(in[2]) : Wide(0));
  if (exact.value == 0)
    return std::signbit(kind) ? 0x8000 : 0;
  return format.nearest(exact.value, exact.beyond);
}

class Halves : public testing::TestWithParam<std::tuple<Format, Operation, bool>> {};
TEST_P(Halves, RoundsOnce) {
  const auto &[format, operation, packed] = GetParam();
  std::vector<uint16_t> in[3] = {values(format, 1), values(format, 2), values(format, 3)};
  std::string type = std::string(format.name) + (packed ? "x2" : ""), body = std::string(operation.name) + "." + type + " %d, %a0, %a1";
  body += operation.operands > 2 ? ", %a2;" : ";";
  const char *target = format.name[0] == 'b' && operation.operands == 2 ? "sm_90" : "sm_80";
  std::vector<uint16_t> out(in[0].size());
  Card card("h100");
  std::string storage = packed ? "b32" : "b16";
  auto *kernel = card.load(elementwise({storage, storage, storage}, storage, body, target));
  ASSERT_TRUE(kernel);
  size_t step = packed ? 64 : 32;
  auto result = card.allocate(step * 2);
  DevicePointer a = card.upload(in[0]), b = card.upload(in[1]), c = card.upload(in[2]);
  for (size_t first = 0; first < out.size(); first += step) {
    ASSERT_EQ(card.launch(kernel, 1, 32, 0, result, a + 2 * first, b + 2 * first, c + 2 * first), kSuccess);
    auto chunk = card.download<uint16_t>(result, step);
    std::copy(chunk.begin(), chunk.end(), out.begin() + static_cast<long>(first));
  }
  int wrong = 0;
  for (size_t i = 0; i < out.size() && wrong < 10; i++) {
    uint16_t right = expected(format, operation, {in[0][i], in[1][i], in[2][i]});
    wrong += out[i] != right;
    EXPECT_EQ(out[i], right) << std::hex << body << " of " << in[0][i] << ", " << in[1][i] << ", " << in[2][i];
  }
}
INSTANTIATE_TEST_SUITE_P(All, Halves,
                         testing::Combine(testing::Values(kF16, kBf16), testing::ValuesIn(kOperations), testing::Bool()),
                         [](const auto &info) {
                           std::string name = std::get<0>(info.param).name + std::string("_") + std::get<1>(info.param).name;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name + (std::get<2>(info.param) ? "_two" : "");
                         });

/// The lesser or greater magnitude, with the sign of the product; of a number and what is none, the number, but for .NaN.
TEST(HalvesChosen, ByMagnitudeWithTheSignOfTheProduct) {
  for (const Format &format : {kF16, kBf16})
    for (bool packed : {false, true})
      for (std::string choice : {"min", "max", "min.NaN", "max.NaN"}) {
        const std::string body = choice + ".xorsign.abs." + format.name + (packed ? "x2" : "") + " %d, %a0, %a1;", storage = packed ? "b32" : "b16";
        const std::vector<uint16_t> a = values(format, 4), b = values(format, 5);
        Card card("h100");
        auto *kernel = card.load(elementwise({storage, storage}, storage, body, "sm_90"));
        ASSERT_TRUE(kernel);
        const size_t step = packed ? 64 : 32;
        auto result = card.allocate(step * 2);
        ASSERT_EQ(card.launch(kernel, 1, 32, 0, result, card.upload(a), card.upload(b)), kSuccess);
        auto d = card.download<uint16_t>(result, step);
        for (size_t i = 0; i < step; i++) {
          const uint16_t x = a[i] & 0x7fff, y = b[i] & 0x7fff, sign = (a[i] ^ b[i]) & 0x8000;
          const bool none = format.is_nan(x) && format.is_nan(y), any = format.is_nan(x) || format.is_nan(y);
          uint16_t chosen = format.is_nan(x) ? y : format.is_nan(y) ? x : choice.starts_with("max") ? std::max(x, y) : std::min(x, y);
          if (none || (any && choice.ends_with("NaN")))
            EXPECT_TRUE(format.is_nan(d[i])) << body << std::hex << a[i] << " " << b[i];
          else
            EXPECT_EQ(d[i], chosen | sign) << body << std::hex << a[i] << " " << b[i];
        }
      }
}

} // namespace
} // namespace tenon::emulator
