// The loop that runs a warp, and the order of its groups of lanes.
#pragma once
#include "execute/Control.h"

namespace tenon::emulator::TENON_ISA {

/// True if group a runs before group b: deeper calls first, then the lower place, so that lanes meet again.
inline bool goes_first(const Group &a, const Group &b) {
  return a.frame == b.frame ? a.next < b.next : a.frame->depth != b.frame->depth ? a.frame->depth > b.frame->depth : a.next < b.next;
}
/// The first group that is not blocked, or -1. Those that await a phase are passed over where others shall pass them.
inline int first_group(const Warp &warp, bool others_pass) {
  int first = -1;
  for (int i = 0; i < warp.group_count; i++)
    if ((warp.groups[i].blocked == Group::kRunning || (warp.groups[i].blocked == Group::kAwaiting && !others_pass)) &&
        (first < 0 || goes_first(warp.groups[i], warp.groups[first])))
      first = i;
  return first;
}
/// Groups at the same operation become one. Returns the group to run, or -1 where all are blocked.
inline int next_group(Warp &warp) {
  for (int i = 0; i < warp.group_count; i++)
    for (int j = i + 1; j < warp.group_count;)
      if (warp.groups[i].next == warp.groups[j].next && warp.groups[i].frame == warp.groups[j].frame) {
        warp.groups[i].mask |= warp.groups[j].mask;
        warp.groups[i].blocked = Group::kRunning;
        warp.groups[j] = warp.groups[--warp.group_count];
      } else {
        j++;
      }
  int first = first_group(warp, warp.block->stands_still);
  if (first >= 0 || !warp.block->stands_still)
    return first;
  for (int i = 0; i < warp.group_count; i++) // each had its turn
    if (warp.groups[i].blocked == Group::kAwaiting)
      warp.groups[i].blocked = Group::kRunning;
  return first_group(warp, false);
}

/// All groups are blocked: one goes on by force, with a finding; or all are at barriers, and the warp arrives divided.
inline int release_group(Warp &warp) {
  int lowest = -1;
  for (int i = 0; i < warp.group_count; i++)
    if (warp.groups[i].blocked == Group::kConverging && (lowest < 0 || goes_first(warp.groups[i], warp.groups[lowest])))
      lowest = i;
  if (lowest >= 0) {
    report_operation(warp, warp.groups[lowest].next, FindingKind::kDivergentWarp, warp.groups[lowest].mask,
                     "lanes that must execute this together are elsewhere");
    return lowest;
  }
  if (!(warp.groups[0].next->ordering & kDivisible))
    report_operation(warp, warp.groups[0].next, FindingKind::kDivergentBarrier, warp.groups[0].mask,
                     "the lanes of one warp wait at different barriers, or some never come");
  return -1;
}

/// The lanes are at different barriers that may be met divided: all arrive at the first group's.
inline Stop arrive_divided(Warp &warp) {
  int first = __builtin_ctz(warp.groups[0].mask);
  const Op *op = warp.last = warp.groups[0].next;
  warp.mask = warp.groups[0].mask;
  warp.registers = warp.groups[0].frame->registers;
  warp.arrives_only = false;
  warp.passed = 0;
  warp.barrier = op->operand[0] == kNoSlot ? 0 : lanes<u32>(warp, op->operand[0])[first];
  warp.barrier_threads = op->operand[1] == kNoSlot ? 0 : lanes<u32>(warp, op->operand[1])[first];
  for (int i = 0; i < warp.group_count; i++) {
    warp.groups[i].next++;
    warp.groups[i].blocked = Group::kRunning;
  }
  return Stop::kBarrier;
}

/// The group to run, by force where all are blocked; -1 where the warp arrives at a barrier divided.
inline int choose_group(Warp &warp) {
  int chosen = next_group(warp);
  warp.force = false;
  if (chosen >= 0)
    return chosen;
  // Lanes that have exited are no longer waited for.
  for (int i = 0; i < warp.group_count; i++)
    if (warp.groups[i].mask == warp.live)
      return 0;
  chosen = release_group(warp);
  warp.force = chosen >= 0;
  return chosen;
}

/// Makes a group the one that runs, up to the place where another of its frame waits to be met.
inline const Op *take_group(Warp &warp, int chosen) {
  Group group = warp.groups[chosen];
  warp.groups[chosen] = warp.groups[--warp.group_count];
  warp.mask = group.mask;
  warp.frame = group.frame;
  warp.registers = group.frame->registers;
  warp.stop = Stop::kNone;
  const Op *limit = reinterpret_cast<const Op *>(~uintptr_t{0});
  for (int i = 0; i < warp.group_count; i++)
    if (warp.groups[i].frame == group.frame && warp.groups[i].next > group.next && warp.groups[i].next < limit)
      limit = warp.groups[i].next;
  warp.limit = warp.force ? group.next + 1 : limit;
  return group.next;
}

/// Runs a warp until it exits, waits at a barrier, has used its turn, or the launch ends.
inline Stop run_warp(Warp &warp) {
  while (warp.group_count != 0) {
    int chosen = choose_group(warp);
    if (chosen < 0)
      return arrive_divided(warp);
    const Op *op = take_group(warp, chosen);
    const Op *program = warp.program;
    u64 *counts = warp.mask == warp.live ? warp.counts : warp.divergent_counts;
    while (op < warp.limit) {
      counts[op - program]++;
      u32 mask = warp.mask;
      if (op->guard != kNoSlot) {
        mask &= predicate(warp, op->guard) ^ op->guard_flip;
        if (!mask) {
          op++;
          continue;
        }
      }
      op = op->handler(warp, op, mask);
    }
    warp.last = op;
    if (warp.stop == Stop::kNone)
      push_group(warp, op, warp.mask);
    else if (warp.stop != Stop::kRegroup)
      return warp.stop;
  }
  return Stop::kExit;
}

} // namespace tenon::emulator::TENON_ISA
