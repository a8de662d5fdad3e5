// Loops over the 32 lanes of a warp. Registers of one operation either coincide or are disjoint, lane by lane, so every
// loop is free of carried dependences: the compiler makes vectors of them.
//
// Everything below execute/ named TENON_ISA is compiled once for each instruction set, in a namespace of its own.
#pragma once
#include "execute/Services.h"
#include "execute/Warp.h"
#include <cstring>

#ifndef TENON_ISA
#error "compiled through Execute.cpp"
#endif

namespace tenon::emulator::TENON_ISA {

using u8 = uint8_t;
using s8 = int8_t;
using u16 = uint16_t;
using s16 = int16_t;
using u32 = uint32_t;
using s32 = int32_t;
using u64 = uint64_t;
using s64 = int64_t;
using f32 = float;
using f64 = double;

#define TENON_LANES _Pragma("GCC ivdep") for (int lane = 0; lane < 32; lane++)

template <class T> inline __attribute__((always_inline)) T *lanes(Warp &warp, u32 slot) {
  return static_cast<T *>(__builtin_assume_aligned(warp.registers + slot, 64));
}
inline __attribute__((always_inline)) u32 &predicate(Warp &warp, u32 slot) {
  return *reinterpret_cast<u32 *>(warp.registers + slot);
}
inline __attribute__((always_inline)) bool is_on(u32 mask, int lane) { return (mask >> lane) & 1; }

template <class To, class From> inline __attribute__((always_inline)) To as(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &value, sizeof(To));
  return to;
}

/// Writes the lanes in `mask` of a register.
template <class T> inline void write_lanes(Warp &warp, u32 slot, const T *values, u32 mask) {
  if (slot == kNoSlot)
    return;
  T *to = lanes<T>(warp, slot);
  if (mask == kAllLanes)
    TENON_LANES to[lane] = values[lane];
  else
    TENON_LANES to[lane] = is_on(mask, lane) ? values[lane] : to[lane];
}
inline void write_predicate(Warp &warp, u32 slot, u32 values, u32 mask) {
  if (slot == kNoSlot)
    return;
  u32 &to = predicate(warp, slot);
  to = (to & ~mask) | (values & mask);
}

/// Integer register of any width, as 64-bit lanes (zero-extended).
inline void read_wide(Warp &warp, u32 slot, u8 width, u64 *to) {
  if (width == 8) {
    const u64 *from = lanes<u64>(warp, slot);
    TENON_LANES to[lane] = from[lane];
  } else if (width == 4) {
    const u32 *from = lanes<u32>(warp, slot);
    TENON_LANES to[lane] = from[lane];
  } else if (width == 2) {
    const u16 *from = lanes<u16>(warp, slot);
    TENON_LANES to[lane] = from[lane];
  } else {
    const u8 *from = lanes<u8>(warp, slot);
    TENON_LANES to[lane] = from[lane];
  }
}
/// Writes the low `width` bytes of each lane.
template <class T> inline void write_wide(Warp &warp, u32 slot, u8 width, const T *values, u32 mask) {
  auto narrow = [&]<class R>(R) {
    alignas(64) R narrowed[32];
    TENON_LANES narrowed[lane] = static_cast<R>(values[lane]);
    write_lanes<R>(warp, slot, narrowed, mask);
  };
  if (width == 8)
    narrow(u64{});
  else if (width == 4)
    narrow(u32{});
  else if (width == 2)
    narrow(u16{});
  else
    narrow(u8{});
}

/// d = F(a), d = F(a, b), d = F(a, b, c): a lane each.
template <class D, class A, class F> const Op *unary(Warp &warp, const Op *op, u32 mask) {
  D *d = lanes<D>(warp, op->operand[0]);
  const A *a = lanes<A>(warp, op->operand[1]);
  if (mask == kAllLanes)
    TENON_LANES d[lane] = F::apply(a[lane]);
  else
    TENON_LANES d[lane] = is_on(mask, lane) ? F::apply(a[lane]) : d[lane];
  return op + 1;
}
template <class D, class A, class B, class F> const Op *binary(Warp &warp, const Op *op, u32 mask) {
  D *d = lanes<D>(warp, op->operand[0]);
  const A *a = lanes<A>(warp, op->operand[1]);
  const B *b = lanes<B>(warp, op->operand[2]);
  if (mask == kAllLanes)
    TENON_LANES d[lane] = F::apply(a[lane], b[lane]);
  else
    TENON_LANES d[lane] = is_on(mask, lane) ? F::apply(a[lane], b[lane]) : d[lane];
  return op + 1;
}
template <class D, class A, class B, class C, class F>
const Op *ternary(Warp &warp, const Op *op, u32 mask) {
  D *d = lanes<D>(warp, op->operand[0]);
  const A *a = lanes<A>(warp, op->operand[1]);
  const B *b = lanes<B>(warp, op->operand[2]);
  const C *c = lanes<C>(warp, op->operand[3]);
  if (mask == kAllLanes)
    TENON_LANES d[lane] = F::apply(a[lane], b[lane], c[lane]);
  else
    TENON_LANES d[lane] = is_on(mask, lane) ? F::apply(a[lane], b[lane], c[lane]) : d[lane];
  return op + 1;
}
template <class D, class A, class B, class C, class E, class F>
const Op *quaternary(Warp &warp, const Op *op, u32 mask) {
  alignas(64) D result[32];
  const A *a = lanes<A>(warp, op->operand[1]);
  const B *b = lanes<B>(warp, op->operand[2]);
  const C *c = lanes<C>(warp, op->operand[3]);
  const E *e = lanes<E>(warp, op->operand[4]);
  TENON_LANES result[lane] = F::apply(a[lane], b[lane], c[lane], e[lane]);
  write_lanes<D>(warp, op->operand[0], result, mask);
  return op + 1;
}

/// A mask with one bit for each lane where F(lane) holds.
template <class F> inline __attribute__((always_inline)) u32 collect(F holds) {
  u32 bits = 0;
  for (int lane = 0; lane < 32; lane++)
    bits |= static_cast<u32>(holds(lane)) << lane;
  return bits;
}

/// How setp and set combine a comparison with a third predicate.
enum Combine : u8 { kCombineNone = 0, kCombineAnd = 1, kCombineOr = 2, kCombineXor = 3, kCombineMask = 3, kNegateThird = 4 };

inline u32 combine(u8 flags, u32 bits, u32 third) {
  if (flags & kNegateThird)
    third = ~third;
  switch (flags & kCombineMask) {
  case kCombineAnd:
    return bits & third;
  case kCombineOr:
    return bits | third;
  case kCombineXor:
    return bits ^ third;
  default:
    return bits;
  }
}

/// setp: operand 0 gets the comparison, operand 1 (if any) its opposite, each combined with operand 4.
template <class T, class F> const Op *compare(Warp &warp, const Op *op, u32 mask) {
  const T *a = lanes<T>(warp, op->operand[2]);
  const T *b = lanes<T>(warp, op->operand[3]);
  u32 bits = collect([&](int lane) { return F::apply(a[lane], b[lane]); });
  u32 opposite = ~bits;
  if (op->flags & kCombineMask) {
    u32 third = predicate(warp, op->operand[4]);
    bits = combine(op->flags, bits, third);
    opposite = combine(op->flags, opposite, third);
  }
  write_predicate(warp, op->operand[0], bits, mask);
  write_predicate(warp, op->operand[1], opposite, mask);
  return op + 1;
}

/// set: all ones, or 1.0 where the destination is float32, or `Given`, where the comparison holds.
template <class D, class T, class F, u32 Given = 0> const Op *compare_to_value(Warp &warp, const Op *op, u32 mask) {
  const T *a = lanes<T>(warp, op->operand[1]);
  const T *b = lanes<T>(warp, op->operand[2]);
  u32 bits = collect([&](int lane) { return F::apply(a[lane], b[lane]); });
  if (op->flags & kCombineMask)
    bits = combine(op->flags, bits, predicate(warp, op->operand[3]));
  D one;
  if constexpr (Given != 0)
    one = Given;
  else if constexpr (static_cast<D>(0.5) == static_cast<D>(0))
    one = static_cast<D>(~u64{0});
  else
    one = 1;
  alignas(64) D result[32];
  TENON_LANES result[lane] = is_on(bits, lane) ? one : D(0);
  write_lanes<D>(warp, op->operand[0], result, mask);
  return op + 1;
}

/// selp: d = p ? a : b
template <class T> const Op *select(Warp &warp, const Op *op, u32 mask) {
  T *d = lanes<T>(warp, op->operand[0]);
  const T *a = lanes<T>(warp, op->operand[1]);
  const T *b = lanes<T>(warp, op->operand[2]);
  u32 chosen = predicate(warp, op->operand[3]);
  if (op->flags & kNegateThird)
    chosen = ~chosen;
  if (mask == kAllLanes)
    TENON_LANES d[lane] = is_on(chosen, lane) ? a[lane] : b[lane];
  else
    TENON_LANES d[lane] = is_on(mask, lane) ? (is_on(chosen, lane) ? a[lane] : b[lane]) : d[lane];
  return op + 1;
}

/// Operations on predicates are operations on masks.
template <class F> const Op *predicate_unary(Warp &warp, const Op *op, u32 mask) {
  write_predicate(warp, op->operand[0], F::apply(predicate(warp, op->operand[1])), mask);
  return op + 1;
}
template <class F> const Op *predicate_binary(Warp &warp, const Op *op, u32 mask) {
  write_predicate(warp, op->operand[0],
                  F::apply(predicate(warp, op->operand[1]), predicate(warp, op->operand[2])), mask);
  return op + 1;
}

} // namespace tenon::emulator::TENON_ISA
