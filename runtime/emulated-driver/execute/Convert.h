// cvt. PTX ISA 9.7.9.21. Integer registers may be wider than the type: sources are cut, results extended.
#pragma once
#include "execute/Float.h"
#include "execute/Integer.h"

namespace tenon::emulator::TENON_ISA {

/// Saturation of integers: the value as the source type has it, clamped to the destination's range.
template <class To, class From> inline To clamp_integer(From value) {
  __int128 wide = value;
  __int128 most = kSigned<To> ? ((__int128{1} << (kBits<To> - 1)) - 1) : ((__int128{1} << kBits<To>)-1);
  __int128 least = kSigned<To> ? -(__int128{1} << (kBits<To> - 1)) : 0;
  return static_cast<To>(wide > most ? most : wide < least ? least : wide);
}

template <class To> inline void write_integer(Warp &warp, const Op *op, const To *values, u32 mask) {
  if constexpr (kSigned<To>) {
    alignas(64) s64 extended[32];
    if (op->width[0] > sizeof(To)) {
      TENON_LANES extended[lane] = values[lane];
      return write_wide<s64>(warp, op->operand[0], op->width[0], extended, mask);
    }
  }
  write_wide<To>(warp, op->operand[0], op->width[0], values, mask);
}

template <class To, class From, bool Sat> const Op *convert_integer(Warp &warp, const Op *op, u32 mask) {
  alignas(64) u64 raw[32];
  alignas(64) To result[32];
  read_wide(warp, op->operand[1], op->width[1], raw);
  TENON_LANES {
    From value = static_cast<From>(raw[lane]);
    result[lane] = Sat ? clamp_integer<To>(value) : static_cast<To>(value);
  }
  write_integer<To>(warp, op, result, mask);
  return op + 1;
}

enum ToInteger : int { kRoundNearest, kRoundZero, kRoundDown, kRoundUp };
template <int R, class T> inline T round_integral(T x) {
  if constexpr (sizeof(T) == 8)
    return R == kRoundNearest ? __builtin_nearbyint(x) : R == kRoundZero ? __builtin_trunc(x)
           : R == kRoundDown  ? __builtin_floor(x)     : __builtin_ceil(x);
  else
    return R == kRoundNearest ? __builtin_nearbyintf(x) : R == kRoundZero ? __builtin_truncf(x)
           : R == kRoundDown  ? __builtin_floorf(x)     : __builtin_ceilf(x);
}

/// Not a number gives 0, or for 64-bit types and float64 sources the value with only the top bit set.
template <class To, class From, int R> inline To float_to_integer(From value) {
  constexpr f64 kPower = static_cast<f64>(u64{1} << (kBits<To> - 1)) * (kSigned<To> ? 1 : 2);
  constexpr To kMost = kSigned<To> ? static_cast<To>(~(u64{1} << (kBits<To> - 1))) : static_cast<To>(~u64{0});
  constexpr To kLeast = kSigned<To> ? static_cast<To>(u64{1} << (kBits<To> - 1)) : To(0);
  f64 rounded = round_integral<R>(static_cast<f64>(value));
  if (rounded != rounded) {
    constexpr bool kTopBit = sizeof(From) == 8 || sizeof(To) == 8;
    return kTopBit ? static_cast<To>(u64{1} << (kBits<To> - 1)) : To(0);
  }
  if (rounded >= kPower)
    return kMost;
  if (rounded <= (kSigned<To> ? -kPower : 0.0))
    return kLeast;
  return static_cast<To>(rounded);
}
inline f32 element(f32 x) { return x; }
inline f64 element(f64 x) { return x; }
inline f32 element(f16 x) { return to_f32(x); }
inline f32 element(bf16 x) { return to_f32(x); }

template <class To, class From, int R, bool Ftz = false>
const Op *convert_to_integer(Warp &warp, const Op *op, u32 mask) {
  const From *a = lanes<From>(warp, op->operand[1]);
  alignas(64) To result[32];
  for (int lane = 0; lane < 32; lane++) {
    auto value = element(a[lane]);
    if constexpr (Ftz)
      value = flush(value);
    result[lane] = float_to_integer<To, decltype(value), R>(value);
  }
  write_integer<To>(warp, op, result, mask);
  return op + 1;
}

inline f32 limited(f32 x) { return saturate(x); }
inline f64 limited(f64 x) { return saturate(x); }
inline f16 limited(f16 x) { return to_f16<kNearest>(saturate(to_f32(x))); }
template <class To, int R> struct FloatFrom;
template <int R> struct FloatFrom<f32, R> { template <class T> static f32 from(T x) { return static_cast<f32>(x); } };
template <int R> struct FloatFrom<f64, R> { template <class T> static f64 from(T x) { return static_cast<f64>(x); } };
/// To half formats through a float32 rounded to odd, so that rounding twice is rounding once.
template <class T> inline f32 odd_f32(T value) {
  f32 nearest = static_cast<f32>(value);
  u32 bits = as<u32>(nearest);
  f64 exact = static_cast<f64>(value), error = exact - f64{nearest};
  if (nearest == 0 && error != 0)
    return as<f32>(error > 0 ? 1u : 0x80000001u);
  bool inexact = error != 0 && error == error && (bits & 1) == 0 && (bits & 0x7f800000u) != 0x7f800000u;
  bits = inexact ? ((error > 0) == (nearest > 0) ? bits + 1 : bits - 1) : bits;
  return as<f32>(bits);
}
template <int R> struct FloatFrom<f16, R> { template <class T> static f16 from(T x) { return to_f16<R>(odd_f32(x)); } };
template <int R> struct FloatFrom<bf16, R> { template <class T> static bf16 from(T x) { return to_bf16<R>(odd_f32(x)); } };

/// With .sat the result lies from 0 to 1.
template <class To, class From, int R, bool Sat = false> const Op *convert_from_integer(Warp &warp, const Op *op, u32 mask) {
  alignas(64) u64 raw[32];
  alignas(64) To result[32];
  read_wide(warp, op->operand[1], op->width[1], raw);
  if constexpr (R == kNearest || sizeof(To) == 2) {
    TENON_LANES result[lane] = FloatFrom<To, R>::from(static_cast<From>(raw[lane]));
  } else {
    for (int lane = 0; lane < 32; lane++) {
      volatile From value = static_cast<From>(raw[lane]);
      u32 before = enter_rounding(R);
      asm volatile("" ::: "memory");
      volatile To converted = FloatFrom<To, R>::from(From(value));
      asm volatile("" ::: "memory");
      __builtin_ia32_ldmxcsr(before);
      result[lane] = converted;
    }
  }
  if constexpr (Sat)
    TENON_LANES result[lane] = limited(result[lane]);
  write_lanes<To>(warp, op->operand[0], result, mask);
  return op + 1;
}

/// float32 and float64 to a half format.
template <class H, int R, bool Relu = false> struct NarrowTo {
  static f32 odd(f32 x) { return x; }
  static f32 odd(f64 x) { return odd_f32(x); }
  template <class T> static H apply(T x) {
    f32 value = odd(x);
    if (Relu)
      value = value < 0 ? 0.0f : value;
    if constexpr (sizeof(H) == 2 && __is_same(H, f16))
      return to_f16<R>(value);
    else
      return to_bf16<R>(value);
  }
};
/// .satfinite: beyond the largest number is that.
template <class H, int R, bool Relu = false> struct NarrowFinite {
  template <class T> static H apply(T x) {
    constexpr u16 kInfinity = __is_same(H, f16) ? 0x7c00 : 0x7f80;
    H narrowed = NarrowTo<H, R, Relu>::apply(x);
    narrowed.bits = static_cast<u16>(narrowed.bits - ((narrowed.bits & 0x7fff) == kInfinity));
    return narrowed;
  }
};
template <class F, bool Sat> struct SaturateThen {
  template <class T> static auto apply(T x) { return F::apply(Sat ? saturate(x) : x); }
};
struct Widen {
  static f32 apply(f16 x) { return canonical(to_f32(x)); }
  static f32 apply(bf16 x) { return canonical(to_f32(x)); }
  static f64 apply(f32 x) { return canonical(f64{x}); }
};
/// Any format to float64, from 0 to 1.
struct WidenSaturatedDouble {
  static f64 apply(f64 x) { return saturate(x); }
  static f64 apply(f32 x) { return saturate(f64{x}); }
  static f64 apply(f16 x) { return saturate(f64{to_f32(x)}); }
};
struct WidenSaturatedFlushed { static f64 apply(f32 x) { return saturate(f64{flush(x)}); } };
struct CopySaturated { static f16 apply(f16 x) { return limited(x); } };
struct WidenSaturated { template <class T> static f32 apply(T x) { return saturate(to_f32(x)); } };
struct WidenFlushed { static f64 apply(f32 x) { return canonical(f64{flush(x)}); } };
struct WidenHalfDouble { template <class T> static f64 apply(T x) { return canonical(f64{to_f32(x)}); } };
template <bool Ftz, bool Sat> struct NarrowDouble {
  static f32 apply(f64 x) { return Real<Copy, false, Sat>::finish(flushed<Ftz>(static_cast<f32>(x))); }
};
struct NarrowDoubleDirected { static f64 apply(f64 x) { return x; } };
template <int R> const Op *narrow_double_directed(Warp &warp, const Op *op, u32 mask) {
  alignas(64) f32 result[32];
  for (int lane = 0; lane < 32; lane++) {
    volatile f64 a = lanes<f64>(warp, op->operand[1])[lane];
    u32 before = enter_rounding(R);
    asm volatile("" ::: "memory");
    volatile f32 narrowed = static_cast<f32>(f64(a));
    asm volatile("" ::: "memory");
    __builtin_ia32_ldmxcsr(before);
    result[lane] = canonical(f32(narrowed));
  }
  write_lanes<f32>(warp, op->operand[0], result, mask);
  return op + 1;
}
template <int R, bool Ftz, bool Sat> struct RoundToIntegral {
  static f32 apply(f32 x) { return Real<Copy, Ftz, Sat>::finish(round_integral<R>(flushed<Ftz>(x))); }
  static f64 apply(f64 x) { return Sat ? saturate(round_integral<R>(x)) : canonical(round_integral<R>(x)); }
  static f16 apply(f16 x) {
    f16 rounded = to_f16<kNearest>(round_integral<R>(to_f32(x)));
    return Sat ? limited(rounded) : rounded;
  }
  static bf16 apply(bf16 x) { return to_bf16<kNearest>(round_integral<R>(to_f32(x))); }
};
/// float32 to tf32: 10 bits of fraction stay, to nearest with ties away (.rna) or to even (.rn), or truncated (.rz).
template <int R> struct ToTf32 { // 0 away, 1 even, 2 truncate
  static u32 apply(f32 x) {
    u32 bits = as<u32>(x);
    bool special = (bits & 0x7f800000u) == 0x7f800000u;
    u32 rounded = R == 0 ? bits + 0x1000u : R == 1 ? bits + 0xfffu + ((bits >> 13) & 1) : bits;
    rounded = special ? bits : rounded;
    return x != x ? kNaN32 : rounded & 0xffffe000u;
  }
};
/// cvt.rn.f16x2.f32 d, a, b: a to the upper half, b to the lower.
template <class H, int R, bool Relu = false, template <class, int, bool> class Narrow = NarrowTo> struct PackTwo {
  static u32 apply(f32 a, f32 b) {
    return u32{Narrow<H, R, Relu>::apply(b).bits} | u32{Narrow<H, R, Relu>::apply(a).bits} << 16;
  }
};

/// cvt.pack d, a, b, c: a above b, and above both what c has below.
template <int Bits, bool Signed> struct PackSaturated {
  static u32 field(s32 x) {
    constexpr s32 kMost = Signed ? (1 << (Bits - 1)) - 1 : (1 << Bits) - 1, kLeast = Signed ? -(1 << (Bits - 1)) : 0;
    return static_cast<u32>(x > kMost ? kMost : x < kLeast ? kLeast : x) & ((1u << Bits) - 1);
  }
  static u32 apply(s32 a, s32 b, u32 c = 0) { return u32(u64{c} << (2 * Bits)) | field(a) << Bits | field(b); }
};

/// mov between registers and their pieces: operand 0 (or more) are the destinations.
template <class Piece, class Whole> const Op *pack(Warp &warp, const Op *op, u32 mask) {
  alignas(64) Whole result[32];
  constexpr int kPieces = sizeof(Whole) / sizeof(Piece);
  TENON_LANES result[lane] = 0;
  for (int i = 0; i < kPieces; i++) {
    const Piece *piece = lanes<Piece>(warp, op->operand[1 + i]);
    TENON_LANES result[lane] |= static_cast<Whole>(piece[lane]) << (i * kBits<Piece>);
  }
  write_lanes<Whole>(warp, op->operand[0], result, mask);
  return op + 1;
}
template <class Piece, class Whole> const Op *unpack(Warp &warp, const Op *op, u32 mask) {
  const Whole *from = lanes<Whole>(warp, op->operand[4]);
  constexpr int kPieces = sizeof(Whole) / sizeof(Piece);
  alignas(64) Whole whole[32];
  TENON_LANES whole[lane] = from[lane];
  for (int i = 0; i < kPieces; i++) {
    if (op->operand[i] == kNoSlot)
      continue;
    alignas(64) Piece piece[32];
    TENON_LANES piece[lane] = static_cast<Piece>(whole[lane] >> (i * kBits<Piece>));
    write_lanes<Piece>(warp, op->operand[i], piece, mask);
  }
  return op + 1;
}

} // namespace tenon::emulator::TENON_ISA
