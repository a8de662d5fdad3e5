// How tensor cores add, as outputs recorded on A100, H100 and B200 show, bit by bit: products are exact and not
// normalised. Every term, the accumulator too, is truncated (sign and magnitude) to F fractional bits of the largest
// exponent; the sum is exact; the result is rounded toward zero to float32.
//   Ampere, Ada:        F = 24, at most 8 float16 (4 tf32) products at once, so K = 16 is two sums, one after the other
//   Hopper, Blackwell:  F = 25, all of K at once
// Subnormal inputs have the least normal exponent and no leading one.
//
// Here is the definition, for any input; TensorCoreVectors.h does the same faster where the numbers are not extreme.
#pragma once
#include "execute/Convert.h"

namespace tenon::emulator::TENON_ISA {

struct tf32 { u32 bits; };

/// What a format adds to its values as float32: the exponent of its subnormals, how many products are one sum on Ampere,
/// and integers that hold the sum of two exponents, with an exponent of zero that keeps its sums below those of others.
template <class T> struct Format;
template <> struct Format<f16> {
  static constexpr int kLeast = -14, kChunk = 8, kZero = -64;
  using Exponent = s8;
};
template <> struct Format<bf16> {
  static constexpr int kLeast = -126, kChunk = 8, kZero = -4000;
  using Exponent = s16;
};
template <> struct Format<tf32> {
  static constexpr int kLeast = -126, kChunk = 4, kZero = -4000;
  using Exponent = s16;
};

inline constexpr s32 kNoExponent = -4000; // of zero
template <int Least> inline s32 exponent_of(f32 x) {
  s32 biased = static_cast<s32>((as<u32>(x) >> 23) & 255);
  if ((as<u32>(x) & 0x7fffffff) == 0)
    return kNoExponent;
  return biased - 127 < Least ? Least : biased - 127;
}

/// One sum in full generality: the definition. The factors are float32 values of the format whose least exponent is given.
template <int Least, int Fraction>
__attribute__((noinline)) f64 sum_products_exactly(const f32 *a, const f32 *b, int count, f32 c, f32 *special) {
  auto is_special = [](f32 x) { return (as<u32>(x) & 0x7f800000u) == 0x7f800000u; };
  *special = 0;
  bool any_special = is_special(c);
  f32 specials = any_special ? c : 0.0f;
  s32 top = exponent_of<-126>(c);
  for (int k = 0; k < count; k++) {
    if (is_special(a[k]) || is_special(b[k])) {
      specials = any_special ? specials + a[k] * b[k] : a[k] * b[k];
      any_special = true;
    }
    s32 exponent = exponent_of<Least>(a[k]) + exponent_of<Least>(b[k]);
    top = exponent > top ? exponent : top;
  }
  if (any_special) {
    *special = canonical(specials);
    return 0;
  }
  if (top < kNoExponent / 2)
    return 0;
  // x / 2^exponent as an integer with 23 bits of fraction
  auto significand = [](f32 x, s32 exponent) {
    return static_cast<u64>(__builtin_ldexp(static_cast<f64>(x < 0 ? -x : x), 23 - exponent));
  };
  auto align = [&](u64 term, s32 exponent, int fraction) -> s64 {
    s32 shift = Fraction - fraction - (top - exponent);
    return shift < -63 ? 0 : static_cast<s64>(shift >= 0 ? term << shift : term >> -shift);
  };
  s64 sum = 0;
  if (s32 exponent = exponent_of<-126>(c); exponent > kNoExponent) {
    s64 term = align(significand(c, exponent), exponent, 23);
    sum = c < 0 ? -term : term;
  }
  for (int k = 0; k < count; k++) {
    s32 ea = exponent_of<Least>(a[k]), eb = exponent_of<Least>(b[k]);
    if (ea + eb < kNoExponent / 2)
      continue;
    s64 term = align(significand(a[k], ea) * significand(b[k], eb), ea + eb, 46);
    sum += (a[k] < 0) != (b[k] < 0) ? -term : term;
  }
  return __builtin_ldexp(static_cast<f64>(sum), top - Fraction);
}

/// float64 to float32 toward zero; beyond the range, infinity.
inline f32 narrow_toward_zero(f64 x) {
  f64 magnitude = __builtin_fabs(x);
  if (__builtin_expect(magnitude < 0x1p-126 && magnitude > 0, 0))
    return static_cast<f32>(__builtin_trunc(x * 0x1p149) * 0x1p-149);
  return static_cast<f32>(as<f64>(as<u64>(x) & ~u64{0x1fffffff}));
}
/// float64 to float16, to nearest.
inline f16 narrow_to_half(f64 x) { return to_f16<kNearest>(odd_f32(x)); }

/// The operands of one product. A and C are transposed, so that 16 rows are a vector.
template <int K> struct Tile {
  alignas(64) f32 a[K][16];
  alignas(64) f32 b[K][8];
  alignas(64) f32 c[8][16]; // column, row
  alignas(64) f32 result[8][16];
  // Of the last sum before it is rounded, where that is asked for: its value, or the infinity or NaN that it is.
  alignas(64) f64 unrounded[8][16];
  alignas(64) f32 special[8][16];
};

template <class T, int K, int Chunk, int Fraction> void multiply_exactly(Tile<K> &tile) {
  for (int j = 0; j < 8; j++)
    for (int i = 0; i < 16; i++) {
      f32 accumulator = tile.c[j][i], special = 0, row[Chunk], column[Chunk];
      f64 sum = 0;
      for (int first = 0; first < K; first += Chunk) {
        for (int k = 0; k < Chunk; k++) {
          row[k] = tile.a[first + k][i];
          column[k] = tile.b[first + k][j];
        }
        sum = sum_products_exactly<Format<T>::kLeast, Fraction>(row, column, Chunk, accumulator, &special);
        accumulator = special != 0 ? special : narrow_toward_zero(sum);
      }
      tile.unrounded[j][i] = sum;
      tile.result[j][i] = accumulator;
      tile.special[j][i] = special;
    }
}

} // namespace tenon::emulator::TENON_ISA
