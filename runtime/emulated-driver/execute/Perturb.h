// Approximate instructions with an error of their own, which TENON_EMULATOR_PERTURB asks for: anywhere within the bounds
// that the PTX ISA documents (9.7.3.7 to 9.7.3.22, 9.7.4.8, 9.7.4.9). The error is a function of the seed, the opcode and
// the exact result, so that equal inputs give equal outputs, as on a card, and runs can be repeated.
#pragma once
#include "execute/Convert.h"

namespace tenon::emulator::TENON_ISA {

/// How far a result may be from the exact one: units in the last place, a share of the value, and an absolute part.
struct Bound {
  f64 ulps, relative, absolute;
};

/// A number from 0 to 2^32 - 1 that looks random: the finaliser of MurmurHash3.
inline u32 scramble(u64 x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdull;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ull;
  return static_cast<u32>(x >> 32);
}

template <class T> struct Precision;
template <> struct Precision<f32> { static constexpr int kFraction = 23, kLeast = -126; };
template <> struct Precision<f16> { static constexpr int kFraction = 10, kLeast = -14; };
template <> struct Precision<bf16> { static constexpr int kFraction = 7, kLeast = -126; };

/// Moves an exact value by less than its bound leaves beside the rounding to T. Zeros, infinities, NaN stay.
template <class T, Bound B> inline f64 perturbed(f64 exact, u64 seed) {
  s32 exponent = static_cast<s32>(as<u64>(exact) >> 52 & 0x7ff) - 1023;
  if (exact == 0 || exponent > 127)
    return exact;
  exponent = exponent < Precision<T>::kLeast ? Precision<T>::kLeast : exponent;
  f64 ulp = as<f64>(static_cast<u64>(1023 + exponent - Precision<T>::kFraction) << 52);
  f64 slack = B.ulps * ulp + B.relative * __builtin_fabs(exact) + B.absolute - ulp / 2;
  f64 share = (static_cast<f64>(scramble(as<u64>(exact) ^ seed)) - 0x1p31) * 0x1p-31; // -1 to 1
  return slack > 0 ? exact + share * slack : exact;
}

/// What the ISA gives exactly: 2^x of zeros and subnormal x is 1.
template <class F> inline bool is_exact(f64) { return false; }

struct ExactReciprocal { static f64 apply(f64 x) { return 1 / x; } };
struct ExactRoot { static f64 apply(f64 x) { return __builtin_sqrt(x); } };
struct ExactReciprocalRoot { static f64 apply(f64 x) { return 1 / __builtin_sqrt(x); } };
struct ExactExp2 { static f64 apply(f64 x) { return ::exp2(x); } };
struct ExactLog2 { static f64 apply(f64 x) { return ::log2(x); } };
template <> inline bool is_exact<ExactExp2>(f64 x) { return __builtin_fabs(x) < 0x1p-126; }
struct ExactSine { static f64 apply(f64 x) { return ::sin(x); } };
struct ExactCosine { static f64 apply(f64 x) { return ::cos(x); } };
struct ExactTanh { static f64 apply(f64 x) { return ::tanh(x); } };

inline f32 narrowed(f64 x, f32) { return canonical(static_cast<f32>(x)); }
template <class H> inline H narrowed(f64 x, H) { return Half<H>::from(odd_f32(x)); }

/// d = F(a), for one element in a register or two. Op::immediate is the seed.
template <class T, class F, Bound B, bool Ftz = false, int Elements = 1>
const Op *approximate(Warp &warp, const Op *op, u32 mask) {
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int lane = __builtin_ctz(rest);
    const T *from = reinterpret_cast<const T *>(warp.registers + op->operand[1]) + lane * Elements;
    T *to = op->operand[0] == kNoSlot ? nullptr : reinterpret_cast<T *>(warp.registers + op->operand[0]) + lane * Elements;
    for (int i = 0; to && i < Elements; i++) {
      f64 x = flushed<Ftz>(element(from[i]));
      f64 exact = F::apply(x);
      T result = narrowed(is_exact<F>(x) ? exact : perturbed<T, B>(exact, static_cast<u64>(op->immediate)), T{});
      if constexpr (__is_same(T, f32))
        result = flushed<Ftz>(result);
      to[i] = result;
    }
  }
  return op + 1;
}
/// d = a / b; `Huge`: div.approx gives 0 where |b| is above 2^126.
template <Bound B, bool Ftz, bool Huge> const Op *approximate_quotient(Warp &warp, const Op *op, u32 mask) {
  const f32 *a = lanes<f32>(warp, op->operand[1]), *b = lanes<f32>(warp, op->operand[2]);
  alignas(64) f32 result[32];
  for (int lane = 0; lane < 32; lane++) {
    f32 x = flushed<Ftz>(a[lane]), y = flushed<Ftz>(b[lane]);
    bool huge = Huge && FAbsolute::apply(y) > 0x1p126f;
    f64 quotient = perturbed<f32, B>(f64{x} / f64{y}, static_cast<u64>(op->immediate));
    result[lane] = flushed<Ftz>(huge ? canonical(DivideApproximately::apply(x, y)) : narrowed(quotient, f32{}));
  }
  write_lanes<f32>(warp, op->operand[0], result, mask);
  return op + 1;
}

} // namespace tenon::emulator::TENON_ISA
