// Results on their way to global memory.
#include "compiler/host/BlockProgram.h"
#include "compiler/host/Transpose.h"
#include "dialects/attention/Attention.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

// What repeats a strip's last row is overwritten by it.
void BlockProgram::storeStrip(ArrayRef<Value> pointers, ArrayRef<Value> vectors, int64_t alignment) {
  for (auto i = static_cast<int64_t>(pointers.size()) - 1; i >= 0; --i) {
    Value row = vectors[i % static_cast<int64_t>(vectors.size())];
    if (vectors.size() != pointers.size()) {
      auto first = static_cast<int32_t>(i / kStripRows * kTransposedColumns);
      auto columns = llvm::to_vector(llvm::seq(first, first + static_cast<int32_t>(kTransposedColumns)));
      row = LLVM::ShuffleVectorOp::create(builder_, row, row, columns);
    }
    store(row, pointers[i], alignment);
  }
}

// Rows of a strip of a buffer's columns from `source` on: of four columns in vector i row i, row 4 + i and so forth.
Values BlockProgram::stripOf(const Transfer &t, Value source, Type element, size_t rows) {
  Values columns;
  auto vectorRows = static_cast<int64_t>(rows);
  Type vector = VectorType::get({vectorRows}, element);
  for (int64_t i = 0; i < columnsOfStrip(t); ++i)
    columns.push_back(load(vector, byte(source, i * t.rows * sizeof(float)), vectorRows * sizeof(float)));
  return columns.size() == kTransposedColumns ? transposePieces(builder_, columns) : transposeSquare(builder_, columns);
}

void BlockProgram::storeElements(const Transfer &t, const TensorView &tensor) {
  auto strip = [&](ArrayRef<Value> pointers, Value, Value source) {
    Values pieces;
    for (Value rows : stripOf(t, source, builder_.getF32Type(), pointers.size())) {
      Value bits = toStorage(rows, tensor.element);
      if (tensor.element.isF16())
        bits = arith::BitcastOp::create(builder_, cast<VectorType>(bits.getType()).clone(builder_.getI16Type()), bits);
      pieces.push_back(bits);
    }
    storeStrip(pointers, pieces, tensor.bytes);
  };
  transfer(t, strip, [&](Value target, Value source) {
    store(toStorage(load(builder_.getF32Type(), source), tensor.element), target, tensor.bytes);
  });
}

// Where these queries' results will be written: a store to a line that is on its way from a far cache holds up others.
void BlockProgram::requestResults(LoadOp queries) {
  constexpr int64_t kLineBytes = 64;
  constexpr int32_t kWrite = 1, kFirstLevel = 3, kData = 1;
  if (isLeftOut(kernel_, Effect::kRequests) || kernel_->hasAttr(attention::kFewQueriesAttribute))
    return;
  kernel_->walk([&](StoreOp op) {
    bool ofQueries = op.getRow() == queries.getRow() && op.getHead() == queries.getHead() && op.getBatch() == queries.getBatch();
    if (isVector(op.getValue().getType()) || !ofQueries || op.getGroup() != 1 || op.getLayout() > 1 ||
        !tensors_.contains(op.getTensor()))
      return;
    TensorView tensor = view(op.getTensor());
    auto at = [&](Value index) { return scalars_.lookup(index); };
    Value start = rowStart(tensor, at(op.getBatch()), at(op.getHead()), at(op.getRow()));
    int64_t rows = cast<RankedTensorType>(op.getValue().getType()).getDimSize(0);
    loop(i64(0), rowCount(at(op.getRow()), at(queries.getLimit()), rows), 1, [&](Value row) {
      Value place = byte(start, multiply(row, tensor.strides[2]));
      for (int64_t offset = 0; offset < static_cast<int64_t>(op.getWidth()) * tensor.bytes; offset += kLineBytes)
        LLVM::Prefetch::create(builder_, byte(place, offset), kWrite, kFirstLevel, kData);
    });
  });
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
  Transfer whole = transferOf(op, tensor, rows, offset);
  whole.squares = true; // whole lines of a cache
  bool inWords = tensor.element.isBF16() && products_ != Products::kFloat32 && !isVector(tile) && whole.adjacent &&
                 whole.width % 2 == 0;
  if (inWords)
    storeWords(whole);
  else
    storeElements(whole, tensor);
  if (isVector(tile))
    workspace_.release(offset);
  return success();
}
