// Whether something orders two accesses: what the records of words and the knowledge of warps say together.
#include "launch/Flow.h"
#include "launch/Launch.h"
#include <algorithm>
#include <bit>
#include <cstring>
#include <emmintrin.h>
#include <thread>

namespace tenon::emulator {
namespace {
using namespace access_record;

/// The fields of a record.
struct Record {
  explicit Record(uint64_t bits)
      : flags(bits), bytes(static_cast<uint32_t>(bits >> kBytes & 15)), lane(static_cast<uint32_t>(bits >> kLane & 31)),
        warp(static_cast<uint32_t>(bits >> access_record::kWarp & 31)), operation(bits >> kOperation & kMostOperations),
        when(bits >> kWhen) {}
  uint64_t flags;
  uint32_t bytes, lane, warp;
  uint64_t operation, when;
  uint64_t block() const { return when >> kBarrierBits; }
  uint64_t barriers() const { return when & kMostBarriers; }
  bool is(uint64_t flag) const { return flags & flag; }
};

/// What is wrong where nothing orders two accesses. `other`: who it was, where the record tells only that there was one.
struct Race {
  const char *why = nullptr; // nullptr: something orders them, or may
  const char *other = nullptr;
};
constexpr const char *kNoBarrier = "with no barrier between", *kBlocksUnordered = "with nothing that orders the two blocks";

/// One lane's access to one word, beside what a record says of an earlier one.
struct Meeting {
  Warp &warp;
  const Op *op;
  uint32_t lane, bytes; // bytes: a mask of those of the word
  Space space;
  bool earlier_reads; // the record is of reads
  uint64_t last_reader; // the operation that read the word last

  bool divided() const { return warp.mask != warp.live; }

  /// Two strong accesses never race. Volatile ones to shared memory are no synchronisation, whatever old code hopes of them,
  /// unless the word is a flag: one of the two waits for it in a loop, or who read it last does.
  bool never_races(const Record &earlier) const {
    if (!earlier.is(kStrongAccess) || !(op->ordering & kStrong))
      return false;
    Launch &launch = launch_of(*warp.block);
    const Program &program = *launch.request().program;
    const bool both_volatile = space == Space::kShared && op->ordering & kVolatile && earlier.operation != kMostOperations &&
                               program.ops[earlier.operation].ordering & kVolatile;
    return !both_volatile || launch.polls_at(static_cast<uint64_t>(op - warp.program)) || launch.polls_at(earlier.operation) ||
           launch.polls_at(last_reader);
  }

  Race race(const Record &earlier) const {
    if (earlier.is(kUnclear) || !(earlier.bytes & bytes) || never_races(earlier))
      return {};
    if (space == Space::kGlobal)
      return race_in_global(earlier);
    const Block &block = *warp.block;
    if (earlier_reads && earlier.is(kSeveral) && !block.partly_ordered)
      return {kNoBarrier};
    if (earlier.warp != warp.index)
      return {earlier.when > warp.known[earlier.warp] ? kNoBarrier : nullptr};
    const bool alike = !earlier_reads && earlier.is(kSeveral); // by several lanes at once
    if (alike || earlier.lane == lane || earlier.when < warp.synchronised || earlier.when <= warp.known[warp.index])
      return {};
    return {earlier.is(kDivided) || divided() ? "in the same warp, whose lanes had parted; no __syncwarp is between"
                                              : "in the same warp; no __syncwarp is between, and lanes may part anywhere"};
  }

  Race race_in_global(const Record &earlier) const {
    const Block &block = *warp.block;
    const Record now(block.global_records.when);
    if (earlier.block() != now.block()) {
      bool ordered = block.acquired && launch_of(block).has_released(earlier.block());
      return {ordered ? nullptr : kBlocksUnordered};
    }
    if (earlier.is(kSeveral) && !block.acquired)
      return {kBlocksUnordered, "another block"};
    const bool same_warp = earlier.warp == warp.index, others = earlier_reads && earlier.is(kSeveralWarps);
    if ((same_warp && !others) || block.partly_ordered || block.released || earlier.barriers() == kMostBarriers ||
        earlier.barriers() != now.barriers())
      return {};
    return {kNoBarrier, same_warp ? "another warp" : nullptr};
  }
};

/// True if what the lane writes stands there already.
bool writes_the_same(const Block &block, Space space, uint64_t address, uint32_t lane, uint32_t bytes,
                     const StoredValues &stored) {
  const std::byte *there = space == Space::kShared ? block.shared + address
                                                   : reinterpret_cast<const std::byte *>(address + block.data_delta);
  for (uint32_t i = 0; i * stored.bytes < bytes; i++)
    if (std::memcmp(there + i * stored.bytes, stored.values + size_t{i} * stored.stride + size_t{lane} * stored.bytes,
                    stored.bytes))
      return false;
  return true;
}
} // namespace

void judge_accesses(Warp &warp, const Op *op, uint32_t mask, Space space, AccessKind kind, const uint64_t *address,
                    uint32_t bytes, const StoredValues *stored) {
  const Block &block = *warp.block;
  const AccessRecords &records = space == Space::kShared ? block.shared_records : block.global_records;
  const bool reads = counts_as_read(kind);
  Launch &launch = launch_of(block);
  for (; mask; mask &= mask - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
    for (uint64_t at = address[lane]; at < address[lane] + bytes; at = (at & ~uint64_t{3}) + 4) {
      const uint32_t touched = bytes < 4 ? ((1u << bytes) - 1) << (at & 3) : 15;
      for (bool earlier_reads : {false, true}) {
        if (earlier_reads && reads)
          continue;
        const uint64_t where = (earlier_reads ? records.reads : records.writes) + 2 * (at & ~uint64_t{3});
        const uint64_t bits = *reinterpret_cast<const uint64_t *>(where);
        const Record earlier(bits);
        const uint64_t last = *reinterpret_cast<const uint64_t *>(records.reads + 2 * (at & ~uint64_t{3}));
        const uint64_t last_reader = last < records.since ? kNoOperation : Record(last).operation;
        const Meeting meeting{warp, op, lane, touched, space, earlier_reads, last_reader};
        const Race race = bits < records.since ? Race{} : meeting.race(earlier);
        if (!race.why || (!earlier_reads && stored && writes_the_same(block, space, address[lane], lane, bytes, *stored)))
          continue;
        const FindingKind found = space == Space::kGlobal           ? FindingKind::kGlobalRace
                                  : earlier.warp == warp.index && !earlier.is(kSeveral) ? FindingKind::kWarpRace
                                                                                         : FindingKind::kSharedRace;
        const AccessRecord access{space, kind, address[lane], bytes};
        if (launch.is_known(op, found))
          return;
        std::string other = race.other ? race.other : launch.describe(earlier.operation, earlier.warp, earlier.lane);
        if (!race.other && space == Space::kGlobal && earlier.block() != Record(block.global_records.when).block())
          other += " of block number " + std::to_string(earlier.block() - launch.first_block());
        launch.report(warp, op, found, lane,
                      std::string(earlier_reads ? "these were read by " : "these were written by ") + other + ", " + race.why,
                      &access);
        return;
      }
    }
  }
}

namespace {
/// Whether `store` may store what was computed from what `load` loaded, with nothing between at which a warp synchronises.
bool is_made_of(const Program &program, uint64_t load, uint64_t store) {
  for (const FunctionCode &function : program.functions) {
    if (load < function.first_op || load >= function.end_op || store < function.first_op || store >= function.end_op)
      continue;
    std::vector<const Instruction *> body;
    for (uint64_t op = function.first_op; op < function.end_op; op++) {
      const Instruction *instruction = program.instruction(program.ops[op]);
      if (!instruction || (!body.empty() && body.back() == instruction))
        continue;
      body.push_back(instruction);
      const bool between = op > load && op < store;
      if (between && (instruction->opcode.find(".sync") != std::string::npos || instruction->opcode.starts_with("bar")))
        return false;
    }
    std::vector<uint32_t> made;
    add_registers(program.instruction(program.ops[load])->operands[0], made);
    add_made(body, made);
    const std::vector<Operand> &stored = program.instruction(program.ops[store])->operands;
    return stored.size() > 1 && names_any(stored[1], made);
  }
  return false;
}
} // namespace

void check_lost_update(Warp &warp, const Op *op, uint32_t lanes, const AccessRecord &access) {
  const Block &block = *warp.block;
  const bool shared = access.space == Space::kShared;
  const AccessRecords &records = shared ? block.shared_records : block.global_records;
  Launch &launch = launch_of(block);
  if (!records.writes || launch.is_known(op, FindingKind::kWarpRace))
    return;
  const uint64_t bits = *reinterpret_cast<const uint64_t *>(records.reads + 2 * (access.address & ~uint64_t{3}));
  const Record read(bits);
  const bool now = shared ? bits >= records.since && read.when >= warp.synchronised : read.when == Record(records.when).when;
  if (!now || read.warp != warp.index || read.operation == kMostOperations ||
      !is_made_of(*launch.request().program, read.operation, static_cast<uint64_t>(op - warp.program)))
    return;
  launch.report(warp, op, FindingKind::kWarpRace, static_cast<uint32_t>(std::countr_zero(lanes)),
                std::to_string(std::popcount(lanes)) + " lanes store what they made of what was loaded there by " +
                    launch.describe(read.operation, warp.index, read.lane) + " and the others: all but one of their updates are lost",
                &access);
}

void wait_for_lock(WordLock &lock) {
  constexpr int kSpins = 100; // an access takes a fraction of a microsecond, unless its thread lost its core
  do {
    for (int i = 0; i < kSpins && __atomic_load_n(&lock.held, __ATOMIC_RELAXED); i++)
      _mm_pause();
    if (__atomic_load_n(&lock.held, __ATOMIC_RELAXED))
      std::this_thread::yield();
  } while (__atomic_exchange_n(&lock.held, 1, __ATOMIC_ACQUIRE));
}

void publish_order(Warp &warp, uint32_t key) {
  Block &block = *warp.block;
  Knowledge &published = launch_of(block).published(block, key);
  for (uint32_t i = 0; i < block.warp_count; i++)
    published.of[i] = std::max(published.of[i], warp.known[i]);
  published.of[warp.index] = block.time;
  advance_time(block);
  block.partly_ordered = true;
  if (key == kFenceKey && !block.released) {
    block.released = true;
    launch_of(block).note_released(Record(block.global_records.when).block());
  }
}

/// Beside what was published there: when each warp used the object last. No address of shared memory has this bit.
static constexpr uint32_t kUsersKey = 1u << 31;

void note_mbarrier_use(Warp &warp, uint32_t address) {
  launch_of(*warp.block).published(*warp.block, address | kUsersKey).of[warp.index] = warp.block->time;
}

void check_mbarrier_users(Warp &warp, const Op *op, uint32_t lane, uint32_t address) {
  Launch &launch = launch_of(*warp.block);
  const Knowledge &users = launch.published(*warp.block, address | kUsersKey);
  for (uint32_t other = 0; other < warp.block->warp_count; other++) {
    if (other == warp.index || users.of[other] <= warp.known[other])
      continue;
    const AccessRecord access{Space::kShared, AccessKind::kMbarrierEnd, address, 8};
    if (!launch.is_known(op, FindingKind::kSharedRace))
      launch.report(warp, op, FindingKind::kSharedRace, lane,
                    "warp " + std::to_string(other) + " uses the object, with no barrier between", &access);
    return;
  }
}

void adopt_order(Warp &warp, uint32_t key) {
  Block &block = *warp.block;
  const Knowledge &published = launch_of(block).published(block, key);
  for (uint32_t i = 0; i < block.warp_count; i++)
    warp.known[i] = std::max(warp.known[i], published.of[i]);
  block.acquired |= key == kFenceKey;
}

bool Launch::polls_at(uint64_t op) {
  const Program &program = *request_.program;
  if (op >= program.ops.size() || !(program.ops[op].ordering & kVolatile))
    return false;
  std::lock_guard lock(polls_mutex_);
  auto [known, fresh] = polls_.try_emplace(op, false);
  if (fresh)
    known->second = polls(program, op);
  return known->second;
}

void Launch::note_released(uint64_t block) {
  std::lock_guard lock(released_mutex_);
  released_.insert(block);
}
bool Launch::has_released(uint64_t block) {
  std::lock_guard lock(released_mutex_);
  return released_.count(block) != 0;
}

} // namespace tenon::emulator
