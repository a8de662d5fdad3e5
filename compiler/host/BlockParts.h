/// What a BlockProgram works on: operands, products, and the tiles that a loop over columns computes.
#pragma once

#include "dialects/tile/Schedule.h"
#include "dialects/tile_unit/TileUnit.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace tenon::tile {

using mlir::ArrayRef;
using mlir::FailureOr;
using mlir::LogicalResult;
using mlir::Operation;
using mlir::RankedTensorType;
using mlir::SmallVector;
using mlir::Type;
using mlir::Value;
using mlir::ValueRange;

using Values = SmallVector<Value>;

/// Vector registers of the target: float32 elements of one, and their number.
struct VectorRegisters {
  int64_t lanes, count;
};

/// What the target multiplies.
enum class Products {
  kFloat32,
  kPairs, ///< also bfloat16, in pairs: vdpbf16ps
  kTiles, ///< also bfloat16, by tile units: TileProducts.cpp
};

/// A tensor in global memory.
struct TensorView {
  int64_t slot;
  Type element;
  Value data;
  SmallVector<Value, 4> strides; ///< in bytes
  int64_t bytes;                 ///< of an element
  /// Of elements smaller than a word that are gathered, addresses: of element 0, and of the first and last four bytes of the
  /// table. One of fewer was copied to where there are four.
  Value begin = {}, firstWord = {}, lastWord = {};
};

/// Rows on their way between global memory and a buffer.
struct Transfer {
  Value start, rowStride, columnStride; ///< in global memory
  bool adjacent;                        ///< the elements of a row
  Value count;                          ///< rows, i64
  Value buffer;                         ///< transposed: column after column
  int64_t rows;                         ///< of the buffer
  int64_t width;
  bool squares = false; ///< in strips of a whole vector of rows are as many columns, where the width is a multiple
  // Packed: row r of the tile is row r / group of head r mod group, counted from `firstRow`.
  int64_t group = 1;
  Value headStride = {}, firstRow = {};
};

/// The right operand of a product: element (i, j) at pointer + i rowStride + j columnStride, in
/// bytes. Of bfloat16 an element is a word: a pair of neighbours along what the product sums over.
struct Rows {
  Value pointer, rowStride, columnStride;
  Value count;   ///< rows that exist, i64; those from there on are zeros
  int64_t rows;  ///< of the tile
  int64_t width; ///< columns that exist
  /// Where columns lie in panels of kPanelColumns, bytes from one panel to the next: a register tile reads its columns
  /// of row after row, which are then near each other.
  Value panelStride = {};
};
inline constexpr int64_t kPanelColumns = 8;

/// A right operand, and whether the product takes it transposed.
using RightOperand = std::pair<Value, unsigned>;

/// A product that is made in register tiles.
struct Product {
  Value left, result; ///< buffers: columns of `rows` elements
  int64_t rows;       ///< of left and result
  int64_t columns;    ///< of the result's tile
  bool accumulate;    ///< result += product, else result = product
  bool pairs = false; ///< of bfloat16, on both sides
  // Of the right operand; strides in bytes, from one column of the result, or term of the sum, to the next.
  Value base = {}, columnStride = {}, innerStride = {};
  Value columnCount = {}; ///< columns of the result that the right operand has, i64
  Value innerCount = {};  ///< terms of the sum, i64
  bool bounded = false;   ///< no one reads columns from columnCount on
  /// Where the vectors of rows see keys up to ends of their own: columnCount or innerCount of each.
  Values ends = {};
  bool endsOfTerms = false;
  /// Of the right operand of few queries, which is read where it lies.
  Type stored = {};
  int64_t storedBytes = 0;
  Value panelStride = {}; ///< of columns of the result, as that of Rows
};

/// Columns of a product from `first` on, in register tiles of `columns` each.
struct ColumnGroups {
  int64_t columns, first;
  std::optional<int64_t> end; ///< behind whole register tiles; none: the product's own, and the last may lack columns
};

/// A product that waits for the reduction that folds it.
struct PendingProduct {
  DotOp dot;
  Product product;
};

/// Of the values, those that one loop adds up.
struct ValueColumns {
  Value base; ///< of the first, in memory
  int64_t width, vectors;
};

/// Where a mask hides the columns of a tile.
struct ColumnBounds {
  Value mask;      ///< that hides the columns from `end` on
  Value end;       ///< i64, even: of all rows
  Values ofVector; ///< of the rows of each vector, even; empty where all have the same
};

/// What the elements of a tile are computed from.
struct Cone {
  SmallVector<Operation *> ops;                  ///< to be computed, operands first
  SmallVector<std::pair<Value, int64_t>> leaves; ///< that have buffers, and their places
};

/// A tile that gets a buffer.
struct Stored {
  Value tile;
  int64_t offset;
};

/// A loop over the columns of a tile.
struct ColumnLoop {
  Value tile;
  const Cone *cone; ///< of the tile
  ArrayRef<Stored> stored;
  int64_t step = 1;  ///< columns of a turn: two share words
  size_t folded = 0; ///< values that a hook folds
  mlir::arith::SelectOp shown = {}; ///< whose condition holds for all columns of the turns at hand
  bool fine = true;
};

/// The right operand of a product by tile units: 16 rows from a multiple of 16 on, and 32 terms from a multiple of 32
/// on, are a tile.
struct TileRows {
  Value pointer, rowStride, stepStride; ///< bytes; a step is 32 terms
  Value count;                          ///< rows that exist, of keys; terms, of values: i64
  int64_t steps;
  Value blockStride = {};    ///< from one block of rows to the next; null: they follow each other
  int64_t rowsOfBlock = 32;
  /// Where the rows from the last multiple of 16 on stand that is not followed by 16 below `readable`; null where there
  /// are none.
  Value readable = {}, tail = {}, tailStride = {};
};

/// Sums in tiles that are finished and not stored yet: two of rows, and of each of these one or two of columns.
struct PendingTiles {
  Value place = {}; ///< of the first; null: there are none
  Values sums = {};
};

/// Rows and columns that four tiles of sums cover, two beside each other.
inline constexpr int64_t kTileBlock = 2 * tile_unit::kRows, kTilesOfBlock = 4, kVectorsOfBlock = 2;
/// From one column of a block's rows to the next.
constexpr int64_t columnBytesOf(int64_t rows) { return rows * static_cast<int64_t>(sizeof(float)); }

/// A reduction of scores in strips of columns, each folded once it is stored. Where nobody else reads the scores, a ring
/// of a few columns holds those on their way.
struct Folding {
  ReduceOp reduce;
  Value scores;
  Cone cone = {};
  SmallVector<Stored> stored = {};
  ColumnLoop columns{};
  int64_t ringColumns = 0; ///< a power of two; 0: all columns have a place
  // Beside a mask: its columns end at `end`, and hide nothing before `open`, i64 and multiples of the strips' 32; the
  // selection, and the cone that goes past it.
  Value end = {}, open = {};
  mlir::arith::SelectOp masked = {};
  Cone openCone = {};
};

/// Keys or values that are kept from one block of queries to the next.
struct KeptRows {
  LoadOp load = {};         ///< one that fills a place; null: none are kept
  int64_t leastQueries = 0; ///< of a launch, or it is not worth it
  int64_t places = 0, bytes = 0, counts = 0, rows = 0; ///< their number, the size of each; in the workspace
};

/// Where rows stand, and an i1: whether as they are kept. Null: they never are.
struct KeptPlace {
  Value pointer, isKept;
};

} // namespace tenon::tile
