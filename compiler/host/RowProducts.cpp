// Products of few queries, whose vectors run along the rows in memory: a tile of queries has a vector's rows, most of
// which do not exist where there is one query, or one a head of a group. By groups of four rows, as many as exist:
//
//   Q Kᵀ  each key's row is multiplied by four rows of Q, which lie as rows too; four sums make a quarter of a column
//   P V   each key's row is multiplied by four probabilities, broadcast; four rows of sums are transposed in the end
#include "compiler/host/BlockProgram.h"
#include "compiler/host/Transpose.h"

#include "dialects/attention/Attention.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

static constexpr int64_t kWordBytes = 4;
static constexpr int64_t kKeysAtOnce = 2; // of Q Kᵀ: eight sums hide the latency of a multiply-add
static constexpr int64_t kRequestedBytes = 4096; // ahead of what is read: beyond a page hardware does not look

// Rows must be adjacent elements, and whole vectors of words.
bool BlockProgram::runsAlongRows(DotOp op) {
  auto function = op->getParentOfType<func::FuncOp>();
  auto a = dyn_cast<RankedTensorType>(op.getA().getType());
  auto right = op.getB().getDefiningOp<LoadOp>(), left = op.getA().getDefiningOp<LoadOp>();
  if (!function || !function->hasAttr(attention::kFewQueriesAttribute) || !a || !right || right.getLayout() > 1 ||
      a.getDimSize(0) % kStripRows != 0 || buffers_.contains(op.getB()) || (units_ && hasPairs(a)))
    return false;
  int64_t elements = registers_.lanes * (hasPairs(a) && op.getTransposed() ? 2 : 1);
  if (right.getWidth() % elements != 0)
    return false;
  return !op.getTransposed() || (matchPattern(op.getAccumulator(), m_AnyZeroFloat()) && left && left.getLayout() <= 1 && left.getWidth() == right.getWidth());
}

// A left operand, row after row; a group's rows beyond the last repeat it.
int64_t BlockProgram::leftRows(LoadOp op) {
  if (auto it = leftRows_.find(op.getResult()); it != leftRows_.end())
    return it->second;
  auto tile = cast<RankedTensorType>(op.getResult().getType());
  TensorView tensor = view(op.getTensor());
  int64_t rows = tile.getDimSize(0), rowBytes = op.getWidth() * (hasPairs(tile) ? tensor.bytes : kWordBytes);
  int64_t offset = leftRows_[op.getResult()] = workspace_.allocate(rows * rowBytes);
  Transfer t = transferOf(op, tensor, rows, offset);
  Value last = add(t.count, i64(-1));
  rowGroups_ = arith::DivUIOp::create(builder_, add(t.count, i64(kStripRows - 1)), i64(kStripRows));
  int64_t elements = registers_.lanes * (hasPairs(tile) ? 2 : 1);
  auto stored = VectorType::get({elements}, storageOf(tensor.element));
  loop(i64(0), multiply(rowGroups_, i64(kStripRows)), 1, [&](Value row) {
    Value source = rowPlace(t, minimum(row, last)), target = byte(t.buffer, multiply(row, i64(rowBytes)));
    loop(i64(0), i64(op.getWidth()), elements, [&](Value column) {
      Value bits = load(stored, byte(source, multiply(column, i64(tensor.bytes))), tensor.bytes);
      Value element = hasPairs(tile) ? bits : fromStorage(bits, tensor.element);
      store(element, byte(target, multiply(column, i64(rowBytes / op.getWidth()))));
    });
  });
  return offset;
}

Value BlockProgram::multiplyAdd(const Product &product, Value left, Value right, Value sum) {
  return product.pairs ? multiplyPairs(left, right, sum) : Value(math::FmaOp::create(builder_, left, right, sum));
}

void BlockProgram::request(Value pointer, int64_t bytes) {
  constexpr int64_t kLineBytes = 64;
  constexpr int32_t kRead = 0, kKeep = 3, kData = 1;
  for (int64_t offset = 0; offset < bytes; offset += kLineBytes)
    LLVM::Prefetch::create(builder_, byte(pointer, offset), kRead, kKeep, kData);
}

// The sums of four vectors, in one of four lanes.
Value BlockProgram::sumsOfFour(ArrayRef<Value> vectors) {
  Value sum;
  for (Value part : transposePieces(builder_, vectors))
    sum = sum ? Value(arith::AddFOp::create(builder_, sum, part)) : part;
  for (auto n = static_cast<int32_t>(registers_.lanes); n > kTransposedColumns; n /= 2) {
    auto half = [&](int32_t from) {
      return LLVM::ShuffleVectorOp::create(builder_, sum, sum, llvm::to_vector(llvm::seq(from, from + n / 2)));
    };
    Value low = half(0), high = half(n / 2);
    sum = arith::AddFOp::create(builder_, low, high);
  }
  return sum;
}

// Q Kᵀ of four rows of Q and two keys, the last of which may be one.
void BlockProgram::emitScoresOfKeys(const Product &product, int64_t width, Value left, Value result, Value firstKey) {
  int64_t rowBytes = width * kWordBytes, vectorBytes = registers_.lanes * kWordBytes;
  auto vector = VectorType::get({registers_.lanes}, builder_.getF32Type());
  VectorType words = product.pairs ? vector.clone(builder_.getI32Type()) : vector;
  Value last = add(product.columnCount, i64(-1));
  Values keys, pointers;
  for (int64_t i = 0; i < kKeysAtOnce; ++i) {
    keys.push_back(i ? minimum(add(firstKey, i64(i)), last) : firstKey);
    pointers.push_back(byte(product.base, multiply(keys.back(), product.columnStride)));
    Value ahead = add(firstKey, i64(i + std::max<int64_t>(kRequestedBytes / rowBytes, kKeysAtOnce)));
    if (product.inMemory)
      request(byte(product.base, multiply(ahead, product.columnStride)), rowBytes);
  }
  Values none(kKeysAtOnce * kStripRows, filled(vector, 0));
  Values sums = loop(i64(0), i64(rowBytes), vectorBytes, none, [&](Value offset, ValueRange state) {
    Values q, next;
    for (int64_t r = 0; r < kStripRows; ++r)
      q.push_back(load(words, byte(byte(left, offset), r * rowBytes), vectorBytes));
    for (int64_t i = 0; i < kKeysAtOnce; ++i) {
      Value k = load(words, byte(pointers[i], offset), product.pairs ? 2 : 4);
      for (int64_t r = 0; r < kStripRows; ++r)
        next.push_back(multiplyAdd(product, q[r], k, state[i * kStripRows + r]));
    }
    return next;
  });
  for (int64_t i = 0; i < kKeysAtOnce; ++i)
    store(sumsOfFour(ArrayRef(sums).slice(i * kStripRows, kStripRows)),
          byte(result, multiply(keys[i], i64(product.rows * kWordBytes))), kStripRows * kWordBytes);
}

void BlockProgram::emitScoresAlongRows(const Product &product, int64_t width) {
  // Rows that do not exist are computed with: they may not be what was there before.
  auto vector = vectorOf(builder_.getF32Type(), product.rows);
  int64_t vectorBytes = vector.getNumElements() * kWordBytes;
  loop(i64(0), multiply(product.columnCount, i64(product.rows * kWordBytes)), vectorBytes,
       [&](Value place) { store(filled(vector, 0), byte(product.result, place), vectorBytes); });
  loop(i64(0), rowGroups_, 1, [&](Value group) {
    Value left = byte(product.left, multiply(group, i64(kStripRows * width * kWordBytes)));
    Value result = byte(product.result, multiply(group, i64(kStripRows * kWordBytes)));
    loop(i64(0), product.columnCount, kKeysAtOnce,
         [&](Value key) { emitScoresOfKeys(product, width, left, result, key); });
  });
  clearColumns(product);
}

// P V of four rows of P, and as many columns as registers hold: sums, row after row.
void BlockProgram::emitRowsOfOutput(const Product &product, int64_t vectors, Value left, Value column, Value target) {
  int64_t vectorBytes = registers_.lanes * kWordBytes, rowBytes = product.columns * kWordBytes;
  auto vector = VectorType::get({registers_.lanes}, builder_.getF32Type());
  VectorType words = product.pairs ? vector.clone(builder_.getI32Type()) : vector;
  Value base = byte(product.base, column);
  Values none(kStripRows * vectors, filled(vector, 0));
  Values sums = loop(i64(0), product.innerCount, 1, none, [&](Value key, ValueRange state) {
    Value row = byte(base, multiply(key, product.innerStride));
    Value ahead = add(key, i64(std::max<int64_t>(kRequestedBytes / rowBytes, 1)));
    if (product.inMemory)
      request(byte(base, multiply(ahead, product.innerStride)), vectors * vectorBytes);
    Values v, next;
    for (int64_t i = 0; i < vectors; ++i)
      v.push_back(load(words, byte(row, i * vectorBytes)));
    Value probabilities = byte(left, multiply(key, i64(product.rows * kWordBytes)));
    for (int64_t r = 0; r < kStripRows; ++r) {
      Value p = broadcast(load(words.getElementType(), byte(probabilities, r * kWordBytes)), registers_.lanes);
      for (int64_t i = 0; i < vectors; ++i)
        next.push_back(multiplyAdd(product, p, v[i], state[r * vectors + i]));
    }
    return next;
  });
  for (int64_t r = 0; r < kStripRows; ++r)
    for (int64_t i = 0; i < vectors; ++i)
      store(sums[r * vectors + i], byte(byte(target, column), r * rowBytes + i * vectorBytes), vectorBytes);
}

void BlockProgram::emitOutputAlongRows(const Product &product, int64_t width) {
  int64_t vectors = registers_.count >= 32 ? 4 : 2;
  while (width / registers_.lanes % vectors != 0)
    vectors /= 2;
  int64_t rowBytes = product.columns * kWordBytes, columnBytes = product.rows * kWordBytes;
  int64_t offset = workspace_.allocate(kStripRows * rowBytes);
  auto piece = VectorType::get({kStripRows}, builder_.getF32Type());
  loop(i64(0), rowGroups_, 1, [&](Value group) {
    Value rows = multiply(group, i64(kStripRows * kWordBytes));
    Value left = byte(product.left, rows), result = byte(product.result, rows);
    loop(i64(0), i64(width * kWordBytes), vectors * registers_.lanes * kWordBytes,
         [&](Value column) { emitRowsOfOutput(product, vectors, left, column, buffer(offset)); });
    loop(i64(0), i64(width), kTransposedColumns, [&](Value column) {
      Value source = byte(buffer(offset), multiply(column, i64(kWordBytes)));
      Value target = byte(result, multiply(column, i64(columnBytes)));
      Values parts;
      for (int64_t r = 0; r < kStripRows; ++r)
        parts.push_back(load(piece, byte(source, r * rowBytes), sizeof(float) * kTransposedColumns));
      for (auto [i, sums] : llvm::enumerate(transposePieces(builder_, parts))) {
        Value place = byte(target, i * columnBytes), sum = sums;
        if (product.accumulate)
          sum = arith::AddFOp::create(builder_, load(piece, place, kStripRows * kWordBytes), sum);
        store(sum, place, kStripRows * kWordBytes);
      }
    });
  });
  workspace_.release(offset);
}
