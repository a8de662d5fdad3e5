// Branches, barriers, votes, shuffles. PTX ISA 9.7.8.6, 9.7.12, 9.7.13.
#pragma once
#include "execute/Access.h"
#include "execute/Integer.h"
#include "execute/Float.h"

namespace tenon::emulator::TENON_ISA {

inline void push_group(Warp &warp, const Op *next, u32 mask, Group::Blocked blocked = Group::kRunning) {
  if (mask)
    warp.groups[warp.group_count++] = {next, mask, blocked, warp.frame};
}
inline const Op *regroup(Warp &warp, const Op *op) {
  warp.stop = Stop::kRegroup;
  warp.limit = nullptr;
  return op;
}

/// True if all live lanes of `wanted` are here. Otherwise the lanes that are here wait for the others, and the caller
/// returns at once.
inline bool converged(Warp &warp, const Op *op, u32 mask, u32 wanted, Group::Blocked why = Group::kConverging) {
  if (__builtin_expect(!(wanted & warp.live & ~mask) || warp.force, 1))
    return true;
  push_group(warp, op, mask, why);
  push_group(warp, op + 1, warp.mask & ~mask);
  regroup(warp, op);
  return false;
}

/// As above for what the whole warp executes or nobody: lanes that have exited, or never were, are missing too.
inline bool is_whole_warp(Warp &warp, const Op *op, u32 mask) {
  if (__builtin_expect(mask == kAllLanes, 1))
    return true;
  if (!converged(warp, op, mask, kAllLanes))
    return false;
  if (!warp.force)
    report_operation(warp, op, FindingKind::kDivergentWarp, mask,
                     "all 32 lanes must execute this; the others have exited, or never were");
  return true;
}

/// As above for instructions whose operand at `slot` names the lanes that take part, a mask for each lane. What they
/// wrote before is seen by all of them after.
inline bool gathered(Warp &warp, const Op *op, u32 mask, u32 slot) {
  const u32 *members = lanes<u32>(warp, slot);
  const u32 first = members[__builtin_ctz(mask)];
  u32 differ = 0;
  TENON_LANES differ |= is_on(mask, lane) ? members[lane] ^ first : 0;
  u32 wanted = first, strangers = mask & ~first;
  if (__builtin_expect(differ != 0, 0)) {
    for (u32 rest = mask; rest; rest &= rest - 1)
      wanted |= members[__builtin_ctz(rest)];
    strangers = mask & collect([&](int lane) {
      u32 team = members[lane] & mask, other = 0;
      for (; team; team &= team - 1)
        other |= members[__builtin_ctz(team)] ^ members[lane];
      return !is_on(members[lane], lane) || other != 0;
    });
  }
  if (!converged(warp, op, mask, wanted))
    return false;
  if (__builtin_expect(strangers != 0, 0))
    report_operation(warp, op, FindingKind::kWrongMembers, strangers,
                     "the mask of participants leaves out a lane that executes it, or lanes disagree about it");
  advance_time(*warp.block);
  warp.synchronised = warp.block->time;
  return true;
}

inline const Op *branch(Warp &warp, const Op *op, u32 mask) {
  const Op *target = warp.program + op->target;
  if (target <= op && --warp.budget == 0) {
    push_group(warp, target, mask);
    push_group(warp, op + 1, warp.mask & ~mask);
    warp.mask = mask;
    warp.stop = Stop::kYield;
    return stop_here(warp, op);
  }
  if (mask == warp.mask)
    return target;
  push_group(warp, target, mask);
  push_group(warp, op + 1, warp.mask & ~mask);
  return regroup(warp, op);
}
/// The groups have gone backward, or into a function: the turn of their warp may be over.
inline const Op *end_turn(Warp &warp, const Op *op) {
  if (--warp.budget != 0)
    return regroup(warp, op);
  warp.stop = Stop::kYield;
  return stop_here(warp, op);
}
/// brx.idx: operand 0 is the index into the targets in `more`.
inline const Op *branch_indexed(Warp &warp, const Op *op, u32 mask) {
  const u32 *index = lanes<u32>(warp, op->operand[0]);
  u32 count = op->count;
  bool backward = false;
  push_group(warp, op + 1, warp.mask & ~mask);
  for (u32 rest = mask; rest;) {
    u32 chosen = index[__builtin_ctz(rest)];
    if (chosen >= count) {
      report_operation(warp, op, FindingKind::kTrap, rest, "brx.idx: the index is not below the number of targets");
      return stop_here(warp, op);
    }
    u32 same = rest & collect([&](int lane) { return index[lane] == chosen; });
    push_group(warp, warp.program + op->more[chosen], same);
    backward |= warp.program + op->more[chosen] <= op;
    rest &= ~same;
  }
  return backward ? end_turn(warp, op) : regroup(warp, op);
}
inline const Op *leave(Warp &warp, const Op *op, u32 mask) {
  if (warp.frame->caller)
    leave_all_functions(warp, mask);
  warp.live &= ~mask;
  warp.mask &= ~mask;
  return warp.mask ? op + 1 : regroup(warp, op);
}
/// call: operand 0 is the address of the function, or none where the operation names it.
inline const Op *call(Warp &warp, const Op *op, u32 mask) {
  push_group(warp, op + 1, warp.mask & ~mask);
  Frame *caller = warp.frame;
  for (u32 rest = mask; rest;) {
    u32 same = rest;
    u64 address = 0;
    if (op->operand[0] != kNoSlot) {
      const u64 *addresses = lanes<u64>(warp, op->operand[0]);
      address = addresses[__builtin_ctz(rest)];
      same = rest & collect([&](int lane) { return addresses[lane] == address; });
    }
    Frame *frame = caller;
    const Op *next = enter_function(warp, op, same, address, frame);
    if (!next)
      return stop_here(warp, op);
    warp.frame = frame;
    push_group(warp, next, same);
    warp.frame = caller;
    rest &= ~same;
  }
  return end_turn(warp, op);
}
inline const Op *return_to_caller(Warp &warp, const Op *op, u32 mask) {
  Frame *frame = warp.frame;
  if (!frame->caller)
    return leave(warp, op, mask);
  push_group(warp, op + 1, warp.mask & ~mask);
  const Op *next = frame->call + 1;
  Frame *caller = frame->caller;
  leave_function(warp, mask);
  warp.frame = caller;
  push_group(warp, next, mask);
  return regroup(warp, op);
}
inline const Op *trap(Warp &warp, const Op *op, u32 mask) {
  report_operation(warp, op, FindingKind::kTrap, mask, "trap was executed");
  return stop_here(warp, op);
}
inline const Op *fence(Warp &warp, const Op *op, u32) {
  publish_order(warp, kFenceKey);
  adopt_order(warp, kFenceKey);
  return op + 1;
}
inline const Op *nothing(Warp &, const Op *op, u32) { return op + 1; }

/// True if all lanes that live are at the barrier. Those that went past it and exited since have met nobody there.
inline bool meets_at_barrier(Warp &warp, const Op *op, u32 mask) {
  const bool met = converged(warp, op, mask, kAllLanes, Group::kAtBarrier);
  if (__builtin_expect(!met, 0)) {
    if (!(op->ordering & kDivisible))
      note_passed(warp, op);
    return false;
  }
  const u32 missing = warp.passed & ~warp.live;
  warp.passed = 0;
  if (__builtin_expect(missing != 0, 0))
    report_operation(warp, op, FindingKind::kDivergentBarrier, missing,
                     "these lanes of the warp went on and exited, while others waited for them here");
  return true;
}

/// bar.sync and barrier.sync: operand 0 the barrier, operand 1 the number of threads (none: all).
template <bool Arrives> const Op *barrier(Warp &warp, const Op *op, u32 mask) {
  if (!meets_at_barrier(warp, op, mask))
    return op;
  int first = __builtin_ctz(mask);
  warp.barrier = op->operand[0] == kNoSlot ? 0 : lanes<u32>(warp, op->operand[0])[first];
  warp.barrier_threads = op->operand[1] == kNoSlot ? 0 : lanes<u32>(warp, op->operand[1])[first];
  warp.arrives_only = Arrives;
  push_group(warp, op + 1, warp.mask);
  warp.stop = Stop::kBarrier;
  return stop_here(warp, op);
}
inline const Op *warp_barrier(Warp &warp, const Op *op, u32 mask) {
  return gathered(warp, op, mask, op->operand[0]) ? op + 1 : op;
}

/// shfl.sync: operands d, a, b, c, membermask; operand 5 the predicate "the source was in range".
enum ShuffleMode : int { kShuffleUp, kShuffleDown, kShuffleButterfly, kShuffleIndex };
template <int Mode> const Op *shuffle(Warp &warp, const Op *op, u32 mask) {
  if (!gathered(warp, op, mask, op->operand[4]))
    return op;
  const u32 *a = lanes<u32>(warp, op->operand[1]);
  const u32 *b = lanes<u32>(warp, op->operand[2]);
  const u32 *c = lanes<u32>(warp, op->operand[3]);
  alignas(64) u32 result[32];
  u32 in_range = 0, absent = 0;
  for (int lane = 0; lane < 32; lane++) {
    u32 segment = (c[lane] >> 8) & 0x1f, clamp = c[lane] & 0x1f, offset = b[lane] & 0x1f;
    s32 most = static_cast<s32>((u32(lane) & segment) | (clamp & ~segment));
    s32 least = static_cast<s32>(u32(lane) & segment);
    s32 source;
    bool valid;
    if constexpr (Mode == kShuffleUp) {
      source = lane - static_cast<s32>(offset);
      valid = source >= most;
    } else if constexpr (Mode == kShuffleDown) {
      source = lane + static_cast<s32>(offset);
      valid = source <= most;
    } else if constexpr (Mode == kShuffleButterfly) {
      source = lane ^ static_cast<s32>(offset);
      valid = source <= most;
    } else {
      source = least | static_cast<s32>(offset & ~segment);
      valid = source <= most;
    }
    if (!valid)
      source = lane;
    source &= 31;
    absent |= static_cast<u32>(!is_on(mask, source)) << lane;
    result[lane] = a[source];
    in_range |= static_cast<u32>(valid) << lane;
  }
  if (absent & mask)
    report_operation(warp, op, FindingKind::kDivergentWarp, absent & mask, "shuffle from a lane that does not execute it");
  write_lanes<u32>(warp, op->operand[0], result, mask);
  write_predicate(warp, op->operand[5], in_range, mask);
  return op + 1;
}

/// vote.sync: operands d, p, membermask. Flag 1: the predicate is negated.
enum VoteMode : int { kVoteAll, kVoteAny, kVoteUniform, kVoteBallot };
template <int Mode> const Op *vote(Warp &warp, const Op *op, u32 mask) {
  if (!gathered(warp, op, mask, op->operand[2]))
    return op;
  u32 bits = predicate(warp, op->operand[1]);
  if (op->flags & 1)
    bits = ~bits;
  const u32 *members = lanes<u32>(warp, op->operand[2]);
  if constexpr (Mode == kVoteBallot) {
    alignas(64) u32 result[32];
    TENON_LANES result[lane] = bits & mask & members[lane];
    write_lanes<u32>(warp, op->operand[0], result, mask);
  } else {
    write_predicate(warp, op->operand[0], collect([&](int lane) {
                      u32 team = mask & members[lane], yes = bits & team;
                      return Mode == kVoteAll ? yes == team : Mode == kVoteAny ? yes != 0 : yes == 0 || yes == team;
                    }), mask);
  }
  return op + 1;
}
/// match.any.sync and match.all.sync: operands d, a, membermask; operand 3 the predicate.
template <class T, bool All> const Op *match(Warp &warp, const Op *op, u32 mask) {
  if (!gathered(warp, op, mask, op->operand[2]))
    return op;
  const T *a = lanes<T>(warp, op->operand[1]);
  const u32 *members = lanes<u32>(warp, op->operand[2]);
  alignas(64) u32 result[32] = {};
  u32 agree = 0;
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int lane = __builtin_ctz(rest);
    u32 team = mask & members[lane];
    u32 same = team & collect([&](int other) { return a[other] == a[lane]; });
    result[lane] = All ? (same == team ? team : 0) : same;
    agree |= static_cast<u32>(same == team) << lane;
  }
  write_lanes<u32>(warp, op->operand[0], result, mask);
  write_predicate(warp, op->operand[3], agree, mask);
  return op + 1;
}
/// redux.sync: operands d, a, membermask.
template <class T, class F> const Op *reduce(Warp &warp, const Op *op, u32 mask) {
  if (!gathered(warp, op, mask, op->operand[2]))
    return op;
  const T *a = lanes<T>(warp, op->operand[1]);
  const u32 *members = lanes<u32>(warp, op->operand[2]);
  alignas(64) T result[32] = {};
  for (u32 rest = mask; rest;) { // a team at a time
    u32 named = members[__builtin_ctz(rest)], team = rest & collect([&](int lane) { return members[lane] == named; });
    T total = a[__builtin_ctz(team)];
    for (u32 others = team & (team - 1); others; others &= others - 1)
      total = F::apply(total, a[__builtin_ctz(others)]);
    TENON_LANES result[lane] = is_on(team, lane) ? total : result[lane];
    rest &= ~team;
  }
  write_lanes<T>(warp, op->operand[0], result, mask);
  return op + 1;
}
inline const Op *active_mask(Warp &warp, const Op *op, u32 mask) {
  alignas(64) u32 result[32];
  TENON_LANES result[lane] = mask;
  write_lanes<u32>(warp, op->operand[0], result, mask);
  return op + 1;
}
/// elect.sync d|p, membermask: operand 0 the leader's lane, 1 the predicate, 2 the members.
inline const Op *elect(Warp &warp, const Op *op, u32 mask) {
  if (!gathered(warp, op, mask, op->operand[2]))
    return op;
  alignas(64) u32 result[32];
  u32 leader = static_cast<u32>(__builtin_ctz(mask));
  TENON_LANES result[lane] = leader;
  write_lanes<u32>(warp, op->operand[0], result, mask);
  write_predicate(warp, op->operand[1], 1u << leader, mask);
  return op + 1;
}
template <class T, bool Nanoseconds> const Op *clock(Warp &warp, const Op *op, u32 mask) {
  alignas(64) T result[32];
  T now = static_cast<T>(read_clock(Nanoseconds));
  TENON_LANES result[lane] = now;
  write_lanes<T>(warp, op->operand[0], result, mask);
  return op + 1;
}

/// Reading registers that may never have been written: operand 0 is the mask of lanes written so far.
inline const Op *mark_written(Warp &warp, const Op *op, u32 mask) {
  predicate(warp, op->operand[0]) |= mask;
  return op + 1;
}
inline const Op *check_written(Warp &warp, const Op *op, u32 mask) {
  u32 missing = mask & ~predicate(warp, op->operand[0]);
  if (__builtin_expect(missing != 0, 0)) {
    report_operation(warp, op, FindingKind::kUninitialisedRegister, missing, nullptr);
    predicate(warp, op->operand[0]) |= missing;
  }
  return op + 1;
}

} // namespace tenon::emulator::TENON_ISA
