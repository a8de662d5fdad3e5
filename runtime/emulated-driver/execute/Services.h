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
};

enum class AccessKind : uint8_t { kRead, kWrite, kAtomic, kCopySource, kCopyDestination };

/// One access of one lane, for a finding.
struct AccessRecord {
  Space space;
  AccessKind access;
  uint64_t address;
  uint32_t bytes;
};

/// True if [address, address + bytes) lies inside one live allocation, which becomes the block's allocation at hand.
bool find_allocation(Block &block, uint64_t address, uint32_t bytes);

/// Records a finding about an access. A fault (out of bounds, misaligned) ends the launch.
void report_access(Warp &warp, const Op *op, FindingKind kind, uint32_t lane, const AccessRecord &access);
/// Records a finding about an operation as a whole.
void report_operation(Warp &warp, const Op *op, FindingKind kind, uint32_t lanes, const char *detail);

/// Asynchronous copies of a warp: issue keeps the bytes apart and poisons the destination; a wait commits them.
void issue_copies(Warp &warp, uint32_t mask, const uint32_t *destination, const std::byte *data, uint32_t bytes);
void commit_copies(Warp &warp, uint32_t mask);
void wait_copies(Warp &warp, uint32_t mask, uint32_t newest_pending, bool everything);

/// Nanoseconds for %globaltimer, ticks for %clock.
uint64_t read_clock(bool nanoseconds);

} // namespace tenon::emulator
