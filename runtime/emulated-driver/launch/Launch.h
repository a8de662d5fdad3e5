// Runs a grid: its blocks on all cores, the warps of a block in turns.
#pragma once
#include "decode/Program.h"
#include "launch/Report.h"
#include "memory/DeviceMemory.h"
#include <atomic>
#include <chrono>

namespace tenon::emulator {

struct LaunchRequest {
  const Kernel *kernel = nullptr;
  const Program *program = nullptr;
  const Executor *executor = nullptr;
  DeviceMemory *memory = nullptr;
  uint32_t grid[3] = {1, 1, 1};
  uint32_t block[3] = {1, 1, 1};
  uint32_t dynamic_shared = 0;
  uint32_t multiprocessors = 108;
  bool cooperative = false; // blocks wait for each other: all run at once, each on a thread of its own
  const std::byte *parameters = nullptr;
};

enum class LaunchFailure : uint8_t { kNone, kIllegalAddress, kMisalignedAddress, kTrap, kTimeout };

/// In which order the warps of a block take turns (TENON_EMULATOR_SCHEDULE): a right kernel does not care.
enum class Schedule : uint8_t { kForward, kReverse, kRandom };

/// Copies whose bytes have not arrived: kept apart from shared memory until the thread that issued them waits.
struct AsyncCopies {
  struct Record {
    uint32_t mask, bytes, group;
    uint32_t destination[kLanes];
    std::byte data[kLanes * 16];
  };
  std::vector<Record> pending;
  uint32_t group[kLanes] = {}; // the group that a lane's next copy joins
};

class Launch {
public:
  explicit Launch(const LaunchRequest &request);
  LaunchFailure run();

  const LaunchRequest &request() const { return request_; }
  /// Called by checkers: a fault ends the launch.
  void fail(LaunchFailure failure);
  void report(const Warp &warp, const Op *op, FindingKind kind, uint32_t lane, const std::string &what);

private:
  struct Workspace;
  void work(Workspace &workspace);
  void start_block(Workspace &workspace, uint64_t number);
  void run_block(Workspace &workspace);
  bool release_barriers(Workspace &workspace);
  void fill_specials(Workspace &workspace, bool block_only);
  void add_counts(const std::vector<uint64_t> &counts, uint64_t blocks);

  LaunchRequest request_;
  uint64_t block_count_ = 0;
  uint32_t threads_ = 0, warps_ = 0;
  Schedule schedule_ = Schedule::kForward;
  std::chrono::steady_clock::time_point deadline_;
  std::atomic<uint64_t> next_block_{0};
  std::atomic<LaunchFailure> failure_{LaunchFailure::kNone};
  std::mutex counts_mutex_;
  Counters counters_;
};

} // namespace tenon::emulator
