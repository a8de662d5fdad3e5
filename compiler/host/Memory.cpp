// Tiles in global memory.
#include "compiler/host/BlockProgram.h"

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

// Into a buffer of its own, transposed.
LogicalResult BlockProgram::pack(LoadOp op) {
  auto tile = cast<RankedTensorType>(op.getResult().getType());
  if (!tile.getElementType().isF32())
    return op.emitOpError("loads tiles of float32 on the host, not ") << tile.getElementType();
  TensorView tensor = view(op.getTensor());
  int64_t rows = tile.getDimSize(0), lanes = lanesOf(rows);
  int64_t offset = allocateBuffer(tile);
  bind(op.getResult(), offset);
  done_.insert(op);

  Value start = rowStart(tensor, scalars_.lookup(op.getBatch()), scalars_.lookup(op.getHead()),
                         scalars_.lookup(op.getRow()));
  Value count = rowCount(scalars_.lookup(op.getRow()), scalars_.lookup(op.getLimit()), rows);
  Type vector = VectorType::get({lanes}, builder_.getF32Type());
  int64_t vectorBytes = lanes * sizeof(float);
  loop(i64(0), i64(rows * tile.getDimSize(1) * sizeof(float)), vectorBytes, [&](Value place) {
    store(filled(vector, 0), byte(buffer(offset), place), vectorBytes);
  });
  Value columnStride = op.getLayout() <= 1 ? i64(tensor.bytes) : tensor.strides[3];
  loop(i64(0), count, 1, [&](Value row) {
    Value source = byte(start, multiply(row, tensor.strides[2]));
    Value target = byte(buffer(offset), multiply(row, i64(sizeof(float))));
    loop(i64(0), i64(op.getWidth()), 1, [&](Value column) {
      Value element = load(storageOf(tensor.element), byte(source, multiply(column, columnStride)),
                           tensor.bytes);
      store(fromStorage(element, tensor.element),
            byte(target, multiply(column, i64(rows * sizeof(float)))));
    });
  });
  return success();
}

// The right operand of a product: where it lies, or widened to float32 in a buffer.
FailureOr<Rows> BlockProgram::rowsOf(Value operand) {
  if (auto it = rows_.find(operand); it != rows_.end())
    return it->second;
  auto tile = cast<RankedTensorType>(operand.getType());
  auto op = operand.getDefiningOp<LoadOp>();
  if (!op || buffers_.contains(operand)) {
    FailureOr<int64_t> offset = materialize(operand);
    if (failed(offset))
      return failure();
    return Rows{buffer(*offset), i64(sizeof(float)), i64(tile.getDimSize(0) * sizeof(float)),
                i64(tile.getDimSize(0)), tile.getDimSize(0), tile.getDimSize(1)};
  }
  TensorView tensor = view(op.getTensor());
  Value row = scalars_.lookup(op.getRow());
  Rows rows;
  rows.rows = tile.getDimSize(0);
  rows.width = op.getWidth();
  rows.count = rowCount(row, scalars_.lookup(op.getLimit()), rows.rows);
  rows.pointer = rowStart(tensor, scalars_.lookup(op.getBatch()), scalars_.lookup(op.getHead()), row);
  rows.rowStride = tensor.strides[2];
  rows.columnStride = op.getLayout() <= 1 ? i64(tensor.bytes) : tensor.strides[3];
  if (!tensor.element.isF32())
    widenRows(op, tensor, rows);
  rows_[operand] = rows;
  return rows;
}

void BlockProgram::widenRows(LoadOp op, const TensorView &tensor, Rows &rows) {
  int64_t lanes = op.getLayout() <= 1 ? registers_.lanes : 1;
  int64_t rowBytes = llvm::alignTo(rows.width, registers_.lanes) * sizeof(float);
  int64_t offset = workspace_.allocate(rows.rows * rowBytes);
  owners_[offset] = block_;
  rowBuffers_[op.getResult()] = offset;
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

LogicalResult BlockProgram::lowerStore(StoreOp op) {
  auto tile = cast<RankedTensorType>(op.getValue().getType());
  if (!tile.getElementType().isF32())
    return op.emitOpError("stores tiles of float32 on the host, not ") << tile.getElementType();
  TensorView tensor = view(op.getTensor());
  int64_t rows = tile.getDimSize(0), offset = 0;
  if (isVector(tile)) {
    int64_t vectorBytes = lanesOf(rows) * sizeof(float);
    offset = workspace_.allocate(rows * sizeof(float));
    for (auto [i, vector] : llvm::enumerate(vectors_[op.getValue()]))
      store(vector, byte(buffer(offset), i * vectorBytes), vectorBytes);
  } else {
    FailureOr<int64_t> place = materialize(op.getValue());
    if (failed(place))
      return failure();
    offset = *place;
  }
  Value start = rowStart(tensor, scalars_.lookup(op.getBatch()), scalars_.lookup(op.getHead()),
                         scalars_.lookup(op.getRow()));
  Value count = rowCount(scalars_.lookup(op.getRow()), scalars_.lookup(op.getLimit()), rows);
  Value columnStride = op.getLayout() <= 1 ? i64(tensor.bytes) : tensor.strides[3];
  loop(i64(0), count, 1, [&](Value row) {
    Value source = byte(buffer(offset), multiply(row, i64(sizeof(float))));
    Value target = byte(start, multiply(row, tensor.strides[2]));
    loop(i64(0), i64(op.getWidth()), 1, [&](Value column) {
      Value element =
          load(builder_.getF32Type(), byte(source, multiply(column, i64(rows * sizeof(float)))));
      store(toStorage(element, tensor.element), byte(target, multiply(column, columnStride)),
            tensor.bytes);
    });
  });
  if (isVector(tile))
    workspace_.release(offset);
  return success();
}
