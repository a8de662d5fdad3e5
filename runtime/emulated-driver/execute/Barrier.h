// bar.red, and mbarrier objects in shared memory. PTX ISA 9.7.13.1 and 9.7.13.15.
#pragma once
#include "execute/Control.h"
#include "execute/Memory.h"

namespace tenon::emulator::TENON_ISA {

/// bar.red: operand 0 the result, 1 the barrier, 2 the number of threads, 3 the predicate (flag 1: negated). It is
/// executed twice: to arrive, and to take the result.
enum BarrierReduction : int { kCountReduction, kAndReduction, kOrReduction };
template <int Reduction> const Op *reduce_at_barrier(Warp &warp, const Op *op, u32 mask) {
  if (!warp.takes_reduction) {
    if (!meets_at_barrier(warp, op, mask))
      return op;
    int first = __builtin_ctz(mask);
    u32 bits = predicate(warp, op->operand[3]);
    bits = (op->flags & 1 ? ~bits : bits) & mask;
    warp.barrier = lanes<u32>(warp, op->operand[1])[first];
    warp.barrier_threads = op->operand[2] == kNoSlot ? 0 : lanes<u32>(warp, op->operand[2])[first];
    warp.arrives_only = false;
    BarrierVotes &votes = warp.block->votes[warp.barrier % kBarriers];
    votes.yes += static_cast<u32>(__builtin_popcount(bits));
    votes.no += static_cast<u32>(__builtin_popcount(mask & ~bits));
    warp.takes_reduction = true;
    warp.counts[op - warp.program]--; // it is counted once
    push_group(warp, op, warp.mask);
    warp.stop = Stop::kBarrier;
    return stop_here(warp, op);
  }
  warp.takes_reduction = false;
  const BarrierVotes &votes = warp.block->votes[warp.barrier % kBarriers];
  if constexpr (Reduction == kCountReduction) {
    alignas(64) u32 result[32];
    TENON_LANES result[lane] = votes.last_yes;
    write_lanes<u32>(warp, op->operand[0], result, mask);
  } else {
    bool holds = Reduction == kAndReduction ? votes.last_no == 0 : votes.last_yes != 0;
    write_predicate(warp, op->operand[0], holds ? kAllLanes : 0, mask);
  }
  return op + 1;
}

/// The object: expected arrivals in bits 0 to 19, those pending in 20 to 39, bytes expected by copies in 40 to 61 (signed),
/// the phase's number in bits 63 (its parity) and 62. The state that an arrival gives is the object before it.
struct Mbarrier {
  u64 bits;
  static constexpr u64 kCount = (1u << 20) - 1;
  static constexpr int kPendingAt = 20, kBytesAt = 40;
  static constexpr u64 kPhase = u64{1} << 63, kSecondPhase = u64{1} << 62, kBytes = ((u64{1} << 22) - 1) << kBytesAt;
  u64 expected() const { return bits & kCount; }
  u64 pending() const { return bits >> kPendingAt & kCount; }
  u32 phase() const { return static_cast<u32>(bits >> 63 | (bits >> 62 & 1) << 1); } // modulo 4
  static Mbarrier fresh(u64 count) { return {count | count << kPendingAt}; }
  void expect_bytes(u64 bytes) { bits = (bits & ~kBytes) | ((bits + (bytes << kBytesAt)) & kBytes); }
  void drop(u64 count) { bits = (bits & ~kCount) | ((bits - count) & kCount); }
  void arrive(u64 count) {
    u64 left = pending() < count ? 0 : pending() - count;
    bits = (bits & ~(kCount << kPendingAt)) | left << kPendingAt;
    complete();
  }
  void complete() {
    if (pending() == 0 && (bits & kBytes) == 0)
      bits = ((bits ^ kPhase ^ (bits & kPhase ? kSecondPhase : 0)) & ~(kCount << kPendingAt)) | expected() << kPendingAt;
  }
};

/// Reports the first lane that addresses something else than a live object.
inline void check_objects(Warp &warp, const Op *op, u32 mask, AccessKind kind, const Access &access) {
  constexpr u64 kEveryByte = 0x0101010101010101u;
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int lane = __builtin_ctz(rest);
    u64 states;
    __builtin_memcpy(&states, access.states(lane), 8);
    if (states == kEveryByte * kMbarrierLive)
      continue;
    return report_mbarrier(warp, op, static_cast<u32>(lane), {Space::kShared, kind, access.offset[lane], 8},
                           states == kEveryByte * kNeverWritten    ? "no mbarrier object is there: none was initialised"
                           : states == kEveryByte * kMbarrierEnded ? "no mbarrier object is there: it was invalidated"
                                                                   : "no mbarrier object is there, but what other instructions wrote");
  }
}
/// Calls body(object, lane) for each lane, in order, with the object of shared memory that operand 0 addresses.
template <class Body> const Op *for_each_mbarrier(Warp &warp, const Op *op, u32 mask, AccessKind kind, Body body) {
  Access access;
  read_addresses(warp, op->operand[0], op->width[0], op->immediate, access.offset);
  TENON_LANES access.offset[lane] -= access.offset[lane] - kSharedWindow < kWindowSize ? kSharedWindow : 0;
  if (!resolve<Space::kShared>(warp, op, mask, 8, kind, access))
    return stop_here(warp, op);
  if (kind != AccessKind::kMbarrierUse)
    warp.block->mbarrier_events++;
  if (kind == AccessKind::kWrite)
    warp.block->has_mbarriers = true;
  else
    check_objects(warp, op, mask, kind, access);
  u64 before = ~u64{0};
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int lane = __builtin_ctz(rest);
    const auto address = static_cast<u32>(access.offset[lane]);
    if (kind == AccessKind::kMbarrierUse && address != before)
      note_mbarrier_use(warp, address);
    before = address;
    Mbarrier object;
    __builtin_memcpy(&object, access.bytes(lane), 8);
    body(object, lane, address);
    __builtin_memcpy(access.bytes(lane), &object, 8);
    if (kind != AccessKind::kMbarrierUse)
      __builtin_memset(access.states(lane), kind == AccessKind::kWrite ? kMbarrierLive : kMbarrierEnded, 8);
  }
  return op + 1;
}
inline u32 count_of(Warp &warp, u32 slot, int lane) { return slot == kNoSlot ? 1 : lanes<u32>(warp, slot)[lane]; }

/// operand 1: the count.
inline const Op *mbarrier_init(Warp &warp, const Op *op, u32 mask) {
  return for_each_mbarrier(warp, op, mask, AccessKind::kWrite, [&](Mbarrier &object, int lane, u32 address) {
    const u32 count = count_of(warp, op->operand[1], lane);
    if (__builtin_expect(count == 0 || count > Mbarrier::kCount, 0))
      report_mbarrier(warp, op, static_cast<u32>(lane), {Space::kShared, AccessKind::kWrite, address, 8},
                      "the count of an mbarrier object is from 1 to 1048575");
    object = Mbarrier::fresh(count & Mbarrier::kCount);
  });
}
inline const Op *mbarrier_invalidate(Warp &warp, const Op *op, u32 mask) {
  return for_each_mbarrier(warp, op, mask, AccessKind::kMbarrierEnd, [&](Mbarrier &object, int lane, u32 address) {
    check_mbarrier_users(warp, op, static_cast<u32>(lane), address);
    object.bits = 0;
  });
}
/// Reports arrivals that the object does not expect. It is complete then.
inline void check_arrivals(Warp &warp, const Op *op, int lane, u32 address, const Mbarrier &object, u64 count, bool may_complete) {
  const char *why = count == 0                                  ? "the count of an arrival is from 1 to 1048575"
                    : count > object.pending()                  ? "more arrivals than are pending in this phase"
                    : count == object.pending() && !may_complete ? "an arrival with .noComplete must leave arrivals pending"
                                                                 : nullptr;
  if (__builtin_expect(why != nullptr, 0))
    report_mbarrier(warp, op, static_cast<u32>(lane), {Space::kShared, AccessKind::kMbarrierUse, address, 8}, why);
}
/// operand 1: the count, or with ExpectBytes the bytes to wait for; operand 2: the state before, if wanted.
enum Arrival : int { kArrives, kDrops, kExpectsBytes, kOnlyExpects, kArrivesWithoutEnd, kDropsWithoutEnd };
template <int How> const Op *mbarrier_arrive(Warp &warp, const Op *op, u32 mask) {
  alignas(64) u64 states[32] = {};
  const Op *next = for_each_mbarrier(warp, op, mask, AccessKind::kMbarrierUse, [&](Mbarrier &object, int lane, u32 address) {
    publish_order(warp, address);
    warp.block->mbarrier_events++;
    u32 value = count_of(warp, op->operand[1], lane);
    states[lane] = object.bits;
    if constexpr (How == kExpectsBytes || How == kOnlyExpects)
      object.expect_bytes(value);
    if constexpr (How != kOnlyExpects)
      check_arrivals(warp, op, lane, address, object, How == kExpectsBytes ? 1 : value,
                     How != kArrivesWithoutEnd && How != kDropsWithoutEnd);
    if constexpr (How == kDrops || How == kDropsWithoutEnd)
      object.drop(value);
    if constexpr (How != kOnlyExpects)
      object.arrive(How == kExpectsBytes ? 1 : value);
  });
  write_lanes<u64>(warp, op->operand[2], states, mask);
  return next;
}
/// operand 1: the state of an arrival, or with Parity the parity of a phase; operand 2: whether that phase is over. A warp
/// that must wait lets the others run.
template <bool Parity> const Op *mbarrier_test(Warp &warp, const Op *op, u32 mask) {
  u32 over = 0, address_of_one = 0;
  const Op *next = for_each_mbarrier(warp, op, mask, AccessKind::kMbarrierUse, [&](Mbarrier &object, int lane, u32 address) {
    struct Finished {
      Mbarrier &object;
      bool too_many;
    } finished{object, false};
    finish_arrivals(*warp.block, address, [](void *at, uint32_t count) {
      auto &[object_there, too_many] = *static_cast<Finished *>(at);
      too_many |= count > object_there.pending();
      object_there.arrive(count);
    }, &finished);
    if (__builtin_expect(finished.too_many, 0))
      report_mbarrier(warp, op, static_cast<u32>(lane), {Space::kShared, AccessKind::kMbarrierUse, address, 8},
                      "more arrivals of asynchronous copies than are pending in this phase");
    address_of_one = address;
    u64 phase = object.bits >> 63;
    u64 waited = Parity ? lanes<u32>(warp, op->operand[1])[lane] & 1 : lanes<u64>(warp, op->operand[1])[lane] >> 63;
    if constexpr (!Parity) {
      const Mbarrier state{lanes<u64>(warp, op->operand[1])[lane]};
      if (__builtin_expect(((object.phase() - state.phase()) & 3) > 1, 0))
        report_mbarrier(warp, op, static_cast<u32>(lane), {Space::kShared, AccessKind::kMbarrierUse, address, 8},
                        "the state waited for is neither of this phase nor of the one before");
    }
    over |= static_cast<u32>(phase != waited) << lane;
    if (phase == waited)
      warp.awaited = {op, static_cast<u32>(lane), address, static_cast<u32>(object.pending()), static_cast<u32>(object.expected())};
  });
  write_predicate(warp, op->operand[2], over, mask);
  if (over) {
    adopt_order(warp, address_of_one);
    warp.block->mbarrier_events++;
  }
  if (over == mask || next != op + 1)
    return next;
  push_group(warp, op + 1, warp.mask, Group::kAwaiting);
  warp.stop = Stop::kAwait;
  return stop_here(warp, op);
}
/// d = pending arrivals that a state tells: operand 0 d, operand 1 the state.
inline const Op *mbarrier_pending(Warp &warp, const Op *op, u32 mask) {
  const u64 *states = lanes<u64>(warp, op->operand[1]);
  alignas(64) u32 result[32];
  TENON_LANES result[lane] = static_cast<u32>(states[lane] >> Mbarrier::kPendingAt & Mbarrier::kCount);
  write_lanes<u32>(warp, op->operand[0], result, mask);
  return op + 1;
}
/// cp.async.mbarrier.arrive: arrives when this thread's copies so far have. Without .noinc it first asks for that arrival.
template <bool Increments> const Op *mbarrier_arrive_later(Warp &warp, const Op *op, u32 mask) {
  return for_each_mbarrier(warp, op, mask, AccessKind::kMbarrierUse, [&](Mbarrier &object, int lane, u32 address) {
    if (Increments)
      object.bits += u64{1} << Mbarrier::kPendingAt;
    arrive_with_copies(warp, lane, address);
    warp.block->mbarrier_events++;
  });
}

} // namespace tenon::emulator::TENON_ISA
