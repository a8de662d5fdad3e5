// What the executor asks of the rest of the emulator: the slow paths, compiled once for the least instruction set.
#pragma once
#include "execute/Warp.h"
#include "ptx/Module.h"

namespace tenon::emulator {

enum class FindingKind : uint8_t {
  kOutOfBounds,
  kUseAfterFree,
  kMisaligned,
  kUninitialisedMemory,
  kUninitialisedRegister,
  kPendingCopy,
  kDivergentBarrier,
  kDivergentWarp,
  kDeadlock,
  kTimeout,
  kTrap,
  kGeometry,
  kSharedRace,
  kGlobalRace,
  kWarpRace,
  kWrongMembers,
  kMbarrierMisuse,
};

enum class AccessKind : uint8_t { kRead, kWrite, kAtomic, kCopySource, kCopyDestination, kMbarrierUse, kMbarrierEnd };
/// What never races with another of its kind. Those who use an mbarrier object change it, but only its end and its beginning
/// have to be ordered with that: to the records they read it.
constexpr bool counts_as_read(AccessKind kind) {
  return kind == AccessKind::kRead || kind == AccessKind::kCopySource || kind == AccessKind::kMbarrierUse;
}

/// One access of one lane, for a finding.
struct AccessRecord {
  Space space;
  AccessKind access;
  uint64_t address;
  uint32_t bytes;
};

/// True if [address, address + bytes) lies inside one live allocation, which becomes the block's allocation at hand.
bool find_allocation(Block &block, uint64_t address, uint32_t bytes);
/// The same of a constant variable of a module.
bool find_constant(Block &block, uint64_t address, uint32_t bytes);

/// Records a finding about an access. A fault (out of bounds, misaligned) ends the launch.
void report_access(Warp &warp, const Op *op, FindingKind kind, uint32_t lane, const AccessRecord &access);
/// Records a finding about an operation as a whole.
void report_operation(Warp &warp, const Op *op, FindingKind kind, uint32_t lanes, const char *detail);

/// Notes in Warp::passed which lanes are past the barrier `op` while others of their warp wait there: every way from the barrier
/// leads through the place where they are, and that is not the end. Those that leave early, by `if (i >= n) return`, are not.
void note_passed(Warp &warp, const Op *op);

/// Lanes of one instruction write, or read, words that records say others may be using. Reports the first that no
/// barrier, fence or atomic orders. `values`, where given, are the bytes that each lane writes, `stride` apart for each
/// of `parts`: writing what is there already is no race.
struct StoredValues {
  const std::byte *values = nullptr;
  uint32_t bytes = 0, stride = 0; // of a part of one lane; from part to part
};
void judge_accesses(Warp &warp, const Op *op, uint32_t mask, Space space, AccessKind kind, const uint64_t *address,
                    uint32_t bytes, const StoredValues *stored);
/// Reports a plain store of `lanes` to one place where what they store was made of what they loaded there: all but one of
/// their updates are lost, though they may store the same. Nothing where their warp has synchronised in between.
void check_lost_update(Warp &warp, const Op *op, uint32_t lanes, const AccessRecord &access);
/// Takes a lock that another thread holds: waits for it.
void wait_for_lock(WordLock &lock);
/// An access of which a lane's bytes are on their way by an asynchronous copy.
void report_overwritten_copy(Warp &warp, const Op *op, uint32_t lane, uint32_t address, uint32_t bytes, AccessKind kind);
/// Reports a lane that writes to global memory from which a copy of the block is on its way.
void check_copied_sources(Warp &warp, const Op *op, uint32_t mask, AccessKind kind, const uint64_t *address, uint32_t bytes);

/// An access of a lane that only an mbarrier object allows, or forbids.
void report_mbarrier(Warp &warp, const Op *op, uint32_t lane, const AccessRecord &access, const char *why);
/// The warp uses the mbarrier object at `address` of shared memory now.
void note_mbarrier_use(Warp &warp, uint32_t address);
/// Reports the end of an object that another warp may still use.
void check_mbarrier_users(Warp &warp, const Op *op, uint32_t lane, uint32_t address);

/// Order between warps that no barrier makes: what `warp` did becomes known to those that adopt the same key later.
/// Keys are addresses of shared memory, or kFenceKey.
inline constexpr uint32_t kFenceKey = ~0u;
void publish_order(Warp &warp, uint32_t key);
void adopt_order(Warp &warp, uint32_t key);

/// Asynchronous copies of a warp: issue keeps the bytes apart and poisons the destination; a wait commits them.
struct CopiedBytes {
  const uint32_t *destination; // in shared memory
  const uint64_t *source;      // in global memory, of which `size` bytes are read; the others are zero
  const uint32_t *size;
  const std::byte *data;
  uint32_t bytes; // of one lane
};
void issue_copies(Warp &warp, const Op *op, uint32_t mask, const CopiedBytes &copied);
void commit_copies(Warp &warp, uint32_t mask);
void wait_copies(Warp &warp, uint32_t mask, uint32_t newest_pending, bool everything);

/// Enters the function that `op` calls, or for an indirect call the one at `address`, and passes the arguments. Returns its
/// first operation, and the frame; the operation behind the call where the driver itself did the work; nullptr where the
/// launch ends.
const Op *enter_function(Warp &warp, const Op *op, uint32_t mask, uint64_t address, Frame *&frame);
/// Passes the results to the caller; the lanes leave the frame.
void leave_function(Warp &warp, uint32_t mask);
/// Lanes that exit inside a function leave every frame they are in.
void leave_all_functions(Warp &warp, uint32_t mask);

/// The lane arrives at the mbarrier at `address` of shared memory when its copies so far are there.
void arrive_with_copies(Warp &warp, int lane, uint32_t address);
/// Lets the copies arrive that somebody now waits for at that mbarrier, and calls `arrive(object, 1)` for each thread's.
void finish_arrivals(Block &block, uint32_t address, void (*arrive)(void *object, uint32_t count), void *object);

/// Nanoseconds for %globaltimer, ticks for %clock.
uint64_t read_clock(bool nanoseconds);

} // namespace tenon::emulator
