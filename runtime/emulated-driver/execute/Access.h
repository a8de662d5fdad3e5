// Finds the bytes that the lanes of a warp address, after checking that they may be touched.
#pragma once
#include "execute/HeldWords.h"
#include "execute/Observe.h"

namespace tenon::emulator::TENON_ISA {

/// Host pointer of a lane's bytes = data + offset, its shadow = shadow + offset (0 where the space has no shadow).
struct Access {
  alignas(64) u64 offset[32];
  u64 data = 0;
  u64 shadow = 0;
  bool consecutive = false; // all 32 lanes, each right behind the one before
  HeldWords held;           // until the access is over

  std::byte *bytes(int lane) const { return reinterpret_cast<std::byte *>(data + offset[lane]); }
  u8 *states(int lane) const { return reinterpret_cast<u8 *>(shadow + offset[lane]); }
};

inline const Op *stop_here(Warp &warp, const Op *op) {
  warp.limit = nullptr;
  return op;
}

inline void read_addresses(Warp &warp, u32 slot, u8 width, s64 immediate, u64 *to) {
  if (width == 8) {
    const u64 *base = lanes<u64>(warp, slot);
    TENON_LANES to[lane] = base[lane] + static_cast<u64>(immediate);
  } else {
    const u32 *base = lanes<u32>(warp, slot);
    TENON_LANES to[lane] = static_cast<u32>(base[lane] + static_cast<u32>(immediate));
  }
}

/// Reports the first lane of `bad` and ends the launch.
inline bool refuse(Warp &warp, const Op *op, FindingKind kind, u32 bad, Space space, AccessKind access,
                   const u64 *address, u32 bytes) {
  u32 lane = static_cast<u32>(__builtin_ctz(bad));
  report_access(warp, op, kind, lane, {space, access, address[lane], bytes});
  return false;
}

/// Checks a window [0, size) and alignment for the lanes in `mask`.
inline bool check_window(Warp &warp, const Op *op, u32 mask, const u64 *address, u32 bytes, u64 size, Space space,
                         AccessKind access) {
  u64 wrong = 0;
  if (mask == kAllLanes) {
    TENON_LANES wrong |= (address[lane] & (bytes - 1)) | static_cast<u64>(address[lane] + bytes > size);
    if (wrong == 0)
      return true;
  }
  u32 misaligned = mask & collect([&](int lane) { return (address[lane] & (bytes - 1)) != 0; });
  if (misaligned)
    return refuse(warp, op, FindingKind::kMisaligned, misaligned, space, access, address, bytes);
  u32 outside = mask & collect([&](int lane) { return address[lane] + bytes > size || address[lane] > size; });
  if (outside)
    return refuse(warp, op, FindingKind::kOutOfBounds, outside, space, access, address, bytes);
  return true;
}

inline bool check_global(Warp &warp, const Op *op, u32 mask, const u64 *address, u32 bytes, AccessKind access) {
  Block &block = *warp.block;
  if (mask == kAllLanes) {
    u64 begin = block.allocation_begin, room = block.allocation_end - begin - bytes;
    u64 wrong = 0;
    if (block.allocation_end - begin >= bytes) {
      TENON_LANES wrong |= (address[lane] & (bytes - 1)) | static_cast<u64>(address[lane] - begin > room);
      if (wrong == 0)
        return true;
    }
  }
  u32 misaligned = mask & collect([&](int lane) { return (address[lane] & (bytes - 1)) != 0; });
  if (misaligned)
    return refuse(warp, op, FindingKind::kMisaligned, misaligned, Space::kGlobal, access, address, bytes);
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int lane = __builtin_ctz(rest);
    bool inside = address[lane] >= block.allocation_begin && address[lane] <= block.allocation_end &&
                  block.allocation_end - address[lane] >= bytes;
    if (!inside && !find_allocation(block, address[lane], bytes))
      return refuse(warp, op, FindingKind::kOutOfBounds, 1u << lane, Space::kGlobal, access, address, bytes);
  }
  return true;
}

/// Constant memory: nothing but the module's constant variables.
inline bool check_constant(Warp &warp, const Op *op, u32 mask, const u64 *address, u32 bytes, AccessKind access) {
  Block &block = *warp.block;
  u32 misaligned = mask & collect([&](int lane) { return (address[lane] & (bytes - 1)) != 0; });
  if (misaligned)
    return refuse(warp, op, FindingKind::kMisaligned, misaligned, Space::kConst, access, address, bytes);
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int lane = __builtin_ctz(rest);
    bool inside = address[lane] >= block.constant_begin && address[lane] <= block.constant_end &&
                  block.constant_end - address[lane] >= bytes;
    if (!inside && !find_constant(block, address[lane], bytes))
      return refuse(warp, op, FindingKind::kOutOfBounds, 1u << lane, Space::kConst, access, address, bytes);
  }
  return true;
}

/// Resolves the addresses in access.offset for the lanes in `mask`, all in one space. False: reported, the launch ends.
template <Space S>
inline bool resolve(Warp &warp, const Op *op, u32 mask, u32 bytes, AccessKind kind, Access &access,
                    const StoredValues *stored = nullptr) {
  Block &block = *warp.block;
  if constexpr (S == Space::kShared) {
    if (!check_window(warp, op, mask, access.offset, bytes, block.shared_bytes, S, kind))
      return false;
    access.data = reinterpret_cast<u64>(block.shared);
    access.shadow = reinterpret_cast<u64>(block.shared_shadow);
  } else if constexpr (S == Space::kParam) {
    if (!check_window(warp, op, mask, access.offset, bytes, block.parameter_bytes, S, kind))
      return false;
    access.data = reinterpret_cast<u64>(block.parameters);
    access.shadow = 0;
  } else if constexpr (S == Space::kLocal) {
    if (!check_window(warp, op, mask, access.offset, bytes, block.local_bytes, S, kind))
      return false;
    u64 first = u64{warp.index} * 32 * block.local_bytes;
    TENON_LANES access.offset[lane] += first + u64(lane) * block.local_bytes;
    access.data = reinterpret_cast<u64>(block.local);
    access.shadow = reinterpret_cast<u64>(block.local_shadow);
  } else {
    if (!(S == Space::kConst ? check_constant(warp, op, mask, access.offset, bytes, kind) : check_global(warp, op, mask, access.offset, bytes, kind)))
      return false;
    access.data = block.data_delta;
    access.shadow = block.shadow_delta;
  }
  if (mask == kAllLanes) {
    u64 apart = 0;
    TENON_LANES apart |= access.offset[lane] ^ (access.offset[0] + u64(lane) * bytes);
    access.consecutive = apart == 0;
  }
  if constexpr (S == Space::kGlobal)
    if (block.word_locks)
      access.held.take(block.word_locks, mask, access.offset, bytes, access.consecutive);
  if (!counts_as_read(kind) && kind != AccessKind::kAtomic && !stored) // those compare
    block.changes++;
  if constexpr (S == Space::kShared || S == Space::kGlobal)
    observe<S>(warp, op, mask, kind, access.offset, bytes, access.consecutive, stored);
  return true;
}

template <u32 Bytes> inline u32 states_word(const u8 *states) {
  if constexpr (Bytes == 1) {
    return *states;
  } else if constexpr (Bytes == 2) {
    u16 w;
    __builtin_memcpy(&w, states, 2);
    return w ^ 0x0101 ? (w & 0x0202 ? kPending : kNeverWritten) : kWritten;
  } else {
    u32 all = 0x01010101u, pending = 0;
    for (u32 i = 0; i < Bytes; i += 4) {
      u32 w;
      __builtin_memcpy(&w, states + i, 4);
      all &= w;
      pending |= w & 0x02020202u;
    }
    return pending ? kPending : all == 0x01010101u ? kWritten : kNeverWritten;
  }
}

/// Reports a read of bytes never written, still on their way, or of an mbarrier object. The read goes on.
inline void report_states(Warp &warp, const Op *op, u32 lane, Space space, AccessKind kind, const Access &access,
                          u32 bytes) {
  u64 address = access.offset[lane];
  const u8 *states = access.states(static_cast<int>(lane));
  u8 any = 0;
  for (u32 i = 0; i < bytes; i++)
    any |= states[i];
  if (any & kMbarrierLive)
    return report_mbarrier(warp, op, lane, {space, kind, address, bytes}, "a live mbarrier object is there, which only mbarrier operations may read");
  report_access(warp, op, any & kPending ? FindingKind::kPendingCopy : FindingKind::kUninitialisedMemory, lane,
                {space, kind, address, bytes});
}

template <u32 Bytes>
inline void check_states(Warp &warp, const Op *op, u32 mask, Space space, AccessKind kind, const Access &access) {
  if (!access.shadow)
    return;
  if (access.consecutive) {
    const u8 *states = access.states(0);
    u8 all = 0xff, any = 0;
    for (u32 i = 0; i < Bytes * 32; i++) {
      all &= states[i];
      any |= states[i];
    }
    if (all == kWritten && any == kWritten)
      return;
  }
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int lane = __builtin_ctz(rest);
    if (states_word<Bytes>(access.states(lane)) != kWritten) {
      report_states(warp, op, static_cast<u32>(lane), space, kind, access, Bytes);
      return;
    }
  }
}

/// Splits the lanes of a generic access by the window they fall in and makes addresses relative to it.
inline Space generic_space(u64 &address) {
  static constexpr struct { u64 begin; Space space; } kWindows[] = {
      {kSharedWindow, Space::kShared}, {kLocalWindow, Space::kLocal}, {kParamWindow, Space::kParam}};
  for (const auto &window : kWindows)
    if (address - window.begin < kWindowSize) {
      address -= window.begin;
      return window.space;
    }
  return Space::kGlobal;
}

} // namespace tenon::emulator::TENON_ISA
