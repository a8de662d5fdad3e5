// ldmatrix, stmatrix, movmatrix: 8 by 8 matrices of 16-bit elements across the lanes. PTX ISA 9.7.14.5.15 to 17.
#pragma once
#include "execute/Control.h"
#include "execute/Memory.h"

namespace tenon::emulator::TENON_ISA {

/// The rows that lanes 0 to 8 · matrices - 1 address in shared memory. False: reported, the launch ends.
inline bool resolve_rows(Warp &warp, const Op *op, AccessKind kind, u32 &used, Access &access) {
  read_addresses(warp, op->operand[0], op->width[0], op->immediate, access.offset);
  TENON_LANES access.offset[lane] -= access.offset[lane] - kSharedWindow < kWindowSize ? kSharedWindow : 0;
  used = (op->count == 4 ? kAllLanes : (1u << (8 * op->count)) - 1) & warp.live;
  return resolve<Space::kShared>(warp, op, used, 16, kind, access);
}

/// to[r][i] = from[i][r], or from[r][i]; 8 by 8 elements of 16 bits.
template <bool Transposed> void arrange(const void *from, void *to) {
  alignas(64) u16 in[64], out[64];
  __builtin_memcpy(in, from, sizeof(in));
  for (int r = 0; r < 8; r++)
    for (int i = 0; i < 8; i++)
      out[r * 8 + i] = Transposed ? in[i * 8 + r] : in[r * 8 + i];
  __builtin_memcpy(to, out, sizeof(out));
}

/// ldmatrix: lanes 8m to 8m + 7 address the rows of matrix m; row r of 16 bytes goes to lanes 4r to 4r + 3.
template <bool Transposed> const Op *load_matrix(Warp &warp, const Op *op, u32 mask) {
  if (!is_whole_warp(warp, op, mask))
    return op;
  Access access;
  u32 used;
  if (!resolve_rows(warp, op, AccessKind::kRead, used, access))
    return stop_here(warp, op);
  check_states<16>(warp, op, used, Space::kShared, AccessKind::kRead, access);
  for (u32 m = 0; m < op->count; m++) {
    alignas(64) u32 result[32] = {};
    for (int r = 0; r < 8; r++)
      if (is_on(warp.live, static_cast<int>(m * 8) + r))
        __builtin_memcpy(&result[4 * r], access.bytes(static_cast<int>(m * 8) + r), 16);
    arrange<Transposed>(result, result);
    write_lanes<u32>(warp, op->more[m], result, mask);
  }
  return op + 1;
}

/// stmatrix: the other way round.
template <bool Transposed> const Op *store_matrix(Warp &warp, const Op *op, u32 mask) {
  if (!is_whole_warp(warp, op, mask))
    return op;
  Access access;
  u32 used;
  if (!resolve_rows(warp, op, AccessKind::kWrite, used, access))
    return stop_here(warp, op);
  for (u32 m = 0; m < op->count; m++) {
    alignas(64) u16 to[64];
    arrange<Transposed>(warp.registers + op->more[m], to);
    for (int r = 0; r < 8; r++) {
      __builtin_memcpy(access.bytes(static_cast<int>(m * 8) + r), &to[r * 8], 16);
      __builtin_memset(access.states(static_cast<int>(m * 8) + r), kWritten, 16);
    }
  }
  return op + 1;
}
/// movmatrix: transposes an 8 by 8 matrix of 16-bit elements across the lanes.
inline const Op *move_matrix(Warp &warp, const Op *op, u32 mask) {
  if (!is_whole_warp(warp, op, mask))
    return op;
  alignas(64) u32 result[32];
  arrange<true>(warp.registers + op->operand[1], result);
  write_lanes<u32>(warp, op->operand[0], result, mask);
  return op + 1;
}

} // namespace tenon::emulator::TENON_ISA
