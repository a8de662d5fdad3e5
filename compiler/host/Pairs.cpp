// Products of bfloat16: vdpbf16ps multiplies two neighbours of each lane and adds both to a float32.
// Neighbours along the sum share a 32-bit word, the first in the lower half.
//
//   Q Kᵀ  sums over the width: a word of K lies so in memory; Q is transposed by words.
//   P V   sums over the keys:  P is rounded two columns at once; V is interleaved, two rows at once.
#include "compiler/host/BlockProgram.h"
#include "compiler/host/MathFunctions.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

static constexpr int64_t kWordBytes = 4, kElementBytes = 2;

// An intrinsic, by the bits of its vectors of float32.
StringAttr BlockProgram::ofLanes(StringRef intrinsic, int64_t lanes) {
  return builder_.getStringAttr(intrinsic + Twine(lanes * kWordBytes * 8));
}

// sum + left[0] right[0] + left[1] right[1], in each lane.
Value BlockProgram::multiplyPairs(Value left, Value right, Value sum) {
  int64_t lanes = cast<VectorType>(sum.getType()).getNumElements();
  auto pairs = VectorType::get({2 * lanes}, builder_.getBF16Type());
  auto asPairs = [&](Value words) { return LLVM::BitcastOp::create(builder_, pairs, words); };
  return LLVM::CallIntrinsicOp::create(
             builder_, sum.getType(), ofLanes("llvm.x86.avx512bf16.dpbf16ps.", lanes),
             ValueRange{sum, asPairs(left), asPairs(right)})
      .getResult(0);
}

bool BlockProgram::sumsWords(Type type) const {
  return hasPairs(type) && (!units_ || powerInWords_);
}

// sum + both elements of each word.
Value BlockProgram::addPairs(Value words, Value sum) {
  auto type = cast<VectorType>(words.getType());
  Value lower = arith::ShLIOp::create(builder_, words, filled(type, 16));
  Value upper = arith::AndIOp::create(builder_, words, filled(type, -0x10000));
  auto element = [&](Value bits) -> Value { return arith::BitcastOp::create(builder_, sum.getType(), bits); };
  return arith::AddFOp::create(builder_, arith::AddFOp::create(builder_, element(lower), element(upper)), sum);
}

// Words of two columns of float32, rounded to nearest even.
Values BlockProgram::pairsOf(const Values &even, const Values &odd, int64_t rows) {
  int64_t lanes = lanesOf(rows);
  auto halves = VectorType::get({2 * lanes}, builder_.getBF16Type());
  StringAttr round = ofLanes("llvm.x86.avx512bf16.cvtne2ps2bf16.", lanes);
  SmallVector<int32_t> order; // even's elements are the lower half of each word
  for (int32_t lane = 0; lane < lanes; ++lane)
    order.append({lane, lane + static_cast<int32_t>(lanes)});
  Values words;
  for (int64_t i = 0; i < vectorsOf(rows); ++i) {
    auto vector = [&](const Values &column) {
      return broadcast(column.size() == 1 ? column[0] : column[i], lanes);
    };
    Value rounded =
        LLVM::CallIntrinsicOp::create(builder_, halves, round, ValueRange{vector(odd), vector(even)})
            .getResult(0);
    Value bits = LLVM::BitcastOp::create(builder_, halves.clone(builder_.getI16Type()), rounded);
    Value paired = LLVM::ShuffleVectorOp::create(builder_, bits, bits, order);
    words.push_back(
        LLVM::BitcastOp::create(builder_, VectorType::get({lanes}, builder_.getI32Type()), paired));
  }
  return words;
}

// Pairs are made of float32 alone; a power of two then needs no more than what the rounding leaves.
bool BlockProgram::isRounding(Operation *op) {
  if (!isa<arith::TruncFOp>(op) || !hasPairs(op->getResult(0).getType()))
    return false;
  if (auto power = op->getOperand(0).getDefiningOp<math::Exp2Op>()) {
    power.setFastmath(power.getFastmath() | arith::FastMathFlags::afn);
    if (power->hasOneUse() && !isLeftOut(op, Effect::kRoundedExponentials))
      power->setAttr(kIsRoundedAttribute, UnitAttr::get(op->getContext()));
  }
  return true;
}

// The left operand: words of a row become words of a column. What makes no whole word, or is not
// adjacent, goes by elements.
LogicalResult BlockProgram::packPairs(LoadOp op) {
  auto tile = cast<RankedTensorType>(op.getResult().getType());
  TensorView tensor = view(op.getTensor());
  if (!tensor.element.isBF16())
    return op.emitOpError("loads pairs of bfloat16 from a tensor of ") << tensor.element;
  int64_t rows = tile.getDimSize(0), columnBytes = rows * kWordBytes;
  int64_t offset = allocateBuffer(tile);
  bind(op.getResult(), offset);
  done_.insert(op);
  Transfer words = transferOf(op, tensor, rows, offset);
  noteQueryRows(op, words.count);
  int64_t width = words.width;
  words.width = words.adjacent ? width / 2 : 0;
  clearBeyond(words, offset, tile.getDimSize(1) / 2);
  if (words.width != 0) {
    Type word = builder_.getI32Type();
    words.columnStride = i64(kWordBytes);
    auto strip = [&](ArrayRef<Value> pointers, Value row, Value target) {
      packStrip(words, pointers, row, target, word, kElementBytes, [](Value bits) { return bits; }, isWhole(pointers));
    };
    transfer(words, strip, [&](Value source, Value target) {
      store(load(word, source, kElementBytes), target);
    });
  }
  for (int64_t column = 2 * words.width; column < width; ++column)
    loop(i64(0), words.count, 1, [&](Value row) {
      Value stride = words.adjacent ? i64(kElementBytes) : words.columnStride;
      Value source = byte(rowPlace(words, row), multiply(i64(column), stride));
      Value target = byte(words.buffer, add(multiply(row, i64(kWordBytes)),
                                            i64(column / 2 * columnBytes + column % 2 * kElementBytes)));
      store(load(builder_.getI16Type(), source, kElementBytes), target, kElementBytes);
    });
  if (units_)
    requestResults(op);
  return success();
}

// The columns of a buffer are rounded two at once: half as many words are transposed.
void BlockProgram::storeWords(Transfer t) {
  int64_t lanes = lanesOf(t.rows), vectorBytes = lanes * kWordBytes, columnBytes = t.rows * kWordBytes;
  int64_t offset = workspace_.allocate(t.width / 2 * columnBytes);
  auto vector = VectorType::get({lanes}, builder_.getF32Type());
  Value columns = std::exchange(t.buffer, buffer(offset));
  t.width /= 2;
  loop(i64(0), i64(t.width), 1, [&](Value word) {
    Value source = byte(columns, multiply(word, i64(2 * columnBytes)));
    Value target = byte(t.buffer, multiply(word, i64(columnBytes)));
    Values even, odd;
    for (int64_t i = 0; i < t.rows / lanes; ++i) {
      even.push_back(load(vector, byte(source, i * vectorBytes), vectorBytes));
      odd.push_back(load(vector, byte(source, columnBytes + i * vectorBytes), vectorBytes));
    }
    for (auto [i, words] : llvm::enumerate(pairsOf(even, odd, t.rows)))
      store(words, byte(target, static_cast<int64_t>(i) * vectorBytes), vectorBytes);
  });
  t.columnStride = i64(kWordBytes);
  auto strip = [&](ArrayRef<Value> pointers, Value, Value source) {
    storeStrip(pointers, stripOf(t, source, builder_.getI32Type(), pointers.size()), kElementBytes);
  };
  transfer(t, strip, [&](Value target, Value source) {
    store(load(builder_.getI32Type(), source), target, kElementBytes);
  });
  workspace_.release(offset);
}

FailureOr<Rows> BlockProgram::rowsOfPairs(LoadOp op, Value operand, bool transposed) {
  TensorView tensor = op ? view(op.getTensor()) : TensorView();
  if (!op || !tensor.element.isBF16()) {
    emitError(operand.getLoc(), "the right operand of a product of bfloat16 must be loaded as such");
    return failure();
  }
  Rows rows = rowsInMemory(op, tensor);
  if (!transposed) {
    interleaveRows(op, tensor, rows);
  } else {
    if (op.getLayout() > 1 || rows.width % 2 != 0)
      copyRows(op, tensor, rows);
    rows.width = llvm::divideCeil(rows.width, 2);
    rows.columnStride = i64(kWordBytes);
  }
  rows_[{operand, transposed}] = rows;
  return rows;
}

// Whose words do not lie in memory: side by side, an odd one with a zero.
void BlockProgram::copyRows(LoadOp op, const TensorView &tensor, Rows &rows) {
  int64_t rowBytes = llvm::divideCeil(rows.width, 2) * kWordBytes;
  int64_t offset = allocateRows(op, /*transposed=*/true, rows.rows * rowBytes);
  Type element = builder_.getI16Type();
  loop(i64(0), rows.count, 1, [&](Value row) {
    Value source = byte(rows.pointer, multiply(row, rows.rowStride));
    Value target = byte(buffer(offset), multiply(row, i64(rowBytes)));
    store(i32(0), byte(target, rowBytes - kWordBytes));
    loop(i64(0), i64(rows.width), 1, [&](Value column) {
      Value bits = load(element, byte(source, multiply(column, rows.columnStride)), kElementBytes);
      store(bits, byte(target, multiply(column, i64(kElementBytes))), kElementBytes);
    });
  });
  rows.pointer = buffer(offset);
  rows.rowStride = i64(rowBytes);
}

// Words of a row from a column on, one or as many as a vector has: a multiple of a panel's columns.
void BlockProgram::storeWords(Value words, const Rows &target, Value row, Value column) {
  Value start = byte(target.pointer, multiply(row, target.rowStride));
  if (!target.panelStride)
    return store(words, byte(start, multiply(column, target.columnStride)));
  Value panel = arith::DivUIOp::create(builder_, column, i64(kPanelColumns));
  Value place = byte(start, multiply(panel, target.panelStride));
  auto vector = dyn_cast<VectorType>(words.getType());
  if (!vector) {
    Value within = arith::RemUIOp::create(builder_, column, i64(kPanelColumns));
    return store(words, byte(place, multiply(within, target.columnStride)));
  }
  for (int32_t first = 0; first < vector.getNumElements(); first += kPanelColumns) {
    auto piece = llvm::to_vector(llvm::seq<int32_t>(first, first + kPanelColumns));
    store(LLVM::ShuffleVectorOp::create(builder_, words, words, piece), place);
    place = byte(place, target.panelStride);
  }
}

// Elements of two rows, of two vectors' words, by a permutation each.
void BlockProgram::interleaveWhole(Value first, Value second, const Rows &target, Value row, Value column) {
  auto count = static_cast<int32_t>(2 * registers_.lanes);
  auto vector = VectorType::get({count}, builder_.getI16Type());
  auto words = VectorType::get({registers_.lanes}, builder_.getI32Type());
  auto read = [&](Value source) {
    return load(vector, byte(source, multiply(column, i64(kElementBytes))), kElementBytes);
  };
  Value a = read(first), b = read(second);
  for (int32_t half = 0; half < 2; ++half) {
    SmallVector<int32_t> order;
    for (int32_t i = 0; i < count / 2; ++i)
      order.append({half * count / 2 + i, count + half * count / 2 + i});
    Value paired = LLVM::ShuffleVectorOp::create(builder_, a, b, order);
    storeWords(LLVM::BitcastOp::create(builder_, words, paired), target, row, add(column, i64(half * count / 2)));
  }
}

// Elements of two rows, or of one and zeros where there is no second.
void BlockProgram::interleaveColumns(Value first, Value second, Value columnStride, int64_t lanes, const Rows &target,
                                     Value row, Value column) {
  Type stored = builder_.getI16Type(), word = builder_.getI32Type();
  if (lanes != 1)
    stored = VectorType::get({lanes}, stored), word = VectorType::get({lanes}, word);
  auto widened = [&](Value source) -> Value {
    Value bits = load(stored, byte(source, multiply(column, columnStride)), kElementBytes);
    return arith::ExtUIOp::create(builder_, word, bits);
  };
  Value result = widened(first);
  if (second) {
    Value upper = arith::ShLIOp::create(builder_, widened(second), filled(word, 16));
    result = arith::OrIOp::create(builder_, result, upper);
  }
  storeWords(result, target, row, column);
}

// Row `row` of the source and, of `both`, the next.
void BlockProgram::interleaveRow(LoadOp op, const Rows &source, const Rows &target, Value row, bool both) {
  Value first = byte(source.pointer, multiply(row, source.rowStride));
  Value second = both ? byte(first, source.rowStride) : Value();
  Value half = arith::ShRUIOp::create(builder_, row, i64(1));
  int64_t lanes = op.getLayout() <= 1 ? registers_.lanes : 1;
  if (both && lanes != 1 && source.width % (2 * lanes) == 0)
    return loop(i64(0), i64(source.width), 2 * lanes,
                [&](Value column) { interleaveWhole(first, second, target, half, column); });
  int64_t whole = source.width / lanes * lanes;
  auto columns = [&](int64_t begin, int64_t end, int64_t step) {
    if (begin != end)
      loop(i64(begin), i64(end), step, [&](Value column) {
        interleaveColumns(first, second, source.columnStride, step, target, half, column);
      });
  };
  columns(0, whole, lanes);
  columns(whole, source.width, 1);
}

// Two rows become one of words; behind an odd last one stand zeros. Of few queries a row stays whole, else it is cut
// in panels.
void BlockProgram::interleaveRows(LoadOp op, const TensorView &tensor, Rows &rows) {
  int64_t padded = llvm::alignTo(rows.width, registers_.lanes), pairs = rows.rows / 2;
  int64_t offset = allocateRows(op, /*transposed=*/false, pairs * padded * kWordBytes);
  Rows words = rows;
  words.rowStride = i64((keepsRows_ ? kPanelColumns : padded) * kWordBytes);
  words.columnStride = i64(kWordBytes);
  if (keepsRows_)
    words.panelStride = i64(pairs * kPanelColumns * kWordBytes);
  auto interleave = [&](Value target) {
    words.pointer = target;
    Value even = arith::AndIOp::create(builder_, rows.count, i64(~int64_t{1}));
    loop(i64(0), even, 2, [&](Value row) { interleaveRow(op, rows, words, row, true); });
    loop(even, rows.count, 1, [&](Value row) { interleaveRow(op, rows, words, row, false); });
  };
  words.pointer = keepOrRewrite(op, /*transposed=*/false, rows, buffer(offset), /*liesThere=*/false, interleave).pointer;
  words.count = arith::DivUIOp::create(builder_, add(rows.count, i64(1)), i64(2));
  words.rows = pairs;
  rows = words;
}
