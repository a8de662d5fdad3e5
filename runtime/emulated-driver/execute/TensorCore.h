// mma, ldmatrix, stmatrix, movmatrix. PTX ISA 9.7.14.
//
// How tensor cores add, as outputs recorded on A100, H100 and B200 show, bit by bit: products are exact and not
// normalised. Every term, the accumulator too, is truncated (sign and magnitude) to F fractional bits of the largest
// exponent; the sum is exact; the result is rounded toward zero to float32.
//   Ampere, Ada:        F = 24, at most 8 float16 (4 tf32) products at once, so K = 16 is two sums, one after the other
//   Hopper, Blackwell:  F = 25, all of K at once
// Subnormal inputs have the least normal exponent and no leading one.
#pragma once
#include "execute/Control.h"
#include "execute/Memory.h"

namespace tenon::emulator::TENON_ISA {

inline constexpr u8 kFusesWholeK = 1; // in Op::flags: Hopper and later

struct tf32 { u32 bits; };

/// What a format adds to its values as float32: the exponent of its subnormals, and how many products are one sum on Ampere.
template <class T> struct Format;
template <> struct Format<f16> { static constexpr int kLeast = -14, kChunk = 8; };
template <> struct Format<bf16> { static constexpr int kLeast = -126, kChunk = 8; };
template <> struct Format<tf32> { static constexpr int kLeast = -126, kChunk = 4; };

typedef f32 Real16 __attribute__((vector_size(64)));
typedef s32 Integer16 __attribute__((vector_size(64)));
template <class V> inline V load16(const void *from) {
  V v;
  __builtin_memcpy(&v, from, sizeof(V));
  return v;
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
  Integer16 wrong = {};
  for (int i = 0; i < count; i += 16) {
    Integer16 magnitude = load16<Integer16>(values + i) & 0x7fffffff;
    Integer16 e = (magnitude >> 23) - 127;
    e = e < Least ? Integer16{} + Least : e;
    wrong |= e > kReach;
    if constexpr (Least < -kReach)
      wrong |= (e < -kReach) & (magnitude != 0);
    e = magnitude == 0 ? Integer16{} + kNoExponent : e;
    __builtin_memcpy(exponents + i, &e, 64);
  }
  s32 any = 0;
  for (int i = 0; i < 16; i++)
    any |= wrong[i];
  return any == 0;
}

/// The same in vectors of 16 rows, for exponents that keep every product and scale inside float32. Terms are float32
/// products times a power of two, cut to integers: exactly the truncation above. False: not in range, nothing done.
template <class T, int K, int Per, int Chunk, int Fraction> bool multiply_in_vectors(Tile<K, Per> &tile) {
  alignas(64) s32 ea[K][16];
  alignas(64) s32 eb[K / Per][Per * 8];
  constexpr int kLeast = Format<T>::kLeast;
  Integer16 special = {};
  for (int j = 0; j < 8; j++)
    special |= (load16<Integer16>(tile.c[j]) & 0x7f800000) == 0x7f800000;
  s32 any_special = 0;
  for (int i = 0; i < 16; i++)
    any_special |= special[i];
  if (any_special || !find_exponents<kLeast>(&tile.a[0][0], &ea[0][0], K * 16) ||
      !find_exponents<kLeast>(&tile.b[0][0], &eb[0][0], K * 8))
    return false;
  for (int j = 0; j < 8; j++) {
    Real16 sum = load16<Real16>(tile.c[j]);
    for (int first = 0; first < K; first += Chunk) {
      auto exponent_b = [&](int k) { return eb[k / Per][Per * j + k % Per]; };
      Integer16 top = load16<Integer16>(ea[first]) + exponent_b(first);
#pragma GCC unroll 16
      for (int k = first + 1; k < first + Chunk; k++) {
        Integer16 e = load16<Integer16>(ea[k]) + exponent_b(k);
        top = e > top ? e : top;
      }
      Integer16 none = top < -1000;
      Integer16 bits = reinterpret_cast<Integer16>(sum);
      Integer16 ec = ((bits >> 23) & 255) - 127;
      top = ec > top ? ec : top;
      top = top < -100 ? Integer16{} - 100 : top;
      Real16 scale = reinterpret_cast<Real16>((127 + Fraction - top) << 23);
      Integer16 low = __builtin_convertvector(sum * scale, Integer16), high = {};
#pragma GCC unroll 16
      for (int k = first; k < first + Chunk; k++) {
        Real16 product = load16<Real16>(tile.a[k]) * tile.factor(k, j);
        Integer16 term = __builtin_convertvector(product * scale, Integer16);
        (k - first < 8 ? low : high) += term; // eight terms fit 32 bits, sixteen may not
      }
      alignas(64) s32 lows[16], highs[16], tops[16], nones[16];
      alignas(64) f32 before[16], after[16];
      __builtin_memcpy(lows, &low, 64);
      __builtin_memcpy(highs, &high, 64);
      __builtin_memcpy(tops, &top, 64);
      __builtin_memcpy(nones, &none, 64);
      __builtin_memcpy(before, &sum, 64);
      f64 *exact = tile.d[j];
      _Pragma("GCC ivdep") for (int i = 0; i < 16; i++) {
        f64 total = static_cast<f64>(lows[i]);
        if (Chunk > 8)
          total += static_cast<f64>(highs[i]);
        f64 unit = as<f64>(static_cast<u64>(1023 + tops[i] - Fraction) << 52);
        f64 kept = static_cast<f64>(before[i]) + 0.0; // nothing was added
        f64 value = nones[i] ? kept : total * unit;
        exact[i] = value;
        after[i] = static_cast<f32>(as<f64>(as<u64>(value) & ~u64{0x1fffffff}));
      }
      sum = load16<Real16>(after);
    }
    __builtin_memcpy(tile.c[j], &sum, 64);
  }
  return true;
}

template <class T, int K, int Per> void multiply(Tile<K, Per> &tile, bool whole) {
  constexpr int kChunk = Format<T>::kChunk < K ? Format<T>::kChunk : K;
  __builtin_memset(tile.special, 0, sizeof(tile.special));
  if (whole ? !multiply_in_vectors<T, K, Per, K, 25>(tile) : !multiply_in_vectors<T, K, Per, kChunk, 24>(tile))
    whole ? multiply_exactly<T, K, Per, K, 25>(tile) : multiply_exactly<T, K, Per, kChunk, 24>(tile);
}

/// Elements of a register as float32: even and odd ones of a pair, or the one of tf32.
template <class T> inline void unpack_elements(const u32 *from, f32 *even, f32 *odd) {
  for (int i = 0; i < 32; i += 16) {
    Integer16 x = load16<Integer16>(from + i);
    auto put = [&](f32 *to, Integer16 bits) { __builtin_memcpy(to + i, &bits, 64); };
    if constexpr (sizeof(T) == 4) {
      put(even, x & static_cast<s32>(0xffffe000));
    } else if constexpr (__is_same(T, bf16)) {
      put(even, x << 16);
      put(odd, x & static_cast<s32>(0xffff0000));
    } else {
      auto widen = [](Integer16 half) {
        Integer16 bits = (half & 0x7fff) << 13, sign = (half & 0x8000) << 16;
        Real16 subnormal = reinterpret_cast<Real16>(bits + (113 << 23)) - 0x1p-14f;
        Integer16 normal = bits + (112 << 23), infinite = bits + (224 << 23);
        Integer16 result = bits < (1 << 23) ? reinterpret_cast<Integer16>(subnormal) : normal;
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
  constexpr Integer16 k01 = {0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29};
  constexpr Integer16 kLow = {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23};
  Real16 u0 = load16<Real16>(upper), u1 = load16<Real16>(upper + 16);
  Real16 l0 = load16<Real16>(lower), l1 = load16<Real16>(lower + 16);
  Real16 u01 = __builtin_shuffle(u0, u1, k01), u23 = __builtin_shuffle(u0, u1, k01 + 2);
  Real16 l01 = __builtin_shuffle(l0, l1, k01), l23 = __builtin_shuffle(l0, l1, k01 + 2);
  Real16 results[4] = {__builtin_shuffle(u01, l01, kLow), __builtin_shuffle(u01, l01, kLow + 8),
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
  constexpr Integer16 kUpper = {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23}; // rows 0 to 7 of two vectors
  constexpr Integer16 kLanes16 = {0, 8, 16, 24, 1, 9, 17, 25, 2, 10, 18, 26, 3, 11, 19, 27};
  Real16 v0 = load16<Real16>(r0), v1 = load16<Real16>(r1), v2 = load16<Real16>(r2), v3 = load16<Real16>(r3);
  Real16 u01 = __builtin_shuffle(v0, v1, kUpper), u23 = __builtin_shuffle(v2, v3, kUpper);
  Real16 l01 = __builtin_shuffle(v0, v1, kUpper + 8), l23 = __builtin_shuffle(v2, v3, kUpper + 8);
  Real16 results[4] = {__builtin_shuffle(u01, u23, kLanes16), __builtin_shuffle(u01, u23, kLanes16 + 4),
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

/// ldmatrix: lanes 8m to 8m + 7 address the rows of matrix m; row r of 16 bytes goes to lanes 4r to 4r + 3.
template <bool Transposed> const Op *load_matrix(Warp &warp, const Op *op, u32 mask) {
  if (!converged(warp, op, mask, kAllLanes))
    return op;
  Access access;
  read_addresses(warp, op->operand[0], op->width[0], op->immediate, access.offset);
  TENON_LANES access.offset[lane] -= access.offset[lane] - kSharedWindow < kWindowSize ? kSharedWindow : 0;
  u32 used = op->count == 4 ? kAllLanes : (1u << (8 * op->count)) - 1;
  if (!resolve<Space::kShared>(warp, op, used & warp.live, 16, AccessKind::kRead, access))
    return stop_here(warp, op);
  check_states<16>(warp, op, used & warp.live, Space::kShared, AccessKind::kRead, access);
  for (u32 m = 0; m < op->count; m++) {
    alignas(64) u32 result[32] = {};
    for (int r = 0; r < 8; r++)
      if (is_on(warp.live, static_cast<int>(m * 8) + r))
        __builtin_memcpy(&result[4 * r], access.bytes(static_cast<int>(m * 8) + r), 16);
    if constexpr (Transposed) {
      alignas(64) u16 from[64], to[64];
      __builtin_memcpy(from, result, sizeof(from));
      for (int r = 0; r < 8; r++)
        for (int i = 0; i < 8; i++)
          to[r * 8 + i] = from[i * 8 + r];
      __builtin_memcpy(result, to, sizeof(to));
    }
    write_lanes<u32>(warp, op->more[m], result, mask);
  }
  return op + 1;
}
template <bool Transposed> const Op *store_matrix(Warp &warp, const Op *op, u32 mask) {
  if (!converged(warp, op, mask, kAllLanes))
    return op;
  Access access;
  read_addresses(warp, op->operand[0], op->width[0], op->immediate, access.offset);
  TENON_LANES access.offset[lane] -= access.offset[lane] - kSharedWindow < kWindowSize ? kSharedWindow : 0;
  u32 used = op->count == 4 ? kAllLanes : (1u << (8 * op->count)) - 1;
  if (!resolve<Space::kShared>(warp, op, used & warp.live, 16, AccessKind::kWrite, access))
    return stop_here(warp, op);
  for (u32 m = 0; m < op->count; m++) {
    alignas(64) u16 from[64], to[64];
    __builtin_memcpy(from, warp.registers + op->more[m], sizeof(from));
    for (int r = 0; r < 8; r++)
      for (int i = 0; i < 8; i++)
        to[r * 8 + i] = Transposed ? from[i * 8 + r] : from[r * 8 + i];
    for (int r = 0; r < 8; r++) {
      __builtin_memcpy(access.bytes(static_cast<int>(m * 8) + r), &to[r * 8], 16);
      __builtin_memset(access.states(static_cast<int>(m * 8) + r), kWritten, 16);
    }
  }
  return op + 1;
}
/// movmatrix: transposes an 8 by 8 matrix of 16-bit elements across the lanes.
inline const Op *move_matrix(Warp &warp, const Op *op, u32 mask) {
  if (!converged(warp, op, mask, kAllLanes))
    return op;
  alignas(64) u16 from[64], to[64];
  __builtin_memcpy(from, warp.registers + op->operand[1], sizeof(from));
  for (int r = 0; r < 8; r++)
    for (int i = 0; i < 8; i++)
      to[r * 8 + i] = from[i * 8 + r];
  alignas(64) u32 result[32];
  __builtin_memcpy(result, to, sizeof(to));
  write_lanes<u32>(warp, op->operand[0], result, mask);
  return op + 1;
}

} // namespace tenon::emulator::TENON_ISA
