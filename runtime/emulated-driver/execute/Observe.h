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
  alignas(64) u64 stamp[32];
  u32 runs = 0, words = 1;
  bool adjacent = false; // 32 runs of one word, each behind the one before
};

/// Records of words side by side are looked at four at a time, where the processor compares them so.
typedef u64 Records __attribute__((vector_size(32)));
#ifdef __AVX2__
inline constexpr bool kBeside = true;
#else
inline constexpr bool kBeside = false;
#endif
struct AnyBit {
  Records beside = {};
  u64 alone = 0;
  void add(Records bits) { beside |= bits; }
  void add(u64 bits) { alone |= bits; }
  bool is_set() const { return (beside[0] | beside[1] | beside[2] | beside[3] | alone) != 0; }
};

/// Calls visit(stamps, place of the records), with Records where four stand side by side, or else with one of them.
template <class Visit> inline __attribute__((always_inline)) void for_each_record(const WordRuns &at, Visit visit) {
  constexpr u32 kCount = sizeof(Records) / sizeof(u64);
  if (kBeside && at.adjacent) {
    for (u32 run = 0; run < 32; run += kCount) {
      Records stamps;
      __builtin_memcpy(&stamps, at.stamp + run, sizeof(stamps));
      visit(stamps, at.begin[run]);
    }
  } else if (kBeside && at.words % kCount == 0) {
    for (u32 run = 0; run < at.runs; run++)
      for (u32 i = 0; i < at.words; i += kCount)
        visit(Records{} + at.stamp[run], at.begin[run] + i * sizeof(u64));
  } else {
    for (u32 run = 0; run < at.runs; run++)
      for (u32 i = 0; i < at.words; i++)
        visit(at.stamp[run], at.begin[run] + i * sizeof(u64));
  }
}
template <class V> inline __attribute__((always_inline)) V load_records(u64 place) {
  V records;
  __builtin_memcpy(&records, reinterpret_cast<const void *>(place), sizeof(records));
  return records;
}
template <class V> inline __attribute__((always_inline)) void store_records(u64 place, V records) {
  __builtin_memcpy(reinterpret_cast<void *>(place), &records, sizeof(records));
}

/// Not zero where a record says that another thread may use the word now. `owner`: the bits that tell whether it is another.
template <class V>
inline __attribute__((always_inline)) V contested_bits(V record, V mine, u64 since, u64 owner, u64 alarming) {
  return record >= since ? ((record ^ mine) & owner) | (record & alarming) : V{};
}

template <Space S, class V> inline __attribute__((always_inline)) V with_reader(V old, V mine, u64 since) {
  using namespace access_record;
  const V apart = old ^ mine, none = {};
  V others = (apart & kAllBytes) != 0 ? none + kUnclear : none;
  if constexpr (S == Space::kShared) {
    others |= ((apart & kWarpBits) != 0 ? none + kSeveral : none) | (old & (kSeveral | kUnclear | kDivided));
  } else {
    const V warps = (apart & kWarpBits) != 0 ? none + kSeveralWarps : old & kSeveralWarps;
    others |= ((apart & kBlockBits) != 0 ? none + kSeveral : none) | (old & (kSeveral | kUnclear)) |
              (apart >> kWhen != 0 ? none : warps);
  }
  return mine | (old >= since ? others : none);
}
/// Records reads; true if a word's last write is suspicious.
template <Space S> inline bool record_reads(const WordRuns &at, const AccessRecords records, u64 owner, u64 alarming) {
  AnyBit contested;
  for_each_record(at, [&]<class V>(V mine, u64 place) {
    contested.add(contested_bits(load_records<V>(records.writes + place), mine, records.since, owner, alarming));
    store_records(records.reads + place, with_reader<S>(load_records<V>(records.reads + place), mine, records.since));
  });
  return contested.is_set();
}
/// True if a record says that writes need judging.
inline bool any_contested(const WordRuns &at, const AccessRecords records, u64 owner, u64 alarming_writes,
                          u64 alarming_reads) {
  AnyBit contested;
  for_each_record(at, [&]<class V>(V mine, u64 place) {
    contested.add(contested_bits(load_records<V>(records.writes + place), mine, records.since, owner, alarming_writes) |
                  contested_bits(load_records<V>(records.reads + place), mine, records.since, owner, alarming_reads));
  });
  return contested.is_set();
}
/// Writes of whole words replace what was recorded; after writes of a part by several it is unclear who wrote which. Several
/// lanes of one instruction wrote a word of shared memory alike, else that is a finding. That another block has written too
/// stays known in global memory: where it wrote the same, only readers race.
template <Space S> inline void record_writes(const WordRuns &at, const AccessRecords records) {
  using namespace access_record;
  for_each_record(at, [&]<class V>(V mine, u64 place) {
    const V old = load_records<V>(records.writes + place), apart = old ^ mine, none = {};
    V others = (apart & records.owner) != 0 ? none + kUnclear : none;
    others |= old & (kAllBytes | kUnclear | (S == Space::kShared ? kDivided : 0));
    V kept = (mine & kAllBytes) == kAllBytes ? none : others;
    if constexpr (S == Space::kShared)
      kept |= (apart >> kWarp == 0 ? none + kSeveral : none) & ((apart & kLaneBits) != 0 ? none + kSeveral : none);
    if constexpr (S != Space::kShared)
      kept |= (apart & kBlockBits) != 0 ? none + kSeveral : old & kSeveral;
    store_records(records.writes + place, mine | (old >= records.since ? kept : none));
  });
}

/// The words that the lanes in `mask` touch, in runs.
inline void find_words(WordRuns &at, u64 stamp, u32 mask, const u64 *address, u32 bytes, bool consecutive) {
  using namespace access_record;
  at.words = bytes < 4 ? 1 : bytes / 4;
  if (consecutive && (bytes >= 4 || address[0] % 4 == 0)) {
    at.runs = bytes < 4 ? bytes * 8 : 32;
    at.adjacent = bytes == 4;
    u32 lanes_a_run = 32 / at.runs;
    for (u32 run = 0; run < at.runs; run++) {
      at.begin[run] = 2 * (address[0] + run * at.words * 4);
      at.stamp[run] = stamp | u64{run * lanes_a_run} << kLane | kAllBytes;
    }
    return;
  }
  const u64 touched = (bytes < 4 ? (u64{1} << bytes) - 1 : 15) << kBytes;
  auto put = [&](u32 run, u32 lane) {
    at.begin[run] = 2 * (address[lane] & ~u64{3});
    at.stamp[run] = stamp | u64{lane} << kLane | touched << (bytes < 4 ? address[lane] & 3 : 0);
  };
  if (mask == kAllLanes) {
    for (u32 lane = 0; lane < 32; lane++)
      put(lane, lane);
    at.runs = 32;
  } else {
    for (u32 rest = mask; rest; rest &= rest - 1)
      put(at.runs++, static_cast<u32>(__builtin_ctz(rest)));
  }
}

/// Compares an access with the records of its words, has suspicious ones judged, and records it.
template <Space S>
__attribute__((noinline)) void observe_order(Warp &warp, const Op *op, u32 mask, AccessKind kind, const u64 *address,
                                             u32 bytes, bool consecutive, const StoredValues *stored) {
  using namespace access_record;
  constexpr bool kShared = S == Space::kShared;
  const Block &block = *warp.block;
  const AccessRecords records = kShared ? block.shared_records : block.global_records;
  if (!records.writes)
    return;
  bool divided = kShared && warp.mask != warp.live;
  u64 number = static_cast<u64>(op - warp.program);
  u64 stamp = records.when | u64{warp.index} << kWarp | (number < kMostOperations ? number : kMostOperations) << kOperation |
              (op->ordering & kStrong ? kStrongAccess : 0) | (divided ? kDivided : 0);
  WordRuns at;
  find_words(at, stamp, mask, address, bytes, consecutive);
  // Lanes of one warp may meet as warps do, even where they run side by side: nothing holds them together.
  const u64 owner = kShared ? records.owner | kLaneBits : records.owner;
  constexpr u64 kAlarmingWrites = kShared ? kDivided : kSeveral, kAlarmingReads = kDivided | kSeveral;
  if (counts_as_read(kind)) {
    if (__builtin_expect(record_reads<S>(at, records, owner, kAlarmingWrites), 0))
      judge_accesses(warp, op, mask, S, kind, address, bytes, stored);
  } else {
    if (__builtin_expect(any_contested(at, records, owner, kAlarmingWrites, kAlarmingReads), 0))
      judge_accesses(warp, op, mask, S, kind, address, bytes, stored);
    record_writes<S>(at, records);
  }
}

/// Writes to shared memory must not meet a copy on its way: which of the two arrives last is open. Nor a live mbarrier object.
inline void check_overwritten(Warp &warp, const Op *op, u32 mask, AccessKind kind, const u64 *address, u32 bytes) {
  for (u32 rest = mask; rest; rest &= rest - 1) {
    u32 lane = static_cast<u32>(__builtin_ctz(rest));
    const u8 *states = warp.block->shared_shadow + address[lane];
    u8 any = 0;
    for (u32 i = 0; i < bytes; i++)
      any |= states[i];
    if (any & kPending)
      return report_overwritten_copy(warp, op, lane, static_cast<u32>(address[lane]), bytes, kind);
    if (any & kMbarrierLive)
      return report_mbarrier(warp, op, lane, {Space::kShared, kind, address[lane], bytes},
                             "a live mbarrier object is there: only mbarrier.inval ends it");
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
    const bool overwrites = !counts_as_read(kind) && kind != AccessKind::kMbarrierEnd;
    if ((warp.block->pending || warp.block->has_mbarriers) && overwrites)
      check_overwritten(warp, op, mask, kind, address, bytes);
  } else {
    if (consecutive) {
      traffic.sectors += (address[0] + 32 * bytes - 1) / kSectorBytes - address[0] / kSectorBytes + 1;
      traffic.ideal_sectors += bytes;
    } else {
      count_sectors(traffic, mask, address, bytes);
    }
    if (__builtin_expect(warp.block->pending != 0, 0) && !counts_as_read(kind))
      check_copied_sources(warp, op, mask, kind, address, bytes);
  }
  observe_order<S>(warp, op, mask, kind, address, bytes, consecutive, stored);
}

} // namespace tenon::emulator::TENON_ISA
