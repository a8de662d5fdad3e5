// mma of numbers of any size against the definition of its sums (runtime/emulated-driver/execute/TensorCoreSum.h), computed
// here in integers: the executor takes several ways through it, by how large and how small the numbers are.
#include "Mma.h"
#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

namespace tenon::emulator {
namespace {

constexpr unsigned kTiles = 1500;

/// A format of K x 8 and 16 x K factors; a register spans `span` columns of K.
struct SumFormat {
  const char *name, *shape, *types;
  int exponent_bits, fraction_bits, k, span, chunk; // chunk: products of one sum on an A100
};
void PrintTo(const SumFormat &format, std::ostream *os) { *os << format.name; }

/// significand * 2^(exponent - fraction bits of its format), with the sign apart.
struct Number {
  bool negative;
  uint64_t significand;
  int exponent;
};
Number number_of(uint32_t bits, int exponent_bits, int fraction_bits) {
  const uint32_t field = bits >> fraction_bits & ((1u << exponent_bits) - 1), fraction = bits & ((1u << fraction_bits) - 1);
  const int bias = (1 << (exponent_bits - 1)) - 1;
  return {(bits >> (exponent_bits + fraction_bits) & 1) != 0, fraction | (field ? 1u << fraction_bits : 0),
          std::max(static_cast<int>(field), 1) - bias};
}

/// Terms cut to `fraction` bits below the largest exponent, added exactly, the sum cut to float32.
float sum_of(const std::vector<Number> &terms, const std::vector<int> &fraction_bits, int fraction) {
  int top = -100000;
  for (const Number &term : terms)
    if (term.significand)
      top = std::max(top, term.exponent);
  if (top == -100000)
    return 0;
  int64_t sum = 0;
  for (size_t i = 0; i < terms.size(); i++) {
    const int left = fraction - fraction_bits[i] - (top - terms[i].exponent);
    if (terms[i].significand == 0 || left < -63) // a zero has any exponent
      continue;
    const uint64_t cut = left >= 0 ? terms[i].significand << left : terms[i].significand >> -left;
    sum += terms[i].negative ? -static_cast<int64_t>(cut) : static_cast<int64_t>(cut);
  }
  const double exact = std::ldexp(static_cast<double>(sum), top - fraction);
  if (std::fabs(exact) >= 0x1p128)
    return exact < 0 ? -INFINITY : INFINITY;
  const float nearest = static_cast<float>(exact);
  return std::fabs(static_cast<double>(nearest)) > std::fabs(exact) ? std::nextafterf(nearest, 0.0f) : nearest;
}

/// A number whose exponent field lies in [least, most]; one in eight is zero.
uint32_t draw(std::mt19937 &random, int exponent_bits, int fraction_bits, int least, int most) {
  const uint32_t sign = random() % 2 << (exponent_bits + fraction_bits);
  if (random() % 8 == 0)
    return sign;
  const uint32_t field = static_cast<uint32_t>(least + static_cast<int>(random() % static_cast<unsigned>(most - least + 1)));
  const uint32_t fraction = random() & ((1u << fraction_bits) - 1);
  return sign | field << fraction_bits | (random() % 4 == 0 ? (1u << fraction_bits) - 1 : fraction);
}

/// 32 lanes of `count` registers for each tile, as mma_kernel loads them.
struct Fragments {
  Fragments(int registers) : count(registers), words(size_t{kTiles} * 32 * registers) {}
  uint32_t &at(unsigned tile, int lane, int index) { return words[(size_t{tile} * 32 + lane) * count + index]; }
  int count;
  std::vector<uint32_t> words;
};

class TensorCoreSums : public testing::TestWithParam<SumFormat> {
protected:
  const SumFormat &format_ = GetParam();
  const int bits_ = 1 + format_.exponent_bits + format_.fraction_bits;
  const int a_count_ = 2 * format_.k / format_.span, b_count_ = format_.k / format_.span;
  Fragments a_{a_count_}, b_{b_count_}, c_{4};

  struct Place {
    int lane, index, shift;
  };
  /// Of factor k of a row of A, or of a column of B.
  Place factor_at(bool of_a, int line, int k) const {
    const int within = k % format_.span, step = k / format_.span;
    const bool pairs = format_.span == 8;
    return {line % 8 * 4 + (pairs ? within / 2 : within), of_a ? 2 * step + line / 8 : step, pairs ? within % 2 * 16 : 0};
  }
  Number factor(bool of_a, unsigned tile, int line, int k) {
    const Place place = factor_at(of_a, line, k);
    const uint32_t word = (of_a ? a_ : b_).at(tile, place.lane, place.index) >> place.shift;
    return number_of(format_.span == 8 ? word : word >> (32 - bits_), format_.exponent_bits, format_.fraction_bits);
  }
  void put_factor(bool of_a, unsigned tile, int line, int k, uint32_t bits) {
    const Place place = factor_at(of_a, line, k);
    (of_a ? a_ : b_).at(tile, place.lane, place.index) |= (format_.span == 8 ? bits : bits << (32 - bits_)) << place.shift;
  }
  /// Every tile has ranges of exponents of its own: narrow or wide, anywhere.
  void fill() {
    std::mt19937 random(7);
    for (unsigned tile = 0; tile < kTiles; tile++) {
      int range[3][2];
      for (int operand = 0; operand < 3; operand++) {
        const int most = operand < 2 ? (1 << format_.exponent_bits) - 2 : 254;
        int from = static_cast<int>(random() % static_cast<unsigned>(most + 1)), to = static_cast<int>(random() % static_cast<unsigned>(most + 1));
        if (random() % 2)
          to = std::min(most, from + static_cast<int>(random() % 8));
        range[operand][0] = std::min(from, to), range[operand][1] = std::max(from, to);
      }
      for (int k = 0; k < format_.k; k++) {
        for (int row = 0; row < 16; row++)
          put_factor(true, tile, row, k, draw(random, format_.exponent_bits, format_.fraction_bits, range[0][0], range[0][1]));
        for (int column = 0; column < 8; column++)
          put_factor(false, tile, column, k, draw(random, format_.exponent_bits, format_.fraction_bits, range[1][0], range[1][1]));
      }
      const bool zero = random() % 4 == 0;
      for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < 4; i++)
          c_.at(tile, lane, i) = zero ? 0 : draw(random, 8, 23, range[2][0], range[2][1]);
    }
  }
  float expected(unsigned tile, int row, int column, int chunk, int fraction) {
    float sum = std::bit_cast<float>(c_.at(tile, row % 8 * 4 + column / 2, row / 8 * 2 + column % 2));
    for (int first = 0; first < format_.k; first += chunk) {
      std::vector<Number> terms{number_of(std::bit_cast<uint32_t>(sum), 8, 23)};
      std::vector<int> fraction_bits{23};
      for (int k = first; k < first + chunk; k++) {
        const Number x = factor(true, tile, row, k), y = factor(false, tile, column, k);
        terms.push_back({x.negative != y.negative, x.significand * y.significand, x.exponent + y.exponent});
        fraction_bits.push_back(2 * format_.fraction_bits);
      }
      sum = sum_of(terms, fraction_bits, fraction);
      if (std::isinf(sum)) // a further sum adds to infinity
        break;
    }
    return sum;
  }
};

TEST_P(TensorCoreSums, AreTheDefinitions) {
  fill();
  for (const bool hopper : {false, true}) {
    Card card(hopper ? "h100" : "a100");
    auto *kernel = card.load(mma_kernel(format_.shape, format_.types, a_count_, b_count_, 4, 4, "sm_80"));
    ASSERT_TRUE(kernel);
    const DevicePointer out = card.allocate(c_.words.size() * 4);
    ASSERT_EQ(card.launch(kernel, kTiles, 32, 0, out, card.upload(a_.words), card.upload(b_.words), card.upload(c_.words)),
              kSuccess);
    Fragments result(4);
    result.words = card.download<uint32_t>(out, c_.words.size());
    unsigned wrong = 0;
    for (unsigned tile = 0; tile < kTiles; tile++)
      for (int row = 0; row < 16; row++)
        for (int column = 0; column < 8; column++) {
          const float want = expected(tile, row, column, hopper ? format_.k : format_.chunk, hopper ? 25 : 24);
          const float got = std::bit_cast<float>(result.at(tile, row % 8 * 4 + column / 2, row / 8 * 2 + column % 2));
          if (std::bit_cast<uint32_t>(want) != std::bit_cast<uint32_t>(got) && wrong++ < 5)
            ADD_FAILURE() << "tile " << tile << ", row " << row << ", column " << column << " on " << (hopper ? "h100" : "a100")
                          << ": " << std::hexfloat << got << ", not " << want;
        }
    EXPECT_EQ(wrong, 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(All, TensorCoreSums,
                         testing::Values(SumFormat{"f16", "m16n8k16", "f32.f16.f16.f32", 5, 10, 16, 8, 8},
                                         SumFormat{"f16_k8", "m16n8k8", "f32.f16.f16.f32", 5, 10, 8, 8, 8},
                                         SumFormat{"bf16", "m16n8k16", "f32.bf16.bf16.f32", 8, 7, 16, 8, 8},
                                         SumFormat{"bf16_k8", "m16n8k8", "f32.bf16.bf16.f32", 8, 7, 8, 8, 8},
                                         SumFormat{"tf32", "m16n8k8", "f32.tf32.tf32.f32", 8, 10, 8, 4, 4},
                                         SumFormat{"tf32_k4", "m16n8k4", "f32.tf32.tf32.f32", 8, 10, 4, 4, 4}),
                         [](const auto &row) { return std::string(row.param.name); });

} // namespace
} // namespace tenon::emulator
