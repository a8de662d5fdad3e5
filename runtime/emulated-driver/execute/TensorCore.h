// mma.sync: the fragments of its operands. PTX ISA 9.7.14.5. How the sums are made is in TensorCoreSum.h.
#pragma once
#include "execute/Control.h"
#include "execute/TensorCoreVectors.h"

namespace tenon::emulator::TENON_ISA {

/// float16 to float32, exact.
inline RealVector widen(HalfVector half) {
#if defined(__AVX512F__)
  return _mm512_maskz_cvtph_ps(0xffff, reinterpret_cast<__m256i>(half));
#elif defined(__F16C__)
  return _mm256_cvtph_ps(reinterpret_cast<__m128i>(half));
#else
  IntegerVector x = __builtin_convertvector(half, IntegerVector);
  IntegerVector bits = (x & 0x7fff) << 13, sign = (x & 0x8000) << 16;
  RealVector subnormal = reinterpret_cast<RealVector>(bits + (113 << 23)) - 0x1p-14f;
  IntegerVector normal = bits + (112 << 23), infinite = bits + (224 << 23);
  IntegerVector result = bits < (1 << 23) ? reinterpret_cast<IntegerVector>(subnormal) : normal;
  return reinterpret_cast<RealVector>((bits >= 0x0f800000 ? infinite : result) | sign);
#endif
}

/// Elements of `Count` lanes as float32: even and odd ones of a pair, or the one of tf32.
template <class T, int Count> inline void unpack_elements(const u32 *from, f32 *even, f32 *odd) {
  for (int i = 0; i < Count; i += kWide) {
    IntegerVector x = load_vector<IntegerVector>(from + i);
    auto put = [&](f32 *to, auto bits) { __builtin_memcpy(to + i, &bits, sizeof(bits)); };
    if constexpr (sizeof(T) == 4) {
      put(even, x & static_cast<s32>(0xffffe000));
    } else if constexpr (__is_same(T, bf16)) {
      put(even, x << 16);
      put(odd, x & static_cast<s32>(0xffff0000));
    } else {
      put(even, widen(__builtin_convertvector(x, HalfVector)));
      put(odd, widen(__builtin_convertvector(x >> 16, HalfVector)));
    }
  }
}

/// Lane 4i + p of two registers (rows 0 to 7, rows 8 to 15) to row vectors, one for each p; and back.
inline void rows_of(const f32 *upper, const f32 *lower, f32 *r0, f32 *r1, f32 *r2, f32 *r3) {
#ifdef __AVX512F__
  constexpr IntegerVector k01 = {0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29};
  constexpr IntegerVector kLow = {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23};
  RealVector u0 = load_vector<RealVector>(upper), u1 = load_vector<RealVector>(upper + 16);
  RealVector l0 = load_vector<RealVector>(lower), l1 = load_vector<RealVector>(lower + 16);
  RealVector u01 = __builtin_shuffle(u0, u1, k01), u23 = __builtin_shuffle(u0, u1, k01 + 2);
  RealVector l01 = __builtin_shuffle(l0, l1, k01), l23 = __builtin_shuffle(l0, l1, k01 + 2);
  RealVector results[4] = {__builtin_shuffle(u01, l01, kLow), __builtin_shuffle(u01, l01, kLow + 8),
                       __builtin_shuffle(u23, l23, kLow), __builtin_shuffle(u23, l23, kLow + 8)};
  f32 *to[4] = {r0, r1, r2, r3};
  for (int p = 0; p < 4; p++)
    __builtin_memcpy(to[p], &results[p], 64);
#else
  for (int i = 0; i < 8; i++) {
    r0[i] = upper[4 * i], r1[i] = upper[4 * i + 1], r2[i] = upper[4 * i + 2], r3[i] = upper[4 * i + 3];
    r0[i + 8] = lower[4 * i], r1[i + 8] = lower[4 * i + 1], r2[i + 8] = lower[4 * i + 2], r3[i + 8] = lower[4 * i + 3];
  }
#endif
}
inline void lanes_of(const f32 *r0, const f32 *r1, const f32 *r2, const f32 *r3, f32 *upper, f32 *lower) {
#ifdef __AVX512F__
  constexpr IntegerVector kUpper = {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23}; // rows 0 to 7 of two vectors
  constexpr IntegerVector kLanes16 = {0, 8, 16, 24, 1, 9, 17, 25, 2, 10, 18, 26, 3, 11, 19, 27};
  RealVector v0 = load_vector<RealVector>(r0), v1 = load_vector<RealVector>(r1), v2 = load_vector<RealVector>(r2), v3 = load_vector<RealVector>(r3);
  RealVector u01 = __builtin_shuffle(v0, v1, kUpper), u23 = __builtin_shuffle(v2, v3, kUpper);
  RealVector l01 = __builtin_shuffle(v0, v1, kUpper + 8), l23 = __builtin_shuffle(v2, v3, kUpper + 8);
  RealVector results[4] = {__builtin_shuffle(u01, u23, kLanes16), __builtin_shuffle(u01, u23, kLanes16 + 4),
                       __builtin_shuffle(l01, l23, kLanes16), __builtin_shuffle(l01, l23, kLanes16 + 4)};
  __builtin_memcpy(upper, &results[0], 128);
  __builtin_memcpy(lower, &results[2], 128);
#else
  for (int i = 0; i < 8; i++) {
    upper[4 * i] = r0[i], upper[4 * i + 1] = r1[i], upper[4 * i + 2] = r2[i], upper[4 * i + 3] = r3[i];
    lower[4 * i] = r0[i + 8], lower[4 * i + 1] = r1[i + 8], lower[4 * i + 2] = r2[i + 8], lower[4 * i + 3] = r3[i + 8];
  }
#endif
}

/// Lane 4i + p of a register to vectors of eight columns, one for each p.
inline void columns_of(const f32 *from, f32 (&to)[4][8]) {
#ifdef __AVX512F__
  constexpr IntegerVector k01 = {0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29};
  RealVector low = load_vector<RealVector>(from), high = load_vector<RealVector>(from + 16);
  RealVector results[2] = {__builtin_shuffle(low, high, k01), __builtin_shuffle(low, high, k01 + 2)};
  __builtin_memcpy(to, results, sizeof(results));
#else
  for (int i = 0; i < 8; i++)
    for (int p = 0; p < 4; p++)
      to[p][i] = from[4 * i + p];
#endif
}

/// The elements of A and B, from their registers.
template <class T, int K> void load_factors(Warp &warp, const u32 *a, const u32 *b, Tile<K> &tile) {
  constexpr bool kPairs = sizeof(T) == 2; // two elements in a register
  constexpr int kPer = kPairs ? 8 : 4;    // columns of K that a register spans
  for (int step = 0; step < K / kPer; step++) {
    alignas(64) f32 rows[4][16], columns[4][8], even[4][8], odd[4][8];
    rows_of(lanes<f32>(warp, a[2 * step]), lanes<f32>(warp, a[2 * step + 1]), rows[0], rows[1], rows[2], rows[3]);
    columns_of(lanes<f32>(warp, b[step]), columns);
    unpack_elements<T, 32>(reinterpret_cast<const u32 *>(columns), even[0], odd[0]);
    for (int p = 0; p < 4; p++) {
      const int k = step * kPer + (kPairs ? 2 * p : p);
      unpack_elements<T, 16>(reinterpret_cast<const u32 *>(rows[p]), tile.a[k], tile.a[k + kPairs]);
      __builtin_memcpy(tile.b[k], even[p], sizeof(even[p]));
      if constexpr (kPairs)
        __builtin_memcpy(tile.b[k + 1], odd[p], sizeof(odd[p]));
    }
  }
}

/// mma.sync: `more` holds the registers of d, a, b, c. Row r of A, C and D is in lanes 4 (r mod 8) to 4 (r mod 8) + 3.
template <class T, int K, bool HalfResult> const Op *matrix_multiply(Warp &warp, const Op *op, u32 mask) {
  if (!is_whole_warp(warp, op, mask))
    return op;
  constexpr int kSteps = K / (sizeof(T) == 2 ? 8 : 4), kResults = HalfResult ? 2 : 4;
  const u32 *d = op->more, *a = d + kResults, *b = a + 2 * kSteps, *c = b + kSteps;
  Tile<K> tile;
  load_factors<T>(warp, a, b, tile);
  alignas(64) f32 results[2][2][32]; // half of the rows, parity of the column
  for (int half = 0; half < 2; half++)
    if constexpr (HalfResult)
      unpack_elements<f16, 32>(lanes<u32>(warp, c[half]), results[half][0], results[half][1]);
  for (int e = 0; e < 2; e++) {
    const f32 *upper = HalfResult ? results[0][e] : lanes<f32>(warp, c[e % kResults]);
    const f32 *lower = HalfResult ? results[1][e] : lanes<f32>(warp, c[(2 + e) % kResults]);
    rows_of(upper, lower, tile.c[e], tile.c[2 + e], tile.c[4 + e], tile.c[6 + e]);
  }
  multiply<T, K, HalfResult>(tile, op->flags & kFusesWholeK);
  if constexpr (HalfResult) {
    for (int half = 0; half < 2; half++) {
      alignas(64) u32 result[32];
      for (int lane = 0; lane < 32; lane++) {
        int row = lane / 4 + 8 * half, column = lane % 4 * 2;
        auto narrow = [&](int at) -> u32 {
          f32 special = tile.special[at][row];
          return special != 0 ? to_f16<kNearest>(special).bits : narrow_to_half(tile.unrounded[at][row]).bits;
        };
        result[lane] = narrow(column) | narrow(column + 1) << 16;
      }
      write_lanes<u32>(warp, d[half], result, mask);
    }
  } else {
    for (int e = 0; e < 2; e++) {
      lanes_of(tile.result[e], tile.result[2 + e], tile.result[4 + e], tile.result[6 + e], results[0][e], results[1][e]);
      write_lanes<f32>(warp, d[e], results[0][e], mask);
      write_lanes<f32>(warp, d[2 + e], results[1][e], mask);
    }
  }
  return op + 1;
}

} // namespace tenon::emulator::TENON_ISA
