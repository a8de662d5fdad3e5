// The sums of TensorCoreSum.h in vectors of rows, for exponents that keep every product and scale inside float32. Terms are
// float32 products times a power of two, cut to integers: exactly the truncation that is asked for.
#pragma once
#include "execute/TensorCoreSum.h"
#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace tenon::emulator::TENON_ISA {

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
typedef u16 HalfVector __attribute__((vector_size(2 * kWide)));
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

/// The bits of integers, where what does not fit may wrap.
typedef u32 Words __attribute__((vector_size(sizeof(IntegerVector))));

/// float32 of the integer, toward zero; its magnitude is below 2^31, or the result is not used.
inline RealVector real_toward_zero(IntegerVector x) {
#ifdef __AVX512F__
  return _mm512_maskz_cvt_roundepi32_ps(0xffff, reinterpret_cast<__m512i>(x), _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
#else
  IntegerVector sign = x >> 31;
  IntegerVector magnitude = reinterpret_cast<IntegerVector>(reinterpret_cast<Words>(x ^ sign) - reinterpret_cast<Words>(sign));
  IntegerVector cut = magnitude >> 24; // becomes ones where bits do not fit
  cut |= cut >> 1;
  cut |= cut >> 2;
  cut |= cut >> 4;
  RealVector real = __builtin_convertvector(magnitude & ~cut, RealVector);
  return reinterpret_cast<RealVector>(reinterpret_cast<IntegerVector>(real) | (sign & static_cast<s32>(0x80000000)));
#endif
}

/// The exponents of A and B in bytes or halves, so that a word of 32 bits holds those of several columns.
template <class T, int K> struct Exponents {
  using Exponent = typename Format<T>::Exponent;
  static constexpr int kBits = 8 * sizeof(Exponent), kColumns = 32 / kBits; // of a word
  typedef Exponent Packed __attribute__((vector_size(4 * kWide)));
  alignas(64) s32 a[K][16]; // the same in every part of the word
  alignas(64) Exponent b[K][8];

  /// False where a factor is beyond what the vectors bear.
  bool find(const Tile<K> &tile) {
    constexpr s32 kBeyond = (127 + 51) << 23; // 2^51: products stay below 2^102, scales and units are in range
    typedef Exponent Narrow __attribute__((vector_size(sizeof(Exponent) * kWide)));
    IntegerVector largest = {};
    for (int i = 0; i < 16 * K; i += kWide) {
      IntegerVector e = exponents_of(&tile.a[0][0] + i, largest) & static_cast<s32>((u32{1} << kBits) - 1);
      if constexpr (kBits == 8)
        e |= e << 8;
      e |= e << 16;
      __builtin_memcpy(&a[0][0] + i, &e, sizeof(e));
    }
    for (int i = 0; i < 8 * K; i += kWide) {
      Narrow e = __builtin_convertvector(exponents_of(&tile.b[0][0] + i, largest), Narrow);
      __builtin_memcpy(&b[0][0] + i, &e, sizeof(e));
    }
    return !any_lane(largest >= kBeyond);
  }
  static inline __attribute__((always_inline)) IntegerVector exponents_of(const f32 *values, IntegerVector &largest) {
    IntegerVector magnitude = load_vector<IntegerVector>(values) & 0x7fffffff;
    largest = magnitude > largest ? magnitude : largest;
    IntegerVector e = (magnitude >> 23) - 127;
    e = e < Format<T>::kLeast ? IntegerVector{} + Format<T>::kLeast : e;
    return magnitude == 0 ? IntegerVector{} + Format<T>::kZero : e;
  }
  /// The largest of the products of one sum, for kWide rows and the columns of a word from `column` on.
  template <int Chunk> inline __attribute__((always_inline)) IntegerVector tops(int first, int column, int first_row) const {
    Packed most = Packed{} + static_cast<Exponent>(2 * Format<T>::kZero);
#pragma GCC unroll 16
    for (int k = first; k < first + Chunk; k++) {
      s32 of_b;
      __builtin_memcpy(&of_b, &b[k][column], sizeof(of_b));
      Packed e = load_vector<Packed>(&a[k][first_row]) + reinterpret_cast<Packed>(IntegerVector{} + of_b);
      most = e > most ? e : most;
    }
    return reinterpret_cast<IntegerVector>(most);
  }
};

/// Sums of a tile, in vectors of kWide rows of a column.
template <class T, int K, int Chunk, int Fraction, bool Unrounded> struct VectorSums {
  static constexpr s32 kLeastTop = -90; // products that matter, and units, are normal
  static inline __attribute__((always_inline)) Words cut(RealVector number) {
    return reinterpret_cast<Words>(__builtin_convertvector(number, IntegerVector));
  }
  Tile<K> &tile;
  Exponents<T, K> exponents;
  IntegerVector wrong = {}; // lanes where a number did not fit

  /// One sum: the products of `a` with column j of B from row `first` on, and `before`. `top` is their largest exponent.
  inline __attribute__((always_inline)) RealVector sum(const RealVector (&a)[Chunk], int first, int j, IntegerVector top,
                                                       RealVector before, int first_row) {
    const IntegerVector none = top < Format<T>::kZero / 2; // products are zero, all: the accumulator stays as it is
    const IntegerVector of_accumulator = ((reinterpret_cast<IntegerVector>(before) >> 23) & 255) - 127;
    top = of_accumulator > top ? of_accumulator : top;
    if constexpr (2 * Format<T>::kLeast < kLeastTop)
      wrong |= ~none & (top < kLeastTop);
    const RealVector scale = reinterpret_cast<RealVector>((127 + Fraction - top) << 23);
    const RealVector unit = reinterpret_cast<RealVector>((127 - Fraction + top) << 23);
    // Unsigned, since lanes where a number does not fit hold anything.
    Words low = cut(before * scale), high = {};
#pragma GCC unroll 16
    for (int k = 0; k < Chunk; k++)
      (k < 8 ? low : high) += cut(a[k] * tile.b[first + k][j] * scale);
    const IntegerVector total = reinterpret_cast<IntegerVector>(low + high);
    if constexpr (Chunk > 8) { // eight terms fit 32 bits, sixteen may not
      const IntegerVector lower = reinterpret_cast<IntegerVector>(low), upper = reinterpret_cast<IntegerVector>(high);
      wrong |= (((lower ^ total) & (upper ^ total)) < 0) | (total == static_cast<s32>(0x80000000));
    }
    if constexpr (Unrounded)
      for (int i = 0; i < kWide; i++)
        tile.unrounded[j][first_row + i] = none[i] ? static_cast<f64>(before[i]) + 0.0
                                                   : total[i] * as<f64>(static_cast<u64>(1023 + top[i] - Fraction) << 52);
    return none ? before + 0.0f : real_toward_zero(total) * unit;
  }

  /// The sums of all columns over a part of K, added to `from`.
  void add_part(int first, int first_row, const f32 (*from)[16]) {
    constexpr int kBits = Exponents<T, K>::kBits, kColumns = Exponents<T, K>::kColumns;
    RealVector a[Chunk];
#pragma GCC unroll 16
    for (int k = 0; k < Chunk; k++)
      a[k] = load_vector<RealVector>(tile.a[first + k] + first_row);
    for (int column = 0; column < 8; column += kColumns) {
      const IntegerVector tops = exponents.template tops<Chunk>(first, column, first_row);
#pragma GCC unroll 4
      for (int i = 0; i < kColumns; i++) {
        const IntegerVector top = tops << (32 - kBits * (i + 1)) >> (32 - kBits);
        RealVector result = sum(a, first, column + i, top, load_vector<RealVector>(from[column + i] + first_row), first_row);
        __builtin_memcpy(tile.result[column + i] + first_row, &result, sizeof(result));
      }
    }
  }
};

/// False: not in range, nothing done.
template <class T, int K, int Chunk, int Fraction, bool Unrounded> bool multiply_in_vectors(Tile<K> &tile) {
  VectorSums<T, K, Chunk, Fraction, Unrounded> sums{tile, {}};
  for (int i = 0; i < 8 * 16; i += kWide)
    sums.wrong |= (load_vector<IntegerVector>(&tile.c[0][0] + i) & 0x7f800000) == 0x7f800000;
  if (any_lane(sums.wrong) || !sums.exponents.find(tile))
    return false;
  for (int first_row = 0; first_row < 16; first_row += kWide)
    for (int first = 0; first < K; first += Chunk)
      sums.add_part(first, first_row, first == 0 ? tile.c : tile.result);
  return !any_lane(sums.wrong);
}

/// tile.result = A B + C; with Unrounded also what the last sum was before it was rounded. `whole`: all of K at once.
template <class T, int K, bool Unrounded> void multiply(Tile<K> &tile, bool whole) {
  constexpr int kChunk = Format<T>::kChunk < K ? Format<T>::kChunk : K;
  if constexpr (Unrounded)
    __builtin_memset(tile.special, 0, sizeof(tile.special));
  if (whole ? !multiply_in_vectors<T, K, K, 25, Unrounded>(tile) : !multiply_in_vectors<T, K, kChunk, 24, Unrounded>(tile))
    whole ? multiply_exactly<T, K, K, 25>(tile) : multiply_exactly<T, K, kChunk, 24>(tile);
}

} // namespace tenon::emulator::TENON_ISA
