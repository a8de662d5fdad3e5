// mma of integers, bits and float64. PTX ISA 9.7.14.5. Exact, so the order of sums does not matter.
#pragma once
#include "execute/Control.h"

namespace tenon::emulator::TENON_ISA {

/// Element `index` of packed elements of `Bits` bits, from the lowest.
template <int Bits, bool Signed> inline s32 packed_element(u32 word, int index) {
  u32 value = word >> (Bits * index);
  if constexpr (Bits == 32)
    return static_cast<s32>(value);
  else if constexpr (Signed)
    return static_cast<s32>(value << (32 - Bits)) >> (32 - Bits);
  else
    return static_cast<s32>(value & ((1u << Bits) - 1));
}

inline s32 add_sums(s32 sum, s64 more, bool saturates) {
  s64 exact = sum + more;
  if (saturates)
    return static_cast<s32>(exact > 2147483647 ? 2147483647 : exact < -2147483648ll ? -2147483648ll : exact);
  return static_cast<s32>(static_cast<u32>(sum) + static_cast<u32>(more));
}

/// How a product of two elements is made: of numbers, or of 32 bits by population count.
enum BitProduct : int { kNumbers, kXorBits, kAndBits };

/// `more` holds the registers of d, a, b, c. Rows of A are in lane / 4 (+ 8), columns of B in lane / 4, columns of C in
/// 2 (lane mod 4) and the next; a register of A or B holds consecutive K.
template <int M, int K, int Bits, bool SignedA, bool SignedB, int Product>
const Op *multiply_integers(Warp &warp, const Op *op, u32 mask) {
  if (!is_whole_warp(warp, op, mask))
    return op;
  constexpr int kPer = 32 / Bits, kHalves = M / 8, kSteps = K / (4 * kPer), kResults = 2 * kHalves;
  const u32 *d = op->more, *a = d + kResults, *b = a + kSteps * kHalves, *c = b + kSteps;
  alignas(64) s32 result[kResults][32];
  for (int e = 0; e < kResults; e++)
    for (int lane = 0; lane < 32; lane++) {
      int row = lane / 4, column = lane % 4 * 2 + e % 2;
      s64 sum = 0;
      for (int step = 0; step < kSteps; step++)
        for (int quad = 0; quad < 4; quad++) {
          u32 x = lanes<u32>(warp, a[step * kHalves + e / 2])[4 * row + quad];
          u32 y = lanes<u32>(warp, b[step])[4 * column + quad];
          if constexpr (Product == kNumbers)
            for (int i = 0; i < kPer; i++)
              sum += packed_element<Bits, SignedA>(x, i) * packed_element<Bits, SignedB>(y, i);
          else
            sum += __builtin_popcount(Product == kXorBits ? x ^ y : x & y);
        }
      result[e][lane] = add_sums(lanes<s32>(warp, c[e])[lane], sum, op->flags & kSaturates);
    }
  for (int e = 0; e < kResults; e++)
    write_lanes<s32>(warp, d[e], result[e], mask);
  return op + 1;
}

/// m8n8k4 of float64: a chain of fused multiply-adds along K.
inline const Op *multiply_doubles(Warp &warp, const Op *op, u32 mask) {
  if (!is_whole_warp(warp, op, mask))
    return op;
  const u32 *d = op->more, *a = d + 2, *b = a + 1, *c = b + 1;
  alignas(64) f64 result[2][32];
  for (int e = 0; e < 2; e++)
    for (int lane = 0; lane < 32; lane++) {
      int row = lane / 4, column = lane % 4 * 2 + e;
      f64 sum = lanes<f64>(warp, c[e])[lane];
      for (int k = 0; k < 4; k++)
        sum = fused(lanes<f64>(warp, a[0])[4 * row + k], lanes<f64>(warp, b[0])[4 * column + k], sum);
      result[e][lane] = canonical(sum);
    }
  for (int e = 0; e < 2; e++)
    write_lanes<f64>(warp, d[e], result[e], mask);
  return op + 1;
}

} // namespace tenon::emulator::TENON_ISA
