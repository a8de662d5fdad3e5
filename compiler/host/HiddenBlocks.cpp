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

LogicalResult BlockProgram::lowerAny(AnyOp op) {
  auto table = op.getSource().getDefiningOp<GatherOp>();
  auto compare = op.getSource().getDefiningOp<arith::CmpFOp>();
  if (compare && compare.getPredicate() == arith::CmpFPredicate::UNE && matchPattern(compare.getRhs(), m_NegInfFloat()))
    table = compare.getLhs().getDefiningOp<GatherOp>();
  if (!table || !isTileOfTable(table))
    return op.emitOpError("asks for more than elements of a table at rows and columns");
  scalars_[op.getResult()] = anyOfTable(table);
  return success();
}

// For each row that the table has, the first at least, while none shows a key. Rows and columns that it lacks repeat its
// last: as if they were not asked for.
Value BlockProgram::anyOfTable(GatherOp op) {
  auto tile = cast<RankedTensorType>(op.getResult().getType());
  auto [rowIndex, columnIndex] = matchTileOfTable(op);
  TensorView tensor = view(op.getTensor());
  auto dimension = static_cast<int>(op.getIndices().size()) - 1;
  Value stride = tensor.strides[dimension], rowStride = tensor.strides[dimension - 1];
  Value columns = widen(size(tensor, dimension)), lastRow = add(widen(size(tensor, dimension - 1)), i64(-1));
  Value first = minimum(widen(scalars_.lookup(columnIndex.getStart())), add(columns, i64(-1)));
  Value firstRow = minimum(widen(scalars_.lookup(rowIndex.getStart())), lastRow);
  Value count = minimum(builder_.createOrFold<arith::SubIOp>(columns, first), i64(tile.getDimSize(1)));
  Value endRow = minimum(add(lastRow, i64(1)), add(firstRow, i64(tile.getDimSize(0))));
  Value start = byte(startOfTable(op), multiply(first, stride));

  Type i1 = builder_.getI1Type();
  auto whileHidden = scf::WhileOp::create(
      builder_, TypeRange{builder_.getI64Type(), i1}, ValueRange{firstRow, filled(i1, 0)},
      [&](OpBuilder &, Location, ValueRange state) {
        Value more = arith::CmpIOp::create(builder_, arith::CmpIPredicate::slt, state[0], endRow);
        Value hidden = arith::XOrIOp::create(builder_, state[1], filled(i1, 1));
        scf::ConditionOp::create(builder_, arith::AndIOp::create(builder_, more, hidden), state);
      },
      [&](OpBuilder &, Location, ValueRange state) {
        Value some = anyOfRow(tensor, byte(start, multiply(state[0], rowStride)), stride, count);
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
