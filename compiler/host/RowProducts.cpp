// Products of few queries, whose vectors run along the rows in memory: a tile of queries has a vector's rows, most of
// which do not exist where there is one query, or one a head of a group. By groups of four rows, as many as exist:
//
//   Q Kᵀ  each key's row is multiplied by four rows of Q, which lie as rows too; as many keys as make a vector of sums
//   P V   each key's row is multiplied by four probabilities, broadcast; four rows of sums are transposed in the end
//
// Keys and values are read where they lie, once, and requested ahead: what is not float32 is widened, or interleaved in
// pairs of keys, on its way to the product.
#include "compiler/host/BlockProgram.h"
#include "compiler/host/Transpose.h"

#include "dialects/attention/Attention.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

static constexpr int64_t kWordBytes = 4;
static constexpr int64_t kKeysOfPass = 64; // of P V: whose rows stay in the first-level cache from column to column
static constexpr int64_t kRequestedBytes = 16384; // ahead of what is read: 8 to 64 KiB were within 10 % of each other

// Whether a value is known where the builder stands: none that a loop made is, behind it.
bool BlockProgram::isKnown(Value value) {
  return value && value.getParentRegion()->isAncestor(builder_.getInsertionBlock()->getParent());
}

// Rows must be adjacent elements, and whole vectors of words.
bool BlockProgram::runsAlongRows(DotOp op) {
  auto function = op->getParentOfType<func::FuncOp>();
  auto a = dyn_cast<RankedTensorType>(op.getA().getType());
  auto right = op.getB().getDefiningOp<LoadOp>(), left = op.getA().getDefiningOp<LoadOp>();
  if (!function || !function->hasAttr(attention::kFewQueriesAttribute) || isLeftOut(op, Effect::kAlongRows))
    return false;
  if (!a || !right || right.getLayout() > 1 ||
      right.getGroup() != 1 || a.getDimSize(0) % kStripRows != 0 ||
      buffers_.contains(op.getB()) || (units_ && hasPairs(a)) ||
      (hasPairs(a) && !right.getTensor().getType().getElementType().isBF16()))
    return false;
  int64_t elements = registers_.lanes * (hasPairs(a) && op.getTransposed() ? 2 : 1);
  if (right.getWidth() % elements != 0)
    return false;
  if (!op.getTransposed())
    return isKnown(rowGroups_);
  return matchPattern(op.getAccumulator(), m_AnyZeroFloat()) && left && left.getLayout() <= 1 &&
         left.getWidth() == right.getWidth();
}

LogicalResult BlockProgram::lowerDotAlongRows(DotOp op, bool pairs) {
  auto load = op.getB().getDefiningOp<LoadOp>();
  TensorView tensor = view(load.getTensor());
  Rows right = rowsInMemory(load, tensor);
  FailureOr<int64_t> left = op.getTransposed() ? leftRows(op.getA().getDefiningOp<LoadOp>()) : materialize(op.getA());
  if (failed(left))
    return failure();
  auto result = cast<RankedTensorType>(op.getResult().getType());
  Product product{buffer(*left), {}, result.getDimSize(0), result.getDimSize(1), false, pairs};
  product.base = right.pointer, product.stored = tensor.element, product.storedBytes = tensor.bytes;
  (op.getTransposed() ? product.columnStride : product.innerStride) = right.rowStride;
  (op.getTransposed() ? product.columnCount : product.innerCount) = right.count;
  if (op.getTransposed())
    boundColumns(op, product);
  else
    boundTerms(op, product);
  int64_t offset = 0;
  if (failed(prepareAccumulator(op, product.accumulate, offset)))
    return failure();
  product.result = buffer(offset);
  if (op.getTransposed())
    emitScoresAlongRows(product, right.width);
  else
    emitOutputAlongRows(product, right.width);
  bind(op.getResult(), offset);
  done_.insert(op);
  return success();
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
  groupedRows_ = rows;
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

// A loop over columns twice: where four rows are all that exist, the usual case of decoding, its vectors are these four,
// which take a quarter of the time or less. Others repeat them, so that nothing is done for their sake.
LogicalResult BlockProgram::forExistingRows(Values &carried, llvm::function_ref<LogicalResult()> body) {
  if (!isKnown(rowGroups_) || isLeftOut(kernel_, Effect::kExistingRows))
    return body();
  Value few = arith::CmpIOp::create(builder_, arith::CmpIPredicate::eq, rowGroups_, i64(1));
  auto branch = scf::IfOp::create(builder_, ValueRange(carried).getTypes(), few, /*withElseRegion=*/true);
  auto yield = [&](const Values &values) {
    if (!values.empty()) // else there is one
      scf::YieldOp::create(builder_, values);
  };
  Values before = carried;
  OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToStart(branch.elseBlock());
  if (failed(body()))
    return failure();
  yield(carried);
  builder_.setInsertionPointToStart(branch.thenBlock());
  carried = firstRows(before);
  onlyFirstRows_ = true;
  LogicalResult result = body();
  onlyFirstRows_ = false;
  Values all;
  for (Value vector : before) {
    auto lanes = cast<VectorType>(vector.getType()).getNumElements();
    SmallVector<int32_t> order;
    for (int32_t lane = 0; lane < lanes; ++lane)
      order.push_back(lane % kStripRows);
    all.push_back(LLVM::ShuffleVectorOp::create(builder_, carried.front(), carried.front(), order));
  }
  yield(all);
  carried = Values(branch.getResults());
  return result;
}

Values BlockProgram::firstRows(const Values &rows) {
  if (rows.empty() || !isa<VectorType>(rows.front().getType()))
    return rows;
  auto first = llvm::to_vector(llvm::seq<int32_t>(0, kStripRows));
  return {LLVM::ShuffleVectorOp::create(builder_, rows.front(), rows.front(), first)};
}

// Of a tile of one dimension, as loops over columns take it.
Values BlockProgram::rowsOfLoop(Value tile) {
  return onlyFirstRows_ ? firstRows(vectors_[tile]) : vectors_[tile];
}

Value BlockProgram::multiplyAdd(const Product &product, Value left, Value right, Value sum) {
  return product.pairs ? multiplyPairs(left, right, sum) : Value(math::FmaOp::create(builder_, left, right, sum));
}

// prefetcht1: what is under way to the first-level cache takes one of the few places that loads wait in, so that only
// half of what memory gives came in time.
void BlockProgram::request(Value pointer, int64_t bytes) {
  constexpr int64_t kLineBytes = 64;
  constexpr int32_t kRead = 0, kSecondLevel = 2, kData = 1;
  if (isLeftOut(kernel_, Effect::kRequests))
    return;
  for (int64_t offset = 0; offset < bytes; offset += kLineBytes)
    LLVM::Prefetch::create(builder_, byte(pointer, offset), kRead, kSecondLevel, kData);
}

// How many rows ahead of the one that is read, and at least so many.
Value BlockProgram::rowAhead(const Product &product, Value row, int64_t width, int64_t least) {
  return add(row, i64(std::max(kRequestedBytes / (width * product.storedBytes), least)));
}

// Elements of a row in memory, as a product takes them: words of two, or float32.
Value BlockProgram::rowElements(const Product &product, Value pointer) {
  if (product.pairs)
    return load(VectorType::get({registers_.lanes}, builder_.getI32Type()), pointer, product.storedBytes);
  Value bits = load(VectorType::get({registers_.lanes}, storageOf(product.stored)), pointer, product.storedBytes);
  return fromStorage(bits, product.stored);
}

// Two vectors' sums of neighbours, in turns: runs of `run` lanes of one and of the other.
Value BlockProgram::addNeighbours(Value a, Value b, int64_t run) {
  auto n = static_cast<int32_t>(registers_.lanes);
  SmallVector<int32_t> order[2];
  if (run < kTransposedColumns) { // within each piece: unpcklps, unpckhps for 1, unpcklpd, unpckhpd for 2
    for (int32_t piece = 0; piece < n; piece += kTransposedColumns)
      for (int32_t half = 0; half < 2; ++half)
        for (int32_t i = 0; i < 2; i += static_cast<int32_t>(run))
          for (int32_t side : {0, n})
            for (int32_t j = 0; j < run; ++j)
              order[half].push_back(side + piece + 2 * half + i + j);
  } else { // whole pieces
    for (int32_t half = 0; half < 2; ++half)
      for (int32_t side : {0, n})
        for (int32_t piece = half * kTransposedColumns; piece < n; piece += 2 * kTransposedColumns)
          for (int32_t j = 0; j < kTransposedColumns; ++j)
            order[half].push_back(side + piece + j);
  }
  Value first = LLVM::ShuffleVectorOp::create(builder_, a, b, order[0]);
  Value second = LLVM::ShuffleVectorOp::create(builder_, a, b, order[1]);
  return arith::AddFOp::create(builder_, first, second);
}

// The sum of each of as many vectors as there are lanes, in its lane.
Value BlockProgram::sumsOfVectors(Values vectors) {
  for (int64_t run = 1; vectors.size() > 1; run *= 2) {
    Values sums;
    for (size_t i = 0; i < vectors.size(); i += 2)
      sums.push_back(addNeighbours(vectors[i], vectors[i + 1], run));
    vectors = std::move(sums);
  }
  return vectors.front();
}

// Q Kᵀ of four rows of Q and as many keys as make a vector of scores; the last of them may be one.
void BlockProgram::emitScoresOfKeys(const Product &product, int64_t width, Value left, Value result, Value firstKey) {
  int64_t keysAtOnce = registers_.lanes / kStripRows, vectorBytes = registers_.lanes * kWordBytes;
  int64_t elements = registers_.lanes * (product.pairs ? 2 : 1), leftBytes = vectorBytes / elements;
  auto vector = VectorType::get({registers_.lanes}, builder_.getF32Type());
  VectorType words = product.pairs ? vector.clone(builder_.getI32Type()) : vector;
  Value last = add(product.columnCount, i64(-1));
  Values keys, pointers, ahead;
  for (int64_t i = 0; i < keysAtOnce; ++i) {
    keys.push_back(i ? minimum(add(firstKey, i64(i)), last) : firstKey);
    pointers.push_back(byte(product.base, multiply(keys.back(), product.columnStride)));
    Value row = rowAhead(product, add(firstKey, i64(i)), width, keysAtOnce);
    ahead.push_back(byte(product.base, multiply(row, product.columnStride)));
  }
  Values none(registers_.lanes, filled(vector, 0));
  Values sums = loop(i64(0), i64(width), elements, none, [&](Value column, ValueRange state) {
    Value row = byte(left, multiply(column, i64(leftBytes)));
    Values q, next;
    for (int64_t r = 0; r < kStripRows; ++r)
      q.push_back(load(words, byte(row, r * width * leftBytes), vectorBytes));
    Value offset = multiply(column, i64(product.storedBytes));
    for (int64_t i = 0; i < keysAtOnce; ++i) {
      request(byte(ahead[i], offset), elements * product.storedBytes);
      Value k = rowElements(product, byte(pointers[i], offset));
      for (int64_t r = 0; r < kStripRows; ++r)
        next.push_back(multiplyAdd(product, q[r], k, state[i * kStripRows + r]));
    }
    return next;
  });
  Value scores = sumsOfVectors(sums);
  for (int64_t i = 0; i < keysAtOnce; ++i) {
    auto lanes = llvm::to_vector(llvm::seq(static_cast<int32_t>(i * kStripRows), static_cast<int32_t>((i + 1) * kStripRows)));
    store(LLVM::ShuffleVectorOp::create(builder_, scores, scores, lanes),
          byte(result, multiply(keys[i], i64(product.rows * kWordBytes))), kStripRows * kWordBytes);
  }
}

void BlockProgram::emitScoresAlongRows(const Product &product, int64_t width) {
  // Rows that do not exist are computed with, where there are four that do and others: they may not be what was there.
  auto vector = vectorOf(builder_.getF32Type(), product.rows);
  int64_t vectorBytes = vector.getNumElements() * kWordBytes, leftBytes = product.pairs ? kWordBytes / 2 : kWordBytes;
  Value bytes = multiply(product.columnCount, i64(product.rows * kWordBytes));
  Value few = arith::CmpIOp::create(builder_, arith::CmpIPredicate::eq, rowGroups_, i64(1));
  loop(i64(0), arith::SelectOp::create(builder_, few, i64(0), bytes), vectorBytes,
       [&](Value place) { store(filled(vector, 0), byte(product.result, place), vectorBytes); });
  loop(i64(0), rowGroups_, 1, [&](Value group) {
    Value left = byte(product.left, multiply(group, i64(kStripRows * width * leftBytes)));
    Value result = byte(product.result, multiply(group, i64(kStripRows * kWordBytes)));
    loop(i64(0), product.columnCount, registers_.lanes / kStripRows,
         [&](Value key) { emitScoresOfKeys(product, width, left, result, key); });
  });
  clearColumns(product);
}

// Vectors of a row of V; of pairs, of the words that it makes with the next one, or with zeros.
Values BlockProgram::valuesOfRow(const Product &product, int64_t vectors, Value row, Value nextRow) {
  int64_t lanes = registers_.lanes, elementsOfLoad = product.pairs && vectors % 2 == 0 ? 2 * lanes : lanes;
  Values values;
  for (int64_t column = 0; column < vectors * lanes; column += elementsOfLoad) {
    int64_t offset = column * product.storedBytes;
    if (!product.pairs) {
      values.push_back(rowElements(product, byte(row, offset)));
      continue;
    }
    auto halves = VectorType::get({elementsOfLoad}, builder_.getI16Type());
    Value first = load(halves, byte(row, offset), product.storedBytes);
    Value second = nextRow ? load(halves, byte(nextRow, offset), product.storedBytes) : filled(halves, 0);
    for (int64_t from = 0; from < elementsOfLoad; from += lanes)
      values.push_back(interleaved(first, second, from));
  }
  return values;
}

// Words of the elements of two rows, `lanes` of them from `from` on, by one permutation.
Value BlockProgram::interleaved(Value first, Value second, int64_t from) {
  auto count = static_cast<int32_t>(cast<VectorType>(first.getType()).getNumElements());
  SmallVector<int32_t> order;
  for (auto i = static_cast<int32_t>(from); i < from + registers_.lanes; ++i)
    order.append({i, count + i});
  return LLVM::BitcastOp::create(builder_, VectorType::get({registers_.lanes}, builder_.getI32Type()),
                                 LLVM::ShuffleVectorOp::create(builder_, first, second, order));
}

// Sums of four rows of P times rows of V, `step` at once, added to `sums`: as many columns as registers hold.
Values BlockProgram::addRowsOfValues(const Product &product, const ValueColumns &columns, Value left, Value begin,
                                     Value end, int64_t step, Values sums) {
  Type word = product.pairs ? Type(builder_.getI32Type()) : builder_.getF32Type();
  int64_t wordBytes = product.rows * kWordBytes / (product.pairs ? 2 : 1); // of a key's probabilities
  return loop(begin, end, step, sums, [&](Value key, ValueRange state) {
    Values rows, next;
    for (int64_t i = 0; i < step; ++i) {
      rows.push_back(byte(columns.base, multiply(add(key, i64(i)), product.innerStride)));
      Value ahead = rowAhead(product, add(key, i64(i)), columns.width, step);
      request(byte(columns.base, multiply(ahead, product.innerStride)),
              columns.vectors * registers_.lanes * product.storedBytes);
    }
    Values v = valuesOfRow(product, columns.vectors, rows[0], step == 2 ? rows[1] : Value());
    Value probabilities = byte(left, multiply(key, i64(wordBytes)));
    for (int64_t r = 0; r < kStripRows; ++r) {
      Value p = broadcast(load(word, byte(probabilities, r * kWordBytes)), registers_.lanes);
      for (int64_t i = 0; i < columns.vectors; ++i)
        next.push_back(multiplyAdd(product, p, v[i], state[r * columns.vectors + i]));
    }
    return next;
  });
}

// P V of four rows of P: sums, row after row, by passes over as many columns as registers hold.
void BlockProgram::emitRowsOfOutput(const Product &product, int64_t width, Value left, Value target) {
  int64_t vectors = registers_.count >= 32 ? 4 : 2, vectorBytes = registers_.lanes * kWordBytes;
  while (width / registers_.lanes % vectors != 0)
    vectors /= 2;
  int64_t rowBytes = product.columns * kWordBytes;
  auto vector = VectorType::get({registers_.lanes}, builder_.getF32Type());
  loop(i64(0), i64(kStripRows * rowBytes), vectorBytes,
       [&](Value place) { store(filled(vector, 0), byte(target, place), vectorBytes); });
  loop(i64(0), product.innerCount, kKeysOfPass, [&](Value first) {
    Value end = minimum(add(first, i64(kKeysOfPass)), product.innerCount);
    Value even = product.pairs ? Value(arith::AndIOp::create(builder_, end, i64(~int64_t{1}))) : end;
    loop(i64(0), i64(width), vectors * registers_.lanes, [&](Value column) {
      Value place = byte(target, multiply(column, i64(kWordBytes)));
      Values sums;
      for (int64_t r = 0; r < kStripRows; ++r)
        for (int64_t i = 0; i < vectors; ++i)
          sums.push_back(load(vector, byte(place, r * rowBytes + i * vectorBytes), vectorBytes));
      ValueColumns columns{byte(product.base, multiply(column, i64(product.storedBytes))), width, vectors};
      sums = addRowsOfValues(product, columns, left, first, even, product.pairs ? 2 : 1, sums);
      if (product.pairs)
        sums = addRowsOfValues(product, columns, left, even, end, 1, sums);
      for (int64_t r = 0; r < kStripRows; ++r)
        for (int64_t i = 0; i < vectors; ++i)
          store(sums[r * vectors + i], byte(place, r * rowBytes + i * vectorBytes), vectorBytes);
    });
  });
}

void BlockProgram::emitOutputAlongRows(const Product &product, int64_t width) {
  int64_t rowBytes = product.columns * kWordBytes, columnBytes = product.rows * kWordBytes;
  int64_t offset = workspace_.allocate(kStripRows * rowBytes);
  auto piece = VectorType::get({kStripRows}, builder_.getF32Type());
  loop(i64(0), rowGroups_, 1, [&](Value group) {
    Value rows = multiply(group, i64(kStripRows * kWordBytes));
    Value left = byte(product.left, rows), result = byte(product.result, rows);
    emitRowsOfOutput(product, width, left, buffer(offset));
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
