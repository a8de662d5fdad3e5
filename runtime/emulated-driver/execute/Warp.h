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
class FramePool;

/// Executes one operation for the lanes in `mask` (never empty) and returns the operation that follows.
using Handler = const Op *(*)(Warp &, const Op *, uint32_t mask);

inline constexpr uint32_t kLanes = 32;
inline constexpr uint32_t kAllLanes = ~0u;
inline constexpr uint32_t kNoSlot = ~0u;
inline constexpr uint32_t kBarriers = 16; // named barriers of a block

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
  uint8_t ordering = 0;      // kStrong and its like, of an access to memory or a fence
};

/// Bits of Op::ordering.
inline constexpr uint8_t kStrong = 1;  // volatile, relaxed, acquire, release, atomic: two such never race
inline constexpr uint8_t kAcquire = 2; // what other warps released at that address is known from here on
inline constexpr uint8_t kRelease = 4;
inline constexpr uint8_t kDivisible = 8; // a barrier at which the lanes of a warp may arrive apart
inline constexpr uint8_t kVolatile = 16; // strong to global memory; to shared memory only as far as a flag goes: Order.cpp
/// Op::flags of mma and wmma: the generation (Hopper and later), and what the opcode says.
enum TensorFlags : uint8_t { kFusesWholeK = 1, kSaturates = 2, kHalfResult = 4, kHalfAccumulator = 8 };

enum class Stop : uint8_t { kNone, kRegroup, kBarrier, kExit, kYield, kAwait, kFault };

/// One call of a function by lanes of a warp: the registers they use meanwhile. Lanes that make the same call later join
/// it, so that they can meet again. The kernel's own frame has no caller.
struct Frame {
  std::byte *registers = nullptr;
  Frame *caller = nullptr;
  const Op *call = nullptr; // where it was called
  uint32_t function = 0;    // in Program::functions
  uint32_t mask = 0;        // lanes that have not returned
  uint32_t depth = 0;
  uint64_t local = 0;       // where its variables start in each thread's local memory
};

/// Lanes of a warp that are at the same operation of the same call.
struct Group {
  enum Blocked : uint8_t { kRunning, kAwaiting, kConverging, kAtBarrier }; // awaiting: an mbarrier's phase, in vain so far
  const Op *next = nullptr;
  uint32_t mask = 0;
  Blocked blocked = kRunning;
  Frame *frame = nullptr;
};

/// The test of an mbarrier object that a warp made last, in vain.
struct AwaitedPhase {
  const Op *op = nullptr;
  uint32_t lane = 0, address = 0;
  uint32_t missing = 0, expected = 0; // arrivals
};

/// What the accesses of one operation cost, and what they would cost at best.
struct Traffic {
  uint64_t wavefronts = 0; // of shared memory: turns in which each bank gives one word
  uint64_t ideal_wavefronts = 0;
  uint64_t sectors = 0; // of global memory: 32 bytes each
  uint64_t ideal_sectors = 0;
};

struct Warp {
  std::byte *registers = nullptr; // of the frame of the group that runs
  Frame *frame = nullptr;
  const Op *limit = nullptr; // the dispatch loop runs while the next operation is below
  const Op *program = nullptr;
  uint64_t *counts = nullptr; // executions of each operation
  uint64_t *divergent_counts = nullptr; // those by a part of the warp, which `counts` leaves out
  Traffic *traffic = nullptr; // of each operation
  uint32_t mask = 0;          // lanes of the group that runs
  uint32_t live = 0;          // lanes that have not exited
  Stop stop = Stop::kNone;
  const Op *last = nullptr; // where its lanes in `mask` were when it stopped
  bool force = false;      // a group goes on though lanes it waits for cannot come
  uint8_t group_count = 0;
  uint32_t index = 0;      // in the block
  uint32_t budget = 0;     // backward branches and calls until other warps get a turn
  uint32_t passed = 0;     // lanes that were past the barrier at which others of the warp wait
  uint32_t barrier = 0;    // the barrier it waits at, and how many threads that one expects (0: all)
  uint32_t barrier_threads = 0;
  bool takes_reduction = false; // bar.red: it has arrived, and is executed again for its result
  bool arrives_only = false; // bar.arrive: counted at the barrier, does not wait
  AwaitedPhase awaited;      // after Stop::kAwait
  uint32_t synchronised = 0; // Block::time when its lanes last waited for each other
  uint32_t known[kLanes] = {}; // the accesses of each warp up to this time come before what this warp does next
  Block *block = nullptr;
  AsyncCopies *copies = nullptr;
  FramePool *frames = nullptr;
  Group groups[kLanes];
};

/// What the threads at a barrier answered so far (bar.red), and when it was last complete.
struct BarrierVotes {
  uint32_t yes = 0, no = 0;
  uint32_t last_yes = 0, last_no = 0;
  void complete() { *this = {0, 0, yes, no}; }
};

/// States of a shadow byte.
enum Shadow : uint8_t {
  kNeverWritten = 0,
  kWritten = 1,
  kPending = 2,
  kMbarrierLive = 4, // a byte of an mbarrier object; any other write ends that
  kMbarrierEnded = 8 // it was invalidated, and nothing written since
};

/// Who touched a word of four bytes last: a record for writes and one for reads, in eight bytes each.
///
///   bit 0      several of them        bits 8 to 12   lane
///   bit 1      unclear which bytes    bits 13 to 17  warp
///   bit 2      strong access          bits 18 to 31  operation, all ones where it does not fit
///   bit 3      by a divided warp      bits 32 to 63  when: shared memory, Block::time;
///   bits 4-7   the bytes                               global memory, number of the block and its barriers so far
///
/// "Several" are warps that read a word of shared memory, blocks that read, or wrote the same to, one of global memory.
/// There bit 3 tells of several readers too: warps of the block, with no barrier between.
namespace access_record {
inline constexpr uint64_t kSeveral = 1, kUnclear = 2, kStrongAccess = 4, kDivided = 8, kSeveralWarps = 8;
inline constexpr int kBytes = 4, kLane = 8, kWarp = 13, kOperation = 18, kWhen = 32;
inline constexpr uint64_t kAllBytes = uint64_t{15} << kBytes, kLaneBits = uint64_t{31} << kLane;
inline constexpr uint64_t kWarpBits = uint64_t{31} << kWarp;
inline constexpr uint64_t kMostOperations = (1u << 14) - 1;
// Of `when` for global memory.
inline constexpr int kBarrierBits = 10;
inline constexpr uint64_t kMostBarriers = (1u << kBarrierBits) - 1;
inline constexpr uint64_t kMostBlocks = (uint64_t{1} << (32 - kBarrierBits)) - 1;
inline constexpr uint64_t kBlockBits = ~uint64_t{0} << (kWhen + kBarrierBits);
} // namespace access_record

/// Where the records of a space are, and which of them can matter.
struct AccessRecords {
  uint64_t writes = 0; // the record of an address stands at writes + 2 (address rounded down to four); 0: not kept
  uint64_t reads = 0;
  uint64_t since = 0; // records below are ordered before everything that happens now
  uint64_t when = 0;  // shifted into place
  uint64_t owner = 0; // the bits that tell who it was
};

/// To look at the records of words, to add to them, and to touch the words is one step for other blocks: locks of parts of
/// global memory make it one where these run on other threads of the host.
struct WordLock {
  alignas(64) uint32_t held = 0;
};
inline constexpr uint32_t kWordLocks = 1024;
inline constexpr int kLockedPartBits = 10; // of an address: what of global memory a lock stands for

/// What the threads of one block share, and what their host thread keeps at hand.
struct Block {
  std::byte *shared = nullptr;
  uint8_t *shared_shadow = nullptr;
  uint64_t shared_bytes = 0;
  std::byte *local = nullptr; // local_bytes for each thread
  uint8_t *local_shadow = nullptr;
  uint64_t local_bytes = 0;
  const std::byte *parameters = nullptr;
  uint64_t parameter_bytes = 0;
  // Global memory: host address = device address + data_delta, shadow byte = device address + shadow_delta.
  uint64_t data_delta = 0;
  uint64_t shadow_delta = 0;
  AccessRecords shared_records, global_records;
  WordLock *word_locks = nullptr; // kWordLocks of them; nullptr where no other thread runs blocks
  uint32_t time = 0;     // grows when a warp waits for others, or others may have waited for it
  uint32_t barriers = 0; // that all threads passed
  uint32_t pending = 0;  // asynchronous copies on their way
  bool has_mbarriers = false; // this host thread has initialised some
  bool stands_still = false;  // for a while all turns ended at mbarrier objects: lanes that wait there let others pass
  uint64_t mbarrier_events = 0; // arrivals, waits that ended, objects begun and ended
  bool partly_ordered = false; // by something other than barriers of the whole block, since the last of these
  bool released = false, acquired = false; // a fence or an atomic may have ordered it with other blocks
  uint64_t allocation_begin = 0; // the allocation used last; empty at first
  uint64_t allocation_end = 0;
  uint64_t constant_begin = 0, constant_end = 0; // the same of a constant variable
  uint64_t changes = 0; // of memory, and of what else other warps may wait for
  bool compares_stores = false; // only stores of other bytes than stand there count as changes
  BarrierVotes votes[kBarriers];
  uint32_t index[3] = {0, 0, 0};
  uint32_t thread_count = 0;
  uint32_t warp_count = 0;
  Warp *warps = nullptr;
  void *launch = nullptr; // the Launch it belongs to
  void *workspace = nullptr; // and its part for this host thread
};

/// Another moment of a block begins: what comes after can be told from what came before.
static inline __attribute__((always_inline)) void advance_time(Block &block) {
  block.shared_records.when = uint64_t{++block.time} << access_record::kWhen;
}

/// Generic addresses of what is not global. Device memory never lies here.
inline constexpr uint64_t kSharedWindow = 0x0000'0200'0000'0000;
inline constexpr uint64_t kLocalWindow = 0x0000'0300'0000'0000;
inline constexpr uint64_t kParamWindow = 0x0000'0400'0000'0000;
inline constexpr uint64_t kWindowSize = uint64_t{1} << 32;

} // namespace tenon::emulator
