// Blocks that wait for other blocks. A host thread runs a block until it is over; one that spins gives way to others, which
// begin as far as the card would hold them at once, and go on in turns. That nothing can get on any more is proven, not
// guessed: each warp came to the very state it was in before, registers and all, while nobody changed any memory.
#include "launch/Workspace.h"
#include <algorithm>
#include <thread>

namespace tenon::emulator {
namespace {
// Of each warp, when its block begins and when it goes on; a turn costs a 64th of its backward branches, at a barrier 1.
constexpr uint64_t kShare = 1u << 16, kShareResumed = 1u << 4;
constexpr uint64_t kLeastBranches = 1u << 12; // states are compared once in so many
// Until blocks that only wait are a deadlock: whoever else may change memory meanwhile, another launch or a copy, has that
// long. Waiting blocks look again at such intervals.
constexpr std::chrono::milliseconds kLongWait{500}, kLookAgain{20}, kNap{1};

uint64_t mixed(uint64_t state, uint64_t value) {
  state = (state ^ value) * 0x9e3779b97f4a7c15u;
  return state ^ state >> 29;
}

/// All that decides what the warp does next, but for memory.
uint64_t state_of(const Program &program, const Warp &warp) {
  uint64_t state = warp.live;
  for (int i = 0; i < warp.group_count; i++) {
    const Group &group = warp.groups[i];
    state = mixed(mixed(state, reinterpret_cast<uint64_t>(group.next)), uint64_t{group.mask} << 8 | group.blocked);
    for (const Frame *frame = group.frame; frame; frame = frame->caller) {
      const auto *registers = reinterpret_cast<const uint64_t *>(frame->registers);
      state = mixed(state, reinterpret_cast<uint64_t>(frame->call));
      for (size_t at = 0; at < program.functions[frame->function].register_bytes / sizeof(uint64_t); at++)
        state = mixed(state, registers[at]);
    }
  }
  return state;
}
} // namespace

/// Adds up what the block changed in a warp's turn, and notes whether the warp goes in circles.
void Launch::note_turn(Workspace &workspace, const Warp &warp, Stop stop, uint32_t turn) {
  Block &block = workspace.block;
  const uint64_t seen = block.changes + block.mbarrier_events, new_changes = seen - workspace.changes;
  workspace.changes = seen;
  if (new_changes)
    changes_ += new_changes;
  if (stop == Stop::kYield) {
    block.compares_stores = true;
    look_for_circle(workspace, warp, turn);
  } else { // those that wait for mbarrier objects may yet pass each other: stands_still
    workspace.circling[warp.index].proven_at = ~uint64_t{0};
  }
  workspace.used += stop == Stop::kYield ? turn / 64 + 1 : 1;
}

/// After Brent: a state is kept, each time for twice as many turns, and those that follow are compared with it.
void Launch::look_for_circle(Workspace &workspace, const Warp &warp, uint32_t turn) {
  Workspace::Circling &circling = workspace.circling[warp.index];
  const uint64_t interval = workspace.resumed ? 1 : std::max<uint64_t>(kLeastBranches / turn, 1);
  if (++circling.turns % interval)
    return;
  const uint64_t now = changes_, state = state_of(*request_.program, warp);
  if (circling.at == now && circling.state == state)
    circling.proven_at = workspace.circled_at = now;
  if (circling.at == now && ++circling.seen < circling.keep)
    return;
  circling.keep = circling.at == now ? circling.keep * 2 : 1;
  circling.seen = 0;
  circling.state = state;
  circling.at = now;
}

/// Whether the block gives way: where it can only go in circles, or where others could run and it has had its share.
Launch::Outcome Launch::end_of_round(Workspace &workspace) {
  const uint64_t now = changes_;
  bool waits = workspace.circled_at == now;
  for (uint32_t i = 0; waits && i < warps_; i++)
    waits = workspace.states[i] != Workspace::State::kReady || workspace.circling[i].proven_at == now;
  const bool used_up = workspace.used >= (workspace.resumed ? kShareResumed : kShare) * warps_;
  if (!waits && !(used_up && (may_start_block() || !workspace.worker->parked.empty())))
    return Outcome::kOver;
  workspace.waits_at = waits ? now : ~uint64_t{0};
  workspace.used = 0;
  workspace.resumed = true;
  return Outcome::kParked;
}

/// The block to run now: a new one, one that waited, or, where there is nothing to do for this thread, none.
Launch::Workspace *Launch::next_block(Worker &worker) {
  while (failure_ == LaunchFailure::kNone) {
    if (may_start_block()) {
      const uint64_t number = next_block_++;
      if (number < block_count_) {
        resident_++;
        worker.current = worker.spare ? std::move(worker.spare) : std::make_unique<Workspace>();
        if (!worker.current->worker)
          prepare(*worker.current, worker);
        start_block(*worker.current, settings_.schedule.block(number, block_count_));
        return worker.current.get();
      }
    }
    if (worker.parked.empty() && next_block_ >= block_count_)
      return nullptr;
    if (is_idle(worker)) {
      wait_for_change(worker);
      continue;
    }
    const size_t count = worker.parked.size(); // upward and downward: blocks may wait for those before them, or behind
    if (worker.sweep >= count) {
      worker.upward = !worker.upward;
      worker.sweep = 0;
    }
    const size_t place = worker.upward ? worker.sweep : count - 1 - worker.sweep;
    if (worker.parked[place]->waits_at == changes_) {
      worker.sweep++;
      continue;
    }
    worker.current = std::move(worker.parked[place]);
    worker.parked.erase(worker.parked.begin() + static_cast<std::ptrdiff_t>(place));
    return worker.current.get();
  }
  return nullptr;
}

bool Launch::is_idle(const Worker &worker) const {
  const uint64_t now = changes_;
  return std::all_of(worker.parked.begin(), worker.parked.end(),
                     [&](const auto &workspace) { return workspace->waits_at == now; });
}

/// Until another host thread changes something; or nobody does for long, and the launch ends.
void Launch::wait_for_change(Worker &worker) {
  using Clock = std::chrono::steady_clock;
  const uint64_t at = changes_;
  const auto begin = Clock::now();
  std::unique_lock lock(idle_mutex_);
  if (idle_at_ != at) {
    idle_at_ = at;
    idle_ = 0;
    idle_since_ = begin;
  }
  idle_++;
  const auto look_again = begin + std::max<Clock::duration>(kLookAgain, (begin - idle_since_) / 4);
  while (failure_ == LaunchFailure::kNone && changes_ == at && !may_start_block() && Clock::now() < look_again) {
    if (idle_at_ == at && idle_ == working_ && Clock::now() - idle_since_ > kLongWait && !reaches_host_memory_) {
      deadlocked_ = true;
      fail(LaunchFailure::kTimeout);
    }
    lock.unlock();
    std::this_thread::sleep_for(kNap);
    lock.lock();
  }
  if (idle_at_ == at)
    idle_--;
  lock.unlock();
  for (const auto &workspace : worker.parked)
    workspace->waits_at = ~uint64_t{0};
}

void Launch::leave(Worker &worker) {
  {
    std::lock_guard lock(idle_mutex_);
    working_--;
  }
  if (deadlocked_)
    report_waiting_blocks(worker);
}

void Launch::report_waiting_blocks(const Worker &worker) {
  for (const auto &workspace : worker.parked)
    for (const Warp &warp : workspace->warps)
      if (workspace->states[warp.index] == Workspace::State::kWaiting)
        report_barrier(*workspace, warp);
      else if (workspace->states[warp.index] == Workspace::State::kReady)
        report(warp, warp.last, FindingKind::kDeadlock, lane_of(warp),
               "waits for what never comes: all that can run goes in circles, and no block changes any memory; " +
                   std::to_string(resident_) + " of " + std::to_string(block_count_) + " blocks are resident, " +
                   std::to_string(block_count_ - std::min<uint64_t>(next_block_, block_count_)) + " have not begun");
}

} // namespace tenon::emulator
