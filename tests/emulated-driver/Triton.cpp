// Attention as Triton compiles it, against float64: PTX of a compiler that knows nothing of Tenon.
#include "Checkout.h"
#include "Emulator.h"
#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

namespace tenon::emulator {
namespace {

constexpr int kHeads = 3, kQueries = 100, kKeys = 75, kWidth = 64; // neither length fills its last tile
constexpr unsigned kRows = 64, kThreads = 128, kShared = 40960;    // as data/triton_attention.ptx was made

/// Multiples of 1/8 from -2 to 2, which float16 holds exactly.
std::vector<double> numbers(size_t count, uint32_t seed) {
  std::vector<double> values(count);
  for (double &value : values) {
    seed = seed * 1664525 + 1013904223;
    value = (static_cast<int>(seed >> 16) % 33 - 16) / 8.0;
  }
  return values;
}

uint16_t to_half(double value) {
  if (value == 0)
    return 0;
  const int exponent = std::ilogb(value);
  const double mantissa = std::ldexp(std::fabs(value), 10 - exponent) - 1024;
  return static_cast<uint16_t>((value < 0) << 15 | (exponent + 15) << 10 | static_cast<int>(mantissa));
}

double from_half(uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const double magnitude = std::ldexp(exponent ? 1024 + mantissa : mantissa, std::max(exponent, 1) - 25);
  return bits >> 15 ? -magnitude : magnitude;
}

std::vector<uint16_t> halves(const std::vector<double> &values) {
  std::vector<uint16_t> bits(values.size());
  std::transform(values.begin(), values.end(), bits.begin(), to_half);
  return bits;
}

/// Causal attention of one row.
std::vector<double> attend(const double *query, const double *keys, const double *values, int row) {
  std::vector<double> output(kWidth);
  double total = 0;
  for (int key = 0; key < std::min(row + 1, kKeys); key++) {
    double score = 0;
    for (int i = 0; i < kWidth; i++)
      score += query[i] * keys[key * kWidth + i];
    const double weight = std::exp(score / 8);
    total += weight;
    for (int i = 0; i < kWidth; i++)
      output[static_cast<size_t>(i)] += weight * values[key * kWidth + i];
  }
  for (double &value : output)
    value /= total;
  return output;
}

TEST(Triton, AttentionIsRightAndWithoutConflicts) {
  std::ifstream file(TENON_SOURCE_DIR "/tests/emulated-driver/data/triton_attention.ptx");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  Card card;
  FunctionObject *kernel = card.load(text, "attention");
  ASSERT_TRUE(kernel);
  const auto query = numbers(kHeads * kQueries * kWidth, 1), key = numbers(kHeads * kKeys * kWidth, 2),
             value = numbers(kHeads * kKeys * kWidth, 3);
  DevicePointer output = card.allocate(query.size() * 2), none = 0;
  DevicePointer q = card.upload(halves(query)), k = card.upload(halves(key)), v = card.upload(halves(value));
  float scale = 0.125f;
  int queries = kQueries, keys = kKeys;
  void *parameters[] = {&q, &k, &v, &output, &scale, &queries, &keys, &none, &none};
  ASSERT_EQ(cuLaunchKernel(kernel, (kQueries + kRows - 1) / kRows, kHeads, 1, kThreads, 1, 1, kShared, nullptr, parameters, nullptr),
            kSuccess);
  ASSERT_EQ(cuCtxSynchronize(), kSuccess);
  EXPECT_EQ(Card::report(), "nothing found\n");

  const auto computed = card.download<uint16_t>(output, query.size());
  for (int head = 0; head < kHeads; head++)
    for (int row = 0; row < kQueries; row++) {
      const size_t at = static_cast<size_t>(head * kQueries + row) * kWidth, keys_at = static_cast<size_t>(head) * kKeys * kWidth;
      const std::vector<double> expected = attend(&query[at], &key[keys_at], &value[keys_at], row);
      for (size_t i = 0; i < kWidth; i++) // weights are rounded to float16, and so is the output
        ASSERT_NEAR(from_half(computed[at + i]), expected[i], 2e-3) << head << "," << row << "," << i;
    }

  std::string counters(tenonEmulatorCounters(nullptr, 0), '\0');
  tenonEmulatorCounters(counters.data(), counters.size());
  counters.pop_back();
  const auto counted = nlohmann::json::parse(counters);
  for (const auto &line : counted["kernels"]["attention"]["lines"])
    if (line.contains("shared"))
      EXPECT_EQ(line["shared"]["wavefronts"], line["shared"]["ideal"]) << line;
}

} // namespace
} // namespace tenon::emulator
