// Elements of a table, at indices that may differ from row to row.
#include "compiler/host/BlockProgram.h"
#include "compiler/host/Transpose.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

/// What a masked gather of x86 reads at once.
static constexpr int64_t kWordBytes = 4;

FailureOr<Values> BlockProgram::gather(GatherOp op, llvm::function_ref<Values(Value)> valuesOf) {
  TensorView tensor = view(op.getTensor());
  SmallVector<Values> indices;
  int64_t count = 1;
  for (Value index : op.getIndices()) {
    indices.push_back(valuesOf(index));
    count = std::max<int64_t>(count, indices.back().size());
  }
  Values guards = op.getGuard() ? valuesOf(op.getGuard()) : Values{};
  count = std::max<int64_t>(count, guards.size());

  Values results;
  for (int64_t i = 0; i < count; ++i) {
    Value uniform = i64(0), varying;
    for (auto [dimension, values] : llvm::enumerate(indices)) {
      Value index = values.size() == 1 ? values[0] : values[i];
      auto vector = dyn_cast<VectorType>(index.getType());
      int64_t lanes = vector ? vector.getNumElements() : 0;
      Type wide = vector ? Type(vector.clone(builder_.getI64Type())) : builder_.getI64Type();
      auto like = [&](Value scalar) { return vector ? broadcast(scalar, lanes) : scalar; };
      Value last = add(size(tensor, dimension), i32(-1));
      Value clamped = clamp(index, filled(index.getType(), 0), like(last));
      Value offset = multiply(arith::ExtSIOp::create(builder_, wide, clamped),
                              like(tensor.strides[dimension]));
      Value &sum = vector ? varying : uniform;
      sum = sum ? add(sum, offset) : offset;
    }
    Value guard = guards.empty() ? Value() : guards.size() == 1 ? guards[0] : guards[i];
    auto mask = guard ? dyn_cast<VectorType>(guard.getType()) : VectorType();
    if (!varying && !mask) {
      results.push_back(gatherElement(tensor, uniform, guard));
      continue;
    }
    int64_t lanes =
        varying ? cast<VectorType>(varying.getType()).getNumElements() : mask.getNumElements();
    Value offsets = broadcast(uniform, lanes);
    if (varying)
      offsets = add(offsets, varying);
    results.push_back(gatherVector(tensor, offsets, guard ? broadcast(guard, lanes) : Value()));
  }
  return results;
}

//===-- Tiles of a table
//---------------------------------------------------------------------------===//

// A table read at adjacent rows and columns, as a mask is: indices (…, rows from r, columns from c).
std::pair<IndexOp, IndexOp> BlockProgram::matchTileOfTable(GatherOp op) {
  auto tile = dyn_cast<RankedTensorType>(op.getResult().getType());
  size_t count = op.getIndices().size();
  if (!tile || tile.getRank() != 2 || op.getGuard() || count < 2)
    return {};
  auto isTile = [](Value index) { return isa<RankedTensorType>(index.getType()); };
  if (llvm::any_of(op.getIndices().drop_back(2), isTile))
    return {};
  auto expand = op.getIndices()[count - 2].getDefiningOp<ExpandOp>();
  auto rows = expand ? expand.getSource().getDefiningOp<IndexOp>() : IndexOp();
  auto columns = op.getIndices()[count - 1].getDefiningOp<IndexOp>();
  bool fits = rows && columns && rows.getDirection() == Direction::rows && columns.getDirection() == Direction::columns;
  return fits ? std::pair(rows, columns) : std::pair<IndexOp, IndexOp>();
}

bool BlockProgram::isTileOfTable(GatherOp op) {
  return matchTileOfTable(op).first != nullptr && !isLeftOut(op, Effect::kPackedTables);
}

// Where row 0 and column 0 lie.
Value BlockProgram::startOfTable(GatherOp op) {
  TensorView tensor = view(op.getTensor());
  Value start = tensor.data;
  for (auto [d, index] : llvm::enumerate(op.getIndices().drop_back(2))) {
    auto dimension = static_cast<int>(d);
    Value last = add(widen(size(tensor, dimension)), i64(-1));
    start = byte(start, multiply(clamp(widen(scalars_.lookup(index)), i64(0), last), tensor.strides[d]));
  }
  return start;
}

// Into a buffer of its own: in strips, transposed, where its rows are adjacent and long enough, else by gathers.
LogicalResult BlockProgram::packTable(GatherOp op) {
  auto tile = cast<RankedTensorType>(op.getResult().getType());
  auto [rowIndex, columnIndex] = matchTileOfTable(op);
  TensorView tensor = view(op.getTensor());
  int64_t columns = tile.getDimSize(1);
  auto dimension = static_cast<int>(op.getIndices().size()) - 1;
  int64_t offset = allocateBuffer(tile);
  (void)boundsOf(op.getResult()); // known from here on, not in a branch alone
  Value first = widen(scalars_.lookup(columnIndex.getStart()));
  Value inside = arith::CmpIOp::create(builder_, arith::CmpIPredicate::sle, add(first, i64(columns)),
                                       widen(size(tensor, dimension)));
  Value adjacent = arith::CmpIOp::create(builder_, arith::CmpIPredicate::eq, tensor.strides[dimension],
                                         i64(tensor.bytes));
  auto branch = scf::IfOp::create(builder_, arith::AndIOp::create(builder_, inside, adjacent),
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToStart(branch.thenBlock());
  packStripsOfTable(op, scalars_.lookup(rowIndex.getStart()), first, offset);
  builder_.setInsertionPointToStart(branch.elseBlock());
  Cone cone;
  Operation *rowsOfColumn = op.getIndices()[dimension - 1].getDefiningOp();
  cone.ops = {rowsOfColumn, columnIndex, op};
  Values none;
  if (failed(forEachColumn(op.getResult(), cone, {{op.getResult(), offset}}, none, nullptr)))
    return failure();
  bind(op.getResult(), offset);
  done_.insert(op);
  return success();
}

// Indices are clamped: rows beyond the table's last repeat it.
void BlockProgram::packStripsOfTable(GatherOp op, Value firstRow, Value firstColumn, int64_t offset) {
  auto tile = cast<RankedTensorType>(op.getResult().getType());
  TensorView tensor = view(op.getTensor());
  int64_t rows = tile.getDimSize(0), lanes = lanesOf(rows), columnBytes = rows * sizeof(float);
  auto dimension = static_cast<int>(op.getIndices().size()) - 1;
  Value start = byte(startOfTable(op), multiply(firstColumn, i64(tensor.bytes)));
  Value last = add(widen(size(tensor, dimension - 1)), i64(-1));
  Transfer whole;
  whole.count = i64(rows), whole.rows = rows;
  auto word = VectorType::get({lanes}, builder_.getI32Type());
  auto widened = [&](Value bits) -> Value {
    if (tensor.element.isF16())
      bits = arith::BitcastOp::create(builder_, VectorType::get({lanes}, tensor.element), bits);
    Value element = fromStorage(bits, tensor.element);
    return tensor.element.isInteger(1) ? Value(arith::ExtSIOp::create(builder_, word, element)) : element;
  };
  loop(i64(0), i64(rows), lanes, [&](Value row) {
    Values places;
    for (int64_t i = 0; i < lanes; ++i) {
      Value number = clamp(add(add(widen(firstRow), row), i64(i)), i64(0), last);
      places.push_back(byte(start, multiply(number, tensor.strides[dimension - 1])));
    }
    Value column0 = byte(buffer(offset), multiply(row, i64(sizeof(float))));
    loop(i64(0), i64(tile.getDimSize(1)), kTransposedColumns, [&](Value column) {
      Values pointers;
      for (Value place : places)
        pointers.push_back(byte(place, multiply(column, i64(tensor.bytes))));
      packStrip(whole, pointers, row, byte(column0, multiply(column, i64(columnBytes))), bitsOf(tensor.element),
                tensor.bytes, widened);
    });
  });
}

Value BlockProgram::gatherElement(const TensorView &tensor, Value offset, Value guard) {
  auto read = [&] {
    Value element = load(storageOf(tensor.element), byte(tensor.data, offset), tensor.bytes);
    return fromStorage(element, tensor.element);
  };
  if (!guard)
    return read();
  Type type =
      tensor.element.isF16() || tensor.element.isBF16() ? builder_.getF32Type() : tensor.element;
  auto branch = scf::IfOp::create(builder_, type, guard, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard insertion(builder_);
  builder_.setInsertionPointToStart(branch.thenBlock());
  scf::YieldOp::create(builder_, read());
  builder_.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(builder_, filled(type, 0));
  return branch.getResult(0);
}

// Smaller elements are read with the aligned word around them, or at a table's ends its first or last four bytes.
Value BlockProgram::gatherVector(const TensorView &tensor, Value offsets, Value guard) {
  auto wide = cast<VectorType>(offsets.getType());
  int64_t lanes = wide.getNumElements();
  auto pointers = VectorType::get({lanes}, pointerType());
  auto words = VectorType::get({lanes}, builder_.getI32Type());
  if (!guard)
    guard = filled(VectorType::get({lanes}, builder_.getI1Type()), 1);
  bool isWord = tensor.bytes == kWordBytes;
  Value places, shift;
  if (isWord) {
    places = LLVM::GEPOp::create(builder_, pointers, builder_.getI8Type(), tensor.data, offsets);
  } else {
    Value address = add(offsets, broadcast(tensor.begin, lanes));
    Value aligned = arith::AndIOp::create(builder_, address, filled(wide, -kWordBytes));
    Value place = arith::MinSIOp::create(builder_, aligned, broadcast(tensor.lastWord, lanes));
    place = arith::MaxSIOp::create(builder_, place, broadcast(tensor.firstWord, lanes));
    Value within = arith::SubIOp::create(builder_, address, place);
    shift = arith::TruncIOp::create(builder_, words, multiply(within, filled(wide, 8)));
    places = LLVM::IntToPtrOp::create(builder_, pointers, place);
  }
  Value word =
      LLVM::masked_gather::create(builder_, words, places, guard, ValueRange{filled(words, 0)},
                                  builder_.getI32IntegerAttr(isWord ? kWordBytes : 1));
  if (!isWord)
    word = arith::ShRUIOp::create(builder_, word, shift);
  return bitsToElement(word, tensor.element);
}

// The element in the lowest bits of each word.
Value BlockProgram::bitsToElement(Value word, Type stored) {
  auto words = cast<VectorType>(word.getType());
  if (stored.isInteger(32))
    return word;
  if (stored.isF32())
    return arith::BitcastOp::create(builder_, words.clone(stored), word);
  if (stored.isInteger(1)) {
    Value lowest = arith::AndIOp::create(builder_, word, filled(words, 0xff));
    return arith::CmpIOp::create(builder_, arith::CmpIPredicate::ne, lowest, filled(words, 0));
  }
  Value half = arith::TruncIOp::create(builder_, words.clone(builder_.getI16Type()), word);
  if (stored.isF16())
    half = arith::BitcastOp::create(builder_, words.clone(stored), half);
  return fromStorage(half, stored);
}
