// Number formats: float16, bfloat16, rounding, not-a-number, flushing of subnormals. Free of branches, so that the loops
// over lanes become vectors.
#pragma once
#include "execute/Lanes.h"

namespace tenon::emulator::TENON_ISA {

struct f16 { u16 bits; };
struct bf16 { u16 bits; };
/// Two of them in one register: element 0 in the low half.
struct f16x2 { u32 bits; };
struct bf16x2 { u32 bits; };

inline constexpr u32 kNaN32 = 0x7fffffff; // what the hardware's float32 operations make
inline constexpr u64 kNaN64 = 0xfff8000000000000;
inline constexpr u16 kNaN16 = 0x7fff;

enum Round : int { kNearest, kZero, kDown, kUp };

inline f32 canonical(f32 x) { return x != x ? as<f32>(kNaN32) : x; }
inline f64 canonical(f64 x) { return x != x ? as<f64>(kNaN64) : x; }
/// Subnormals to zero of the same sign.
inline f32 flush(f32 x) {
  u32 bits = as<u32>(x);
  return as<f32>((bits & 0x7f800000u) == 0 ? bits & 0x80000000u : bits);
}
template <bool Ftz> inline f32 flushed(f32 x) { return Ftz ? flush(x) : x; }
inline f32 saturate(f32 x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; } // NaN gives 0
inline f64 saturate(f64 x) { return x > 0 ? (x < 1 ? x : 1.0) : 0.0; }

inline f32 to_f32(f32 x) { return x; }
inline f32 to_f32(f16 x) {
  u32 bits = (u32{x.bits} & 0x7fff) << 13, exponent = bits & 0x0f800000u;
  u32 normal = bits + (112u << 23), special = bits + (224u << 23);
  f32 subnormal = as<f32>(bits + (113u << 23)) - as<f32>(113u << 23);
  u32 result = exponent == 0x0f800000u ? special : exponent == 0 ? as<u32>(subnormal) : normal;
  return as<f32>(result | (u32{x.bits} & 0x8000) << 16);
}
inline f32 to_f32(bf16 x) { return as<f32>(u32{x.bits} << 16); }

/// Rounding of a float32 to float16. Directed modes go from the truncated value one up where anything was lost.
template <int R> inline f16 to_f16(f32 value) {
  u32 bits = as<u32>(value), sign = bits & 0x80000000u;
  bits ^= sign;
  u32 result;
  if constexpr (R == kNearest) {
    u32 odd = (bits >> 13) & 1;
    u32 normal = (bits + 0xc8000fffu + odd) >> 13;
    u32 subnormal = as<u32>(as<f32>(bits) + 0.5f) - 0x3f000000u;
    result = bits < 0x38800000u ? subnormal : normal;
    result = bits >= 0x47800000u ? 0x7c00u : result;
  } else {
    u32 exponent = bits >> 23;
    u32 shift = exponent < 113 ? 126 - exponent : 13; // subnormals of float16 lose more bits
    shift = shift > 31 ? 31 : shift;
    u32 mantissa = (bits & 0x7fffffu) | (exponent ? 0x800000u : 0u);
    u32 subnormal = mantissa >> shift, normal = (bits - (112u << 23)) >> 13;
    u32 lost = exponent < 113 ? mantissa & ((1u << shift) - 1) : bits & 0x1fffu;
    result = exponent < 113 ? subnormal : normal;
    bool away = (R == kUp && !sign) || (R == kDown && sign);
    result += away && lost != 0 ? 1 : 0;
    u32 largest = away || bits == 0x7f800000u ? 0x7c00u : 0x7bffu;
    result = bits >= 0x47800000u ? largest : result;
  }
  result |= sign >> 16;
  return {static_cast<u16>(bits > 0x7f800000u ? kNaN16 : result)};
}
template <int R> inline bf16 to_bf16(f32 value) {
  u32 bits = as<u32>(value), sign = bits & 0x80000000u, rounded;
  if constexpr (R == kNearest)
    rounded = bits + 0x7fffu + ((bits >> 16) & 1);
  else if constexpr (R == kZero)
    rounded = bits;
  else
    rounded = bits + (((R == kUp) == (sign == 0)) && (bits & 0x7fffffffu) < 0x7f800000u ? 0xffffu : 0u);
  return {static_cast<u16>((bits & 0x7fffffffu) > 0x7f800000u ? kNaN16 : rounded >> 16)};
}

template <class T> struct Half; // from float32, with rounding to nearest
template <> struct Half<f16> { static f16 from(f32 x) { return to_f16<kNearest>(x); } };
template <> struct Half<bf16> { static bf16 from(f32 x) { return to_bf16<kNearest>(x); } };
template <class T> inline bool is_nan16(T x);
template <> inline bool is_nan16<f16>(f16 x) { return (x.bits & 0x7fff) > 0x7c00; }
template <> inline bool is_nan16<bf16>(bf16 x) { return (x.bits & 0x7fff) > 0x7f80; }

/// a + b rounded to odd: a later rounding to fewer bits is then right.
inline f64 add_to_odd(f64 a, f64 b) {
  f64 sum = a + b;
  f64 back = sum - a;
  f64 error = (a - (sum - back)) + (b - back);
  u64 bits = as<u64>(sum);
  bool inexact = error != 0 && (bits & 1) == 0 && error == error;
  bool away = (error > 0) == (sum > 0);
  bits = inexact ? (away ? bits + 1 : bits - 1) : bits;
  return as<f64>(bits);
}

#ifdef __FMA__
inline f32 fused(f32 a, f32 b, f32 c) { return __builtin_fmaf(a, b, c); }
#else
inline f32 fused(f32 a, f32 b, f32 c) {
  f64 product = f64{a} * f64{b};
  f64 plain = product + f64{c};
  bool finite = plain - plain == 0;
  return static_cast<f32>(finite ? add_to_odd(product, c) : plain);
}
#endif
inline f64 fused(f64 a, f64 b, f64 c) { return __builtin_fma(a, b, c); }
/// For float16 and bfloat16: the product is exact in float32, the sum rounded to odd.
inline f32 fused_half(f32 a, f32 b, f32 c) {
  f64 product = f64{a} * f64{b}, plain = product + f64{c};
  f64 odd = plain - plain == 0 ? add_to_odd(product, c) : plain;
  // To float32 by rounding to odd as well, so that the last rounding sees every bit.
  f32 nearest = static_cast<f32>(odd);
  u32 bits = as<u32>(nearest);
  f64 error = odd - f64{nearest};
  if (nearest == 0 && error != 0) // below half of the least subnormal
    return as<f32>(error > 0 ? 1u : 0x80000001u);
  bool inexact = error != 0 && error == error && (bits & 1) == 0 && (bits & 0x7f800000u) != 0x7f800000u;
  bool away = (error > 0) == (nearest > 0);
  bits = inexact ? (away ? bits + 1 : bits - 1) : bits;
  return as<f32>(bits);
}

} // namespace tenon::emulator::TENON_ISA
