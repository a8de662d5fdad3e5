// Whether a launch gets on: its time, its budget, and blocks whose warps all wait for mbarrier objects.
#include "launch/Workspace.h"
#include <bit>
#include <cstring>
#include <numeric>

namespace tenon::emulator {
namespace {
// Turns of each warp in which the block did nothing but ask mbarrier objects in vain: until lanes that ask let others of
// their warp pass, and until that is a deadlock, which takes a fraction of a second. What gives up after fewer does so.
constexpr uint64_t kVainTurnsToPass = 1u << 8, kVainTurnsToDeadlock = 1u << 16;
} // namespace

/// True, and told, where no warp of the block does anything but wait for phases of mbarrier objects: those that could end
/// them wait too, at barriers or for other phases, or have exited.
bool Launch::stands_still(Workspace &workspace, const Warp &warp, Stop stop) {
  Block &block = workspace.block;
  const bool quiet = block.mbarrier_events == workspace.mbarrier_events;
  // A short turn may end between two questions; two in a row are of a warp that does something else.
  const bool between = stop == Stop::kYield && !workspace.interrupted[warp.index];
  workspace.interrupted[warp.index] = stop == Stop::kYield;
  workspace.mbarrier_events = block.mbarrier_events;
  if (quiet && stop == Stop::kAwait)
    workspace.vain_turns++;
  else if (!quiet || !between)
    workspace.vain_turns = 0;
  block.stands_still = workspace.vain_turns > kVainTurnsToPass * warps_;
  if (workspace.vain_turns < kVainTurnsToDeadlock * warps_)
    return false;
  report_awaited(warp);
  fail(LaunchFailure::kTimeout);
  return true;
}

void Launch::report_awaited(const Warp &warp) {
  const AwaitedPhase &awaited = warp.awaited;
  uint64_t states;
  std::memcpy(&states, warp.block->shared_shadow + awaited.address, sizeof(states));
  const bool is_object = states == kMbarrierLive * uint64_t{0x0101010101010101};
  const AccessRecord access{Space::kShared, AccessKind::kMbarrierUse, awaited.address, 8};
  report(warp, awaited.op, FindingKind::kDeadlock, awaited.lane,
         is_object ? "waits for a phase that never ends: " + std::to_string(awaited.missing) + " of " +
                         std::to_string(awaited.expected) + " arrivals are missing, and no warp does anything but wait"
                   : "waits for a phase where no mbarrier object is, and no warp does anything but wait",
         &access);
}

/// The first lane that lives of those that ran last.
uint32_t Launch::lane_of(const Warp &warp) {
  const uint32_t ran = warp.mask & warp.live, lanes = ran ? ran : warp.live ? warp.live : 1;
  return static_cast<uint32_t>(std::countr_zero(lanes));
}

/// True, and told, where the launch has taken too long or too many instructions. Counting these is not for every turn.
bool Launch::is_over(Workspace &workspace, Warp &warp) {
  if (std::chrono::steady_clock::now() <= deadline_)
    return settings_.budget && ++workspace.worker->turns % kTurnsBetweenCounts == 0 && is_over_budget(workspace, warp);
  report(warp, warp.last, FindingKind::kTimeout, lane_of(warp), "the launch takes too long");
  fail(LaunchFailure::kTimeout);
  return true;
}

/// Asked where a block ends, too: its warps may never have used up a turn.
bool Launch::is_over_budget(const Workspace &workspace, const Warp &warp) {
  if (!settings_.budget || executed(*workspace.worker) <= settings_.budget)
    return false;
  report(warp, warp.last, FindingKind::kTimeout, lane_of(warp),
         "more than the budget of " + std::to_string(settings_.budget) + " warp instructions were executed: it may never end");
  fail(LaunchFailure::kTimeout);
  return true;
}

uint64_t Launch::executed(const Worker &worker) {
  return std::accumulate(worker.counts.begin(), worker.counts.end(), uint64_t{0}) +
         std::accumulate(worker.divergent_counts.begin(), worker.divergent_counts.end(), uint64_t{0});
}

} // namespace tenon::emulator
