// Loops over the columns of a tile: a turn computes what its elements are made of (Elementwise.cpp), folds and stores them.
#include "compiler/host/BlockProgram.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

LogicalResult BlockProgram::forEachColumn(Value tile, const Cone &cone, ArrayRef<Stored> stored,
                                          Values &carried, ColumnHook hook) {
  Value end = columnEnd(tile, stored);
  auto all = [&] { return forColumnsTo(end, tile, cone, stored, carried, hook); };
  if (!rowGroups_ || cast<RankedTensorType>(tile.getType()).getDimSize(0) != groupedRows_)
    return all();
  return forExistingRows(carried, all);
}

void BlockProgram::beginColumns(ColumnLoop &columns, bool folds, Values &carried) {
  auto isPair = [](Operation *op) { return hasPairs(op->getResult(0).getType()); };
  columns.step = llvm::any_of(columns.cone->ops, isPair) ? 2 : 1;
  columns.folded = carried.size();
  math::Exp2Op power = folds ? powerInFixedPoint(columns.tile) : math::Exp2Op();
  powerInWords_ = power && llvm::is_contained(columns.cone->ops, power.getOperation()) ? power.getOperation() : nullptr;
  int64_t rows = cast<RankedTensorType>(columns.tile.getType()).getDimSize(0);
  if (!powerInWords_)
    return;
  joinReferences(powerInWords_->getOperand(0), *columns.cone);
  carried.append(columns.folded, filled(vectorOf(builder_.getI32Type(), rows), 0)); // marks
}

// Computes, folds and stores `step` columns from `first` on.
Values BlockProgram::computeColumns(ColumnLoop &columns, Value first, ValueRange state, ColumnHook hook,
                                    llvm::function_ref<void(Value, ColumnValues &)> loadColumn) {
  Type type = columns.tile.getType();
  int64_t rows = cast<RankedTensorType>(type).getDimSize(0);
  SmallVector<ColumnValues, 2> values(columns.step);
  Values next(state.take_front(columns.folded)), marks(state.drop_front(columns.folded));
  for (auto [i, ofColumn] : llvm::enumerate(values)) {
    Value current = add(first, i64(i));
    loadColumn(current, ofColumn);
    for (Operation *op : columns.cone->ops)
      if (op == columns.shown)
        ofColumn[op->getResult(0)] = joined_.contains(op) ? inFixedPoint(columns.shown.getTrueValue(), ofColumn)
                                                          : Values(ofColumn[columns.shown.getTrueValue()]);
      else
        columns.fine &= succeeded(computeColumn(op, current, ofColumn));
    if (!columns.fine)
      return Values(state);
    if (hook && !sumsWords(type))
      next = hook(current, ofColumn[columns.tile], next);
  }
  ColumnValues words; // of two columns each
  for (Operation *op : columns.cone->ops)
    if (Value pair = op->getResult(0); hasPairs(pair.getType()))
      words[pair] = powerInWords_ && pair == columns.tile
                        ? powersOfPairs(values[0][pair], values[1][pair], rows, marks)
                        : pairsOf(values[0][pair], values[1][pair], rows);
  if (hook && sumsWords(type))
    next = hook(first, words[columns.tile], next);
  for (const Stored &store : columns.stored)
    storeColumns(store, first, values, words);
  llvm::append_range(next, marks);
  return next;
}

Values BlockProgram::endColumns(const ColumnLoop &columns, Values carried) {
  if (!std::exchange(powerInWords_, nullptr))
    return carried;
  joined_.clear();
  return markBeyondRange(Values(ArrayRef(carried).take_front(columns.folded)), ArrayRef(carried).drop_front(columns.folded));
}

LogicalResult BlockProgram::forColumnsTo(Value end, Value tile, const Cone &cone, ArrayRef<Stored> stored,
                                         Values &carried, ColumnHook hook) {
  int64_t rows = cast<RankedTensorType>(tile.getType()).getDimSize(0);
  ColumnLoop columns{tile, &cone, stored};
  beginColumns(columns, /*folds=*/static_cast<bool>(hook), carried);
  auto loadColumn = [&](Value column, ColumnValues &values) {
    loadLeaves(cone, rows, multiply(column, i64(rows * sizeof(float))), values);
  };
  carried = loop(i64(0), end, columns.step, carried, [&](Value column, ValueRange state) {
    return computeColumns(columns, column, state, hook, loadColumn);
  });
  carried = endColumns(columns, carried);
  return success(columns.fine);
}
