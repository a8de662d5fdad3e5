// What is learnt from the addresses of an access besides whether they may be touched: how well banks and sectors are
// used, and whether another thread may be at the same bytes.
#pragma once
#include "execute/Lanes.h"

namespace tenon::emulator::TENON_ISA {

inline constexpr u32 kBanks = 32, kBankBytes = 4, kSectorBytes = 32;

/// Turns that shared memory takes for lanes of one phase: the most different words that fall to one group of banks.
/// `unit` holds each lane's address in units of the access, of which `groups` stand side by side.
inline u32 turns_of_phase(const u32 *unit, u32 count, u32 groups) {
  u8 taken[kBanks] = {};
  u32 most = 1;
  for (u32 i = 0; i < count; i++) {
    u32 same = 0;
    for (u32 j = 0; j < i; j++)
      same |= static_cast<u32>(unit[j] == unit[i]);
    u32 now = taken[unit[i] % groups] += static_cast<u8>(!same);
    most = now > most ? now : most;
  }
  return most;
}

/// Banks of four bytes; eight bytes a lane go by halves of a warp, sixteen by quarters (ldmatrix: a matrix a quarter).
/// "Shared memory" in the CUDA C++ programming guide, and NVIDIA's talks on Volta's memory.
__attribute__((noinline)) inline void count_wavefronts(Traffic &traffic, u32 mask, const u64 *address, u32 bytes) {
  u32 size = bytes < kBankBytes ? kBankBytes : bytes, groups = kBanks * kBankBytes / size;
  alignas(64) u32 unit[32];
  int shift = __builtin_ctz(size);
  TENON_LANES unit[lane] = static_cast<u32>(address[lane] >> shift);
  for (u32 first = 0; first < 32; first += groups) {
    u32 here = mask >> first & (groups == 32 ? kAllLanes : (1u << groups) - 1);
    if (!here)
      continue;
    traffic.ideal_wavefronts++;
    u32 apart = 0;
    alignas(64) u32 active[32];
    u32 count = 0;
    if (here == (groups == 32 ? kAllLanes : (1u << groups) - 1)) {
      for (u32 i = 0; i < groups; i++)
        apart |= 1u << (unit[first + i] % groups);
      count = groups;
      if (apart != here)
        for (u32 i = 0; i < groups; i++)
          active[i] = unit[first + i];
    } else {
      for (; here; here &= here - 1) {
        active[count] = unit[first + static_cast<u32>(__builtin_ctz(here))];
        apart |= 1u << (active[count++] % groups);
      }
    }
    traffic.wavefronts +=
        static_cast<u32>(__builtin_popcount(apart)) == count ? 1 : turns_of_phase(active, count, groups);
  }
}

/// Sectors that the lanes touch, beside the least that would hold as many bytes.
__attribute__((noinline)) inline void count_sectors(Traffic &traffic, u32 mask, const u64 *address, u32 bytes) {
  alignas(64) u64 seen[64];
  u32 distinct = 0;
  u64 last = ~u64{0};
  bool ascending = true;
  for (u32 rest = mask; rest; rest &= rest - 1) {
    u64 sector = address[__builtin_ctz(rest)] / kSectorBytes;
    if (sector == last)
      continue;
    ascending &= distinct == 0 || sector > last;
    last = seen[distinct++] = sector;
  }
  if (!ascending) {
    u32 kept = 0;
    for (u32 i = 0; i < distinct; i++) {
      u32 same = 0;
      for (u32 j = 0; j < kept; j++)
        same |= static_cast<u32>(seen[j] == seen[i]);
      seen[kept] = seen[i];
      kept += !same;
    }
    distinct = kept;
  }
  u32 least = (static_cast<u32>(__builtin_popcount(mask)) * bytes + kSectorBytes - 1) / kSectorBytes;
  traffic.sectors += distinct;
  traffic.ideal_sectors += distinct < least ? distinct : least;
}

/// A warp's access to words of four bytes, one run of words a lane (or one run in all where lanes follow each other).
struct WordRuns {
  u64 begin[32]; // twice the address of the first word: what is added to AccessRecords
  u64 stamp[32];
  u32 runs = 0, words = 1;
};

/// True if a record says that another thread may use the word now. `owner`: the bits that tell whether it is another.
inline bool any_contested(const WordRuns &at, u64 records, u64 since, u64 owner, u64 alarming) {
  u64 contested = 0;
  for (u32 run = 0; run < at.runs; run++) {
    const u64 *record = reinterpret_cast<const u64 *>(records + at.begin[run]);
    const u64 mine = at.stamp[run];
    if (at.words == 4) { // as a constant: what ldmatrix and 16-byte copies read
      for (u32 i = 0; i < 4; i++)
        contested |= record[i] >= since ? ((record[i] ^ mine) & owner) | (record[i] & alarming) : 0;
    } else {
      for (u32 i = 0; i < at.words; i++)
        contested |= record[i] >= since ? ((record[i] ^ mine) & owner) | (record[i] & alarming) : 0;
    }
  }
  return contested != 0;
}

template <Space S> inline u64 with_reader(u64 old, u64 mine, u64 since) {
  using namespace access_record;
  const u64 apart = old ^ mine;
  u64 others = (apart & kAllBytes) != 0 ? kUnclear : 0;
  if constexpr (S == Space::kShared)
    others |= ((apart & kWarpBits) != 0 ? kSeveral : 0) | (old & (kSeveral | kUnclear | kDivided));
  else
    others |= ((apart & kBlockBits) != 0 ? kSeveral : 0) | (old & (kSeveral | kUnclear)) |
              (apart >> kWhen != 0 ? 0 : (apart & kWarpBits) != 0 ? kSeveralWarps : old & kSeveralWarps);
  return mine | (old >= since ? others : 0);
}
template <Space S> inline void record_reads(const WordRuns &at, u64 records, u64 since) {
  for (u32 run = 0; run < at.runs; run++) {
    u64 *record = reinterpret_cast<u64 *>(records + at.begin[run]);
    const u64 mine = at.stamp[run];
    if (at.words == 4)
      for (u32 i = 0; i < 4; i++)
        record[i] = with_reader<S>(record[i], mine, since);
    else
      for (u32 i = 0; i < at.words; i++)
        record[i] = with_reader<S>(record[i], mine, since);
  }
}
/// Writes of whole words replace what was recorded; after writes of a part by several it is unclear who wrote which. That
/// another block has written too stays known in global memory: where it wrote the same, only readers race.
template <Space S> inline void record_writes(const WordRuns &at, u64 records, u64 since, u64 owner) {
  using namespace access_record;
  for (u32 run = 0; run < at.runs; run++) {
    u64 *record = reinterpret_cast<u64 *>(records + at.begin[run]);
    u64 mine = at.stamp[run];
    if ((mine & kAllBytes) != kAllBytes && *record >= since)
      mine |= (*record & (kAllBytes | kUnclear | (S == Space::kShared ? kDivided : 0))) |
              (((*record ^ mine) & owner) != 0 ? kUnclear : 0);
    for (u32 i = 0; i < at.words; i++)
      if constexpr (S == Space::kShared)
        record[i] = mine;
      else
        record[i] = mine | (record[i] < since ? 0 : ((record[i] ^ mine) & kBlockBits) != 0 ? kSeveral : record[i] & kSeveral);
  }
}

/// Compares an access with the records of its words, has suspicious ones judged, and records it.
template <Space S>
__attribute__((noinline)) void observe_order(Warp &warp, const Op *op, u32 mask, AccessKind kind, const u64 *address,
                                             u32 bytes, bool consecutive, const StoredValues *stored) {
  using namespace access_record;
  constexpr bool kShared = S == Space::kShared;
  const Block &block = *warp.block;
  const AccessRecords &records = kShared ? block.shared_records : block.global_records;
  if (!records.writes)
    return;
  bool reads = kind == AccessKind::kRead || kind == AccessKind::kCopySource;
  bool divided = kShared && warp.mask != warp.live;
  u64 number = static_cast<u64>(op - warp.program);
  u64 stamp = records.when | u64{warp.index} << kWarp | (number < kMostOperations ? number : kMostOperations) << kOperation |
              (op->ordering & kStrong ? kStrongAccess : 0) | (divided ? kDivided : 0);
  WordRuns at;
  if (consecutive && (bytes >= 4 || address[0] % 4 == 0)) {
    at.runs = bytes < 4 ? bytes * 8 : 32;
    at.words = bytes < 4 ? 1 : bytes / 4;
    u32 lanes_a_run = 32 / at.runs;
    for (u32 run = 0; run < at.runs; run++) {
      at.begin[run] = 2 * (address[0] + run * at.words * 4);
      at.stamp[run] = stamp | u64{run * lanes_a_run} << kLane | kAllBytes;
    }
  } else {
    at.words = bytes < 4 ? 1 : bytes / 4;
    for (u32 rest = mask; rest; rest &= rest - 1) {
      int lane = __builtin_ctz(rest);
      at.begin[at.runs] = 2 * (address[lane] & ~u64{3});
      u64 touched = bytes < 4 ? ((1u << bytes) - 1) << (address[lane] & 3) : 15;
      at.stamp[at.runs++] = stamp | u64(lane) << kLane | touched << kBytes;
    }
  }
  // Lanes of one warp that take turns may meet as warps do.
  u64 owner = divided ? records.owner | u64{31} << kLane : records.owner;
  bool contested = any_contested(at, records.writes, records.since, owner, kShared ? kDivided : kSeveral);
  if (!reads)
    contested |= any_contested(at, records.reads, records.since, owner, kDivided | kSeveral);
  if (__builtin_expect(contested, 0))
    judge_accesses(warp, op, mask, S, kind, address, bytes, stored);
  if (reads)
    record_reads<S>(at, records.reads, records.since);
  else
    record_writes<S>(at, records.writes, records.since, records.owner);
}

/// Writes to shared memory must not meet a copy on its way: which of the two arrives last is open.
inline void check_overwritten_copies(Warp &warp, const Op *op, u32 mask, AccessKind kind, const u64 *address, u32 bytes) {
  for (u32 rest = mask; rest; rest &= rest - 1) {
    u32 lane = static_cast<u32>(__builtin_ctz(rest));
    const u8 *states = warp.block->shared_shadow + address[lane];
    u8 any = 0;
    for (u32 i = 0; i < bytes; i++)
      any |= states[i];
    if (any & kPending)
      return report_overwritten_copy(warp, op, lane, static_cast<u32>(address[lane]), bytes, kind);
  }
}

/// After an access was found to be allowed.
template <Space S>
inline void observe(Warp &warp, const Op *op, u32 mask, AccessKind kind, const u64 *address, u32 bytes,
                    bool consecutive, const StoredValues *stored) {
  Traffic &traffic = warp.traffic[op - warp.program];
  if constexpr (S == Space::kShared) {
    if (consecutive) {
      u64 phases = bytes < kBankBytes ? 1 : bytes / kBankBytes;
      traffic.wavefronts += phases;
      traffic.ideal_wavefronts += phases;
    } else {
      count_wavefronts(traffic, mask, address, bytes);
    }
    if (warp.block->pending && kind != AccessKind::kRead)
      check_overwritten_copies(warp, op, mask, kind, address, bytes);
  } else {
    if (consecutive) {
      traffic.sectors += (address[0] + 32 * bytes - 1) / kSectorBytes - address[0] / kSectorBytes + 1;
      traffic.ideal_sectors += bytes;
    } else {
      count_sectors(traffic, mask, address, bytes);
    }
  }
  observe_order<S>(warp, op, mask, kind, address, bytes, consecutive, stored);
}

} // namespace tenon::emulator::TENON_ISA
