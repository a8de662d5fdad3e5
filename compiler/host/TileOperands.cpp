// Right operands of products by tile units (TileProducts.cpp): rows of 32 terms of bfloat16, in 64 bytes each.
//
//     keys      lie so in memory, where their width is a multiple of 32; else they are copied, filled with zeros. A copy
//               holds tiles as they are read: for each 32 keys, for each 32 terms, two tiles; or, where queries stay in
//               tile registers, for each 16 keys, for each 32 terms, one
//     values    are transposed: for each 32 columns, for each 32 keys, a row of 64 bytes for each column, as they are read
//
// Both are kept for the blocks of queries to come, keys where these are some: KeptRows.cpp.
//
// A tile is read whole, and generated code reads nothing beyond a tensor: the last keys, fewer than 16, are copied.
#include "compiler/host/BlockProgram.h"
#include "compiler/host/Transpose.h"
#include "dialects/tile/Schedule.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

static constexpr int64_t kElementBytes = 2;
static constexpr int64_t kTransposedColumnsOfPairs = 8; ///< as many bfloat16 as 128 bits hold
static constexpr int64_t kColumnsOfBlock = 2 * tile_unit::kRows, kStepOfBlock = kColumnsOfBlock * tile_unit::kRowBytes;

FailureOr<TileRows> BlockProgram::tileRowsOf(Value operand, bool transposed) {
  if (auto it = tileRows_.find({operand, transposed}); it != tileRows_.end())
    return it->second;
  auto op = operand.getDefiningOp<LoadOp>();
  TensorView tensor = op ? view(op.getTensor()) : TensorView();
  if (!op || !tensor.element.isBF16()) {
    emitError(operand.getLoc(), "the right operand of a product of bfloat16 must be loaded as such");
    return failure();
  }
  if (op.getGroup() != 1)
    return op.emitOpError("has packed rows: no right operand of a product on the host");
  TileRows rows = transposed ? tileRowsOfKeys(op, tensor) : tileRowsOfValues(op, tensor);
  tileRows_[{operand, transposed}] = rows;
  return rows;
}

// Pieces of a row, the largest vectors first, of as many elements as there are; 32 of them are a step.
void BlockProgram::copyRow(LoadOp op, const Rows &rows, Value source, Value target, int64_t stepBytes) {
  if (op.getLayout() > 1)
    return loop(i64(0), i64(rows.width), 1, [&](Value column) {
      Value bits = load(builder_.getI16Type(), byte(source, multiply(column, rows.columnStride)), kElementBytes);
      Value step = arith::DivUIOp::create(builder_, column, i64(tile_unit::kTerms));
      Value within = arith::RemUIOp::create(builder_, column, i64(tile_unit::kTerms));
      Value place = byte(target, multiply(step, i64(stepBytes)));
      store(bits, byte(place, multiply(within, i64(kElementBytes))), kElementBytes);
    });
  for (int64_t column = 0, piece = tile_unit::kTerms; column < rows.width; column += piece) {
    while (piece > rows.width - column)
      piece /= 2;
    Type type = VectorType::get({piece}, builder_.getI16Type());
    int64_t offset = column / tile_unit::kTerms * stepBytes + column % tile_unit::kTerms * kElementBytes;
    store(load(type, byte(source, column * kElementBytes), kElementBytes), byte(target, offset), kElementBytes);
  }
}

TileRows BlockProgram::tileRowsOfKeys(LoadOp op, const TensorView &tensor) {
  int64_t padded = cast<RankedTensorType>(op.getResult().getType()).getDimSize(1), steps = padded / tile_unit::kTerms;
  Rows rows = rowsInMemory(op, tensor);
  bool inPlace = op.getLayout() <= 1 && rows.width == padded;
  int64_t rowsOfBlock = holdsLeft(steps) ? tile_unit::kRows : 2 * tile_unit::kRows;
  int64_t stepBytes = rowsOfBlock * tile_unit::kRowBytes, blockBytes = steps * stepBytes;
  auto copy = [&](Value target) {
    loop(i64(0), rows.count, 1, [&](Value row) {
      Value block = arith::DivUIOp::create(builder_, row, i64(rowsOfBlock));
      Value within = arith::RemUIOp::create(builder_, row, i64(rowsOfBlock));
      Value place = byte(byte(target, multiply(block, i64(blockBytes))), multiply(within, i64(tile_unit::kRowBytes)));
      if (rows.width != padded)
        store(filled(VectorType::get({tile_unit::kTerms}, builder_.getI16Type()), 0),
              byte(place, (steps - 1) * stepBytes), tile_unit::kRowBytes);
      copyRow(op, rows, byte(rows.pointer, multiply(row, rows.rowStride)), place, stepBytes);
    });
  };
  TileRows copied{{}, i64(tile_unit::kRowBytes), i64(stepBytes), rows.count, steps, i64(blockBytes), rowsOfBlock};
  if (!inPlace) {
    Value other = buffer(allocateRows(op, /*transposed=*/true, rows.rows * padded * kElementBytes));
    copied.pointer = keepOrRewrite(op, /*transposed=*/true, rows, other, /*liesThere=*/false, copy).pointer;
    return copied;
  }
  KeptPlace place = keepOrRewrite(op, /*transposed=*/true, rows, rows.pointer, /*liesThere=*/true, copy);
  TileRows result{place.pointer, rows.rowStride, i64(tile_unit::kRowBytes), rows.count, steps};
  auto ifKept = [&](Value yes, Value no) -> Value { return arith::SelectOp::create(builder_, place.isKept, yes, no); };
  if (place.isKept)
    result = {place.pointer, ifKept(copied.rowStride, rows.rowStride), ifKept(copied.stepStride, result.stepStride),
              rows.count, steps, ifKept(copied.blockStride, multiply(rows.rowStride, i64(rowsOfBlock))), rowsOfBlock};
  IntegerAttr count;
  // Products go over two tiles of rows at a time.
  bool wholeTiles = matchPattern(rows.count, m_Constant(&count)) && count.getInt() % (2 * tile_unit::kRows) == 0;
  if (!wholeTiles)
    copyTail(op, rows, place.isKept, result);
  return result;
}

// The rows that make no whole tile, where they are read in memory. What is kept can be read on.
void BlockProgram::copyTail(LoadOp op, const Rows &rows, Value isKept, TileRows &result) {
  int64_t rowBytes = result.steps * tile_unit::kRowBytes;
  Value tail = buffer(allocateRows(op, /*transposed=*/true, tile_unit::kRows * rowBytes));
  auto ifKept = [&](Value yes) -> Value {
    return isKept ? arith::SelectOp::create(builder_, isKept, yes, rows.count).getResult() : rows.count;
  };
  Value first = arith::AndIOp::create(builder_, rows.count, i64(-tile_unit::kRows)), end = ifKept(first);
  result.readable = ifKept(i64(rows.rows));
  loop(first, end, 1, [&](Value row) {
    Value target = byte(tail, multiply(builder_.createOrFold<arith::SubIOp>(row, first), i64(rowBytes)));
    copyRow(op, rows, byte(rows.pointer, multiply(row, rows.rowStride)), target, tile_unit::kRowBytes);
  });
  result.tail = tail;
  result.tailStride = i64(rowBytes);
}

// Element j of vector k becomes element k of vector j, in each piece of eight: punpcklwd, punpckhwd and their kin.
static Values transposeEights(ImplicitLocOpBuilder &builder, Values vectors) {
  auto n = static_cast<int32_t>(cast<VectorType>(vectors[0].getType()).getNumElements());
  constexpr auto kPiece = static_cast<int32_t>(kTransposedColumnsOfPairs);
  // Runs of the lower, or the upper half of each piece of a and b in turn.
  auto interleave = [&](Value a, Value b, int32_t run, bool upper) -> Value {
    SmallVector<int32_t> mask;
    for (int32_t piece = 0; piece < n; piece += kPiece)
      for (int32_t i = 0; i < kPiece / 2; i += run)
        for (int32_t side = 0; side < 2; ++side)
          for (int32_t j = 0; j < run; ++j)
            mask.push_back(side * n + piece + (upper ? kPiece / 2 : 0) + i + j);
    return LLVM::ShuffleVectorOp::create(builder, a, b, mask);
  };
  for (int32_t run = 1; run < kPiece; run *= 2) {
    Values next(kPiece);
    for (int32_t i = 0; i < kPiece; i += 2 * run)
      for (int32_t j = 0; j < run; ++j)
        for (int32_t upper = 0; upper < 2; ++upper)
          next[i + 2 * j + upper] = interleave(vectors[i + j], vectors[i + j + run], run, upper != 0);
    vectors = next;
  }
  return vectors;
}

// 32 keys from `first` on: whole pieces of eight columns in registers, the rest one by one.
void BlockProgram::transposeValues(LoadOp op, const Rows &rows, Value first, int64_t padded, Value target,
                                   int64_t blockBytes) {
  constexpr int64_t kPieces = tile_unit::kTerms / kTransposedColumnsOfPairs;
  bool whole = op->hasAttr(kWholeAttribute);
  int64_t inPieces = op.getLayout() <= 1 ? rows.width / kTransposedColumnsOfPairs * kTransposedColumnsOfPairs : 0;
  auto vector = VectorType::get({tile_unit::kTerms}, builder_.getI16Type());
  auto piece = VectorType::get({kTransposedColumnsOfPairs}, builder_.getI16Type());
  Value left = builder_.createOrFold<arith::SubIOp>(rows.count, first), last = add(rows.count, i64(-1));
  auto rowAt = [&](int64_t key) {
    Value row = add(first, i64(key));
    return byte(rows.pointer, multiply(whole ? row : minimum(row, last), rows.rowStride));
  };
  auto rowOf = [&](Value column) {
    Value block = arith::ShRUIOp::create(builder_, column, i64(llvm::Log2_64(kColumnsOfBlock)));
    Value within = arith::AndIOp::create(builder_, column, i64(kColumnsOfBlock - 1));
    return byte(byte(target, multiply(block, i64(blockBytes))), multiply(within, i64(tile_unit::kRowBytes)));
  };
  if (inPieces != 0) {
    Values places;
    for (int64_t key = 0; key < tile_unit::kTerms; ++key)
      places.push_back(rowAt(key));
    Value exists = whole ? Value() : lanesBelow(left, tile_unit::kTerms);
    loop(i64(0), i64(inPieces), kTransposedColumnsOfPairs, [&](Value column) {
      Values eights;
      Value offset = multiply(column, i64(kElementBytes));
      for (int64_t i = 0; i < kTransposedColumnsOfPairs; ++i) {
        Values pieces; // of every eighth key, from i
        for (int64_t j = 0; j < kPieces; ++j)
          pieces.push_back(load(piece, byte(places[j * kTransposedColumnsOfPairs + i], offset), kElementBytes));
        eights.push_back(concatenate(builder_, pieces));
      }
      Value place = rowOf(column);
      for (auto [i, row] : llvm::enumerate(transposeEights(builder_, eights))) {
        Value elements = exists ? Value(arith::SelectOp::create(builder_, exists, row, filled(vector, 0))) : row;
        store(elements, byte(place, static_cast<int64_t>(i) * tile_unit::kRowBytes), tile_unit::kRowBytes);
      }
    });
  }
  for (int64_t column = inPieces; column < padded; ++column)
    store(filled(vector, 0), rowOf(i64(column)), tile_unit::kRowBytes);
  if (inPieces == rows.width)
    return;
  loop(i64(0), minimum(left, i64(tile_unit::kTerms)), 1, [&](Value key) {
    Value source = byte(rows.pointer, multiply(add(first, key), rows.rowStride));
    loop(i64(inPieces), i64(rows.width), 1, [&](Value column) {
      Value bits = load(builder_.getI16Type(), byte(source, multiply(column, rows.columnStride)), kElementBytes);
      store(bits, byte(rowOf(column), multiply(key, i64(kElementBytes))), kElementBytes);
    });
  });
}

TileRows BlockProgram::tileRowsOfValues(LoadOp op, const TensorView &tensor) {
  int64_t padded = cast<RankedTensorType>(op.getResult().getType()).getDimSize(1);
  Rows rows = rowsInMemory(op, tensor);
  int64_t steps = rows.rows / tile_unit::kTerms, blockBytes = steps * kStepOfBlock;
  int64_t offset = allocateRows(op, /*transposed=*/false, padded / kColumnsOfBlock * blockBytes);
  auto transpose = [&](Value target) {
    loop(i64(0), rows.count, tile_unit::kTerms, [&](Value first) {
      Value step = builder_.createOrFold<arith::DivUIOp>(first, i64(tile_unit::kTerms));
      transposeValues(op, rows, first, padded, byte(target, multiply(step, i64(kStepOfBlock))), blockBytes);
    });
  };
  Value place = keepOrRewrite(op, /*transposed=*/false, rows, buffer(offset), /*liesThere=*/false, transpose).pointer;
  return {place, i64(tile_unit::kRowBytes), i64(kStepOfBlock), rows.count, steps, i64(blockBytes)};
}
