// Runs a grid: its blocks on all cores, the warps of a block in turns.
#pragma once
#include "decode/Program.h"
#include "launch/Environment.h"
#include "launch/Report.h"
#include "memory/DeviceMemory.h"
#include <atomic>
#include <chrono>
#include <unordered_map>
#include <unordered_set>

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
  uint64_t resident_blocks = ~uint64_t{0}; // the most that the card holds at once
  bool cooperative = false; // blocks wait for each other: all run at once, each on a thread of its own
  uint64_t grid_workspace = 0; // address of it, of a cooperative launch that reads it
  const std::byte *parameters = nullptr;
};

enum class LaunchFailure : uint8_t { kNone, kIllegalAddress, kMisalignedAddress, kTrap, kTimeout, kAssert };

/// For each warp, up to when its accesses are known (Block::time).
struct Knowledge {
  uint32_t of[kLanes] = {};
};

/// Copies whose bytes have not arrived: kept apart from shared memory until the thread that issued them waits.
struct AsyncCopies {
  struct Record {
    uint32_t mask, bytes, group;
    uint64_t stamp; // for the records of the words that it writes, but for when and the lane
    uint64_t number; // of the copies of this warp, from the first of the block
    uint32_t destination[kLanes];
    uint64_t source[kLanes], first_source, sources_end; // of all lanes: from the first byte to behind the last
    uint8_t size[kLanes];                               // bytes read there
    std::byte data[kLanes * 16];
  };
  struct Arrival {
    uint32_t address; // of the mbarrier
    int lane;
    uint64_t before; // the copies it waits for have lower numbers
  };
  std::vector<Record> pending;
  std::vector<Arrival> arrivals;
  uint64_t issued = 0;
  uint32_t group[kLanes] = {}; // the group that a lane's next copy joins
};

class Launch {
public:
  explicit Launch(const LaunchRequest &request);
  LaunchFailure run();

  const LaunchRequest &request() const { return request_; }
  /// Called by checkers: a fault ends the launch.
  void fail(LaunchFailure failure);
  void report(const Warp &warp, const Op *op, FindingKind kind, uint32_t lane, const std::string &what,
              const AccessRecord *access = nullptr);
  /// True, and counted, if that was reported already: what it would say need not be put together.
  bool is_known(const Op *op, FindingKind kind) const;
  /// "thread (3, 0, 0) at ptx line 7 (st.shared.b32)", of an operation of this kernel.
  std::string describe(uint64_t operation, uint32_t warp, uint32_t lane) const;
  /// Blocks that published what they did to other blocks (of those that this launch numbers from `first_block`).
  void note_released(uint64_t block);
  bool has_released(uint64_t block);
  /// Whether the operation is a volatile load that waits in a loop for its word (Flow.h).
  bool polls_at(uint64_t op);
  /// A block reached memory that the host may write to without a call: it may wait for that.
  void note_host_memory() { reaches_host_memory_ = true; }
  uint64_t first_block() const { return first_block_; }
  Knowledge &published(Block &block, uint32_t key);

private:
  struct Workspace;
  struct Worker;
  enum class Outcome : uint8_t { kOver, kParked };
  void work();
  void prepare(Workspace &workspace, Worker &worker);
  void start_block(Workspace &workspace, uint64_t number);
  Outcome run_block(Workspace &workspace);
  // Blocks that wait for other blocks: Residents.cpp.
  Workspace *next_block(Worker &worker);
  bool may_start_block() const { return next_block_ < block_count_ && resident_ < request_.resident_blocks; }
  bool is_idle(const Worker &worker) const;
  void wait_for_change(Worker &worker);
  void note_turn(Workspace &workspace, const Warp &warp, Stop stop, uint32_t turn);
  void look_for_circle(Workspace &workspace, const Warp &warp, uint32_t turn);
  Outcome end_of_round(Workspace &workspace);
  void report_waiting_blocks(const Worker &worker);
  void report_barrier(const Workspace &workspace, const Warp &warp);
  void leave(Worker &worker);

  bool release_barriers(Workspace &workspace);
  void keep_records(Workspace &workspace);
  void begin_order(Workspace &workspace);
  static uint64_t executed(const Worker &worker);
  void arrive(Workspace &workspace, Warp &warp);
  void pass_barrier(Workspace &workspace, uint32_t barrier, bool whole);
  void check_barrier(const Warp &warp);
  bool is_over(Workspace &workspace, Warp &warp);
  bool is_over_budget(const Workspace &workspace, const Warp &warp);
  static uint32_t lane_of(const Warp &warp);
  bool stands_still(Workspace &workspace, const Warp &warp, Stop stop);
  void report_awaited(const Warp &warp);
  void add_counts(const Worker &worker);

  LaunchRequest request_;
  uint64_t block_count_ = 0;
  uint32_t threads_ = 0, warps_ = 0;
  LaunchSettings settings_;
  FindingKinds kinds_ = kAllKinds;
  uint64_t first_block_ = 0; // number of the first block in the records of global memory; 0: not recorded
  bool shares_memory_ = false; // its blocks run on several host threads
  uint32_t turn_;            // backward branches of a warp before others get a turn
  std::mutex released_mutex_;
  std::unordered_set<uint64_t> released_;
  std::mutex polls_mutex_;
  std::unordered_map<uint64_t, bool> polls_;
  std::chrono::steady_clock::time_point deadline_;
  std::atomic<uint64_t> next_block_{0};
  std::atomic<uint64_t> resident_{0}; // blocks begun and not over
  std::atomic<uint64_t> changes_{0};  // of what warps may wait for, as far as turns have ended (Block::changes)
  std::mutex idle_mutex_;
  uint64_t working_ = 0, idle_ = 0, idle_at_ = ~uint64_t{0}; // host threads; those with nothing but waiting blocks, at `changes_`
  std::chrono::steady_clock::time_point idle_since_;
  std::atomic<bool> deadlocked_{false}, reaches_host_memory_{false};
  std::atomic<LaunchFailure> failure_{LaunchFailure::kNone};
  std::mutex counts_mutex_;
  Counters counters_;
};

/// The launch that a block belongs to.
inline Launch &launch_of(const Block &block) { return *static_cast<Launch *>(block.launch); }

} // namespace tenon::emulator
