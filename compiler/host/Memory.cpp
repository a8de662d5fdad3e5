// Tiles in global memory.
#include "compiler/host/BlockProgram.h"
#include "compiler/host/Transpose.h"
#include "dialects/attention/Attention.h"
#include "dialects/tile/Schedule.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

Value BlockProgram::rowStart(const TensorView &tensor, Value batch, Value head, Value row) {
  Value offset = multiply(widen(batch), tensor.strides[0]);
  offset = add(offset, multiply(widen(head), tensor.strides[1]));
  return byte(tensor.data, add(offset, multiply(widen(row), tensor.strides[2])));
}

// How many of `rows` rows, from `row`, lie before `limit`.
Value BlockProgram::rowCount(Value row, Value limit, int64_t rows) {
  Value left = builder_.createOrFold<arith::SubIOp>(widen(limit), widen(row));
  return clamp(left, i64(0), i64(rows));
}

Type BlockProgram::storageOf(Type element) {
  if (element.isInteger(1))
    return builder_.getI8Type();
  return element.isBF16() ? builder_.getI16Type() : element;
}

// As integers where LLVM's vectors of the type are slow.
Type BlockProgram::bitsOf(Type element) {
  return element.isF16() ? builder_.getI16Type() : storageOf(element);
}

static Type like(Type type, Type element) {
  auto vector = dyn_cast<VectorType>(type);
  return vector ? Type(vector.clone(element)) : element;
}

Value BlockProgram::fromStorage(Value element, Type stored) {
  Type type = element.getType();
  if (stored.isInteger(1))
    return arith::CmpIOp::create(builder_, arith::CmpIPredicate::ne, element, filled(type, 0));
  if (stored.isF16())
    return arith::ExtFOp::create(builder_, like(type, builder_.getF32Type()), element);
  if (!stored.isBF16())
    return element;
  Type word = like(type, builder_.getI32Type());
  Value bits = arith::ExtUIOp::create(builder_, word, element);
  bits = arith::ShLIOp::create(builder_, bits, filled(word, 16));
  return arith::BitcastOp::create(builder_, like(type, builder_.getF32Type()), bits);
}

// bfloat16 is the upper half of a float32, rounded to nearest even; a NaN stays one.
Value BlockProgram::toStorage(Value element, Type stored) {
  Type type = element.getType();
  if (stored.isF16())
    return arith::TruncFOp::create(builder_, like(type, stored), element);
  if (!stored.isBF16())
    return element;
  Type word = like(type, builder_.getI32Type());
  Value bits = arith::BitcastOp::create(builder_, word, element);
  Value upper = arith::ShRUIOp::create(builder_, bits, filled(word, 16));
  Value odd = arith::AndIOp::create(builder_, upper, filled(word, 1));
  Value bias = arith::AddIOp::create(builder_, odd, filled(word, 0x7fff));
  Value rounded = arith::ShRUIOp::create(builder_, arith::AddIOp::create(builder_, bits, bias),
                                         filled(word, 16));
  Value quiet = arith::OrIOp::create(builder_, upper, filled(word, 0x40));
  Value isNaN = arith::CmpFOp::create(builder_, arith::CmpFPredicate::UNO, element, element);
  Value result = arith::SelectOp::create(builder_, isNaN, quiet, rounded);
  return arith::TruncIOp::create(builder_, like(type, builder_.getI16Type()), result);
}

template <typename Op>
Transfer BlockProgram::transferOf(Op op, const TensorView &tensor, int64_t rows,
                                                int64_t offset) {
  Value row = scalars_.lookup(op.getRow());
  Transfer t;
  t.group = op.getGroup();
  t.headStride = tensor.strides[1];
  t.firstRow = widen(row);
  t.rowStride = tensor.strides[2];
  t.adjacent = op.getLayout() <= 1;
  t.columnStride = t.adjacent ? i64(tensor.bytes) : tensor.strides[3];
  t.start = rowStart(tensor, scalars_.lookup(op.getBatch()), scalars_.lookup(op.getHead()), t.group == 1 ? row : i32(0));
  t.count = rowCount(row, scalars_.lookup(op.getLimit()), rows);
  t.buffer = buffer(offset);
  t.rows = rows;
  t.width = op.getWidth();
  return t;
}

// Where a row of the tile lies in global memory.
Value BlockProgram::rowPlace(const Transfer &t, Value row) {
  if (t.group == 1)
    return byte(t.start, multiply(row, t.rowStride));
  Value number = add(t.firstRow, row), group = i64(t.group);
  Value head = arith::RemUIOp::create(builder_, number, group);
  Value query = arith::DivUIOp::create(builder_, number, group);
  return byte(t.start, add(multiply(head, t.headStride), multiply(query, t.rowStride)));
}

template Transfer BlockProgram::transferOf(LoadOp, const TensorView &, int64_t, int64_t);
template Transfer BlockProgram::transferOf(StoreOp, const TensorView &, int64_t, int64_t);

// Addresses of rows a stride apart, in steps that an instruction's address can hold: a pointer a row, kept round a loop,
// would be a third of what a kernel takes to compile.
Values BlockProgram::equidistantRows(Value first, Value stride, int64_t count) {
  Value two = multiply(stride, i64(2)), three = multiply(stride, i64(3)), four = multiply(stride, i64(4));
  Values rows;
  for (int64_t i = 0; i < count; i += 4) {
    rows.append({first, byte(first, stride), byte(first, two), byte(first, three)});
    first = byte(first, four);
  }
  return rows;
}

// Whether strips have a whole vector of rows.
bool BlockProgram::hasWholeVectors(const Transfer &t) const {
  bool few = kernel_->hasAttr(attention::kFewQueriesAttribute);
  return t.adjacent && !few && t.group == 1 && registers_.lanes > kStripRows && t.rows % registers_.lanes == 0;
}

int64_t BlockProgram::columnsOfStrip(const Transfer &t) const {
  return t.squares && hasWholeVectors(t) && t.width % registers_.lanes == 0 ? registers_.lanes : kTransposedColumns;
}

// Rows in global memory and the columns of a buffer: in strips of four columns, transposed in registers, the rest one by
// one. A strip has a whole vector of rows; of few queries, or where heads are packed, four: its rows beyond the last repeat
// it. Strips of both kinds would be a twentieth more to compile.
void BlockProgram::transfer(const Transfer &t,
                            llvm::function_ref<void(ArrayRef<Value>, Value, Value)> strip,
                            llvm::function_ref<void(Value, Value)> element) {
  int64_t columnBytes = t.rows * sizeof(float), lanes = registers_.lanes, columns = columnsOfStrip(t);
  bool hasStrips = t.adjacent && t.rows % kStripRows == 0, wholeVectors = hasWholeVectors(t);
  int64_t whole = hasStrips ? t.width / columns * columns : 0;
  auto columnsOf = [&](Value row, llvm::function_ref<Values(Value)> pointersAt) {
    Value column0 = byte(t.buffer, multiply(row, i64(sizeof(float))));
    loop(i64(0), i64(whole), columns, [&](Value column) {
      strip(pointersAt(multiply(column, t.columnStride)), row, byte(column0, multiply(column, i64(columnBytes))));
    });
  };
  auto oneByOne = [&](Value firstRow, Value endRow, int64_t firstColumn) {
    loop(firstRow, endRow, 1, [&](Value row) {
      Value place = rowPlace(t, row);
      Value column0 = byte(t.buffer, multiply(row, i64(sizeof(float))));
      loop(i64(firstColumn), i64(t.width), 1, [&](Value column) {
        element(byte(place, multiply(column, t.columnStride)), byte(column0, multiply(column, i64(columnBytes))));
      });
    });
  };
  Value end = t.count; // of the rows in strips
  if (whole != 0 && wholeVectors) {
    end = arith::AndIOp::create(builder_, t.count, i64(-lanes));
    loop(i64(0), end, lanes, [&](Value row) {
      Value place = rowPlace(t, row);
      columnsOf(row, [&](Value offset) { return equidistantRows(byte(place, offset), t.rowStride, lanes); });
    });
    oneByOne(end, t.count, 0);
  } else if (whole != 0) {
    Value last = add(t.count, i64(-1));
    loop(i64(0), t.count, kStripRows, [&](Value row) {
      Values places;
      for (int64_t i = 0; i < kStripRows; ++i)
        places.push_back(rowPlace(t, minimum(add(row, i64(i)), last)));
      columnsOf(row, [&](Value offset) {
        return llvm::to_vector<6>(llvm::map_range(places, [&](Value place) { return byte(place, offset); }));
      });
    });
  }
  if (whole != t.width)
    oneByOne(i64(0), end, whole);
}

void BlockProgram::clearBuffer(int64_t offset, int64_t rows, int64_t columns) {
  int64_t vectorBytes = lanesOf(rows) * sizeof(float);
  Value zero = filled(vectorOf(builder_.getF32Type(), rows), 0);
  loop(i64(0), i64(rows * columns * sizeof(float)), vectorBytes,
       [&](Value place) { store(zero, byte(buffer(offset), place), vectorBytes); });
}

// A buffer of rows that do not all exist, or of more columns than they have.
void BlockProgram::clearBeyond(const Transfer &t, int64_t offset, int64_t columns) {
  if (t.width != columns)
    return clearBuffer(offset, t.rows, columns);
  Value some = arith::CmpIOp::create(builder_, arith::CmpIPredicate::slt, t.count, i64(t.rows));
  auto branch = scf::IfOp::create(builder_, some);
  OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToStart(branch.thenBlock());
  clearBuffer(offset, t.rows, columns);
}

void BlockProgram::packStrip(const Transfer &t, ArrayRef<Value> pointers, Value row, Value target,
                             Type stored, int64_t alignment,
                             llvm::function_ref<Value(Value)> convert, bool whole) {
  auto lanes = static_cast<int64_t>(pointers.size());
  Type piece = VectorType::get({kTransposedColumns}, stored);
  Values rows;
  for (int64_t i = 0; i < kTransposedColumns; ++i) {
    Values pieces; // of every fourth row, from i
    for (int64_t j = i; j < lanes; j += kTransposedColumns)
      pieces.push_back(load(piece, pointers[j], alignment));
    rows.push_back(convert(concatenate(builder_, pieces)));
  }
  Value exists = whole ? Value() : lanesBelow(builder_.createOrFold<arith::SubIOp>(t.count, row), lanes);
  for (auto [i, column] : llvm::enumerate(transposePieces(builder_, rows)))
    store(whole ? column : arith::SelectOp::create(builder_, exists, column, filled(column.getType(), 0)).getResult(),
          byte(target, i * t.rows * sizeof(float)), lanes * sizeof(float));
}

// Into a buffer of its own, transposed.
LogicalResult BlockProgram::pack(LoadOp op) {
  auto tile = cast<RankedTensorType>(op.getResult().getType());
  if (hasPairs(tile))
    return packPairs(op);
  if (!tile.getElementType().isF32())
    return op.emitOpError("loads tiles of float32 on the host, not ") << tile.getElementType();
  TensorView tensor = view(op.getTensor());
  int64_t rows = tile.getDimSize(0);
  int64_t offset = allocateBuffer(tile);
  bind(op.getResult(), offset);
  done_.insert(op);

  Transfer t = transferOf(op, tensor, rows, offset);
  noteQueryRows(op, t.count);
  clearBeyond(t, offset, tile.getDimSize(1));
  auto widened = [&](Value bits) {
    if (tensor.element.isF16())
      bits = arith::BitcastOp::create(builder_, like(bits.getType(), tensor.element), bits);
    return fromStorage(bits, tensor.element);
  };
  auto strip = [&](ArrayRef<Value> pointers, Value row, Value target) {
    packStrip(t, pointers, row, target, bitsOf(tensor.element), tensor.bytes, widened, isWhole(pointers));
  };
  transfer(t, strip, [&](Value source, Value target) {
    Value element = load(storageOf(tensor.element), source, tensor.bytes);
    store(fromStorage(element, tensor.element), target);
  });
  return success();
}

// One element a row, 0 where there is none: by way of the workspace.
Values BlockProgram::loadElements(LoadOp op) {
  TensorView tensor = view(op.getTensor());
  int64_t rows = cast<RankedTensorType>(op.getResult().getType()).getDimSize(0);
  int64_t offset = workspace_.allocate(rows * sizeof(float));
  clearBuffer(offset, rows, 1);
  Transfer t = transferOf(op, tensor, rows, offset);
  loop(i64(0), t.count, 1, [&](Value row) {
    Value element = load(storageOf(tensor.element), rowPlace(t, row), tensor.bytes);
    store(fromStorage(element, tensor.element), byte(t.buffer, multiply(row, i64(sizeof(float)))));
  });
  Values vectors;
  VectorType vector = vectorOf(builder_.getF32Type(), rows);
  int64_t vectorBytes = vector.getNumElements() * sizeof(float);
  for (int64_t i = 0; i < vectorsOf(op.getResult().getType()); ++i)
    vectors.push_back(load(vector, byte(t.buffer, i * vectorBytes), vectorBytes));
  workspace_.release(offset);
  return vectors;
}

// A mask of the first `count` lanes.
Value BlockProgram::lanesBelow(Value count, int64_t lanes) {
  auto vector = VectorType::get({lanes}, builder_.getI32Type());
  auto numbers = llvm::to_vector(llvm::seq<int32_t>(0, lanes));
  Value lane =
      arith::ConstantOp::create(builder_, DenseElementsAttr::get(vector, ArrayRef(numbers)));
  Value count32 = arith::TruncIOp::create(builder_, builder_.getI32Type(), count);
  return arith::CmpIOp::create(builder_, arith::CmpIPredicate::slt, lane,
                               broadcast(count32, lanes));
}

// The right operand of a product: where it lies, or rewritten in a buffer.
FailureOr<Rows> BlockProgram::rowsOf(Value operand, bool transposed) {
  if (auto it = rows_.find({operand, transposed}); it != rows_.end())
    return it->second;
  auto tile = cast<RankedTensorType>(operand.getType());
  auto op = operand.getDefiningOp<LoadOp>();
  if (op && op.getGroup() != 1)
    return op.emitOpError("has packed rows: no right operand of a product on the host");
  if (hasPairs(tile))
    return rowsOfPairs(op, operand, transposed);
  if (!op || buffers_.contains(operand)) {
    FailureOr<int64_t> offset = materialize(operand);
    if (failed(offset))
      return failure();
    return Rows{
        buffer(*offset),         i64(sizeof(float)), i64(tile.getDimSize(0) * sizeof(float)),
        i64(tile.getDimSize(0)), tile.getDimSize(0), tile.getDimSize(1)};
  }
  TensorView tensor = view(op.getTensor());
  Rows rows = rowsInMemory(op, tensor);
  if (!tensor.element.isF32())
    widenRows(op, tensor, rows, transposed);
  rows_[{operand, transposed}] = rows;
  return rows;
}

Rows BlockProgram::rowsInMemory(LoadOp op, const TensorView &tensor) {
  Value row = scalars_.lookup(op.getRow());
  Rows rows;
  rows.rows = cast<RankedTensorType>(op.getResult().getType()).getDimSize(0);
  rows.width = op.getWidth();
  rows.count = op->hasAttr(kWholeAttribute) ? i64(rows.rows)
                                            : rowCount(row, scalars_.lookup(op.getLimit()), rows.rows);
  rows.pointer =
      rowStart(tensor, scalars_.lookup(op.getBatch()), scalars_.lookup(op.getHead()), row);
  rows.rowStride = tensor.strides[2];
  rows.columnStride = op.getLayout() <= 1 ? i64(tensor.bytes) : tensor.strides[3];
  return rows;
}

int64_t BlockProgram::allocateRows(LoadOp op, bool transposed, int64_t bytes) {
  int64_t offset = workspace_.allocate(bytes);
  owners_[offset] = block_;
  rowBuffers_[{op.getResult(), transposed}] = offset;
  return offset;
}

void BlockProgram::widenRows(LoadOp op, const TensorView &tensor, Rows &rows, bool transposed) {
  int64_t lanes = op.getLayout() <= 1 ? registers_.lanes : 1;
  int64_t rowBytes = llvm::alignTo(rows.width, registers_.lanes) * sizeof(float);
  int64_t offset = allocateRows(op, transposed, rows.rows * rowBytes);
  Type stored = storageOf(tensor.element);
  loop(i64(0), rows.count, 1, [&](Value row) {
    Value source = byte(rows.pointer, multiply(row, rows.rowStride));
    Value target = byte(buffer(offset), multiply(row, i64(rowBytes)));
    auto convert = [&](Type type, Value column) {
      Value element = load(type, byte(source, multiply(column, rows.columnStride)), tensor.bytes);
      store(fromStorage(element, tensor.element),
            byte(target, multiply(column, i64(sizeof(float)))));
    };
    int64_t whole = rows.width / lanes * lanes;
    if (whole != 0)
      loop(i64(0), i64(whole), lanes, [&](Value column) {
        convert(lanes == 1 ? stored : VectorType::get({lanes}, stored), column);
      });
    if (whole != rows.width)
      loop(i64(whole), i64(rows.width), 1, [&](Value column) { convert(stored, column); });
  });
  rows.pointer = buffer(offset);
  rows.rowStride = i64(rowBytes);
  rows.columnStride = i64(sizeof(float));
}
