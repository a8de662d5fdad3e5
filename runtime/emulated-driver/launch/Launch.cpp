#include "launch/Launch.h"
#include "launch/ThreadPool.h"
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <xmmintrin.h>

namespace tenon::emulator {
namespace {
constexpr uint32_t kTurn = 1u << 14; // backward branches before other warps get a turn
constexpr int kDefaultTimeoutSeconds = 600;
constexpr uint32_t kBarriers = 16; // named barriers of a block
constexpr unsigned kDefaultFloatMode = 0x1f80; // all exceptions masked, to nearest, subnormals kept

struct FreeAligned {
  void operator()(std::byte *at) const { ::operator delete[](at, std::align_val_t(64)); }
};
using AlignedBytes = std::unique_ptr<std::byte[], FreeAligned>;
AlignedBytes aligned(size_t size) {
  size = std::max<size_t>(size, 64);
  auto *at = static_cast<std::byte *>(::operator new[](size, std::align_val_t(64)));
  std::memset(at, 0, size);
  return AlignedBytes(at);
}

Schedule schedule_of_environment() {
  const char *name = std::getenv("TENON_EMULATOR_SCHEDULE");
  return !name ? Schedule::kForward
         : !std::strcmp(name, "reverse") ? Schedule::kReverse
         : !std::strcmp(name, "random")  ? Schedule::kRandom
                                         : Schedule::kForward;
}
} // namespace

struct Launch::Workspace {
  Block block;
  AlignedBytes registers, shared, local;
  std::vector<uint8_t> shadow;
  std::vector<Warp> warps;
  std::vector<AsyncCopies> copies;
  std::vector<uint64_t> counts;
  enum class State : uint8_t { kReady, kWaiting, kExited };
  std::vector<State> states;
  uint32_t arrived[kBarriers] = {};
  uint32_t expected[kBarriers] = {};
  uint64_t blocks_run = 0;
  uint32_t random = 1;
};

Launch::Launch(const LaunchRequest &request) : request_(request), schedule_(schedule_of_environment()) {
  block_count_ = uint64_t{request.grid[0]} * request.grid[1] * request.grid[2];
  threads_ = request.block[0] * request.block[1] * request.block[2];
  warps_ = (threads_ + kLanes - 1) / kLanes;
  const char *seconds = std::getenv("TENON_EMULATOR_TIMEOUT");
  int limit = seconds && std::atoi(seconds) > 0 ? std::atoi(seconds) : kDefaultTimeoutSeconds;
  deadline_ = std::chrono::steady_clock::now() + std::chrono::seconds(limit);
}

void Launch::fail(LaunchFailure failure) {
  LaunchFailure none = LaunchFailure::kNone;
  failure_.compare_exchange_strong(none, failure);
}

LaunchFailure Launch::run() {
  auto share = [&](unsigned) {
    unsigned mode = _mm_getcsr();
    _mm_setcsr(kDefaultFloatMode);
    Workspace workspace;
    work(workspace);
    _mm_setcsr(mode);
  };
  if (request_.cooperative) {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < block_count_; i++)
      threads.emplace_back(share, i);
  } else {
    ThreadPool::instance().run(static_cast<unsigned>(std::min<uint64_t>(block_count_, ThreadPool::instance().size())), share);
  }
  counters_.launches = 1;
  Report::instance().add(request_.kernel->name, counters_);
  return failure_;
}

void Launch::work(Workspace &workspace) {
  const Program &program = *request_.program;
  Block &block = workspace.block;
  block.shared_bytes = program.static_shared + request_.dynamic_shared;
  workspace.shared = aligned(block.shared_bytes);
  workspace.shadow.resize(block.shared_bytes + 64);
  block.shared = workspace.shared.get();
  block.shared_shadow = workspace.shadow.data();
  block.local_bytes = program.local_bytes;
  workspace.local = aligned(program.local_bytes * warps_ * kLanes);
  block.local = workspace.local.get();
  block.parameters = request_.parameters;
  block.parameter_bytes = program.parameter_bytes;
  block.data_delta = request_.memory->data_delta();
  block.shadow_delta = request_.memory->shadow_delta();
  block.thread_count = threads_;
  block.warp_count = warps_;
  block.launch = this;
  workspace.registers = aligned(size_t{program.register_bytes} * warps_);
  workspace.warps.resize(warps_);
  workspace.copies.resize(warps_);
  workspace.states.resize(warps_);
  workspace.counts.assign(program.ops.size(), 0);
  block.warps = workspace.warps.data();
  for (uint32_t i = 0; i < warps_; i++) {
    Warp &warp = workspace.warps[i];
    warp.registers = workspace.registers.get() + size_t{program.register_bytes} * i;
    warp.program = program.ops.data();
    warp.counts = workspace.counts.data();
    warp.index = i;
    warp.block = &block;
    warp.copies = &workspace.copies[i];
  }
  bool first = true;
  while (failure_ == LaunchFailure::kNone) {
    uint64_t number = next_block_++;
    if (number >= block_count_)
      break;
    start_block(workspace, number);
    fill_specials(workspace, !first);
    first = false;
    run_block(workspace);
    workspace.blocks_run++;
  }
  add_counts(workspace.counts, workspace.blocks_run);
}

void Launch::start_block(Workspace &workspace, uint64_t number) {
  Block &block = workspace.block;
  block.index[0] = static_cast<uint32_t>(number % request_.grid[0]);
  block.index[1] = static_cast<uint32_t>(number / request_.grid[0] % request_.grid[1]);
  block.index[2] = static_cast<uint32_t>(number / request_.grid[0] / request_.grid[1]);
  std::fill(workspace.shadow.begin(), workspace.shadow.end(), kNeverWritten);
  std::fill(std::begin(workspace.arrived), std::end(workspace.arrived), 0);
  std::fill(std::begin(workspace.expected), std::end(workspace.expected), 0);
  workspace.random = static_cast<uint32_t>(number * 2654435761u + 1);
  for (uint32_t i = 0; i < warps_; i++) {
    Warp &warp = workspace.warps[i];
    uint32_t lanes = std::min(threads_ - i * kLanes, kLanes);
    warp.live = lanes == kLanes ? kAllLanes : (1u << lanes) - 1;
    warp.groups[0] = {warp.program, warp.live, Group::kRunning};
    warp.group_count = 1;
    warp.force = false;
    workspace.states[i] = Workspace::State::kReady;
    workspace.copies[i].pending.clear();
    std::fill(std::begin(workspace.copies[i].group), std::end(workspace.copies[i].group), 0);
    for (uint32_t mask : request_.program->written_masks)
      std::memset(warp.registers + mask, 0, 4);
  }
}

/// Constants and special registers. Of these only the index of the block changes from block to block.
void Launch::fill_specials(Workspace &workspace, bool block_only) {
  const uint32_t *grid = request_.grid, *shape = request_.block, *index = workspace.block.index;
  const uint32_t dynamic = request_.dynamic_shared;
  const auto total = static_cast<uint32_t>(workspace.block.shared_bytes);
  auto put = [](std::byte *at, uint8_t width, uint32_t lane, uint64_t value) {
    std::memcpy(at + size_t{lane} * width, &value, width);
  };
  for (uint32_t w = 0; w < warps_; w++) {
    std::byte *registers = workspace.warps[w].registers;
    for (const SpecialSlot &slot : request_.program->specials) {
      for (uint32_t lane = 0; lane < kLanes; lane++) {
        uint32_t thread = w * kLanes + lane, bit = 1u << lane;
        const uint64_t values[] = {
            thread % shape[0], thread / shape[0] % shape[1], thread / shape[0] / shape[1],
            shape[0], shape[1], shape[2], index[0], index[1], index[2], grid[0], grid[1], grid[2],
            lane, w, warps_, (index[0] + index[1] + index[2]) % request_.multiprocessors, request_.multiprocessors, 0,
            bit, bit | (bit - 1), bit - 1, ~(bit - 1), ~(bit | (bit - 1)), dynamic, total, 0, 1};
        put(registers + slot.offset, slot.width, lane, values[static_cast<size_t>(slot.which)]);
      }
    }
    if (block_only)
      continue;
    for (const ConstantSlot &slot : request_.program->constants) {
      if (slot.width == 0)
        std::memcpy(registers + slot.offset, &slot.bits, 4);
      for (uint32_t lane = 0; slot.width && lane < kLanes; lane++)
        put(registers + slot.offset, slot.width, lane, slot.bits);
    }
  }
}

void Launch::run_block(Workspace &workspace) {
  using State = Workspace::State;
  for (;;) {
    bool ran = false;
    for (uint32_t turn = 0; turn < warps_; turn++) {
      uint32_t i = turn;
      if (schedule_ == Schedule::kReverse)
        i = warps_ - 1 - turn;
      else if (schedule_ == Schedule::kRandom)
        i = (workspace.random = workspace.random * 1664525 + 1013904223) / 65536 % warps_;
      if (workspace.states[i] != State::kReady)
        continue;
      ran = true;
      Warp &warp = workspace.warps[i];
      warp.budget = kTurn;
      switch (request_.executor->run_warp(warp)) {
      case Stop::kExit:
        workspace.states[i] = State::kExited;
        break;
      case Stop::kBarrier:
        workspace.states[i] = warp.arrives_only ? State::kReady : State::kWaiting;
        warp.barrier %= kBarriers;
        workspace.arrived[warp.barrier] += kLanes;
        workspace.expected[warp.barrier] = warp.barrier_threads;
        break;
      case Stop::kFault:
        return;
      default: // its turn is over
        if (std::chrono::steady_clock::now() > deadline_) {
          report(warp, warp.groups[0].next, FindingKind::kTimeout, 0, "the launch takes too long");
          fail(LaunchFailure::kTimeout);
          return;
        }
      }
      if (failure_ != LaunchFailure::kNone)
        return;
    }
    if (release_barriers(workspace) || ran)
      continue;
    auto is = [&](State state) { return std::count(workspace.states.begin(), workspace.states.end(), state); };
    if (is(State::kReady)) // a random order passed it over
      continue;
    if (is(State::kWaiting)) {
      auto waiting = std::find(workspace.states.begin(), workspace.states.end(), State::kWaiting);
      Warp &warp = workspace.warps[static_cast<size_t>(waiting - workspace.states.begin())];
      report(warp, warp.groups[0].next - 1, FindingKind::kDeadlock, 0,
             "waits at barrier " + std::to_string(warp.barrier) + ", which not all threads reach");
      fail(LaunchFailure::kTimeout);
    }
    return;
  }
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
    workspace.arrived[b] = 0;
    released = true;
    for (uint32_t i = 0; i < warps_; i++)
      if (workspace.states[i] == State::kWaiting && workspace.warps[i].barrier == b)
        workspace.states[i] = State::kReady;
  }
  return released;
}

void Launch::add_counts(const std::vector<uint64_t> &counts, uint64_t blocks) {
  std::lock_guard lock(counts_mutex_);
  counters_.blocks += blocks;
  const Program &program = *request_.program;
  for (size_t i = 0; i < counts.size(); i++) {
    if (!counts[i] || program.rows[i] < 0)
      continue;
    counters_.kinds[static_cast<size_t>(opcode_row(program.rows[i]).kind)] += counts[i];
    counters_.opcodes[request_.kernel->instructions.empty()
                          ? "ret"
                          : request_.kernel->instructions[program.ops[i].instruction].opcode] += counts[i];
  }
}

} // namespace tenon::emulator
