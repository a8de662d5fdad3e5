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

/// Sign, exponent and significand with the fraction's width: value = ±significand · 2^(exponent - kFraction).
template <class T> struct Format;
template <> struct Format<f16> {
  static constexpr int kFraction = 10, kBias = 15, kSpecial = 31, kChunk = 8;
  static u32 biased(f16 x) { return (x.bits >> 10) & 31; }
  static u32 fraction(f16 x) { return x.bits & 0x3ff; }
  static bool negative(f16 x) { return x.bits >> 15; }
};
template <> struct Format<bf16> {
  static constexpr int kFraction = 7, kBias = 127, kSpecial = 255, kChunk = 8;
  static u32 biased(bf16 x) { return (x.bits >> 7) & 255; }
  static u32 fraction(bf16 x) { return x.bits & 0x7f; }
  static bool negative(bf16 x) { return x.bits >> 15; }
};
template <> struct Format<tf32> { // the low 13 bits of the register are not looked at
  static constexpr int kFraction = 10, kBias = 127, kSpecial = 255, kChunk = 4;
  static u32 biased(tf32 x) { return (x.bits >> 23) & 255; }
  static u32 fraction(tf32 x) { return (x.bits >> 13) & 0x3ff; }
  static bool negative(tf32 x) { return x.bits >> 31; }
};
inline f32 to_f32(tf32 x) { return as<f32>(x.bits & 0xffffe000u); }

inline constexpr s32 kNoExponent = -4000; // of zero
template <class T> inline s32 exponent_of(T x) {
  u32 biased = Format<T>::biased(x);
  s32 least = Format<T>::fraction(x) ? 1 - Format<T>::kBias : kNoExponent;
  return biased ? static_cast<s32>(biased) - Format<T>::kBias : least;
}
inline s32 exponent_of(f32 x) {
  u32 biased = (as<u32>(x) >> 23) & 255;
  s32 least = as<u32>(x) & 0x7fffff ? -126 : kNoExponent;
  return biased ? static_cast<s32>(biased) - 127 : least;
}

/// One sum in full generality: the definition. `Fraction` is F.
template <class T, int Fraction> f64 sum_products_exactly(const T *a, const T *b, int count, f32 c, f32 *special) {
  *special = 0;
  f32 specials = 0;
  bool any_special = ((as<u32>(c) >> 23) & 255) == 255;
  if (any_special)
    specials = c;
  s32 top = exponent_of(c);
  for (int k = 0; k < count; k++) {
    if (Format<T>::biased(a[k]) == Format<T>::kSpecial || Format<T>::biased(b[k]) == Format<T>::kSpecial) {
      f32 product = to_f32(a[k]) * to_f32(b[k]);
      specials = any_special ? specials + product : product;
      any_special = true;
    }
    s32 exponent = exponent_of(a[k]) + exponent_of(b[k]);
    top = exponent > top ? exponent : top;
  }
  if (any_special) {
    *special = canonical(specials);
    return 0;
  }
  if (top < kNoExponent / 2)
    return 0;
  auto align = [&](u64 significand, s32 exponent, int fraction) -> s64 {
    s32 shift = Fraction - fraction - (top - exponent);
    if (shift < -63)
      return 0;
    return static_cast<s64>(shift >= 0 ? significand << shift : significand >> -shift);
  };
  s64 sum = 0;
  if (exponent_of(c) > kNoExponent) {
    u64 significand = (as<u32>(c) & 0x7fffff) | ((as<u32>(c) >> 23) & 255 ? 0x800000 : 0);
    s64 term = align(significand, exponent_of(c), 23);
    sum = as<u32>(c) >> 31 ? -term : term;
  }
  for (int k = 0; k < count; k++) {
    s32 exponent = exponent_of(a[k]) + exponent_of(b[k]);
    if (exponent < kNoExponent / 2)
      continue;
    constexpr int kOne = 1 << Format<T>::kFraction;
    u64 x = Format<T>::fraction(a[k]) | (Format<T>::biased(a[k]) ? kOne : 0);
    u64 y = Format<T>::fraction(b[k]) | (Format<T>::biased(b[k]) ? kOne : 0);
    s64 term = align(x * y, exponent, 2 * Format<T>::kFraction);
    sum += Format<T>::negative(a[k]) != Format<T>::negative(b[k]) ? -term : term;
  }
  return __builtin_ldexp(static_cast<f64>(sum), top - Fraction);
}

/// float64 to float32 toward zero; beyond the range, infinity.
inline f32 narrow_toward_zero(f64 x) {
  f64 kept = as<f64>(as<u64>(x) & ~u64{0x1fffffff});
  f32 result = static_cast<f32>(kept);
  f64 magnitude = __builtin_fabs(x);
  if (__builtin_expect(magnitude < 0x1p-126 && magnitude > 0, 0)) {
    f64 steps = __builtin_trunc(x * 0x1p149);
    result = static_cast<f32>(steps * 0x1p-149);
  }
  return result;
}
/// float64 to float16, to nearest.
inline f16 narrow_to_half(f64 x) { return to_f16<kNearest>(odd_f32(x)); }

/// The operands of one product: A transposed, so that 16 rows are a vector.
template <class T, int K> struct Tile {
  T a[K][16];
  T b[8][K];
  alignas(64) f32 c[8][16]; // column, row
  alignas(64) f64 d[8][16]; // exact results of the last sum
  alignas(64) f32 special[8][16];
};

template <class T, int K, int Chunk, int Fraction, bool HalfResult> void multiply_exactly(Tile<T, K> &tile) {
  for (int j = 0; j < 8; j++)
    for (int i = 0; i < 16; i++) {
      f32 accumulator = tile.c[j][i], special = 0;
      f64 sum = 0;
      for (int first = 0; first < K; first += Chunk) {
        T row[Chunk];
        for (int k = 0; k < Chunk; k++)
          row[k] = tile.a[first + k][i];
        sum = sum_products_exactly<T, Fraction>(row, &tile.b[j][first], Chunk, accumulator, &special);
        accumulator = special != 0 ? special : narrow_toward_zero(sum);
      }
      tile.d[j][i] = sum;
      tile.c[j][i] = accumulator;
      tile.special[j][i] = special;
    }
}

typedef f32 Real16 __attribute__((vector_size(64)));
typedef s32 Integer16 __attribute__((vector_size(64)));
typedef f64 Double16 __attribute__((vector_size(128)));
typedef s64 Long16 __attribute__((vector_size(128)));

/// The same in vectors of 16 rows, for exponents that keep every product and scale inside float32. Terms are float32
/// products times a power of two, cut to integers: exactly the truncation above. False: not in range, nothing done.
template <class T, int K, int Chunk, int Fraction> bool multiply_in_vectors(Tile<T, K> &tile) {
  constexpr s32 kReach = 50; // |exponent| of a factor: products to 2^±100, scales to 2^125
  alignas(64) f32 a[K][16];
  alignas(64) s32 ea[K][16];
  f32 b[8][K];
  s32 eb[8][K];
  s32 highest = 0, lowest = 0;
  const T *from = &tile.a[0][0];
  f32 *to = &a[0][0];
  s32 *exponents = &ea[0][0];
  _Pragma("GCC ivdep") for (int i = 0; i < K * 16; i++) {
    to[i] = to_f32(from[i]);
    s32 e = exponent_of(from[i]);
    exponents[i] = e;
    highest = e > highest ? e : highest;
    s32 bounded = e == kNoExponent ? 0 : e;
    lowest = bounded < lowest ? bounded : lowest;
  }
  from = &tile.b[0][0];
  to = &b[0][0];
  exponents = &eb[0][0];
  _Pragma("GCC ivdep") for (int i = 0; i < K * 8; i++) {
    to[i] = to_f32(from[i]);
    s32 e = exponent_of(from[i]);
    exponents[i] = e;
    highest = e > highest ? e : highest;
    s32 bounded = e == kNoExponent ? 0 : e;
    lowest = bounded < lowest ? bounded : lowest;
  }
  constexpr s32 kInfinite = Format<T>::kSpecial - Format<T>::kBias; // exponent of infinities and NaN
  u32 special = 0;
  const f32 *c = &tile.c[0][0];
  for (int i = 0; i < 128; i++)
    special |= static_cast<u32>((as<u32>(c[i]) & 0x7f800000u) == 0x7f800000u);
  if (special || highest >= (kInfinite < kReach ? kInfinite : kReach + 1) || lowest < -kReach)
    return false;
  for (int j = 0; j < 8; j++) {
    Real16 sum;
    __builtin_memcpy(&sum, tile.c[j], 64);
    for (int first = 0; first < K; first += Chunk) {
      Integer16 bits = reinterpret_cast<Integer16>(sum);
      Integer16 biased = (bits >> 23) & 255;
      Integer16 top = *reinterpret_cast<const Integer16 *>(ea[first]) + eb[j][first];
      for (int k = first + 1; k < first + Chunk; k++) {
        Integer16 e = *reinterpret_cast<const Integer16 *>(ea[k]) + eb[j][k];
        top = e > top ? e : top;
      }
      Integer16 none = top < -1000;
      Integer16 ec = biased - 127;
      top = ec > top ? ec : top;
      top = top < -100 ? Integer16{} - 100 : top;
      Real16 scale = reinterpret_cast<Real16>((127 + Fraction - top) << 23);
      Integer16 low = __builtin_convertvector(sum * scale, Integer16), high = {};
      for (int k = first; k < first + Chunk; k++) {
        Integer16 term = __builtin_convertvector(
            *reinterpret_cast<const Real16 *>(a[k]) * b[j][k] * scale, Integer16);
        if (k - first < 8)
          low += term;
        else
          high += term;
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
        f64 total = Chunk > 8 ? static_cast<f64>(lows[i]) + static_cast<f64>(highs[i]) : static_cast<f64>(lows[i]);
        f64 unit = as<f64>(static_cast<u64>(1023 + tops[i] - Fraction) << 52);
        f64 value = nones[i] ? f64{before[i]} + 0.0 : total * unit;
        exact[i] = value;
        after[i] = static_cast<f32>(as<f64>(as<u64>(value) & ~u64{0x1fffffff}));
        after[i] = nones[i] ? before[i] + 0.0f : after[i];
      }
      __builtin_memcpy(&sum, after, 64);
    }
    __builtin_memcpy(tile.c[j], &sum, 64);
  }
  return true;
}

template <class T, int K, bool HalfResult> void multiply(Tile<T, K> &tile, bool whole) {
  constexpr int kChunk = Format<T>::kChunk < K ? Format<T>::kChunk : K;
  __builtin_memset(tile.special, 0, sizeof(tile.special));
  if (whole ? !multiply_in_vectors<T, K, K, 25>(tile) : !multiply_in_vectors<T, K, kChunk, 24>(tile))
    whole ? multiply_exactly<T, K, K, 25, HalfResult>(tile) : multiply_exactly<T, K, kChunk, 24, HalfResult>(tile);
}

/// mma.sync: `more` holds the registers of d, a, b, c. Element (row, k) of A is in lane 4 · (row mod 8) + pair.
template <class T, int K, bool HalfResult> const Op *matrix_multiply(Warp &warp, const Op *op, u32 mask) {
  if (!converged(warp, op, mask, kAllLanes))
    return op;
  constexpr bool kPairs = sizeof(T) == 2;            // two elements in a register
  constexpr int kPerRegister = kPairs ? 8 : 4;       // columns of K that a register spans
  constexpr int kSteps = K / kPerRegister;
  constexpr int kResults = HalfResult ? 2 : 4;
  const u32 *d = op->more, *a = d + kResults, *b = a + 2 * kSteps, *c = b + kSteps;
  Tile<T, K> tile;
  for (int step = 0; step < kSteps; step++) {
    for (int half = 0; half < 2; half++) {
      const u32 *from = lanes<u32>(warp, a[2 * step + half]);
      for (int lane = 0; lane < 32; lane++) {
        int row = lane / 4 + 8 * half, pair = lane % 4;
        if constexpr (kPairs) {
          tile.a[step * 8 + pair * 2][row] = {static_cast<u16>(from[lane])};
          tile.a[step * 8 + pair * 2 + 1][row] = {static_cast<u16>(from[lane] >> 16)};
        } else {
          tile.a[step * 4 + pair][row] = {from[lane]};
        }
      }
    }
    const u32 *from = lanes<u32>(warp, b[step]);
    for (int lane = 0; lane < 32; lane++)
      __builtin_memcpy(&tile.b[lane / 4][step * kPerRegister + lane % 4 * (kPairs ? 2 : 1)], &from[lane], 4);
  }
  for (int half = 0; half < 2; half++) {
    for (int lane = 0; lane < 32; lane++) {
      int row = lane / 4 + 8 * half, column = lane % 4 * 2;
      if constexpr (HalfResult) {
        u32 two = lanes<u32>(warp, c[half])[lane];
        tile.c[column][row] = to_f32(f16{static_cast<u16>(two)});
        tile.c[column + 1][row] = to_f32(f16{static_cast<u16>(two >> 16)});
      } else {
        tile.c[column][row] = lanes<f32>(warp, c[2 * half])[lane];
        tile.c[column + 1][row] = lanes<f32>(warp, c[2 * half + 1])[lane];
      }
    }
  }
  multiply<T, K, HalfResult>(tile, op->flags & kFusesWholeK);
  for (int half = 0; half < 2; half++)
    for (int e = 0; e < (HalfResult ? 1 : 2); e++) {
      alignas(64) u32 result[32];
      for (int lane = 0; lane < 32; lane++) {
        int row = lane / 4 + 8 * half, column = lane % 4 * 2 + e;
        if constexpr (HalfResult) {
          auto narrow = [&](int at) -> u32 {
            f32 special = tile.special[at][row];
            return special != 0 ? to_f16<kNearest>(special).bits : narrow_to_half(tile.d[at][row]).bits;
          };
          result[lane] = narrow(column) | narrow(column + 1) << 16;
        } else {
          result[lane] = as<u32>(tile.c[column][row]);
        }
      }
      write_lanes<u32>(warp, d[HalfResult ? half : 2 * half + e], result, mask);
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
