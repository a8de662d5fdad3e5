// Floating-point arithmetic. PTX ISA 9.7.3 to 9.7.5. Sums, products, fma, sqrt.rn, div.rn are exact to the bit; approximate
// instructions are better than the hardware's bound, never bit for bit its result.
#pragma once
#include "execute/Numbers.h"
#include <math.h>

namespace tenon::emulator::TENON_ISA {

struct FAdd { template <class T> static T apply(T a, T b) { return a + b; } };
struct FSubtract { template <class T> static T apply(T a, T b) { return a - b; } };
struct FMultiply { template <class T> static T apply(T a, T b) { return a * b; } };
struct FDivide { template <class T> static T apply(T a, T b) { return a / b; } };
struct FFused { template <class T> static T apply(T a, T b, T c) { return fused(a, b, c); } };
struct DirectedFused { // the library's fma obeys the rounding mode
  static f32 apply(f32 a, f32 b, f32 c) { return __builtin_fmaf(a, b, c); }
  static f64 apply(f64 a, f64 b, f64 c) { return __builtin_fma(a, b, c); }
};
struct FSquareRoot {
  static f32 apply(f32 a) { return __builtin_sqrtf(a); }
  static f64 apply(f64 a) { return __builtin_sqrt(a); }
};
struct FReciprocal { template <class T> static T apply(T a) { return T(1) / a; } };

/// float32 with optional flushing and saturation.
template <class F, bool Ftz = false, bool Sat = false> struct Real {
  static f32 apply(f32 a) { return finish(F::apply(flushed<Ftz>(a))); }
  static f32 apply(f32 a, f32 b) { return finish(F::apply(flushed<Ftz>(a), flushed<Ftz>(b))); }
  static f32 apply(f32 a, f32 b, f32 c) {
    return finish(F::apply(flushed<Ftz>(a), flushed<Ftz>(b), flushed<Ftz>(c)));
  }
  static f64 apply(f64 a) { return canonical(F::apply(a)); }
  static f64 apply(f64 a, f64 b) { return canonical(F::apply(a, b)); }
  static f64 apply(f64 a, f64 b, f64 c) { return canonical(F::apply(a, b, c)); }
  static f32 finish(f32 x) {
    x = canonical(flushed<Ftz>(x));
    return Sat ? saturate(x) : x;
  }
};

/// The same in a directed rounding mode of the processor: scalar, since compilers do not use these.
inline u32 enter_rounding(int round) {
  u32 before = __builtin_ia32_stmxcsr();
  static constexpr u32 kModes[] = {0x0000, 0x6000, 0x2000, 0x4000}; // nearest, zero, down, up
  __builtin_ia32_ldmxcsr((before & ~0x6000u) | kModes[round]);
  return before;
}
template <class T, int Round, int Arity, class F> const Op *directed(Warp &warp, const Op *op, u32 mask) {
  alignas(64) T result[32];
  for (int lane = 0; lane < 32; lane++) {
    volatile T a = lanes<T>(warp, op->operand[1])[lane];
    volatile T b = Arity > 1 ? lanes<T>(warp, op->operand[2])[lane] : T(0);
    volatile T c = Arity > 2 ? lanes<T>(warp, op->operand[3])[lane] : T(0);
    u32 before = enter_rounding(Round);
    asm volatile("" ::: "memory");
    volatile T d;
    if constexpr (Arity == 1)
      d = F::apply(T(a));
    else if constexpr (Arity == 2)
      d = F::apply(T(a), T(b));
    else
      d = F::apply(T(a), T(b), T(c));
    asm volatile("" ::: "memory");
    __builtin_ia32_ldmxcsr(before);
    result[lane] = d;
  }
  write_lanes<T>(warp, op->operand[0], result, mask);
  return op + 1;
}

/// min and max: a number wins over not-a-number (unless .NaN), and -0 is below +0.
template <class T, bool Max> inline T choose(T a, T b) {
  T chosen = Max ? (a > b ? a : b) : (a < b ? a : b);
  if constexpr (sizeof(T) == 4) {
    u32 zeros = Max ? as<u32>(a) & as<u32>(b) : as<u32>(a) | as<u32>(b);
    return a == b ? as<T>(zeros) : chosen;
  } else {
    u64 zeros = Max ? as<u64>(a) & as<u64>(b) : as<u64>(a) | as<u64>(b);
    return a == b ? as<T>(zeros) : chosen;
  }
}
template <bool Max, bool Nan = false, bool Ftz = false> struct FChoose {
  static f32 apply(f32 a, f32 b) { return pick(flushed<Ftz>(a), flushed<Ftz>(b)); }
  static f64 apply(f64 a, f64 b) { return pick(a, b); }
  static f32 apply(f32 a, f32 b, f32 c) { return apply(apply(a, b), c); }
  template <class T> static T pick(T a, T b) {
    T chosen = choose<T, Max>(a, b);
    if constexpr (Nan)
      return canonical(a != a ? a : b != b ? b : chosen);
    else
      return canonical(a != a ? b : b != b ? a : chosen);
  }
};
template <bool Max, bool Nan> struct FChooseXorSign { // sign of the product, least or greatest magnitude
  static f32 apply(f32 a, f32 b) {
    u32 sign = (as<u32>(a) ^ as<u32>(b)) & 0x80000000u;
    f32 chosen = FChoose<Max, Nan>::apply(as<f32>(as<u32>(a) & 0x7fffffffu), as<f32>(as<u32>(b) & 0x7fffffffu));
    return chosen != chosen ? chosen : as<f32>(as<u32>(chosen) | sign);
  }
};

struct FAbsolute {
  static f32 apply(f32 a) { return as<f32>(as<u32>(a) & 0x7fffffffu); }
  static f64 apply(f64 a) { return as<f64>(as<u64>(a) & 0x7fffffffffffffffu); }
};
struct FAbsoluteFlush { static f32 apply(f32 a) { return flush(FAbsolute::apply(a)); } };
struct FNegate {
  static f32 apply(f32 a) { return as<f32>(as<u32>(a) ^ 0x80000000u); }
  static f64 apply(f64 a) { return as<f64>(as<u64>(a) ^ 0x8000000000000000u); }
};
struct FNegateFlush { static f32 apply(f32 a) { return flush(FNegate::apply(a)); } };
struct CopySign { // copysign d, a, b: the sign of a on the magnitude of b
  static f32 apply(f32 a, f32 b) { return as<f32>((as<u32>(a) & 0x80000000u) | (as<u32>(b) & 0x7fffffffu)); }
  static f64 apply(f64 a, f64 b) {
    return as<f64>((as<u64>(a) & 0x8000000000000000u) | (as<u64>(b) & 0x7fffffffffffffffu));
  }
};

/// 2^x by a polynomial in float64, for one float32: error below 0.51 ulp.
inline f32 exp2_lane(f32 x) {
  constexpr f64 kRounder = 0x1.8p52;
  f64 v = x;
  v = v > 200.0 ? 200.0 : v;
  v = v < -200.0 ? -200.0 : v;
  f64 shifted = v + kRounder, r = v - (shifted - kRounder); // r in [-1/2, 1/2]
  // Taylor coefficients ln(2)^n / n!
  f64 p = 1.3215486790144307e-6;
  p = p * r + 1.5252733804059841e-5;
  p = p * r + 1.5403530393381608e-4;
  p = p * r + 1.3333558146428443e-3;
  p = p * r + 9.6181291076284769e-3;
  p = p * r + 5.5504108664821580e-2;
  p = p * r + 2.4022650695910072e-1;
  p = p * r + 6.9314718055994531e-1;
  p = p * r + 1.0;
  f64 power = as<f64>((as<u64>(shifted) << 52) + (u64{1023} << 52));
  f32 result = static_cast<f32>(p * power);
  return x != x ? as<f32>(kNaN32) : result;
}
struct Exp2 { static f32 apply(f32 x) { return exp2_lane(x); } };
struct Log2 { static f32 apply(f32 x) { return static_cast<f32>(::log2(f64{x})); } };
struct Sine { static f32 apply(f32 x) { return static_cast<f32>(::sin(f64{x})); } };
struct Cosine { static f32 apply(f32 x) { return static_cast<f32>(::cos(f64{x})); } };
struct Tanh { static f32 apply(f32 x) { return static_cast<f32>(::tanh(f64{x})); } };
struct ReciprocalRoot {
  static f32 apply(f32 x) { return static_cast<f32>(1.0 / __builtin_sqrt(f64{x})); }
  static f64 apply(f64 x) { return 1.0 / __builtin_sqrt(x); }
};
/// rcp.approx.ftz.f64 and rsqrt.approx.ftz.f64 keep the upper 32 bits only.
template <class F> struct UpperHalf {
  static f64 apply(f64 x) { return as<f64>(as<u64>(canonical(F::apply(x))) & 0xffffffff00000000u); }
};
/// div.approx: for |b| in (2^126, 2^128) the hardware gives 0; div.full has no such range.
struct DivideApproximately {
  static f32 apply(f32 a, f32 b) {
    f32 magnitude = FAbsolute::apply(b);
    f32 quotient = a / b;
    bool huge = magnitude > 0x1p126f && magnitude < as<f32>(0x7f800000u);
    f32 zero = a - a; // NaN where a is infinite
    return huge ? zero : quotient;
  }
};

/// testp
struct IsFinite { template <class T> static bool apply(T a) { return a - a == 0; } };
struct IsInfinite { template <class T> static bool apply(T a) { return a == a && a - a != 0; } };
struct IsNumber { template <class T> static bool apply(T a) { return a == a; } };
struct IsNotNumber { template <class T> static bool apply(T a) { return a != a; } };
struct IsNormal {
  static bool apply(f32 a) { u32 e = as<u32>(a) >> 23 & 0xff; return e != 0 && e != 0xff; }
  static bool apply(f64 a) { u64 e = as<u64>(a) >> 52 & 0x7ff; return e != 0 && e != 0x7ff; }
};
struct IsSubnormal {
  static bool apply(f32 a) { return (as<u32>(a) & 0x7f800000u) == 0; }
  static bool apply(f64 a) { return (as<u64>(a) & 0x7ff0000000000000u) == 0; }
};
template <class T, class F> const Op *test(Warp &warp, const Op *op, u32 mask) {
  const T *a = lanes<T>(warp, op->operand[1]);
  write_predicate(warp, op->operand[0], collect([&](int lane) { return F::apply(a[lane]); }), mask);
  return op + 1;
}

// Comparisons: ordered ones are false, unordered ones true where an operand is not a number.
struct UnorderedEqual { template <class T> static bool apply(T a, T b) { return !(a < b || a > b); } };
struct OrderedNotEqual { template <class T> static bool apply(T a, T b) { return a < b || a > b; } };
struct UnorderedLess { template <class T> static bool apply(T a, T b) { return !(a >= b); } };
struct UnorderedLessEqual { template <class T> static bool apply(T a, T b) { return !(a > b); } };
struct UnorderedGreater { template <class T> static bool apply(T a, T b) { return !(a <= b); } };
struct UnorderedGreaterEqual { template <class T> static bool apply(T a, T b) { return !(a < b); } };
struct BothNumbers { template <class T> static bool apply(T a, T b) { return a == a && b == b; } };
struct AnyNan { template <class T> static bool apply(T a, T b) { return a != a || b != b; } };
template <class F> struct FlushedCompare { static bool apply(f32 a, f32 b) { return F::apply(flush(a), flush(b)); } };
template <class H, class F> struct HalfCompare { static bool apply(H a, H b) { return F::apply(to_f32(a), to_f32(b)); } };

// float16 and bfloat16, one element: computed in float32, where sums and products of two are exact enough that the second
// rounding does no harm (24 >= 2 * 11 + 2).
template <class H, class F> struct InHalf {
  static H apply(H a) { return Half<H>::from(F::apply(to_f32(a))); }
  static H apply(H a, H b) { return Half<H>::from(F::apply(to_f32(a), to_f32(b))); }
  static H apply(H a, H b, H c) { return Half<H>::from(F::apply(to_f32(a), to_f32(b), to_f32(c))); }
};
struct HalfFused { static f32 apply(f32 a, f32 b, f32 c) { return fused_half(a, b, c); } };
struct HalfFusedRelu {
  static f32 apply(f32 a, f32 b, f32 c) { f32 r = fused_half(a, b, c); return r != r ? r : r > 0 ? r : 0.0f; }
};
template <class F> struct Saturated {
  template <class... T> static f32 apply(T... a) { return saturate(F::apply(a...)); }
};
/// Sign operations leave a not-a-number's other bits alone.
template <class H> struct HalfAbsolute { static H apply(H a) { return {static_cast<u16>(a.bits & 0x7fff)}; } };
template <class H> struct HalfNegate { static H apply(H a) { return {static_cast<u16>(a.bits ^ 0x8000)}; } };

/// Two elements in one register.
template <class P> struct ElementOf;
template <> struct ElementOf<f16x2> { using type = f16; };
template <> struct ElementOf<bf16x2> { using type = bf16; };
template <class P> using Element = typename ElementOf<P>::type;
template <class P> inline Element<P> low(P x) { return {static_cast<u16>(x.bits)}; }
template <class P> inline Element<P> high(P x) { return {static_cast<u16>(x.bits >> 16)}; }
template <class P, class F> struct Packed {
  static P pack(Element<P> low, Element<P> high) { return {u32{low.bits} | u32{high.bits} << 16}; }
  static P apply(P a) { return pack(F::apply(low(a)), F::apply(high(a))); }
  static P apply(P a, P b) { return pack(F::apply(low(a), low(b)), F::apply(high(a), high(b))); }
  static P apply(P a, P b, P c) {
    return pack(F::apply(low(a), low(b), low(c)), F::apply(high(a), high(b), high(c)));
  }
};

/// setp on two elements: p|q get the low and the high comparison.
template <class P, class F> const Op *compare_packed(Warp &warp, const Op *op, u32 mask) {
  const P *a = lanes<P>(warp, op->operand[2]);
  const P *b = lanes<P>(warp, op->operand[3]);
  u32 bits_low = collect([&](int lane) { return F::apply(to_f32(low(a[lane])), to_f32(low(b[lane]))); });
  u32 bits_high = collect([&](int lane) { return F::apply(to_f32(high(a[lane])), to_f32(high(b[lane]))); });
  if (op->flags & kCombineMask) {
    u32 third = predicate(warp, op->operand[4]);
    bits_low = combine(op->flags, bits_low, third);
    bits_high = combine(op->flags, bits_high, third);
  }
  write_predicate(warp, op->operand[0], bits_low, mask);
  write_predicate(warp, op->operand[1], bits_high, mask);
  return op + 1;
}
/// set.lt.u32.f16x2: 16 ones in each half where the comparison holds; with an f16x2 destination 1.0.
template <class P, class F, u16 One> const Op *compare_packed_to_value(Warp &warp, const Op *op, u32 mask) {
  const P *a = lanes<P>(warp, op->operand[1]);
  const P *b = lanes<P>(warp, op->operand[2]);
  alignas(64) u32 result[32];
  TENON_LANES {
    u32 l = F::apply(to_f32(low(a[lane])), to_f32(low(b[lane]))) ? One : 0;
    u32 h = F::apply(to_f32(high(a[lane])), to_f32(high(b[lane]))) ? One : 0;
    result[lane] = l | h << 16;
  }
  write_lanes<u32>(warp, op->operand[0], result, mask);
  return op + 1;
}

} // namespace tenon::emulator::TENON_ISA
