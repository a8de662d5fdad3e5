/// Layouts: which register of which lane of which warp holds an element of a tile.
///
/// A layout is a map that is linear over bits. Write the place of a value in a block of threads as three
/// numbers (register, lane, warp), and the place of an element in a tile as two (row, column). Each bit
/// of the former has a *basis*, an element's place; a value lies where the exclusive or of the bases of
/// its set bits says:
///
///     element(r, l, w) = xor of basis(bit) over the set bits of r, l and w
///
/// Since all the layouts here give every bit of (row, column) to one bit at most, the exclusive or is a
/// sum. Two facts of the hardware then become equations between short lists.
///
/// Accumulators of mma.m16n8 (PTX ISA, 9.7.14.5.8 "Matrix Fragments for mma.m16n8k16"; "C or D"): with
/// group g = lane / 4 and t = lane mod 4, c0 and c1 are at (g, 2t) and (g, 2t + 1), c2 and c3 at (g + 8, ·):
///
///     bit       register 0  register 1 | lane 0   lane 1   lane 2   lane 3   lane 4
///     basis     (0, 1)      (8, 0)     | (0, 2)   (0, 4)   (1, 0)   (2, 0)   (4, 0)
///
///     lane  0: (0,0) (0,1) (8,0) (8,1)     lane  4: (1,0) (1,1) (9,0) (9,1)
///     lane  1: (0,2) (0,3) (8,2) (8,3)     lane 31: (7,6) (7,7) (15,6) (15,7)
///
/// A tile of 16·M·W rows and N columns on W warps repeats it: next, register bits for the M blocks of 16
/// rows that a warp holds, (16, 0) …, then for the blocks of 8 columns, (0, 8), (0, 16) …; the warps' bits
/// come last, (16·M, 0) …. So a block of 16 columns, M = 1, has the bases (0, 1) (8, 0) (0, 8): and that is
/// the *left operand* of m16n8k16, whose a0 … a7 are at (g, 2t + {0, 1}), (g + 8, ·), (g, 2t + 8 + {0, 1}),
/// (g + 8, ·). The probabilities that come out of Q·Kᵀ therefore are, rounded to 16 bits, an operand of P·V as
/// they lie: `accumulator(rows, columns, warps)` describes both.
///
/// The right operand B (k x n) of m16n8k16 has b0, b1 at (2t, g), (2t + 1, g), and b2, b3 eight k further:
///
///     bit       register 0  register 1 | lane 0   lane 1   lane 2   lane 3   lane 4
///     basis     (1, 0)      (8, 0)     | (2, 0)   (4, 0)   (0, 1)   (0, 2)   (0, 4)
///
/// In memory a tile of keys is n x k (row: key, column: width): B's transpose. A tile of values is k x n.
///
/// ldmatrix.x4 moves four 8x8 matrices of 16-bit elements, each row 16 contiguous bytes. Lane 8m + i gives
/// the address of row i of matrix m, and register m (a pair of elements) of lane l receives elements
/// 2(l mod 4) + {0, 1} of row l / 4: bases (0, 1) | (0, 2) (0, 4) (1, 0) (2, 0) (4, 0) within a matrix, and
/// with .trans the same with row and column exchanged. Whether a fragment can be loaded so, and which
/// address a lane gives, follows from the fragment's layout alone (`matrixAddresses`): the lane's low three
/// bits walk the eight rows, its upper two take the bases of the register's bits 1 and 2.
///
/// Rows in shared memory are the same kind of map: `SharedRows`, at the end.
///
/// A tile of 96 columns takes the layout of 128: its elements are the first 96/128 of the registers, since
/// the bits of the columns' blocks are the uppermost of the register.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <vector>

namespace tenon::tile {

/// The place of an element in a tile.
struct Element {
  int row = 0, column = 0;
  constexpr bool operator==(const Element &) const = default;
  constexpr Element operator^(const Element &other) const {
    return {row ^ other.row, column ^ other.column};
  }
  constexpr Element transposed() const { return {column, row}; }
};

/// The place of a value in a block of threads.
struct Place {
  int registerIndex = 0, lane = 0, warp = 0;
  constexpr bool operator==(const Place &) const = default;
};

class Layout {
public:
  static constexpr int kLaneBits = 5;
  static constexpr int kLanes = 1 << kLaneBits;

  /// Accumulators of mma.m16n8, which are its left operand too. `rows` is a multiple of 16·warps by a power
  /// of two, `columns` a multiple of 8.
  static Layout accumulator(int rows, int columns, int warps);
  /// The right operand of mma.m16n8k16 as (k, n), for inner x columns, the same in all warps: register
  /// bits 0 and 1 within 16 k, then the blocks of 8 columns, then those of 16 k.
  static Layout rightOperand(int inner, int columns);
  /// The elements of one column of `accumulator(rows, ·, warps)`: one a row, equal in the lanes of a row.
  static Layout rows(int rows, int warps);

  /// Registers that hold elements of the tile; with a number of columns that is no power of two, fewer than
  /// the bits could count.
  int registers() const { return registers_; }
  int warps() const { return 1 << warpBases_.size(); }
  Element element(Place place) const;
  /// A place of the element: where several lanes hold it, the lowest. Nothing where no place holds it.
  std::optional<Place> find(Element element) const;
  /// The same layout of the transposed tile.
  Layout transposed() const;

  /// For a fragment of 16-bit elements whose registers come in groups of eight (four pairs) in the layout of
  /// a tile as it lies in memory: the bases of a lane's bits in ldmatrix.x4's addresses, to be added to the
  /// place of the group's first element. `transpose` says that .trans is needed. Nothing where the fragment
  /// is not of ldmatrix's form.
  struct MatrixAddresses {
    Element bases[kLaneBits];
    bool transpose;
    Element of(int lane) const;
    bool operator==(const MatrixAddresses &) const = default;
  };
  std::optional<MatrixAddresses> matrixAddresses() const;

  bool operator==(const Layout &) const = default;

private:
  std::vector<Element> registerBases_, laneBases_, warpBases_;
  int registers_ = 1;
};

/// Where a row of a tile lies in shared memory, and its bytes in the row.
///
/// Shared memory takes eight chunks of 16 bytes at once, which must lie in different eighths of its 128-byte lines:
/// those that ldmatrix reads are one column of eight adjacent rows. *Padded* rows lie 16 bytes further apart than they
/// are long: so many chunks are an odd number, and eight rows begin in eight places. *Swizzled* rows follow each other,
/// and chunk c of row r lies at chunk c xor s(r). With 2^g · odd chunks a row (g at most 3; an even number, since
/// columns come by 16), rows begin in the same place where they agree in their lowest 3 − g bits, and the g bits above
/// those tell them apart:
///
///     s(r) = ⌊r / 2^(3−g)⌋ mod 2^g, in the lowest g bits of the chunk
///
///     bytes of a row    32, 96, 160, 224    64, 192, 320    128, 256, 384, 512
///     g                 1                   2               3
///     s(r)              r/4 mod 2           r/2 mod 4       r mod 8
///
///     rows of 64 bytes, where chunk 0 lies:  r    0  1  2  3  4  5  6  7
///                                      chunk    0  4  9 13 18 22 27 31,  mod 8:  0  4  1  5  2  6  3  7
///
/// s is linear over bits, and so is an element's offset, `added` and `toggled` bits apart: if a lane decides some bits
/// of row and column, and a register or step of a loop the others,
///
///     offset(r + r', b + b') = (offset(r, b) xor toggled(r', b')) + added(r', b')
///
/// The lane's part is computed once. Of the toggled bits there are 2^g patterns, at most 2^(g−1) where steps are two
/// chunks: as many registers hold all addresses, and `added` is an instruction's own offset.
class SharedRows {
public:
  static constexpr int64_t kChunk = 16; ///< bytes that lie together
  static constexpr int64_t kChunks = 8; ///< that shared memory takes at once

  static SharedRows padded(int64_t bytes) { return {bytes + kChunk, 0}; }
  static SharedRows swizzled(int64_t bytes);

  int64_t bytes() const { return bytes_; } ///< from row to row
  /// The bits of a byte's place in its row that s(row) toggles, and by how much a row is shifted to lie there.
  int64_t mask() const { return ((int64_t{1} << bits_) - 1) * kChunk; }
  int shift() const { return bits_ + 1; }
  int64_t toggled(int64_t row, int64_t byte) const { return (byte ^ row << shift()) & mask(); }
  int64_t added(int64_t row, int64_t byte) const { return row * bytes_ + (byte & ~mask()); }
  int64_t offset(int64_t row, int64_t byte) const { return added(row, byte) + toggled(row, byte); }

  /// For writers `across` chunks side by side, a power of two that divides a row's: how far apart the rows are that
  /// stand in eight lanes, so that these write to different banks.
  int64_t stepOfWriters(int64_t across) const { return bits_ == 0 || across < int64_t{1} << bits_ ? across : 1; }

private:
  SharedRows(int64_t bytes, int bits) : bytes_(bytes), bits_(bits) {}
  int64_t bytes_;
  int bits_; ///< g
};

} // namespace tenon::tile
