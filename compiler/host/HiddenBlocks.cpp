// Whether a table hides a block of keys from all rows: a bool mask by zeros, a bias by -inf. Its elements are read where
// they lie, row after row, until one shows a key: of a block that is not hidden most often the first row alone.
//
//     tile.any mask                         tile.any (bias ≠ -inf)
#include "compiler/host/BlockProgram.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

static constexpr int64_t kPiece = 32; ///< elements of a row that are read at once, of bool a vector of AVX2

// The bits of an element that shows nothing.
static int64_t bitsOfHidden(Type element) {
  auto real = dyn_cast<FloatType>(element);
  if (!real)
    return 0;
  return APFloat::getInf(real.getFloatSemantics(), /*Negative=*/true).bitcastToAPInt().getSExtValue();
}

// Whether `numberOfRow` knows a vector of integers.
static bool isMadeOfRows(Value numbers) {
  Operation *op = numbers.getDefiningOp();
  if (!op || isa<IndexOp, SplatOp>(op))
    return op != nullptr;
  DenseElementsAttr constant;
  return (matchPattern(numbers, m_Constant(&constant)) && constant.isSplat()) ||
         (isElementwise(op) && op->getNumOperands() != 0 && llvm::all_of(op->getOperands(), isMadeOfRows));
}

// Of a table at adjacent columns and at rows of the tile: indices (…, columns from c), the others one number for all rows,
// or made of the row's own.
static bool isOfRowsAndColumns(GatherOp op) {
  auto isOfRows = [](Value index) {
    auto expand = index.getDefiningOp<ExpandOp>();
    return !isMatrix(index.getType()) || (expand && isMadeOfRows(expand.getSource()));
  };
  auto columns = op.getIndices().back().getDefiningOp<IndexOp>();
  return !op.getGuard() && isMatrix(op.getResult().getType()) && columns &&
         columns.getDirection() == Direction::columns && llvm::all_of(op.getIndices().drop_back(), isOfRows);
}

LogicalResult BlockProgram::lowerAny(AnyOp op) {
  if (isVector(op.getSource().getType())) {
    scalars_[op.getResult()] = anyOfRows(vectors_[op.getSource()]);
    return success();
  }
  auto table = op.getSource().getDefiningOp<GatherOp>();
  auto compare = op.getSource().getDefiningOp<arith::CmpFOp>();
  if (compare && compare.getPredicate() == arith::CmpFPredicate::UNE && matchPattern(compare.getRhs(), m_NegInfFloat()))
    table = compare.getLhs().getDefiningOp<GatherOp>();
  if (!table || !isOfRowsAndColumns(table))
    return op.emitOpError("asks for more than elements of a table at rows and columns");
  scalars_[op.getResult()] = anyOfTable(table);
  return success();
}

Value BlockProgram::anyOfRows(ArrayRef<Value> vectors) {
  Value any = vectors.front();
  for (Value vector : vectors.drop_front())
    any = arith::OrIOp::create(builder_, any, vector);
  return LLVM::vector_reduce_or::create(builder_, builder_.getI1Type(), any);
}

// What a row has in a vector of integers, by the operations that made it: its own number, or as packed heads have it
// row / heads, first + row mod heads.
Value BlockProgram::numberOfRow(Value numbers, Value row) {
  Operation *op = numbers.getDefiningOp();
  if (auto index = dyn_cast<IndexOp>(op))
    return add(scalars_.lookup(index.getStart()), row);
  if (auto splat = dyn_cast<SplatOp>(op))
    return scalars_.lookup(splat.getSource());
  if (DenseElementsAttr constant; matchPattern(numbers, m_Constant(&constant)))
    return arith::ConstantOp::create(builder_, constant.getSplatValue<IntegerAttr>());
  OperationState scalar(op->getLoc(), op->getName());
  for (Value operand : op->getOperands())
    scalar.addOperands(numberOfRow(operand, row));
  scalar.addTypes(row.getType());
  scalar.addAttributes(op->getAttrs());
  return builder_.create(scalar)->getResult(0);
}

// Rows of the tile that need be asked: rows beyond the table's last repeat it, and so do those of no query.
Value BlockProgram::rowsOfTable(GatherOp op) {
  if (llvm::none_of(op.getIndices().drop_back(), [](Value index) { return isMatrix(index.getType()); }))
    return i64(1);
  Value rows = i64(cast<RankedTensorType>(op.getResult().getType()).getDimSize(0));
  if (isKnown(rowGroups_))
    rows = minimum(rows, multiply(rowGroups_, i64(kStripRows)));
  for (auto [d, index] : llvm::enumerate(op.getIndices().drop_back())) {
    auto expand = index.getDefiningOp<ExpandOp>();
    auto row = expand ? expand.getSource().getDefiningOp<IndexOp>() : IndexOp();
    if (!row)
      continue;
    Value left = builder_.createOrFold<arith::SubIOp>(widen(size(view(op.getTensor()), static_cast<int>(d))),
                                                      widen(scalars_.lookup(row.getStart())));
    rows = minimum(rows, arith::MaxSIOp::create(builder_, left, i64(1)));
  }
  return rows;
}

// For each row, the first at least, while none shows a key. Indices are clamped, as gathers do it.
Value BlockProgram::anyOfTable(GatherOp op) {
  auto tile = cast<RankedTensorType>(op.getResult().getType());
  auto columnIndex = op.getIndices().back().getDefiningOp<IndexOp>();
  TensorView tensor = view(op.getTensor());
  auto dimension = static_cast<int>(op.getIndices().size()) - 1;
  Value stride = tensor.strides[dimension], columns = widen(size(tensor, dimension));
  Value first = minimum(widen(scalars_.lookup(columnIndex.getStart())), add(columns, i64(-1)));
  first = builder_.createOrFold<arith::MaxSIOp>(first, i64(0));
  Value count = minimum(builder_.createOrFold<arith::SubIOp>(columns, first), i64(tile.getDimSize(1)));
  auto at = [&](Value start, int d, Value number) {
    Value last = add(widen(size(tensor, d)), i64(-1));
    return byte(start, multiply(clamp(widen(number), i64(0), last), tensor.strides[d]));
  };
  Value start = byte(tensor.data, multiply(first, stride));
  for (int d = 0; d < dimension; ++d)
    if (Value index = op.getIndices()[d]; !isMatrix(index.getType()))
      start = at(start, d, scalars_.lookup(index));
  auto rowOfTable = [&](Value row) {
    Value number = arith::TruncIOp::create(builder_, builder_.getI32Type(), row), place = start;
    for (int d = 0; d < dimension; ++d)
      if (auto expand = op.getIndices()[d].getDefiningOp<ExpandOp>())
        place = at(place, d, numberOfRow(expand.getSource(), number));
    return place;
  };

  Type i1 = builder_.getI1Type();
  Value end = rowsOfTable(op);
  auto whileHidden = scf::WhileOp::create(
      builder_, TypeRange{builder_.getI64Type(), i1}, ValueRange{i64(0), filled(i1, 0)},
      [&](OpBuilder &, Location, ValueRange state) {
        Value more = arith::CmpIOp::create(builder_, arith::CmpIPredicate::slt, state[0], end);
        Value hidden = arith::XOrIOp::create(builder_, state[1], filled(i1, 1));
        scf::ConditionOp::create(builder_, arith::AndIOp::create(builder_, more, hidden), state);
      },
      [&](OpBuilder &, Location, ValueRange state) {
        Value some = anyOfRow(tensor, rowOfTable(state[0]), stride, count);
        scf::YieldOp::create(builder_, ValueRange{add(state[0], i64(1)), some});
      });
  return whileHidden.getResult(1);
}

// Adjacent elements in pieces, of which the last ends where the row does; others, and fewer, one by one.
Value BlockProgram::anyOfRow(const TensorView &tensor, Value row, Value stride, Value count) {
  auto element = builder_.getIntegerType(static_cast<unsigned>(8 * tensor.bytes));
  auto differences = [&](Value begin, Value end, Type type, int64_t step, llvm::function_ref<Value(Value)> place) -> Value {
    return loop(begin, end, step, filled(type, 0), [&](Value column, ValueRange soFar) {
      Value bits = load(type, place(column), tensor.bytes);
      bits = builder_.createOrFold<arith::XOrIOp>(bits, filled(type, bitsOfHidden(tensor.element)));
      return Values{arith::OrIOp::create(builder_, soFar[0], bits)};
    })[0];
  };
  Value adjacent = arith::CmpIOp::create(builder_, arith::CmpIPredicate::eq, stride, i64(tensor.bytes));
  Value enough = arith::CmpIOp::create(builder_, arith::CmpIPredicate::sge, count, i64(kPiece));
  Value inPieces = arith::AndIOp::create(builder_, adjacent, enough);
  Value end = arith::SelectOp::create(builder_, inPieces, count, i64(0));
  Value lastPiece = add(count, i64(-kPiece));
  Value pieces = differences(i64(0), end, VectorType::get({kPiece}, element), kPiece, [&](Value column) {
    return byte(row, multiply(minimum(column, lastPiece), i64(tensor.bytes)));
  });
  Value others = differences(end, count, element, 1, [&](Value column) { return byte(row, multiply(column, stride)); });
  auto some = [&](Value bits) {
    return arith::CmpIOp::create(builder_, arith::CmpIPredicate::ne, bits, filled(element, 0));
  };
  return arith::OrIOp::create(builder_, some(LLVM::vector_reduce_or::create(builder_, element, pieces)), some(others));
}
