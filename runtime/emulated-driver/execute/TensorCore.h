// mma.sync: the fragments of its operands. PTX ISA 9.7.14.5. How the sums are made is in TensorCoreSum.h.
#pragma once
#include "execute/Control.h"
#include "execute/TensorCoreSum.h"

namespace tenon::emulator::TENON_ISA {

/// Elements of a register as float32: even and odd ones of a pair, or the one of tf32.
template <class T> inline void unpack_elements(const u32 *from, f32 *even, f32 *odd) {
  for (int i = 0; i < 32; i += kWide) {
    IntegerVector x = load_vector<IntegerVector>(from + i);
    auto put = [&](f32 *to, IntegerVector bits) { __builtin_memcpy(to + i, &bits, sizeof(bits)); };
    if constexpr (sizeof(T) == 4) {
      put(even, x & static_cast<s32>(0xffffe000));
    } else if constexpr (__is_same(T, bf16)) {
      put(even, x << 16);
      put(odd, x & static_cast<s32>(0xffff0000));
    } else {
      auto widen = [](IntegerVector half) {
        IntegerVector bits = (half & 0x7fff) << 13, sign = (half & 0x8000) << 16;
        RealVector subnormal = reinterpret_cast<RealVector>(bits + (113 << 23)) - 0x1p-14f;
        IntegerVector normal = bits + (112 << 23), infinite = bits + (224 << 23);
        IntegerVector result = bits < (1 << 23) ? reinterpret_cast<IntegerVector>(subnormal) : normal;
        return (bits >= 0x0f800000 ? infinite : result) | sign;
      };
      put(even, widen(x & 0xffff));
      put(odd, widen((x >> 16) & 0xffff));
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

/// mma.sync: `more` holds the registers of d, a, b, c. Row r of A, C and D is in lanes 4 (r mod 8) to 4 (r mod 8) + 3.
template <class T, int K, bool HalfResult> const Op *matrix_multiply(Warp &warp, const Op *op, u32 mask) {
  if (!converged(warp, op, mask, kAllLanes))
    return op;
  constexpr bool kPairs = sizeof(T) == 2;      // two elements in a register
  constexpr int kPer = kPairs ? 8 : 4;         // columns of K that a register spans
  constexpr int kSteps = K / kPer, kResults = HalfResult ? 2 : 4;
  const u32 *d = op->more, *a = d + kResults, *b = a + 2 * kSteps, *c = b + kSteps;
  Tile<K, kPer> tile;
  for (int step = 0; step < kSteps; step++) {
    alignas(64) f32 even[2][32], odd[2][32];
    for (int half = 0; half < 2; half++)
      unpack_elements<T>(lanes<u32>(warp, a[2 * step + half]), even[half], odd[half]);
    f32(*to)[16] = &tile.a[step * kPer];
    if constexpr (kPairs) {
      rows_of(even[0], even[1], to[0], to[2], to[4], to[6]);
      rows_of(odd[0], odd[1], to[1], to[3], to[5], to[7]);
    } else {
      rows_of(even[0], even[1], to[0], to[1], to[2], to[3]);
    }
    unpack_elements<T>(lanes<u32>(warp, b[step]), even[0], odd[0]);
    for (int lane = 0; lane < 32; lane++)
      if constexpr (kPairs) {
        tile.b[step][2 * lane] = even[0][lane];
        tile.b[step][2 * lane + 1] = odd[0][lane];
      } else {
        tile.b[step][lane] = even[0][lane];
      }
  }
  alignas(64) f32 results[2][2][32]; // half of the rows, parity of the column
  for (int half = 0; half < 2; half++)
    if constexpr (HalfResult)
      unpack_elements<f16>(lanes<u32>(warp, c[half]), results[half][0], results[half][1]);
  for (int e = 0; e < 2; e++) {
    const f32 *upper = HalfResult ? results[0][e] : lanes<f32>(warp, c[e % kResults]);
    const f32 *lower = HalfResult ? results[1][e] : lanes<f32>(warp, c[(2 + e) % kResults]);
    rows_of(upper, lower, tile.c[e], tile.c[2 + e], tile.c[4 + e], tile.c[6 + e]);
  }
  multiply<T, K, kPer>(tile, op->flags & kFusesWholeK);
  if constexpr (HalfResult) {
    for (int half = 0; half < 2; half++) {
      alignas(64) u32 result[32];
      for (int lane = 0; lane < 32; lane++) {
        int row = lane / 4 + 8 * half, column = lane % 4 * 2;
        auto narrow = [&](int at) -> u32 {
          f32 special = tile.special[at][row];
          return special != 0 ? to_f16<kNearest>(special).bits : narrow_to_half(tile.d[at][row]).bits;
        };
        result[lane] = narrow(column) | narrow(column + 1) << 16;
      }
      write_lanes<u32>(warp, d[half], result, mask);
    }
  } else {
    for (int e = 0; e < 2; e++) {
      lanes_of(tile.c[e], tile.c[2 + e], tile.c[4 + e], tile.c[6 + e], results[0][e], results[1][e]);
      write_lanes<f32>(warp, d[e], results[0][e], mask);
      write_lanes<f32>(warp, d[2 + e], results[1][e], mask);
    }
  }
  return op + 1;
}

} // namespace tenon::emulator::TENON_ISA
