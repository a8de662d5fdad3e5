// Integer arithmetic, logic, bits. PTX ISA 9.7.1, 9.7.2, 9.7.8.
#pragma once
#include "execute/Lanes.h"

namespace tenon::emulator::TENON_ISA {

template <class T> struct WideOf;
template <> struct WideOf<u16> { using type = u32; };
template <> struct WideOf<s16> { using type = s32; };
template <> struct WideOf<u32> { using type = u64; };
template <> struct WideOf<s32> { using type = s64; };
template <> struct WideOf<u64> { using type = unsigned __int128; };
template <> struct WideOf<s64> { using type = __int128; };
template <class T> using Wide = typename WideOf<T>::type;
template <class T> struct UnsignedOf { using type = T; };
template <> struct UnsignedOf<s16> { using type = u16; };
template <> struct UnsignedOf<s32> { using type = u32; };
template <> struct UnsignedOf<s64> { using type = u64; };
template <class T> using Unsigned = typename UnsignedOf<T>::type;
template <class T> inline constexpr bool kSigned = static_cast<T>(-1) < static_cast<T>(0);
template <class T> inline constexpr int kBits = sizeof(T) * 8;

struct Add { template <class T> static T apply(T a, T b) { return static_cast<T>(Unsigned<T>(a) + Unsigned<T>(b)); } };
struct Subtract { template <class T> static T apply(T a, T b) { return static_cast<T>(Unsigned<T>(a) - Unsigned<T>(b)); } };
struct AddSaturated {
  static s32 apply(s32 a, s32 b) {
    s64 sum = s64{a} + b;
    return static_cast<s32>(sum > 2147483647 ? 2147483647 : sum < -2147483648ll ? -2147483648ll : sum);
  }
};
struct SubtractSaturated {
  static s32 apply(s32 a, s32 b) {
    s64 difference = s64{a} - b;
    return static_cast<s32>(difference > 2147483647 ? 2147483647 : difference < -2147483648ll ? -2147483648ll : difference);
  }
};
struct MultiplyLow {
  template <class T> static T apply(T a, T b) { return static_cast<T>(u64(a) * u64(b)); }
};
template <class T> struct MultiplyHigh {
  static T apply(T a, T b) { return static_cast<T>((Wide<T>(a) * Wide<T>(b)) >> kBits<T>); }
};
template <class T> struct MultiplyWide {
  static Wide<T> apply(T a, T b) { return static_cast<Wide<T>>(Unsigned<Wide<T>>(Wide<T>(a)) * Unsigned<Wide<T>>(Wide<T>(b))); }
};
struct MultiplyAddLow {
  template <class T> static T apply(T a, T b, T c) { return static_cast<T>(u64(a) * u64(b) + u64(c)); }
};
template <class T> struct MultiplyAddHigh {
  static T apply(T a, T b, T c) { return Add::apply(MultiplyHigh<T>::apply(a, b), c); }
};
template <class T> struct MultiplyAddWide {
  static Wide<T> apply(T a, T b, Wide<T> c) { return Add::apply(MultiplyWide<T>::apply(a, b), c); }
};
template <class T> struct Multiply24 {
  static s64 product(T a, T b) {
    if constexpr (kSigned<T>)
      return s64{static_cast<s32>(u32(a) << 8) >> 8} * s64{static_cast<s32>(u32(b) << 8) >> 8};
    else
      return static_cast<s64>(u64{a & 0xffffffu} * u64{b & 0xffffffu});
  }
  static T apply(T a, T b) { return static_cast<T>(product(a, b)); }
};
template <class T> struct Multiply24High {
  static T apply(T a, T b) { return static_cast<T>(Multiply24<T>::product(a, b) >> 16); }
};
template <class T> struct MultiplyAdd24 {
  static T apply(T a, T b, T c) { return Add::apply(Multiply24<T>::apply(a, b), c); }
};
template <class T> struct MultiplyAdd24High {
  static T apply(T a, T b, T c) { return Add::apply(Multiply24High<T>::apply(a, b), c); }
};
/// On both halves of a word.
template <class T, class F> struct InHalves {
  static u32 apply(u32 a, u32 b) {
    auto half = [&](int shift) {
      return u32{static_cast<u16>(F::apply(static_cast<T>(a >> shift), static_cast<T>(b >> shift)))};
    };
    return half(0) | half(16) << 16;
  }
};
template <class T> struct SumOfDifferences {
  static T apply(T a, T b, Unsigned<T> c) {
    return static_cast<T>(c + (a < b ? Unsigned<T>(b) - Unsigned<T>(a) : Unsigned<T>(a) - Unsigned<T>(b)));
  }
};

/// By zero: all ones, as the hardware's routine gives (the ISA leaves it open). The least by -1 wraps.
template <class T> struct Divide {
  static T apply(T a, T b) {
    if (b == 0)
      return static_cast<T>(~u64{0});
    if (kSigned<T> && b == static_cast<T>(-1))
      return static_cast<T>(0 - Unsigned<T>(a));
    return static_cast<T>(a / b);
  }
};
template <class T> struct Remainder {
  static T apply(T a, T b) {
    if (b == 0)
      return a;
    if (kSigned<T> && b == static_cast<T>(-1))
      return 0;
    return static_cast<T>(a % b);
  }
};
struct Minimum { template <class T> static T apply(T a, T b) { return a < b ? a : b; } };
struct Maximum { template <class T> static T apply(T a, T b) { return a > b ? a : b; } };
struct MinimumRelu { static s32 apply(s32 a, s32 b) { s32 m = a < b ? a : b; return m < 0 ? 0 : m; } };
struct MaximumRelu { static s32 apply(s32 a, s32 b) { s32 m = a > b ? a : b; return m < 0 ? 0 : m; } };
struct Absolute { template <class T> static T apply(T a) { return a < 0 ? static_cast<T>(0 - Unsigned<T>(a)) : a; } };
struct Negate { template <class T> static T apply(T a) { return static_cast<T>(0 - Unsigned<T>(a)); } };
struct And { template <class T> static T apply(T a, T b) { return a & b; } };
struct Or { template <class T> static T apply(T a, T b) { return a | b; } };
struct Xor { template <class T> static T apply(T a, T b) { return a ^ b; } };
struct Not { template <class T> static T apply(T a) { return static_cast<T>(~a); } };
struct LogicalNot { template <class T> static T apply(T a) { return a == 0; } };
struct Copy { template <class T> static T apply(T a) { return a; } };

template <class T> struct ShiftLeft {
  static T apply(T a, u32 b) { return b < u32(kBits<T>) ? static_cast<T>(u64{a} << b) : T(0); }
};
template <class T> struct ShiftRight {
  static T apply(T a, u32 b) {
    u32 clamped = b < u32(kBits<T>) ? b : kBits<T> - 1;
    if constexpr (kSigned<T>)
      return static_cast<T>(a >> clamped);
    else
      return b < u32(kBits<T>) ? static_cast<T>(a >> clamped) : T(0);
  }
};
/// shf: c shifts the 64 bits b:a.
struct FunnelLeftWrap { static u32 apply(u32 a, u32 b, u32 c) { return static_cast<u32>((((u64{b} << 32) | a) << (c & 31)) >> 32); } };
struct FunnelLeftClamp { static u32 apply(u32 a, u32 b, u32 c) { return static_cast<u32>((((u64{b} << 32) | a) << (c < 32 ? c : 32)) >> 32); } };
struct FunnelRightWrap { static u32 apply(u32 a, u32 b, u32 c) { return static_cast<u32>(((u64{b} << 32) | a) >> (c & 31)); } };
struct FunnelRightClamp { static u32 apply(u32 a, u32 b, u32 c) { return static_cast<u32>(((u64{b} << 32) | a) >> (c < 32 ? c : 32)); } };

/// lop3: the truth table of three bits is the immediate byte.
inline void lop3_lanes(Warp &warp, const Op *op, u32 *result) {
  const u32 *a = lanes<u32>(warp, op->operand[1]);
  const u32 *b = lanes<u32>(warp, op->operand[2]);
  const u32 *c = lanes<u32>(warp, op->operand[3]);
  u32 table = static_cast<u32>(op->immediate);
  u32 minterm[8];
  for (int i = 0; i < 8; i++)
    minterm[i] = (table >> i) & 1 ? ~0u : 0u;
  TENON_LANES {
    u32 x = a[lane], y = b[lane], z = c[lane];
    result[lane] = (~x & ~y & ~z & minterm[0]) | (~x & ~y & z & minterm[1]) | (~x & y & ~z & minterm[2]) |
                   (~x & y & z & minterm[3]) | (x & ~y & ~z & minterm[4]) | (x & ~y & z & minterm[5]) |
                   (x & y & ~z & minterm[6]) | (x & y & z & minterm[7]);
  }
}
inline const Op *lop3(Warp &warp, const Op *op, u32 mask) {
  alignas(64) u32 result[32];
  lop3_lanes(warp, op, result);
  write_lanes<u32>(warp, op->operand[0], result, mask);
  return op + 1;
}
/// operand 4 = (the result is not zero) How operand 5.
template <u8 How> const Op *lop3_with_predicate(Warp &warp, const Op *op, u32 mask) {
  alignas(64) u32 result[32];
  lop3_lanes(warp, op, result);
  u32 bits = combine(How | op->flags, collect([&](int lane) { return result[lane] != 0; }), predicate(warp, op->operand[5]));
  write_lanes<u32>(warp, op->operand[0], result, mask);
  write_predicate(warp, op->operand[4], bits, mask);
  return op + 1;
}

/// prmt: each nibble of c chooses a byte of b:a; its top bit replicates the sign instead.
struct Permute {
  static u32 apply(u32 a, u32 b, u32 c) {
    u64 bytes = (u64{b} << 32) | a;
    u32 result = 0;
    for (int i = 0; i < 4; i++) {
      u32 selector = (c >> (4 * i)) & 0xf;
      u32 byte = static_cast<u32>(bytes >> (8 * (selector & 7))) & 0xff;
      if (selector & 8)
        byte = byte & 0x80 ? 0xff : 0;
      result |= byte << (8 * i);
    }
    return result;
  }
};
/// prmt.f4e and so on: the two low bits of c choose one of four fixed selectors.
template <u32 S0, u32 S1, u32 S2, u32 S3> struct PermuteMode {
  static u32 apply(u32 a, u32 b, u32 c) {
    u32 selector = (c & 3) == 0 ? S0 : (c & 3) == 1 ? S1 : (c & 3) == 2 ? S2 : S3;
    return Permute::apply(a, b, selector);
  }
};

template <class T> struct FieldExtract {
  static T apply(T a, u32 b, u32 c) {
    constexpr u32 kWidth = kBits<T>;
    u32 position = b & 0xff, length = c & 0xff;
    if (length == 0)
      return 0;
    u32 top = position + length - 1 < kWidth - 1 ? position + length - 1 : kWidth - 1;
    Unsigned<T> sign = kSigned<T> ? (Unsigned<T>(a) >> top) & 1 : 0;
    if (position >= kWidth)
      return static_cast<T>(0 - sign);
    Unsigned<T> field = Unsigned<T>(a) >> position;
    u32 kept = length < kWidth - position ? length : kWidth - position;
    if (kept < kWidth) {
      Unsigned<T> low = (Unsigned<T>(1) << kept) - 1;
      field = (field & low) | (sign ? static_cast<Unsigned<T>>(~low) : Unsigned<T>(0));
    }
    return static_cast<T>(field);
  }
};
/// bfi d, a, b, position, length: a into b.
template <class T> struct FieldInsert {
  static T apply(T a, T b, u32 c, u32 d) {
    u32 position = c & 0xff, length = d & 0xff;
    if (length == 0 || position >= u32(kBits<T>))
      return b;
    T low = length >= u32(kBits<T>) ? static_cast<T>(~T(0)) : static_cast<T>((T(1) << length) - 1);
    T field = static_cast<T>(low << position);
    return static_cast<T>((b & ~field) | ((a << position) & field));
  }
};
struct ReverseBits32 {
  static u32 apply(u32 x) {
    x = ((x >> 1) & 0x55555555u) | ((x & 0x55555555u) << 1);
    x = ((x >> 2) & 0x33333333u) | ((x & 0x33333333u) << 2);
    x = ((x >> 4) & 0x0f0f0f0fu) | ((x & 0x0f0f0f0fu) << 4);
    return __builtin_bswap32(x);
  }
};
struct ReverseBits64 {
  static u64 apply(u64 x) { return (u64{ReverseBits32::apply(u32(x))} << 32) | ReverseBits32::apply(u32(x >> 32)); }
};
template <class T> struct LeadingZeros {
  static u32 apply(T a) {
    if (a == 0)
      return kBits<T>;
    return sizeof(T) == 8 ? __builtin_clzll(a) : __builtin_clz(static_cast<u32>(a));
  }
};
template <class T> struct CountOnes { static u32 apply(T a) { return __builtin_popcountll(a); } };
/// bfind: the position of the highest bit that differs from the sign; all ones where there is none.
template <class T, bool Shift> struct FindHighest {
  static u32 apply(T a) {
    Unsigned<T> bits = kSigned<T> && a < T(0) ? static_cast<Unsigned<T>>(~a) : Unsigned<T>(a);
    if (bits == 0)
      return ~0u;
    u32 zeros = LeadingZeros<Unsigned<T>>::apply(bits);
    return Shift ? zeros : kBits<T> - 1 - zeros;
  }
};
struct BitMaskClamp {
  static u32 apply(u32 a, u32 b) { return a >= 32 ? 0 : static_cast<u32>(((u64{1} << (b < 32 ? b : 32)) - 1) << a); }
};
struct BitMaskWrap {
  static u32 apply(u32 a, u32 b) { return static_cast<u32>(((u64{1} << (b & 31)) - 1) << (a & 31)); }
};

/// dp4a, dp2a: sums of products of bytes.
template <bool SignedA, bool SignedB> struct DotBytes {
  static u32 apply(u32 a, u32 b, u32 c) {
    for (int i = 0; i < 4; i++) {
      s32 x = SignedA ? s32{static_cast<s8>(a >> (8 * i))} : s32{static_cast<u8>(a >> (8 * i))};
      s32 y = SignedB ? s32{static_cast<s8>(b >> (8 * i))} : s32{static_cast<u8>(b >> (8 * i))};
      c += static_cast<u32>(x * y);
    }
    return c;
  }
};

/// dp2a: products of two halves of a with two bytes of b, from byte `First` on.
template <bool SignedA, bool SignedB, int First> struct DotHalves {
  static u32 apply(u32 a, u32 b, u32 c) {
    for (int i = 0; i < 2; i++) {
      s32 x = SignedA ? s32{static_cast<s16>(a >> (16 * i))} : s32{static_cast<u16>(a >> (16 * i))};
      u32 byte = b >> (8 * (First + i));
      s32 y = SignedB ? s32{static_cast<s8>(byte)} : s32{static_cast<u8>(byte)};
      c += static_cast<u32>(x) * static_cast<u32>(y);
    }
    return c;
  }
};
/// szext: the low b bits, extended.
template <class T, bool Wraps> struct ExtendFrom {
  static T apply(T a, u32 b) {
    u32 kept = Wraps ? b & 31 : b < 32 ? b : 32;
    if (kept == 0)
      return 0;
    return static_cast<T>(static_cast<T>(u32(a) << (32 - kept)) >> (32 - kept));
  }
};
/// fns: the place of the n-th set bit from bit `base` on, upward for n > 0, downward for n < 0; all ones where there is none.
struct FindNthSet {
  static u32 apply(u32 bits, u32 base, s32 n) {
    if (base > 31)
      return ~0u;
    if (n == 0)
      return (bits >> base) & 1 ? base : ~0u;
    int step = n > 0 ? 1 : -1;
    s64 left = n > 0 ? s64{n} : -s64{n};
    for (int i = static_cast<int>(base); i >= 0 && i < 32; i += step)
      if ((bits >> i) & 1 && --left == 0)
        return static_cast<u32>(i);
    return ~0u;
  }
};
struct MultiplyAddHighSaturated {
  static s32 apply(s32 a, s32 b, s32 c) { return AddSaturated::apply(MultiplyHigh<s32>::apply(a, b), c); }
};

// The video instructions: one part of a word each, exact in 32 bits.
struct VideoAdd { static s32 apply(s32 a, s32 b) { return a + b; } };
struct VideoSubtract { static s32 apply(s32 a, s32 b) { return a - b; } };
struct VideoAverage { static s32 apply(s32 a, s32 b) { s32 sum = a + b; return (sum + (sum >= 0)) >> 1; } }; // away from 0
struct VideoDifference { static s32 apply(s32 a, s32 b) { return a < b ? b - a : a - b; } };
struct VideoMinimum { static s32 apply(s32 a, s32 b) { return a < b ? a : b; } };
struct VideoMaximum { static s32 apply(s32 a, s32 b) { return a > b ? a : b; } };
template <bool Signed, int Parts> inline s32 video_part(u32 word, int i) {
  constexpr int kPart = 32 / Parts;
  u32 field = word << (32 - kPart * (i + 1));
  return Signed ? static_cast<s32>(field) >> (32 - kPart) : static_cast<s32>(field >> (32 - kPart));
}
template <class F, bool SignedSources, bool SignedResult, int Parts, bool Sat> struct VideoParts {
  static u32 apply(u32 a, u32 b, u32) {
    constexpr int kPart = 32 / Parts;
    constexpr s32 kMost = SignedResult ? (1 << (kPart - 1)) - 1 : (1 << kPart) - 1;
    constexpr s32 kLeast = SignedResult ? -(1 << (kPart - 1)) : 0;
    u32 result = 0;
    for (int i = 0; i < Parts; i++) {
      s32 value = F::apply(video_part<SignedSources, Parts>(a, i), video_part<SignedSources, Parts>(b, i));
      if (Sat)
        value = value > kMost ? kMost : value < kLeast ? kLeast : value;
      result |= (static_cast<u32>(value) & ((1u << kPart) - 1)) << (kPart * i);
    }
    return result;
  }
};
template <class F, bool Signed, int Parts> struct VideoSum {
  static u32 apply(u32 a, u32 b, u32 c) {
    for (int i = 0; i < Parts; i++)
      c += static_cast<u32>(F::apply(video_part<Signed, Parts>(a, i), video_part<Signed, Parts>(b, i)));
    return c;
  }
};

struct Equal { template <class T> static bool apply(T a, T b) { return a == b; } };
struct NotEqual { template <class T> static bool apply(T a, T b) { return a != b; } };
struct Less { template <class T> static bool apply(T a, T b) { return a < b; } };
struct LessEqual { template <class T> static bool apply(T a, T b) { return a <= b; } };
struct Greater { template <class T> static bool apply(T a, T b) { return a > b; } };
struct GreaterEqual { template <class T> static bool apply(T a, T b) { return a >= b; } };

/// slct: d = c >= 0 ? a : b
template <class T> struct SelectBySign { static T apply(T a, T b, s32 c) { return c >= 0 ? a : b; } };
template <class T> struct SelectByFloatSign { static T apply(T a, T b, f32 c) { return c >= 0 ? a : b; } };

/// Extended precision: the carry lives in the warp's condition-code register, the operand behind the sources. A difference is
/// a + ~b + carry, as the hardware adds it: CC.CF is set where nothing was borrowed, also for what follows a sum, or adds.
template <class T, bool Subtracts, bool CarryIn, bool CarryOut>
const Op *with_carry(Warp &warp, const Op *op, u32 mask) {
  const T *a = lanes<T>(warp, op->operand[1]);
  const T *b = lanes<T>(warp, op->operand[2]);
  u32 carry = CarryIn ? predicate(warp, op->operand[3]) : Subtracts ? kAllLanes : 0, carry_out = 0;
  alignas(64) T result[32];
  for (int lane = 0; lane < 32; lane++) {
    T in = is_on(carry, lane), y = Subtracts ? static_cast<T>(~b[lane]) : b[lane], x = a[lane], sum = x + y + in;
    bool out = sum < x || (in && sum == x);
    carry_out |= static_cast<u32>(out) << lane;
    result[lane] = sum;
  }
  write_lanes<T>(warp, op->operand[0], result, mask);
  if (CarryOut)
    write_predicate(warp, op->operand[3], carry_out, mask);
  return op + 1;
}

/// mad.cc and madc: half of a product, with the same carry.
template <class T, class U, bool High, bool CarryIn, bool CarryOut>
const Op *multiply_with_carry(Warp &warp, const Op *op, u32 mask) {
  const T *a = lanes<T>(warp, op->operand[1]), *b = lanes<T>(warp, op->operand[2]);
  const U *c = lanes<U>(warp, op->operand[3]);
  u32 carry = CarryIn ? predicate(warp, op->operand[4]) : 0, carry_out = 0;
  alignas(64) U result[32];
  for (int lane = 0; lane < 32; lane++) {
    U x = static_cast<U>(High ? MultiplyHigh<T>::apply(a[lane], b[lane]) : MultiplyLow::apply(a[lane], b[lane]));
    U in = is_on(carry, lane), sum = x + c[lane] + in;
    carry_out |= static_cast<u32>(sum < x || (in && sum == x)) << lane;
    result[lane] = sum;
  }
  write_lanes<U>(warp, op->operand[0], result, mask);
  if (CarryOut)
    write_predicate(warp, op->operand[4], carry_out, mask);
  return op + 1;
}

} // namespace tenon::emulator::TENON_ISA
