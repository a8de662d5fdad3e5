// Scores by tile units (TileProducts.cpp), folded while they are made: strips of columns are some 32 columns ahead of the
// vectors that reduce them, between the products of tiles.
//
//     maximum    of the scores, where the reference follows them
//     sum        of their rounded powers of two, where a reference stands. Beside a mask the strips end where it does, and
//                only those that it cuts ask it
#include "compiler/host/BlockProgram.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

static constexpr int64_t kVectorBytes = tile_unit::kRowBytes;
static constexpr int64_t kColumnsBehind = kTileBlock; ///< the products are folded: what tiles store is then in memory

// Of `count` columns that lie in the workspace what is reduced, and what else becomes of them; where a mask hides some,
// of open ones.
Values BlockProgram::foldColumns(const Product &product, Folding &folding, Value strip, int64_t first, int64_t count,
                                 ValueRange soFar) {
  int64_t rows = product.rows, lanes = lanesOf(rows);
  auto vector = VectorType::get({lanes}, builder_.getF32Type());
  auto hook = [&](Value, const Values &elements, ValueRange state) {
    return fold(folding.reduce.getReduction(), folding.columns.tile.getType(), elements, state);
  };
  Value scores = byte(product.result, multiply(placeOf(folding, strip), i64(columnBytesOf(rows))));
  int64_t within = first; // of the strip, which lies in one piece
  auto loadColumn = [&](Value column, ColumnValues &values) {
    loadLeaves(folding.cone, rows, multiply(column, i64(columnBytesOf(rows))), values);
    Value place = byte(scores, (within++) * columnBytesOf(rows));
    for (int64_t i = 0; i < rows / lanes; ++i)
      values[folding.scores].push_back(load(vector, byte(place, i * kVectorBytes), kVectorBytes));
  };
  Values next(soFar);
  for (int64_t i = 0; i < count && folding.columns.fine; i += folding.columns.step)
    next = computeColumns(folding.columns, add(strip, i64(first + i)), next, hook, loadColumn);
  return next;
}

// The same beside the mask, in a loop: they are few.
Values BlockProgram::foldMaskedColumns(const Product &product, Folding &folding, Value firstColumn, int64_t count,
                                       ValueRange soFar) {
  const Cone *open = std::exchange(folding.columns.cone, &folding.cone);
  arith::SelectOp shown = std::exchange(folding.columns.shown, arith::SelectOp());
  Values next = loop(i64(0), i64(count), folding.columns.step, soFar, [&](Value column, ValueRange state) {
    return foldColumns(product, folding, add(firstColumn, column), 0, folding.columns.step, state);
  });
  folding.columns.cone = open, folding.columns.shown = shown;
  return next;
}

Value BlockProgram::placeOf(const Folding &folding, Value column) {
  return folding.ringColumns ? builder_.createOrFold<arith::AndIOp>(column, i64(folding.ringColumns - 1)) : column;
}

// Columns of the result in strips, each of `multiplies` products and stored by the next one. Some columns behind, between
// the products of tiles, vectors fold what is stored.
Values BlockProgram::emitStrips(const Product &product, int64_t width, int64_t multiplies, int64_t vectorOffset,
                                Folding *folding, EmitStrip emit) {
  int64_t columnBytes = columnBytesOf(product.rows);
  Value result = byte(product.result, vectorOffset), stride = i64(columnBytes);
  size_t tiles = kVectorsOfBlock * width / tile_unit::kRows;
  // What loops carry: where the tiles of the strip before go to, these, and what is folded.
  auto pendingOf = [&](ValueRange state) { return PendingTiles{state[0], Values(state.slice(1, tiles))}; };
  auto foldedOf = [&](ValueRange state) { return state.drop_front(1 + tiles); };
  auto stateOf = [&](Value column, Values sums, ValueRange folded) {
    Values state = {byte(result, multiply(folding ? placeOf(*folding, column) : column, stride))};
    llvm::append_range(state, sums);
    llvm::append_range(state, folded);
    return state;
  };
  // What the first turn stores are no sums yet; the second stores the sums in their place.
  Values state = {result};
  state.append(tiles, tile_unit::UndefinedOp::create(builder_, sumsType()));
  if (!folding) {
    auto strip = [&](Value column, ValueRange before) {
      return stateOf(column, emit(column, pendingOf(before), [] {}), {});
    };
    storeTileBlock(pendingOf(loop(i64(0), product.columnCount, width, state, strip)), columnBytes);
    return {};
  }
  // Where the strip before is folded, its tiles must have been stored: by the first products.
  int64_t first = kColumnsBehind == width ? kTilesOfBlock - 1 : 0;
  auto strips = [&](Value begin, Value end, ValueRange state, bool folds) {
    return loop(begin, end, width, state, [&](Value column, ValueRange before) {
      Values folded(foldedOf(before));
      int64_t made = 0, done = 0;
      auto foldUpTo = [&](int64_t columns) {
        if (folds)
          folded = foldColumns(product, *folding, add(column, i64(-kColumnsBehind)), done, columns - done, folded);
        done = columns;
      };
      Values sums = emit(column, pendingOf(before), [&] {
        if (++made <= first)
          return;
        auto share = static_cast<int64_t>(llvm::divideCeil(width * (made - first), multiplies - first));
        foldUpTo(std::min(share, width) / 2 * 2);
      });
      foldUpTo(width);
      return stateOf(column, sums, folded);
    });
  };
  state = strips(i64(0), i64(kColumnsBehind), state, false);
  Values folded = identityOf(folding->reduce.getReduction(), product.rows);
  beginColumns(folding->columns, /*folds=*/true, folded);
  state.append(folded);
  Value end = folding->end, behind = i64(-kColumnsBehind);
  Value openEnd = folding->masked ? minimum(end, add(folding->open, i64(kColumnsBehind))) : end;
  state = strips(i64(kColumnsBehind), openEnd, state, true);
  auto foldBehind = [&](Value column, ValueRange before) {
    return folding->masked ? foldMaskedColumns(product, *folding, column, width, before)
                           : foldColumns(product, *folding, column, 0, width, before);
  };
  if (folding->masked)
    state = loop(openEnd, end, width, state, [&](Value column, ValueRange before) {
      Values sums = emit(column, pendingOf(before), [] {});
      return stateOf(column, sums, foldBehind(add(column, behind), foldedOf(before)));
    });
  storeTileBlock(pendingOf(state), columnBytes);
  folded = loop(add(end, behind), end, width, foldedOf(state), foldBehind);
  return endColumns(folding->columns, folded);
}

// The selection beside a mask of what a tile is the power of; null where there is none.
static arith::SelectOp selectionOfPower(Value tile) {
  auto rounding = tile.getDefiningOp<arith::TruncFOp>();
  auto power = rounding ? rounding.getIn().getDefiningOp<math::Exp2Op>() : math::Exp2Op();
  return power ? power.getOperand().getDefiningOp<arith::SelectOp>() : arith::SelectOp();
}

// What a tile is computed from where the condition of a selection holds.
static Cone withoutCondition(const Cone &cone, Value tile, arith::SelectOp selection) {
  Cone result{{}, cone.leaves};
  llvm::DenseSet<Value> needed = {tile};
  for (Operation *op : llvm::reverse(cone.ops)) {
    if (!needed.contains(op->getResult(0)))
      continue;
    result.ops.push_back(op);
    if (op == selection)
      needed.insert(selection.getTrueValue());
    else
      needed.insert_range(op->getOperands());
  }
  std::reverse(result.ops.begin(), result.ops.end());
  return result;
}

// The mask beside which powers of the scores are 0 from its end on, if all that read them know; else null.
std::optional<ColumnBounds> BlockProgram::boundsOfPowers(DotOp scores, Value powers) {
  arith::SelectOp selection = selectionOfPower(powers);
  auto bounds = selection ? boundsOf(scores.getResult()) : std::nullopt;
  bool within = bounds && bounds->mask == selection.getCondition() && isReadWithin(scores.getResult(), bounds->mask);
  return within ? bounds : std::nullopt;
}

// Strips that a mask hides are left out, and in those that it leaves open it is not asked.
void BlockProgram::boundFolding(DotOp dot, Folding &folding) {
  auto bounds = boundsOfPowers(dot, folding.columns.tile);
  if (!bounds)
    return;
  auto inStrips = [&](Value columns) { return Value(arith::AndIOp::create(builder_, columns, i64(-kColumnsBehind))); };
  Value end = inStrips(add(bounds->end, i64(kColumnsBehind - 1)));
  folding.end = builder_.createOrFold<arith::MaxSIOp>(end, i64(kColumnsBehind));
  Value open = openColumnsOf(bounds->mask, cast<RankedTensorType>(folding.scores.getType()));
  if (!open)
    return;
  folding.open = inStrips(open);
  folding.masked = selectionOfPower(folding.columns.tile);
  folding.openCone = withoutCondition(folding.cone, folding.columns.tile, folding.masked);
  folding.columns.cone = &folding.openCone;
  folding.columns.shown = folding.masked;
}

// The scores are kept if anything but the reduction reads them.
LogicalResult BlockProgram::lowerTileProductAndReduce(PendingProduct pending, ReduceOp reduce) {
  Product &product = pending.product;
  DotOp dot = pending.dot;
  FailureOr<TileRows> right = tileRowsOf(dot.getB(), /*transposed=*/true);
  if (failed(right))
    return failure();
  Folding folding{reduce, dot.getResult()};
  inRegisters_ = folding.scores;
  LogicalResult collected = collect(reduce.getSource(), folding.cone);
  inRegisters_ = Value();
  if (failed(collected))
    return failure();
  done_.insert(reduce);
  folding.stored = planStores(reduce.getSource(), folding.cone, /*storeTile=*/false);
  folding.columns = {reduce.getSource(), &folding.cone, folding.stored};
  folding.end = i64(product.columns);
  boundFolding(dot, folding);
  int64_t offset = 0;
  if (isNeeded(folding.scores, &folding.cone)) {
    offset = allocateBuffer(cast<RankedTensorType>(dot.getType()));
    bind(folding.scores, offset);
  } else {
    folding.ringColumns = 2 * kColumnsBehind;
    offset = workspace_.allocate(folding.ringColumns * columnBytesOf(product.rows));
  }
  done_.insert(dot);
  product.result = buffer(offset);
  vectors_[reduce.getResult()] = emitTileScores(product, *right, &folding);
  if (folding.ringColumns)
    workspace_.release(offset);
  return success(folding.columns.fine);
}

// A product with 32 rows, which one pass makes, is folded by a reduction in the same loop; of fewer columns than the tile's
// by a sum of powers that are 0 from their end on.
ReduceOp BlockProgram::consumerOfTileProduct(DotOp op, const Product &product) {
  constexpr int64_t kLeastColumns = 4 * kTileBlock;
  if (product.rows != kTileBlock || product.columns < kLeastColumns || isLeftOut(op, Effect::kFoldedMaxima))
    return {};
  ReduceOp sum = sumOfPowers(op);
  IntegerAttr count;
  if (matchPattern(product.columnCount, m_Constant(&count)) && count.getInt() == product.columns)
    return sum ? sum : reductionOf(op);
  return sum && boundsOfPowers(op, sum.getSource()) ? sum : ReduceOp();
}

// The sum of rounded powers of two, made of the product alone; null for none.
ReduceOp BlockProgram::sumOfPowers(DotOp op) {
  Value value = op.getResult();
  while (value.hasOneUse() && !isa<ReduceOp>(*value.getUsers().begin())) {
    Operation *user = *value.getUsers().begin();
    if (!isElementwise(user) || user->getBlock() != op->getBlock() ||
        !llvm::all_of(user->getOperands(), [&](Value operand) { return operand == value || isFree(operand); }))
      return {};
    value = user->getResult(0);
  }
  if (!powerInFixedPoint(value) && !isRounding(value.getDefiningOp()))
    return {};
  for (Operation *user : value.getUsers())
    if (auto reduce = dyn_cast<ReduceOp>(user); reduce && reduce->getBlock() == op->getBlock())
      return reduce;
  return {};
}
