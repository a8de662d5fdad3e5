// What one host thread keeps of the blocks that it runs, one after the other.
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
  std::vector<uint64_t> counts, divergent_counts;
  std::vector<Traffic> traffic;
  std::vector<FramePool> frames;
  enum class State : uint8_t { kReady, kWaiting, kExited };
  std::vector<State> states;
  uint32_t arrived[kBarriers] = {};
  uint32_t expected[kBarriers] = {};
  Knowledge gathered[kBarriers]; // what those that arrived knew and did
  std::vector<std::pair<uint32_t, Knowledge>> published; // by key
  uint64_t blocks_run = 0;
  Random random; // for the turns of the block's warps
  uint64_t turns = 0, vain_turns = 0;
  std::vector<uint8_t> interrupted; // warps whose last turn was used up
  uint64_t mbarrier_events = 0; // of the block, when the last turn ended
};

} // namespace tenon::emulator
