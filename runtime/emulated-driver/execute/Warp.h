// The machine that operations run on. Plain structures: this header is included by code compiled for several
// instruction sets, so nothing here may instantiate a template of the standard library.
#pragma once
#include <cstddef>
#include <cstdint>

namespace tenon::emulator {

struct Warp;
struct Op;
struct Block;
struct AsyncCopies;

/// Executes one operation for the lanes in `mask` (never empty) and returns the operation that follows.
using Handler = const Op *(*)(Warp &, const Op *, uint32_t mask);

inline constexpr uint32_t kLanes = 32;
inline constexpr uint32_t kAllLanes = ~0u;
inline constexpr uint32_t kNoSlot = ~0u;

/// A decoded instruction. Operands are byte offsets into the registers of a warp, where a register is 32 consecutive
/// lanes (a predicate: one mask of 32 bits). Constants and special registers are registers too, filled when a warp starts.
struct Op {
  Handler handler = nullptr;
  const uint32_t *more = nullptr; // operands of mma, ldmatrix, wide vectors
  int64_t immediate = 0;          // what is added to an address; a count
  uint32_t guard = kNoSlot;
  uint32_t guard_flip = 0; // ~0 for @!p
  uint32_t operand[6] = {kNoSlot, kNoSlot, kNoSlot, kNoSlot, kNoSlot, kNoSlot};
  uint32_t target = 0; // of a branch: index of an operation
  uint32_t instruction = 0; // index in Kernel::instructions
  uint8_t width[2] = {0, 0}; // of registers whose width the opcode leaves open
  uint8_t count = 1;         // vector elements
  uint8_t flags = 0;         // by kind of operation
};

enum class Stop : uint8_t { kNone, kRegroup, kBarrier, kExit, kYield, kFault };

/// Lanes of a warp that are at the same operation.
struct Group {
  enum Blocked : uint8_t { kRunning, kConverging, kAtBarrier };
  const Op *next = nullptr;
  uint32_t mask = 0;
  Blocked blocked = kRunning;
};

struct Warp {
  std::byte *registers = nullptr;
  const Op *limit = nullptr; // the dispatch loop runs while the next operation is below
  const Op *program = nullptr;
  uint64_t *counts = nullptr; // executions of each operation
  uint32_t mask = 0;          // lanes of the group that runs
  uint32_t live = 0;          // lanes that have not exited
  Stop stop = Stop::kNone;
  bool force = false;      // a group goes on though lanes it waits for cannot come
  uint8_t group_count = 0;
  uint32_t index = 0;      // in the block
  uint32_t budget = 0;     // backward branches until other warps get a turn
  uint32_t barrier = 0;    // the barrier it waits at, and how many threads that one expects (0: all)
  uint32_t barrier_threads = 0;
  bool arrives_only = false; // bar.arrive: counted at the barrier, does not wait
  Block *block = nullptr;
  AsyncCopies *copies = nullptr;
  Group groups[kLanes];
};

/// States of a shadow byte.
enum Shadow : uint8_t { kNeverWritten = 0, kWritten = 1, kPending = 2 };

/// What the threads of one block share, and what their host thread keeps at hand.
struct Block {
  std::byte *shared = nullptr;
  uint8_t *shared_shadow = nullptr;
  uint64_t shared_bytes = 0;
  std::byte *local = nullptr; // local_bytes for each thread
  uint64_t local_bytes = 0;
  const std::byte *parameters = nullptr;
  uint64_t parameter_bytes = 0;
  // Global memory: host address = device address + data_delta, shadow byte = device address + shadow_delta.
  uint64_t data_delta = 0;
  uint64_t shadow_delta = 0;
  uint64_t allocation_begin = 0; // the allocation used last; empty at first
  uint64_t allocation_end = 0;
  uint32_t index[3] = {0, 0, 0};
  uint32_t thread_count = 0;
  uint32_t warp_count = 0;
  Warp *warps = nullptr;
  void *launch = nullptr; // the Launch it belongs to
};

/// Generic addresses of what is not global. Device memory never lies here.
inline constexpr uint64_t kSharedWindow = 0x0000'0200'0000'0000;
inline constexpr uint64_t kLocalWindow = 0x0000'0300'0000'0000;
inline constexpr uint64_t kParamWindow = 0x0000'0400'0000'0000;
inline constexpr uint64_t kWindowSize = uint64_t{1} << 32;

} // namespace tenon::emulator
