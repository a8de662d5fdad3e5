// wmma: whole matrices of a warp, loaded, multiplied, stored. PTX ISA 9.7.14.4. Which lane holds which element is the
// machine's own affair: here lane l holds the elements l·n to l·n + n - 1 of the matrix by rows, n = elements / 32. The
// eight registers of a float16 operand hold its elements twice, as the ISA sizes them.
#pragma once
#include "execute/Memory.h"
#include "execute/TensorCoreIntegers.h"
#include "execute/TensorCore.h"

namespace tenon::emulator::TENON_ISA {

/// What Op::target says of a matrix in memory.
struct WmmaMatrix {
  u32 rows, columns, bytes; // of one element
  bool by_columns;          // neighbours in a column are neighbours in memory
  static WmmaMatrix of(u32 packed) { return {packed & 0xff, packed >> 8 & 0xff, packed >> 16 & 0xff, (packed >> 24 & 1) != 0}; }
  u32 elements_per_lane() const { return rows * columns / 32; }
  /// Place of element `index` by rows, in elements, where lines are `stride` apart.
  u64 place(u32 index, u64 stride) const {
    u64 row = index / columns, column = index % columns;
    return by_columns ? column * stride + row : row * stride + column;
  }
};

/// Calls body(element of the lane, access) for each element, addresses resolved. Operand 0 is the address, 1 the stride.
template <Space S, class Body> bool for_each_element(Warp &warp, const Op *op, u32 mask, AccessKind kind, Body body) {
  WmmaMatrix matrix = WmmaMatrix::of(op->target);
  alignas(64) u64 base[32];
  read_addresses(warp, op->operand[0], op->width[0], op->immediate, base);
  const u32 *stride = op->operand[1] == kNoSlot ? nullptr : lanes<u32>(warp, op->operand[1]);
  u32 line = matrix.by_columns ? matrix.rows : matrix.columns; // without a stride the matrix is dense
  auto visit = [&]<Space P>(u32 e, Access &access) {
    if (!resolve<P>(warp, op, mask, matrix.bytes, kind, access))
      return false;
    body(e, access);
    return true;
  };
  for (u32 e = 0; e < matrix.elements_per_lane(); e++) {
    Access access;
    Space space = S;
    for (int lane = 0; lane < 32; lane++) {
      access.offset[lane] = base[lane] + matrix.bytes * matrix.place(static_cast<u32>(lane) * matrix.elements_per_lane() + e,
                                                                      stride ? stride[lane] : line);
      if (S == Space::kGeneric)
        space = generic_space(access.offset[lane]); // one matrix lies in one space
    }
    bool done = space == Space::kShared  ? visit.template operator()<Space::kShared>(e, access)
                : space == Space::kLocal ? visit.template operator()<Space::kLocal>(e, access)
                                         : visit.template operator()<Space::kGlobal>(e, access);
    if (!done)
      return false;
  }
  return true;
}

/// Registers of an element: its number, and where in it the element lies.
struct WmmaPlace {
  u32 index, shift;
  static WmmaPlace of(u32 element, u32 bytes) {
    u32 per = bytes < 4 ? 4 / bytes : 1;
    return {element / per, element % per * bytes * 8};
  }
};

template <Space S> const Op *load_wmma(Warp &warp, const Op *op, u32 mask) {
  if (!is_whole_warp(warp, op, mask))
    return op;
  WmmaMatrix matrix = WmmaMatrix::of(op->target);
  constexpr u32 kMost = 16;
  alignas(64) u64 raw[kMost][32] = {};
  bool done = for_each_element<S>(warp, op, mask, AccessKind::kRead, [&](u32 e, Access &access) {
    WmmaPlace place = WmmaPlace::of(e, matrix.bytes);
    for (int lane = 0; lane < 32; lane++) {
      u64 value = 0;
      if (is_on(mask, lane))
        __builtin_memcpy(&value, access.bytes(lane), matrix.bytes);
      raw[place.index][lane] |= value << place.shift;
    }
  });
  if (!done)
    return stop_here(warp, op);
  u32 distinct = matrix.elements_per_lane() * matrix.bytes / (matrix.bytes == 8 ? 8 : 4);
  for (u32 i = 0; i < op->count; i++)
    write_wide<u64>(warp, op->more[i], matrix.bytes == 8 ? 8 : 4, raw[i % distinct], mask);
  return op + 1;
}
template <Space S> const Op *store_wmma(Warp &warp, const Op *op, u32 mask) {
  if (!is_whole_warp(warp, op, mask))
    return op;
  WmmaMatrix matrix = WmmaMatrix::of(op->target);
  bool done = for_each_element<S>(warp, op, mask, AccessKind::kWrite, [&](u32 e, Access &access) {
    WmmaPlace place = WmmaPlace::of(e, matrix.bytes);
    for (u32 rest = mask; rest; rest &= rest - 1) {
      int lane = __builtin_ctz(rest);
      u64 value = matrix.bytes == 8 ? lanes<u64>(warp, op->more[place.index])[lane]
                                    : u64{lanes<u32>(warp, op->more[place.index])[lane]} >> place.shift;
      __builtin_memcpy(access.bytes(lane), &value, matrix.bytes);
      if (access.shadow)
        __builtin_memset(access.states(lane), kWritten, matrix.bytes);
    }
  });
  return done ? op + 1 : stop_here(warp, op);
}

/// Bits of element `index` of a matrix whose registers are at `slots`.
template <u32 Bytes> inline u32 wmma_element(Warp &warp, const u32 *slots, u32 per_lane, u32 index) {
  WmmaPlace place = WmmaPlace::of(index % per_lane, Bytes);
  return lanes<u32>(warp, slots[place.index])[index / per_lane] >> place.shift;
}
template <class T> inline f32 wmma_real(u32 bits) {
  if constexpr (sizeof(T) == 4)
    return as<f32>(bits & 0xffffe000u);
  else
    return to_f32(T{static_cast<u16>(bits)});
}

/// Op::target: rows | columns << 8; Op::width: registers of A and B.
template <class T, int K> const Op *multiply_wmma(Warp &warp, const Op *op, u32 mask) {
  if (!is_whole_warp(warp, op, mask))
    return op;
  const u32 rows = op->target & 0xff, columns = op->target >> 8 & 0xff;
  const bool half_result = op->flags & kHalfResult, half_accumulator = op->flags & kHalfAccumulator;
  const u32 *d = op->more, *a = d + (half_result ? 4 : 8), *b = a + op->width[0], *c = b + op->width[1];
  const u32 per_a = rows * K / 32, per_b = columns * K / 32, per_c = rows * columns / 32;
  alignas(64) u32 result[8][32] = {};
  for (u32 row0 = 0; row0 < rows; row0 += 16)
    for (u32 column0 = 0; column0 < columns; column0 += 8) {
      Tile<K> tile;
      __builtin_memset(&tile, 0, sizeof(tile));
      const u32 here = rows - row0 < 16 ? rows - row0 : 16;
      for (u32 k = 0; k < K; k++) {
        for (u32 i = 0; i < here; i++)
          tile.a[k][i] = wmma_real<T>(wmma_element<sizeof(T)>(warp, a, per_a, (row0 + i) * K + k));
        for (u32 j = 0; j < 8; j++)
          tile.b[k][j] = wmma_real<T>(wmma_element<sizeof(T)>(warp, b, per_b, k * columns + column0 + j));
      }
      for (u32 j = 0; j < 8; j++)
        for (u32 i = 0; i < here; i++) {
          u32 index = (row0 + i) * columns + column0 + j;
          tile.c[j][i] = half_accumulator ? wmma_real<f16>(wmma_element<2>(warp, c, per_c, index))
                                          : as<f32>(wmma_element<4>(warp, c, per_c, index));
        }
      multiply<T, K, true>(tile, op->flags & kFusesWholeK);
      for (u32 j = 0; j < 8; j++)
        for (u32 i = 0; i < here; i++) {
          u32 index = (row0 + i) * columns + column0 + j;
          f32 special = tile.special[j][i];
          u32 bits = !half_result ? as<u32>(tile.result[j][i])
                     : special != 0 ? u32{to_f16<kNearest>(special).bits} : u32{narrow_to_half(tile.unrounded[j][i]).bits};
          WmmaPlace place = WmmaPlace::of(index % per_c, half_result ? 2 : 4);
          result[place.index][index / per_c] |= bits << place.shift;
        }
    }
  for (u32 i = 0; i < (half_result ? 4u : 8u); i++)
    write_lanes<u32>(warp, d[i], result[i], mask);
  return op + 1;
}
template <bool Signed> const Op *multiply_wmma_bytes(Warp &warp, const Op *op, u32 mask) {
  if (!is_whole_warp(warp, op, mask))
    return op;
  constexpr u32 kDepth = 16;
  const u32 rows = op->target & 0xff, columns = op->target >> 8 & 0xff;
  const u32 *d = op->more, *a = d + 8, *b = a + op->width[0], *c = b + op->width[1];
  alignas(64) u32 result[8][32];
  for (u32 index = 0; index < rows * columns; index++) {
    s64 sum = 0;
    for (u32 k = 0; k < kDepth; k++) {
      u32 x = wmma_element<1>(warp, a, rows * kDepth / 32, index / columns * kDepth + k);
      u32 y = wmma_element<1>(warp, b, columns * kDepth / 32, k * columns + index % columns);
      sum += packed_element<8, Signed>(x, 0) * packed_element<8, Signed>(y, 0);
    }
    s32 before = static_cast<s32>(wmma_element<4>(warp, c, 8, index));
    result[index % 8][index / 8] = static_cast<u32>(add_sums(before, sum, op->flags & kSaturates));
  }
  for (u32 i = 0; i < 8; i++)
    write_lanes<u32>(warp, d[i], result[i], mask);
  return op + 1;
}

} // namespace tenon::emulator::TENON_ISA
