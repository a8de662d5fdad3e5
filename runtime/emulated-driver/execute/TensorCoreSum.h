// How tensor cores add, as outputs recorded on A100, H100 and B200 show, bit by bit: products are exact and not
// normalised. Every term, the accumulator too, is truncated (sign and magnitude) to F fractional bits of the largest
// exponent; the sum is exact; the result is rounded toward zero to float32.
//   Ampere, Ada:        F = 24, at most 8 float16 (4 tf32) products at once, so K = 16 is two sums, one after the other
//   Hopper, Blackwell:  F = 25, all of K at once
// Subnormal inputs have the least normal exponent and no leading one.
#pragma once
#include "execute/Convert.h"

namespace tenon::emulator::TENON_ISA {

struct tf32 { u32 bits; };

/// What a format adds to its values as float32: the exponent of its subnormals, and how many products are one sum on Ampere.
template <class T> struct Format;
template <> struct Format<f16> { static constexpr int kLeast = -14, kChunk = 8; };
template <> struct Format<bf16> { static constexpr int kLeast = -126, kChunk = 8; };
template <> struct Format<tf32> { static constexpr int kLeast = -126, kChunk = 4; };

/// Vectors of the processor's own width: the compiler would take wider ones apart lane by lane.
#if defined(__AVX512F__)
inline constexpr int kWide = 16;
#elif defined(__AVX2__)
inline constexpr int kWide = 8;
#else
inline constexpr int kWide = 4;
#endif
typedef f32 RealVector __attribute__((vector_size(4 * kWide)));
typedef s32 IntegerVector __attribute__((vector_size(4 * kWide)));
template <class V> inline __attribute__((always_inline)) V load_vector(const void *from) {
  V v;
  __builtin_memcpy(&v, from, sizeof(V));
  return v;
}
inline bool any_lane(IntegerVector v) {
  s32 any = 0;
  for (int i = 0; i < kWide; i++)
    any |= v[i];
  return any != 0;
}

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

/// The operands of one product. A and C are transposed, so that 16 rows are a vector. Element (k, column) of B is
/// b[kPer · column + k mod kPer] of step k / kPer, where kPer is the columns of K that one register spans.
template <int K, int Per> struct Tile {
  alignas(64) f32 a[K][16];
  alignas(64) f32 b[K / Per][Per * 8];
  alignas(64) f32 c[8][16]; // column, row; the result too
  alignas(64) f64 d[8][16]; // the last sum before it is rounded
  alignas(64) f32 special[8][16];
  f32 factor(int k, int column) const { return b[k / Per][Per * column + k % Per]; }
};

template <class T, int K, int Per, int Chunk, int Fraction> void multiply_exactly(Tile<K, Per> &tile) {
  for (int j = 0; j < 8; j++)
    for (int i = 0; i < 16; i++) {
      f32 accumulator = tile.c[j][i], special = 0, row[Chunk], column[Chunk];
      f64 sum = 0;
      for (int first = 0; first < K; first += Chunk) {
        for (int k = 0; k < Chunk; k++) {
          row[k] = tile.a[first + k][i];
          column[k] = tile.factor(first + k, j);
        }
        sum = sum_products_exactly<Format<T>::kLeast, Fraction>(row, column, Chunk, accumulator, &special);
        accumulator = special != 0 ? special : narrow_toward_zero(sum);
      }
      tile.d[j][i] = sum;
      tile.c[j][i] = accumulator;
      tile.special[j][i] = special;
    }
}

/// Exponents of `count` values; false where one is beyond what the vectors bear.
template <int Least> inline bool find_exponents(const f32 *values, s32 *exponents, int count) {
  constexpr s32 kReach = 50; // |exponent| of a factor: products to 2^±100, scales to 2^125
  IntegerVector wrong = {};
  for (int i = 0; i < count; i += kWide) {
    IntegerVector magnitude = load_vector<IntegerVector>(values + i) & 0x7fffffff;
    IntegerVector e = (magnitude >> 23) - 127;
    e = e < Least ? IntegerVector{} + Least : e;
    wrong |= e > kReach;
    if constexpr (Least < -kReach)
      wrong |= (e < -kReach) & (magnitude != 0);
    e = magnitude == 0 ? IntegerVector{} + kNoExponent : e;
    __builtin_memcpy(exponents + i, &e, sizeof(e));
  }
  return !any_lane(wrong);
}

/// Sums of one column for kWide rows from row `first_row` on. `ea` and `eb` are the exponents of A and B.
template <int K, int Per, int Chunk, int Fraction>
inline __attribute__((always_inline)) void sum_in_vectors(Tile<K, Per> &tile, const s32 (&ea)[K][16],
                                                          const s32 (&eb)[K / Per][Per * 8], int j, int first_row) {
  RealVector sum = load_vector<RealVector>(tile.c[j] + first_row);
#pragma GCC unroll 4
  for (int first = 0; first < K; first += Chunk) {
    auto exponent_b = [&](int k) { return eb[k / Per][Per * j + k % Per]; };
    IntegerVector top = load_vector<IntegerVector>(ea[first] + first_row) + exponent_b(first);
#pragma GCC unroll 16
    for (int k = first + 1; k < first + Chunk; k++) {
      IntegerVector e = load_vector<IntegerVector>(ea[k] + first_row) + exponent_b(k);
      top = e > top ? e : top;
    }
    IntegerVector none = top < -1000;
    IntegerVector ec = ((reinterpret_cast<IntegerVector>(sum) >> 23) & 255) - 127;
    top = ec > top ? ec : top;
    top = top < -100 ? IntegerVector{} - 100 : top;
    RealVector scale = reinterpret_cast<RealVector>((127 + Fraction - top) << 23);
    IntegerVector low = __builtin_convertvector(sum * scale, IntegerVector), high = {};
#pragma GCC unroll 16
    for (int k = first; k < first + Chunk; k++) {
      RealVector product = load_vector<RealVector>(tile.a[k] + first_row) * tile.factor(k, j);
      IntegerVector term = __builtin_convertvector(product * scale, IntegerVector);
      (k - first < 8 ? low : high) += term; // eight terms fit 32 bits, sixteen may not
    }
    alignas(64) s32 lows[kWide], highs[kWide], tops[kWide], nones[kWide];
    alignas(64) f32 before[kWide], after[kWide];
    __builtin_memcpy(lows, &low, sizeof(low));
    __builtin_memcpy(highs, &high, sizeof(high));
    __builtin_memcpy(tops, &top, sizeof(top));
    __builtin_memcpy(nones, &none, sizeof(none));
    __builtin_memcpy(before, &sum, sizeof(sum));
    f64 *exact = tile.d[j] + first_row;
    _Pragma("GCC ivdep") for (int i = 0; i < kWide; i++) {
      f64 total = static_cast<f64>(lows[i]);
      if (Chunk > 8)
        total += static_cast<f64>(highs[i]);
      f64 unit = as<f64>(static_cast<u64>(1023 + tops[i] - Fraction) << 52);
      f64 kept = static_cast<f64>(before[i]) + 0.0; // nothing was added
      f64 value = nones[i] ? kept : total * unit;
      exact[i] = value;
      after[i] = static_cast<f32>(as<f64>(as<u64>(value) & ~u64{0x1fffffff}));
    }
    sum = load_vector<RealVector>(after);
  }
  __builtin_memcpy(tile.c[j] + first_row, &sum, sizeof(sum));
}

/// The same in vectors, for exponents that keep every product and scale inside float32. Terms are float32 products times a
/// power of two, cut to integers: exactly the truncation above. False: not in range, nothing done.
template <class T, int K, int Per, int Chunk, int Fraction> bool multiply_in_vectors(Tile<K, Per> &tile) {
  alignas(64) s32 ea[K][16];
  alignas(64) s32 eb[K / Per][Per * 8];
  constexpr int kLeast = Format<T>::kLeast;
  IntegerVector special = {};
  for (int i = 0; i < 8 * 16; i += kWide)
    special |= (load_vector<IntegerVector>(&tile.c[0][0] + i) & 0x7f800000) == 0x7f800000;
  if (any_lane(special) || !find_exponents<kLeast>(&tile.a[0][0], &ea[0][0], K * 16) ||
      !find_exponents<kLeast>(&tile.b[0][0], &eb[0][0], K * 8))
    return false;
  for (int j = 0; j < 8; j++)
    for (int first_row = 0; first_row < 16; first_row += kWide)
      sum_in_vectors<K, Per, Chunk, Fraction>(tile, ea, eb, j, first_row);
  return true;
}

template <class T, int K, int Per> void multiply(Tile<K, Per> &tile, bool whole) {
  constexpr int kChunk = Format<T>::kChunk < K ? Format<T>::kChunk : K;
  __builtin_memset(tile.special, 0, sizeof(tile.special));
  if (whole ? !multiply_in_vectors<T, K, Per, K, 25>(tile) : !multiply_in_vectors<T, K, Per, kChunk, 24>(tile))
    whole ? multiply_exactly<T, K, Per, K, 25>(tile) : multiply_exactly<T, K, Per, kChunk, 24>(tile);
}

} // namespace tenon::emulator::TENON_ISA
