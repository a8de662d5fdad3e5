// What one host thread keeps of the blocks that it runs: one after the other, or in turns where they wait for each other.
#pragma once
#include "launch/Frames.h"
#include "launch/Launch.h"

namespace tenon::emulator {

inline constexpr uint64_t kTurnsBetweenCounts = 16; // of a launch with a budget: instructions executed are added up once in so many

struct Launch::Workspace {
  Block block;
  AlignedBytes registers, shared, local;
  std::vector<uint8_t> shadow, local_shadow;
  std::vector<uint64_t> writes, reads; // records of the words of shared memory
  std::vector<Warp> warps;
  std::vector<AsyncCopies> copies;
  std::vector<FramePool> frames;
  enum class State : uint8_t { kReady, kWaiting, kExited };
  std::vector<State> states;
  uint32_t arrived[kBarriers] = {};
  uint32_t expected[kBarriers] = {};
  Knowledge gathered[kBarriers]; // what those that arrived knew and did
  std::vector<std::pair<uint32_t, Knowledge>> published; // by key
  Random random; // for the turns of the block's warps
  uint64_t vain_turns = 0;
  std::vector<uint8_t> interrupted; // warps whose last turn was used up
  uint64_t mbarrier_events = 0; // of the block, when the last turn ended
  const Warp *last_warp = nullptr; // that ran
  // Whether the block waits for another one.
  Worker *worker = nullptr;
  uint64_t changes = 0;  // of the block, when the last turn ended
  uint64_t used = 0;     // of its share, since it began or went on
  bool resumed = false;  // it was parked before
  uint64_t circled_at = ~uint64_t{0}; // the launch's changes when one of its warps was last seen to go in circles
  uint64_t waits_at = ~uint64_t{0}; // of an idle block: the launch's changes, which would have to grow
  struct Circling {
    uint64_t state = 0, at = ~uint64_t{0}; // what the warp was like once, and the changes then
    uint64_t seen = 0, keep = 1;  // turns since; the number of them after which another state is kept
    uint64_t turns = 0;
    uint64_t proven_at = ~uint64_t{0}; // it came to the same state again, with these changes
  };
  std::vector<Circling> circling; // of each warp
};

struct Launch::Worker {
  std::vector<std::unique_ptr<Workspace>> parked;
  std::unique_ptr<Workspace> current, spare;
  size_t sweep = 0; // the parked block to look at next, upward and downward in turns
  bool upward = false;
  std::vector<uint64_t> counts, divergent_counts;
  std::vector<Traffic> traffic;
  uint64_t blocks_run = 0, turns = 0;
};

} // namespace tenon::emulator
