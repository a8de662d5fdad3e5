// ld, st, atom, red, cvta, cp.async, ldmatrix. PTX ISA 9.7.9, 9.7.13, 9.7.14.
#pragma once
#include "execute/Access.h"
#include "execute/Convert.h"

namespace tenon::emulator::TENON_ISA {

/// Calls body.template operator()<Space>(mask, access) for each space that lanes of this access are in.
template <Space S, class Body> inline bool for_each_space(Warp &warp, const Op *op, u32 mask, Body body) {
  Access access;
  read_addresses(warp, op->operand[0], op->width[0], op->immediate, access.offset);
  if constexpr (S != Space::kGeneric) {
    return body.template operator()<S>(mask, access);
  } else {
    u32 in[6] = {};
    for (int lane = 0; lane < 32; lane++)
      in[static_cast<int>(generic_space(access.offset[lane]))] |= 1u << lane;
    bool going = true;
    auto part = [&]<Space P>() {
      u32 here = mask & in[static_cast<int>(P)];
      if (!here || !going)
        return;
      Access its_own;
      __builtin_memcpy(its_own.offset, access.offset, sizeof(access.offset));
      going = body.template operator()<P>(here, its_own);
    };
    part.template operator()<Space::kGlobal>();
    part.template operator()<Space::kShared>();
    part.template operator()<Space::kLocal>();
    part.template operator()<Space::kParam>();
    return going;
  }
}

/// What an access with .acquire or .release, or an atomic one, may have ordered.
inline void order_before(Warp &warp, const Op *op) {
  if (op->ordering & kRelease)
    publish_order(warp, kFenceKey);
}
inline void order_after(Warp &warp, const Op *op) {
  if (op->ordering & kAcquire)
    adopt_order(warp, kFenceKey);
}

/// What is copied in local memory takes the states of its bytes along: flags say which elements are registers that are copied
/// and nothing else (Registers.cpp), target how far behind each register its states stand.
template <class T> inline u8 *copied_states(Warp &warp, const Op *op, u32 element, int lane) {
  return reinterpret_cast<u8 *>(warp.registers + op->operand[1 + element] + op->target) + u64(lane) * sizeof(T);
}
template <class T> __attribute__((noinline)) void keep_states(Warp &warp, const Op *op, u32 mask, bool local, const Access &access) {
  for (u32 i = 0; i < op->count; i++)
    for (u32 rest = op->flags >> i & 1 ? mask : 0; rest; rest &= rest - 1) {
      int lane = __builtin_ctz(rest);
      if (local)
        __builtin_memcpy(copied_states<T>(warp, op, i, lane), access.states(lane) + i * sizeof(T), sizeof(T));
      else
        __builtin_memset(copied_states<T>(warp, op, i, lane), kWritten, sizeof(T));
    }
}
/// Other memory is read by others: bytes that nobody wrote are told where they get there.
template <class T>
__attribute__((noinline)) void pass_states(Warp &warp, const Op *op, u32 mask, Space space, const Access &access) {
  for (u32 i = 0; i < op->count; i++)
    for (u32 rest = op->flags >> i & 1 ? mask : 0; rest; rest &= rest - 1) {
      int lane = __builtin_ctz(rest);
      const u8 *kept = copied_states<T>(warp, op, i, lane);
      if (space == Space::kLocal)
        __builtin_memcpy(access.states(lane) + i * sizeof(T), kept, sizeof(T));
      else if (states_word<sizeof(T)>(kept) != kWritten)
        return report_access(warp, op, FindingKind::kUninitialisedMemory, static_cast<u32>(lane),
                             {space, AccessKind::kWrite, access.offset[lane] + i * sizeof(T), sizeof(T)});
    }
}

/// ld: operand 0 is the address, operands 1 to 4 the destinations of width[1] bytes.
template <Space S, class T> const Op *load(Warp &warp, const Op *op, u32 mask) {
  u32 total = sizeof(T) * op->count;
  bool done = for_each_space<S>(warp, op, mask, [&]<Space P>(u32 part, Access &access) {
    if (!resolve<P>(warp, op, part, total, AccessKind::kRead, access))
      return false;
    const bool copies = (P == Space::kLocal || S == Space::kGeneric) && __builtin_expect(op->flags != 0, 0);
    if (copies)
      keep_states<T>(warp, op, part, P == Space::kLocal, access);
    if (copies && P == Space::kLocal) {
      // Told where it is used.
    } else if (total <= 4) {
      total == 4   ? check_states<4>(warp, op, part, P, AccessKind::kRead, access)
      : total == 2 ? check_states<2>(warp, op, part, P, AccessKind::kRead, access)
                   : check_states<1>(warp, op, part, P, AccessKind::kRead, access);
    } else {
      total == 8    ? check_states<8>(warp, op, part, P, AccessKind::kRead, access)
      : total == 16 ? check_states<16>(warp, op, part, P, AccessKind::kRead, access)
                    : check_states<32>(warp, op, part, P, AccessKind::kRead, access);
    }
    for (u32 i = 0; i < op->count; i++) {
      if (op->operand[1 + i] == kNoSlot)
        continue;
      alignas(64) T values[32];
      if (access.consecutive && op->count == 1) {
        __builtin_memcpy(values, access.bytes(0), sizeof(values));
      } else if (part == kAllLanes) {
        for (int lane = 0; lane < 32; lane++)
          __builtin_memcpy(&values[lane], access.bytes(lane) + i * sizeof(T), sizeof(T));
      } else {
        for (u32 rest = part; rest; rest &= rest - 1) {
          int lane = __builtin_ctz(rest);
          __builtin_memcpy(&values[lane], access.bytes(lane) + i * sizeof(T), sizeof(T));
        }
      }
      if (op->width[1] == sizeof(T)) {
        write_lanes<T>(warp, op->operand[1 + i], values, part);
      } else {
        alignas(64) s64 extended[32];
        TENON_LANES extended[lane] = static_cast<s64>(values[lane]);
        write_wide<s64>(warp, op->operand[1 + i], op->width[1], extended, part);
      }
    }
    return true;
  });
  order_after(warp, op);
  return done ? op + 1 : stop_here(warp, op);
}

/// ld.param at a constant offset, checked when it was decoded: one value for all lanes.
template <class T> const Op *load_parameter(Warp &warp, const Op *op, u32 mask) {
  for (u32 i = 0; i < op->count; i++) {
    T value;
    __builtin_memcpy(&value, warp.block->parameters + op->immediate + i * sizeof(T), sizeof(T));
    if (op->operand[1 + i] == kNoSlot)
      continue;
    alignas(64) s64 extended[32];
    TENON_LANES extended[lane] = static_cast<s64>(value);
    write_wide<s64>(warp, op->operand[1 + i], op->width[1], extended, mask);
  }
  return op + 1;
}

/// True if what each lane wrote stands there now. Lanes of one instruction that write one place are in no order.
template <class T> inline u32 overwritten_lanes(u32 mask, const Access &access, const T (*values)[32], u32 count) {
  u32 differ = 0;
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int lane = __builtin_ctz(rest);
    for (u32 i = 0; i < count; i++)
      differ |= static_cast<u32>(__builtin_memcmp(access.bytes(lane) + i * sizeof(T), &values[i][lane], sizeof(T)) != 0) << lane;
  }
  return differ;
}

/// Lanes that address what another lane does; none where the addresses grow from lane to lane.
inline u32 lanes_that_meet(u32 mask, const Access &access) {
  u32 grows = collect([&](int lane) { return lane == 0 || access.offset[lane] > access.offset[lane - 1]; });
  if (mask == kAllLanes && grows == kAllLanes)
    return 0;
  u32 meet = 0;
  for (u32 rest = mask; rest;) {
    u64 address = access.offset[__builtin_ctz(rest)];
    u32 same = mask & collect([&](int lane) { return access.offset[lane] == address; });
    meet |= same & (same - 1) ? same : 0;
    rest &= ~same;
  }
  return meet;
}

/// st: operand 0 is the address, operands 1 to 4 the sources of width[1] bytes.
template <Space S, class T> const Op *store(Warp &warp, const Op *op, u32 mask) {
  order_before(warp, op);
  const u32 count = op->count;
  if (count > 4)
    __builtin_unreachable(); // the decoder has refused longer vectors
  u32 total = sizeof(T) * count;
  alignas(64) T values[4][32];
  for (u32 i = 0; i < count; i++) {
    if (op->width[1] == sizeof(T)) {
      __builtin_memcpy(values[i], warp.registers + op->operand[1 + i], sizeof(values[i]));
    } else {
      alignas(64) u64 wide[32];
      read_wide(warp, op->operand[1 + i], op->width[1], wide);
      TENON_LANES values[i][lane] = static_cast<T>(wide[lane]);
    }
  }
  const StoredValues stored{reinterpret_cast<const std::byte *>(values), sizeof(T), sizeof(values[0])};
  bool done = for_each_space<S>(warp, op, mask, [&]<Space P>(u32 part, Access &access) {
    if (!resolve<P>(warp, op, part, total, AccessKind::kWrite, access, &stored))
      return false;
    warp.block->changes += !warp.block->compares_stores || overwritten_lanes(part, access, values, count);
    if (access.consecutive && op->count == 1) {
      __builtin_memcpy(access.bytes(0), values[0], sizeof(values[0]));
    } else {
      for (u32 i = 0; i < op->count; i++)
        for (u32 rest = part; rest; rest &= rest - 1) {
          int lane = __builtin_ctz(rest);
          __builtin_memcpy(access.bytes(lane) + i * sizeof(T), &values[i][lane], sizeof(T));
        }
      if constexpr (P == Space::kShared || P == Space::kGlobal)
        if (!access.consecutive && (!(op->ordering & kStrong) || (P == Space::kShared && op->ordering & kVolatile))) {
          if (u32 lost = overwritten_lanes(part, access, values, op->count))
            report_access(warp, op, FindingKind::kWarpRace, static_cast<u32>(__builtin_ctz(lost)),
                          {P, AccessKind::kWrite, access.offset[__builtin_ctz(lost)], total});
          else if (u32 meet = lanes_that_meet(part, access))
            check_lost_update(warp, op, meet, {P, AccessKind::kWrite, access.offset[__builtin_ctz(meet)], total});
        }
    }
    if (!access.shadow)
      return true;
    if (access.consecutive)
      __builtin_memset(access.states(0), kWritten, total * 32);
    else
      for (u32 rest = part; rest; rest &= rest - 1)
        __builtin_memset(access.states(__builtin_ctz(rest)), kWritten, total);
    if constexpr (P == Space::kLocal || S == Space::kGeneric)
      if (__builtin_expect(op->flags != 0, 0))
        pass_states<T>(warp, op, part, P, access);
    return true;
  });
  return done ? op + 1 : stop_here(warp, op);
}

struct Exchange { template <class T> static T apply(T, T a, T) { return a; } };

/// atom and red: F gives the new value. Operand 1 is the old value (none for red), 2 and 3 the sources.
template <Space S, class T, class F> const Op *atomic(Warp &warp, const Op *op, u32 mask) {
  order_before(warp, op);
  alignas(64) T sources[2][32] = {};
  __builtin_memcpy(sources[0], warp.registers + op->operand[2], sizeof(sources[0]));
  if (op->operand[3] != kNoSlot)
    __builtin_memcpy(sources[1], warp.registers + op->operand[3], sizeof(sources[1]));
  bool done = for_each_space<S>(warp, op, mask, [&]<Space P>(u32 part, Access &access) {
    if (!resolve<P>(warp, op, part, sizeof(T), AccessKind::kAtomic, access))
      return false;
    if constexpr (P == Space::kParam)
      return refuse(warp, op, FindingKind::kOutOfBounds, part, P, AccessKind::kAtomic, access.offset, sizeof(T));
    if constexpr (!__is_same(F, Exchange))
      check_states<sizeof(T)>(warp, op, part, P, AccessKind::kAtomic, access);
    alignas(64) T before[32] = {};
    for (u32 rest = part; rest; rest &= rest - 1) {
      int lane = __builtin_ctz(rest);
      T *target = reinterpret_cast<T *>(access.bytes(lane));
      T old, fresh;
      __atomic_load(target, &old, __ATOMIC_RELAXED);
      do
        fresh = F::apply(old, sources[0][lane], sources[1][lane]);
      while (!__atomic_compare_exchange(target, &old, &fresh, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
      before[lane] = old;
      warp.block->changes += __builtin_memcmp(&old, &fresh, sizeof(T)) != 0;
      if (access.shadow)
        __builtin_memset(access.states(lane), kWritten, sizeof(T));
    }
    write_lanes<T>(warp, op->operand[1], before, part);
    return true;
  });
  order_after(warp, op);
  return done ? op + 1 : stop_here(warp, op);
}
template <class F> struct AtomicBinary { template <class T> static T apply(T old, T a, T) { return F::apply(old, a); } };
struct CompareAndSwap { template <class T> static T apply(T old, T a, T b) { return old == a ? b : old; } };
struct IncrementWrap { static u32 apply(u32 old, u32 a, u32) { return old >= a ? 0 : old + 1; } };
struct DecrementWrap { static u32 apply(u32 old, u32 a, u32) { return old == 0 || old > a ? a : old - 1; } };

/// cvta: between an address in a space and the generic address.
template <u64 Window, bool ToSpace, class T> const Op *convert_address(Warp &warp, const Op *op, u32 mask) {
  alignas(64) u64 address[32];
  read_wide(warp, op->operand[1], op->width[1], address);
  TENON_LANES address[lane] = ToSpace ? address[lane] - Window : address[lane] + Window;
  write_wide<u64>(warp, op->operand[0], op->width[0], address, mask);
  return op + 1;
}
/// isspacep
template <Space S> const Op *is_space(Warp &warp, const Op *op, u32 mask) {
  alignas(64) u64 address[32];
  read_wide(warp, op->operand[1], op->width[1], address);
  write_predicate(warp, op->operand[0], collect([&](int lane) {
                    u64 copy = address[lane];
                    return generic_space(copy) == S;
                  }), mask);
  return op + 1;
}

/// isspacep.const: constant variables stand in global memory, and are told apart by where they are.
inline const Op *is_constant(Warp &warp, const Op *op, u32 mask) {
  alignas(64) u64 address[32];
  read_wide(warp, op->operand[1], op->width[1], address);
  write_predicate(warp, op->operand[0], collect([&](int lane) { return find_constant(*warp.block, address[lane], 1); }), mask);
  return op + 1;
}

/// cp.async: operand 0 and width[0] are the global source (so that resolve serves both), operand 1 the shared destination,
/// operand 2 the number of bytes to read (the rest is zero) or, with flag 1, the predicate that ignores the source.
enum CopyFlags : u8 { kSourceSize = 1, kIgnoreSource = 2, kIgnoreNegated = 4, kNarrowDestination = 8 };
template <u32 Bytes> const Op *async_copy(Warp &warp, const Op *op, u32 mask) {
  Access to;
  read_addresses(warp, op->operand[1], op->flags & kNarrowDestination ? 4 : 8, static_cast<s32>(op->target), to.offset);
  TENON_LANES to.offset[lane] -= to.offset[lane] - kSharedWindow < kWindowSize ? kSharedWindow : 0;
  alignas(64) u32 destination[32];
  if (!resolve<Space::kShared>(warp, op, mask, Bytes, AccessKind::kCopyDestination, to))
    return stop_here(warp, op);
  TENON_LANES destination[lane] = static_cast<u32>(to.offset[lane]);
  alignas(64) u32 size[32];
  TENON_LANES size[lane] = Bytes;
  if (op->flags & kSourceSize) {
    const u32 *given = lanes<u32>(warp, op->operand[2]);
    TENON_LANES size[lane] = given[lane] < Bytes ? given[lane] : Bytes;
  } else if (op->flags & kIgnoreSource) {
    u32 ignored = predicate(warp, op->operand[2]);
    if (op->flags & kIgnoreNegated)
      ignored = ~ignored;
    TENON_LANES size[lane] = is_on(ignored, lane) ? 0 : Bytes;
  }
  u32 whole = mask & collect([&](int lane) { return size[lane] == Bytes; });
  u32 part = mask & ~whole & collect([&](int lane) { return size[lane] != 0; });
  alignas(64) std::byte data[32 * Bytes];
  __builtin_memset(data, 0, sizeof(data));
  Access from;
  read_addresses(warp, op->operand[0], op->width[0], op->immediate, from.offset);
  if (whole) {
    if (!resolve<Space::kGlobal>(warp, op, whole, Bytes, AccessKind::kCopySource, from))
      return stop_here(warp, op);
    check_states<Bytes>(warp, op, whole, Space::kGlobal, AccessKind::kCopySource, from);
    for (u32 rest = whole; rest; rest &= rest - 1) {
      int lane = __builtin_ctz(rest);
      __builtin_memcpy(data + lane * Bytes, from.bytes(lane), Bytes);
    }
    from.held.release();
  }
  for (u32 rest = part; rest; rest &= rest - 1) { // a few bytes: byte by byte, aligned as a whole copy
    int lane = __builtin_ctz(rest);
    if (from.offset[lane] & (Bytes - 1)) {
      refuse(warp, op, FindingKind::kMisaligned, 1u << lane, Space::kGlobal, AccessKind::kCopySource, from.offset, Bytes);
      return stop_here(warp, op);
    }
    for (u32 i = 0; i < size[lane]; i++) {
      Access one;
      TENON_LANES one.offset[lane] = 0;
      one.offset[lane] = from.offset[lane] + i;
      if (!resolve<Space::kGlobal>(warp, op, 1u << lane, 1, AccessKind::kCopySource, one))
        return stop_here(warp, op);
      check_states<1>(warp, op, 1u << lane, Space::kGlobal, AccessKind::kCopySource, one);
      data[lane * Bytes + i] = *one.bytes(lane);
    }
  }
  issue_copies(warp, op, mask, {destination, from.offset, size, data, Bytes});
  return op + 1;
}
inline const Op *no_policy(Warp &warp, const Op *op, u32 mask) {
  alignas(64) u64 zeros[32] = {};
  write_lanes<u64>(warp, op->operand[0], zeros, mask);
  return op + 1;
}
inline const Op *async_commit(Warp &warp, const Op *op, u32 mask) {
  commit_copies(warp, mask);
  return op + 1;
}
inline const Op *async_wait(Warp &warp, const Op *op, u32 mask) {
  wait_copies(warp, mask, static_cast<u32>(op->immediate), op->flags != 0);
  return op + 1;
}

} // namespace tenon::emulator::TENON_ISA
