#include "launch/Launch.h"
#include "launch/ThreadPool.h"
#include "launch/Workspace.h"
#include <algorithm>
#include <bit>
#include <memory>
#include <thread>
#include <xmmintrin.h>

namespace tenon::emulator {
namespace {
constexpr uint32_t kTurn = 1u << 14; // backward branches before other warps get a turn
constexpr uint32_t kWaitingTurn = 1u << 8; // where blocks wait for each other: other threads of the host get one too
constexpr uint32_t kShortTurn = 64; // the most of a turn at random
constexpr unsigned kDefaultFloatMode = 0x1f80; // all exceptions masked, to nearest, subnormals kept
} // namespace

Launch::Launch(const LaunchRequest &request)
    : request_(request), settings_(launch_settings()), kinds_(chosen_kinds()) {
  block_count_ = uint64_t{request.grid[0]} * request.grid[1] * request.grid[2];
  threads_ = request.block[0] * request.block[1] * request.block[2];
  warps_ = (threads_ + kLanes - 1) / kLanes;
  deadline_ = std::chrono::steady_clock::now() + std::chrono::seconds(settings_.timeout_seconds);
  turn_ = kTurn;
  // Counted once in so many turns, which are shorter where the budget is small: it is passed by a few percent.
  if (settings_.budget)
    turn_ = static_cast<uint32_t>(std::clamp<uint64_t>(settings_.budget / (64 * kTurnsBetweenCounts), 1, kTurn));
}

void Launch::fail(LaunchFailure failure) {
  LaunchFailure none = LaunchFailure::kNone;
  failure_.compare_exchange_strong(none, failure);
}

LaunchFailure Launch::run() {
  if (kinds_ & kRaceKinds)
    first_block_ = request_.memory->number_blocks(block_count_);
  const uint64_t workers = request_.cooperative ? block_count_ : std::min<uint64_t>(block_count_, ThreadPool::instance().size());
  shares_memory_ = workers > 1;
  working_ = workers;
  auto share = [&](unsigned) {
    unsigned mode = _mm_getcsr();
    _mm_setcsr(kDefaultFloatMode);
    work();
    _mm_setcsr(mode);
  };
  if (request_.cooperative) {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < workers; i++)
      threads.emplace_back(share, i);
  } else {
    ThreadPool::instance().run(static_cast<unsigned>(workers), share);
  }
  counters_.launches = 1;
  Report::instance().add(request_.kernel->name, counters_);
  return failure_;
}

void Launch::prepare(Workspace &workspace, Worker &worker) {
  const Program &program = *request_.program;
  workspace.worker = &worker;
  Block &block = workspace.block;
  block.shared_bytes = program.reserved_shared + program.static_shared + request_.dynamic_shared;
  workspace.shared = aligned_bytes(block.shared_bytes);
  workspace.shadow.resize(block.shared_bytes + 64);
  block.shared = workspace.shared.get();
  block.shared_shadow = workspace.shadow.data();
  block.local_bytes = program.local_bytes;
  workspace.local = aligned_bytes(program.local_bytes * warps_ * kLanes);
  block.local = workspace.local.get();
  workspace.local_shadow.resize(program.local_bytes * warps_ * kLanes);
  block.local_shadow = workspace.local_shadow.data();
  block.parameters = request_.parameters;
  block.parameter_bytes = program.parameter_bytes;
  block.data_delta = request_.memory->data_delta();
  block.shadow_delta = request_.memory->shadow_delta();
  block.thread_count = threads_;
  block.warp_count = warps_;
  block.launch = this;
  block.workspace = &workspace;
  const size_t register_bytes = program.kernel().register_bytes;
  workspace.registers = aligned_bytes(register_bytes * warps_);
  workspace.warps.resize(warps_);
  workspace.copies.resize(warps_);
  workspace.states.resize(warps_);
  keep_records(workspace);
  workspace.frames.reserve(warps_);
  block.warps = workspace.warps.data();
  for (uint32_t i = 0; i < warps_; i++) {
    Warp &warp = workspace.warps[i];
    workspace.frames.emplace_back(request_, block, i, workspace.registers.get() + register_bytes * i);
    warp.program = program.ops.data();
    warp.counts = worker.counts.data();
    warp.divergent_counts = worker.divergent_counts.data();
    warp.traffic = worker.traffic.data();
    warp.index = i;
    warp.block = &block;
    warp.copies = &workspace.copies[i];
    warp.frames = &workspace.frames[i];
  }
}

void Launch::work() {
  Worker worker;
  const size_t operations = request_.program->ops.size();
  worker.counts.assign(operations, 0);
  worker.divergent_counts.assign(operations, 0);
  worker.traffic.assign(operations, {});
  while (failure_ == LaunchFailure::kNone) {
    Workspace *workspace = next_block(worker);
    if (!workspace)
      break;
    if (run_block(*workspace) == Outcome::kParked) {
      worker.parked.push_back(std::move(worker.current));
      continue;
    }
    worker.blocks_run++;
    resident_--;
    changes_++;
    if (failure_ == LaunchFailure::kNone)
      is_over_budget(*workspace, *workspace->last_warp);
    worker.spare = std::move(worker.current);
  }
  leave(worker);
  add_counts(worker);
}

void Launch::keep_records(Workspace &workspace) {
  Block &block = workspace.block;
  constexpr uint64_t kWarps = access_record::kWarpBits;
  if (kinds_ & kRaceKinds) {
    workspace.writes.assign(block.shared_bytes / 4 + 8, 0);
    workspace.reads.assign(block.shared_bytes / 4 + 8, 0);
    block.shared_records = {reinterpret_cast<uint64_t>(workspace.writes.data()),
                            reinterpret_cast<uint64_t>(workspace.reads.data()), 0, 0, kWarps};
  }
  static WordLock word_locks[kWordLocks];
  if (first_block_ && shares_memory_)
    block.word_locks = word_locks;
  if (first_block_)
    block.global_records = {request_.memory->writes_delta(), request_.memory->reads_delta(),
                            first_block_ << (access_record::kWhen + access_record::kBarrierBits), 0,
                            access_record::kBlockBits | kWarps};
}

void Launch::start_block(Workspace &workspace, uint64_t number) {
  Block &block = workspace.block;
  block.index[0] = static_cast<uint32_t>(number % request_.grid[0]);
  block.index[1] = static_cast<uint32_t>(number / request_.grid[0] % request_.grid[1]);
  block.index[2] = static_cast<uint32_t>(number / request_.grid[0] / request_.grid[1]);
  std::fill(workspace.shadow.begin(), workspace.shadow.end(), kNeverWritten);
  std::fill_n(workspace.shadow.begin(), request_.program->reserved_shared, kWritten); // the system's: it holds something
  std::fill(workspace.local_shadow.begin(), workspace.local_shadow.end(), kNeverWritten);
  std::fill(std::begin(workspace.arrived), std::end(workspace.arrived), 0);
  std::fill(std::begin(workspace.expected), std::end(workspace.expected), 0);
  std::fill(std::begin(block.votes), std::end(block.votes), BarrierVotes{});
  workspace.random = settings_.schedule.random_of(number);
  block.barriers = 0;
  block.pending = 0;
  block.released = block.acquired = false;
  block.stands_still = false;
  workspace.vain_turns = 0;
  workspace.last_warp = workspace.warps.data();
  workspace.used = 0;
  workspace.resumed = false;
  workspace.circled_at = ~uint64_t{0};
  workspace.circling.assign(warps_, {});
  block.compares_stores = false;
  workspace.interrupted.assign(warps_, false);
  workspace.published.clear();
  std::fill(std::begin(workspace.gathered), std::end(workspace.gathered), Knowledge{});
  begin_order(workspace);
  for (uint32_t i = 0; i < warps_; i++) {
    Warp &warp = workspace.warps[i];
    uint32_t lanes = std::min(threads_ - i * kLanes, kLanes);
    warp.live = lanes == kLanes ? kAllLanes : (1u << lanes) - 1;
    warp.groups[0] = {warp.program, warp.live, Group::kRunning, warp.frames->start_block(warp.live)};
    warp.group_count = 1;
    warp.last = warp.program;
    warp.mask = warp.live;
    warp.force = false;
    warp.passed = 0;
    workspace.states[i] = Workspace::State::kReady;
    workspace.copies[i].pending.clear();
    workspace.copies[i].arrivals.clear();
    warp.takes_reduction = false;
    std::fill(std::begin(workspace.copies[i].group), std::end(workspace.copies[i].group), 0);
  }
}

Launch::Outcome Launch::run_block(Workspace &workspace) {
  using State = Workspace::State;
  for (;;) {
    bool ran = false;
    for (uint32_t turn = 0; turn < warps_; turn++) {
      const uint32_t i = settings_.schedule.warp(turn, warps_, workspace.random);
      if (workspace.states[i] != State::kReady)
        continue;
      ran = true;
      Warp &warp = workspace.warps[i];
      const uint32_t turn_length = settings_.schedule.is_random()                ? 1 + workspace.random.below(kShortTurn)
                                   : request_.cooperative || workspace.resumed ? std::min(kWaitingTurn, turn_)
                                                                                : turn_;
      warp.budget = turn_length;
      const Stop stop = request_.executor->run_warp(warp);
      workspace.last_warp = &warp;
      if (stands_still(workspace, warp, stop))
        return Outcome::kOver;
      note_turn(workspace, warp, stop, turn_length);
      switch (stop) {
      case Stop::kExit:
        workspace.states[i] = State::kExited;
        break;
      case Stop::kBarrier:
        workspace.states[i] = warp.arrives_only ? State::kReady : State::kWaiting;
        arrive(workspace, warp);
        if (is_over(workspace, warp)) // a loop that never ends may never use up a turn between its barriers
          return Outcome::kOver;
        break;
      case Stop::kFault:
        return Outcome::kOver;
      default: // its turn is over
        if (is_over(workspace, warp))
          return Outcome::kOver;
        if (request_.cooperative)
          std::this_thread::yield();
      }
      if (failure_ != LaunchFailure::kNone)
        return Outcome::kOver;
    }
    if (release_barriers(workspace) || ran) {
      if (end_of_round(workspace) == Outcome::kParked)
        return Outcome::kParked;
      continue;
    }
    auto is = [&](State state) { return std::count(workspace.states.begin(), workspace.states.end(), state); };
    if (is(State::kReady)) // a random order passed it over
      continue;
    uint32_t told = 0; // barriers
    for (const Warp &warp : workspace.warps)
      if (workspace.states[warp.index] == State::kWaiting && !(told >> warp.barrier & 1)) {
        told |= 1u << warp.barrier;
        report_barrier(workspace, warp);
        fail(LaunchFailure::kTimeout);
      }
    return Outcome::kOver;
  }
}

/// Tells of a barrier that not all threads reach.
void Launch::report_barrier(const Workspace &workspace, const Warp &warp) {
  uint32_t arrived = workspace.arrived[warp.barrier], expected = workspace.expected[warp.barrier];
  if (!expected) { // all that live
    arrived = 0;
    for (const Warp &other : workspace.warps) {
      const bool waits = workspace.states[other.index] == Workspace::State::kWaiting && other.barrier == warp.barrier;
      arrived += waits ? static_cast<uint32_t>(std::popcount(other.live)) : 0;
      expected += static_cast<uint32_t>(std::popcount(other.live));
    }
  }
  report(warp, warp.last, FindingKind::kDeadlock, lane_of(warp),
         "waits at barrier " + std::to_string(warp.barrier) + ", which not all threads reach: " + std::to_string(arrived) +
             " of " + std::to_string(expected) + " threads have arrived");
}

/// Number and threads may come from registers, where the assembler cannot refuse them.
void Launch::check_barrier(const Warp &warp) {
  const Op *op = warp.last;
  const uint32_t threads_operand = op->operand[warp.takes_reduction ? 2 : 1];
  std::string why;
  if (warp.barrier >= kBarriers)
    why = "there is no barrier " + std::to_string(warp.barrier) + ": they have numbers from 0 to 15";
  else if (threads_operand != kNoSlot && (warp.barrier_threads == 0 || warp.barrier_threads % kLanes))
    why = "the barrier expects " + std::to_string(warp.barrier_threads) + " threads, which are no whole warps";
  if (!why.empty() && !is_known(op, FindingKind::kWrongMembers))
    report(warp, op, FindingKind::kWrongMembers, lane_of(warp), why);
}

void Launch::arrive(Workspace &workspace, Warp &warp) {
  check_barrier(warp);
  warp.barrier %= kBarriers;
  uint32_t &arrived = workspace.arrived[warp.barrier], &expected = workspace.expected[warp.barrier];
  auto in_all = [&](uint32_t threads) { return threads ? threads : warps_ * kLanes; };
  if (arrived && in_all(expected) != in_all(warp.barrier_threads) && !is_known(warp.last, FindingKind::kWrongMembers))
    report(warp, warp.last, FindingKind::kWrongMembers, lane_of(warp),
           "barrier " + std::to_string(warp.barrier) + " is for " + std::to_string(in_all(warp.barrier_threads)) +
               " threads here, and for " + std::to_string(in_all(expected)) + " where " + std::to_string(arrived) +
               " threads have arrived");
  expected = arrived ? expected : warp.barrier_threads;
  arrived += kLanes;
  workspace.block.changes++;
  Knowledge &gathered = workspace.gathered[warp.barrier];
  for (uint32_t i = 0; i < warps_; i++)
    gathered.of[i] = std::max(gathered.of[i], warp.known[i]);
  gathered.of[warp.index] = workspace.block.time;
  advance_time(workspace.block);
}

/// What is known of each other by those that waited at a barrier. `whole`: all warps of the block, to whose barriers those
/// that have exited come too.
void Launch::pass_barrier(Workspace &workspace, uint32_t barrier, bool whole) {
  if (whole)
    return begin_order(workspace);
  workspace.block.partly_ordered = true;
  Knowledge &gathered = workspace.gathered[barrier];
  for (uint32_t i = 0; i < warps_; i++)
    if (workspace.states[i] == Workspace::State::kWaiting && workspace.warps[i].barrier == barrier)
      for (uint32_t other = 0; other < warps_; other++)
        workspace.warps[i].known[other] = std::max(workspace.warps[i].known[other], gathered.of[other]);
  gathered = {};
}

/// All that happened in the block is known to all of it.
void Launch::begin_order(Workspace &workspace) {
  Block &block = workspace.block;
  const uint32_t before = block.time;
  advance_time(block);
  block.shared_records.since = block.shared_records.when;
  block.partly_ordered = false;
  for (uint32_t i = 0; i < warps_; i++)
    std::fill_n(workspace.warps[i].known, warps_, before);
  std::fill(std::begin(workspace.gathered), std::end(workspace.gathered), Knowledge{});
  const uint64_t number = first_block_ + block.index[0] +
                          uint64_t{request_.grid[0]} * (block.index[1] + uint64_t{request_.grid[1]} * block.index[2]);
  block.global_records.when =
      (number << access_record::kBarrierBits | std::min<uint64_t>(block.barriers++, access_record::kMostBarriers))
      << access_record::kWhen;
}

Knowledge &Launch::published(Block &block, uint32_t key) {
  Workspace &workspace = *static_cast<Workspace *>(block.workspace);
  for (auto &[known, knowledge] : workspace.published)
    if (known == key)
      return knowledge;
  return workspace.published.emplace_back(key, Knowledge{}).second;
}

bool Launch::release_barriers(Workspace &workspace) {
  using State = Workspace::State;
  bool released = false;
  for (uint32_t b = 0; b < kBarriers; b++) {
    if (!workspace.arrived[b])
      continue;
    bool complete = workspace.arrived[b] >= workspace.expected[b];
    if (workspace.expected[b] == 0)
      for (uint32_t i = 0; i < warps_; i++)
        complete &= workspace.states[i] == State::kExited ||
                    (workspace.states[i] == State::kWaiting && workspace.warps[i].barrier == b);
    if (!complete)
      continue;
    bool whole = true;
    for (uint32_t i = 0; i < warps_; i++)
      whole &= (workspace.states[i] == State::kExited && workspace.expected[b] == 0) ||
               (workspace.states[i] == State::kWaiting && workspace.warps[i].barrier == b);
    pass_barrier(workspace, b, whole);
    workspace.arrived[b] = 0;
    workspace.block.votes[b].complete();
    released = true;
    for (uint32_t i = 0; i < warps_; i++)
      if (workspace.states[i] == State::kWaiting && workspace.warps[i].barrier == b)
        workspace.states[i] = State::kReady;
  }
  return released;
}

void Launch::add_counts(const Worker &worker) {
  std::lock_guard lock(counts_mutex_);
  counters_.blocks += worker.blocks_run;
  const Program &program = *request_.program;
  std::fill(std::begin(counters_.static_kinds), std::end(counters_.static_kinds), 0);
  for (size_t i = 0; i < worker.counts.size(); i++) {
    if (program.rows[i] < 0)
      continue;
    const auto kind = static_cast<size_t>(opcode_row(program.rows[i]).kind);
    const uint64_t count = worker.counts[i] + worker.divergent_counts[i];
    const bool added = program.is_added_return(i);
    counters_.static_kinds[kind] += !added;
    if (!count)
      continue;
    const Instruction *instruction = program.instruction(program.ops[i]);
    counters_.kinds[kind] += count;
    counters_.opcodes[instruction ? instruction->opcode : "ret"] += count;
    if (!instruction)
      continue;
    LineCounters line{instruction->opcode, count, worker.divergent_counts[i], worker.traffic[i]};
    Counters one;
    one.lines[{instruction->location.line, instruction->location.column}] = line;
    counters_.add(one);
  }
}

} // namespace tenon::emulator
