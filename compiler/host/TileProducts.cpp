// Products of bfloat16 by tile units. The rows of a tile of the result are 16 columns of the product, so that sums lie
// as those of vectors do (16 rows of the block side by side): all else is as with pairs (Pairs.cpp).
//
//     Sᵀ = K Qᵀ     a: 16 keys × 32 of the width, where they lie in memory     b: the packed queries
//     Oᵀ += Vᵀ Pᵀ   a: 16 columns × 32 keys, transposed (TileOperands.cpp)     b: the rounded probabilities
//
// Tiles are values (dialects/tile_unit): a pass behind this one gives them registers. A tile that is finished is stored
// where the next sum begins: stored at once, it would hold up the next ones.
#include "compiler/host/BlockProgram.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

static constexpr int64_t kWordsOfStep = tile_unit::kTerms / 2;
static constexpr int64_t kVectorBytes = tile_unit::kRowBytes; ///< 16 rows of the block, a word each
static constexpr int64_t kMostUnrolledSteps = 4;
static constexpr int64_t kBlock = 2 * tile_unit::kRows; ///< rows and columns that four tiles of sums cover
static constexpr int64_t kVectorsOfBlock = 2; ///< tiles beside each other: their rows of the block
static constexpr int64_t kTilesOfBlock = 4;
static constexpr int64_t kColumnsBehind = kBlock; ///< the products are folded: what tiles store is then in memory

static int64_t columnBytesOf(int64_t rows) { return rows * static_cast<int64_t>(sizeof(float)); }

void BlockProgram::configureTiles(Block &kernel) {
  reserveKept(kernel);
  if (!keepsValues_ || products_ == Products::kPairs)
    return;
  units_ = true;
  tile_unit::ConfigureOp::create(builder_, buffer(workspace_.allocate(tile_unit::kConfigurationBytes)));
}

void BlockProgram::releaseTiles() {
  if (units_)
    tile_unit::ReleaseOp::create(builder_);
}

tile_unit::TileType BlockProgram::sumsType() { return tile_unit::TileType::get(builder_.getF32Type()); }

Value BlockProgram::loadTerms(Value pointer, Value stride, bool streaming) {
  auto type = tile_unit::TileType::get(builder_.getBF16Type());
  return tile_unit::LoadOp::create(builder_, type, pointer, stride, streaming);
}

// Where the 16 rows of the right operand from `first` on lie, and how far apart. Those that do not all exist in memory
// stand in a place of their own.
std::pair<Value, Value> BlockProgram::tileRowsAt(const TileRows &right, Value first) {
  Value pointer = right.pointer, within = first;
  if (right.blockStride) {
    Value block = builder_.createOrFold<arith::DivUIOp>(first, i64(right.rowsOfBlock));
    pointer = byte(pointer, multiply(block, right.blockStride));
    within = builder_.createOrFold<arith::RemUIOp>(first, i64(right.rowsOfBlock));
  }
  if (!right.blockStride || right.rowsOfBlock != tile_unit::kRows)
    pointer = byte(pointer, multiply(within, right.rowStride));
  if (!right.tail)
    return {pointer, right.rowStride};
  Value end = add(first, i64(tile_unit::kRows));
  Value inside = arith::CmpIOp::create(builder_, arith::CmpIPredicate::sle, end, right.readable);
  return {arith::SelectOp::create(builder_, inside, pointer, right.tail),
          arith::SelectOp::create(builder_, inside, right.rowStride, right.tailStride)};
}

// Few steps are made one after the other, more in a loop, the first apart.
static std::optional<int64_t> unrolledSteps(Value steps) {
  IntegerAttr count;
  bool few = matchPattern(steps, m_Constant(&count)) && count.getInt() <= kMostUnrolledSteps;
  return few ? std::optional(count.getInt()) : std::nullopt;
}

Values BlockProgram::forEachFurtherStep(Value steps, Values sums, llvm::function_ref<Values(Value, ValueRange)> body) {
  std::optional<int64_t> unrolled = unrolledSteps(steps);
  if (!unrolled)
    return loop(i64(1), steps, 1, sums, body);
  for (int64_t step = 1; step < *unrolled; ++step)
    sums = body(i64(step), sums);
  return sums;
}

// 32 columns of the result × 32 rows of the block: two tiles of columns for each of two of rows. Sums of the block
// before are stored where these begin, if there are any. `between` makes what vectors do behind each product, as far
// as these are not in a loop.
Values BlockProgram::emitTileBlock(const Product &product, const TileRows &right, Value firstColumn, Value steps,
                                   int64_t vectorOffset, const PendingTiles &pending,
                                   llvm::function_ref<void()> between) {
  int64_t columnBytes = columnBytesOf(product.rows), groupBytes = tile_unit::kRows * columnBytes;
  Value stride = i64(columnBytes);
  Value left = byte(product.left, vectorOffset);
  Value result = byte(byte(product.result, vectorOffset), multiply(firstColumn, stride));
  std::pair<Value, Value> rows[] = {tileRowsAt(right, firstColumn),
                                    tileRowsAt(right, add(firstColumn, i64(tile_unit::kRows)))};
  auto begin = [&](int64_t vector, int64_t group) -> Value {
    int64_t place = group * groupBytes + vector * kVectorBytes;
    if (pending.place)
      tile_unit::StoreOp::create(builder_, pending.sums[2 * vector + group], byte(pending.place, place), stride);
    if (product.accumulate)
      return tile_unit::LoadOp::create(builder_, sumsType(), byte(result, place), stride, /*streaming=*/false);
    return tile_unit::ZeroOp::create(builder_, sumsType());
  };
  auto step = [&](Value k, ValueRange before, llvm::function_ref<void()> behind) {
    Value ofLeft = byte(left, multiply(k, i64(kWordsOfStep * columnBytes)));
    Value ofRight = multiply(k, right.stepStride);
    Values sums(before), rightTiles;
    for (int64_t vector = 0; vector < kVectorsOfBlock; ++vector) {
      Value leftTile = loadTerms(byte(ofLeft, vector * kVectorBytes), stride);
      for (int64_t group = 0; group < 2; ++group) {
        if (vector == 0)
          rightTiles.push_back(loadTerms(byte(rows[group].first, ofRight), rows[group].second, streams()));
        if (before.empty())
          sums.push_back(begin(vector, group));
        Value &sum = sums[2 * vector + group];
        sum = tile_unit::MultiplyOp::create(builder_, sum, rightTiles[group], leftTile);
        if (behind)
          behind();
      }
    }
    return sums;
  };
  Values sums = step(i64(0), {}, between);
  llvm::function_ref<void()> further = unrolledSteps(steps) ? between : llvm::function_ref<void()>();
  return forEachFurtherStep(steps, sums, [&](Value k, ValueRange before) { return step(k, before, further); });
}

void BlockProgram::storeTileBlock(const PendingTiles &tiles, int64_t columnBytes) {
  Value stride = i64(columnBytes);
  int64_t groups = static_cast<int64_t>(tiles.sums.size()) / kVectorsOfBlock;
  for (auto [i, sum] : llvm::enumerate(tiles.sums)) {
    auto vector = static_cast<int64_t>(i) / groups, group = static_cast<int64_t>(i) % groups;
    int64_t place = group * tile_unit::kRows * columnBytes + vector * kVectorBytes;
    tile_unit::StoreOp::create(builder_, sum, byte(tiles.place, place), stride);
  }
}

// Of `count` columns that lie in the workspace what is reduced, and what else becomes of them; where a mask hides some,
// of open ones.
Values BlockProgram::foldColumns(const Product &product, Folding &folding, Value firstColumn, int64_t count,
                                 ValueRange soFar) {
  int64_t rows = product.rows, lanes = lanesOf(rows);
  auto vector = VectorType::get({lanes}, builder_.getF32Type());
  auto hook = [&](Value, const Values &elements, ValueRange state) {
    return fold(folding.reduce.getReduction(), folding.columns.tile.getType(), elements, state);
  };
  auto loadColumn = [&](Value column, ColumnValues &values) {
    loadLeaves(folding.cone, rows, multiply(column, i64(columnBytesOf(rows))), values);
    Value place = byte(product.result, multiply(placeOf(folding, column), i64(columnBytesOf(rows))));
    for (int64_t i = 0; i < rows / lanes; ++i)
      values[folding.scores].push_back(load(vector, byte(place, i * kVectorBytes), kVectorBytes));
  };
  Values next(soFar);
  for (int64_t i = 0; i < count && folding.columns.fine; i += folding.columns.step)
    next = computeColumns(folding.columns, add(firstColumn, i64(i)), next, hook, loadColumn);
  return next;
}

// The same beside the mask, in a loop: they are few.
Values BlockProgram::foldMaskedColumns(const Product &product, Folding &folding, Value firstColumn, int64_t count,
                                       ValueRange soFar) {
  const Cone *open = std::exchange(folding.columns.cone, &folding.cone);
  arith::SelectOp shown = std::exchange(folding.columns.shown, arith::SelectOp());
  Values next = loop(i64(0), i64(count), folding.columns.step, soFar, [&](Value column, ValueRange state) {
    return foldColumns(product, folding, add(firstColumn, column), folding.columns.step, state);
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
        Value behind = add(column, i64(done - kColumnsBehind));
        if (folds)
          folded = foldColumns(product, *folding, behind, columns - done, folded);
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
                           : foldColumns(product, *folding, column, width, before);
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

bool BlockProgram::holdsLeft(int64_t steps) const {
  constexpr int64_t kMostHeldSteps = 2;
  return steps <= kMostHeldSteps && !isLeftOut(kernel_, Effect::kHeldTiles);
}

// A narrow left operand, of two steps, stays in four tiles while all columns pass through two others to two of sums.
Values BlockProgram::emitHeldLeft(const Product &product, const TileRows &right, int64_t steps, int64_t vectorOffset,
                                  Folding *folding) {
  int64_t columnBytes = columnBytesOf(product.rows);
  Value stride = i64(columnBytes);
  Values left[kVectorsOfBlock];
  for (int64_t vector = 0; vector < kVectorsOfBlock; ++vector)
    for (int64_t step = 0; step < steps; ++step)
      left[vector].push_back(loadTerms(
          byte(product.left, vectorOffset + vector * kVectorBytes + step * kWordsOfStep * columnBytes), stride));
  auto emit = [&](Value column, const PendingTiles &pending, llvm::function_ref<void()> between) {
    auto [pointer, rowStride] = tileRowsAt(right, column);
    Values rightTiles, sums(kVectorsOfBlock);
    for (int64_t step = 0; step < steps; ++step)
      rightTiles.push_back(loadTerms(byte(pointer, multiply(i64(step), right.stepStride)), rowStride, streams()));
    for (int64_t step = 0; step < steps; ++step)
      for (int64_t vector = 0; vector < kVectorsOfBlock; ++vector) {
        if (step == 0) {
          Value place = byte(pending.place, vector * kVectorBytes);
          tile_unit::StoreOp::create(builder_, pending.sums[vector], place, stride);
          sums[vector] = tile_unit::ZeroOp::create(builder_, sumsType());
        }
        sums[vector] = tile_unit::MultiplyOp::create(builder_, sums[vector], rightTiles[step], left[vector][step]);
        between();
      }
    return sums;
  };
  return emitStrips(product, tile_unit::kRows, 2 * steps, vectorOffset, folding, emit);
}

// Scores: all columns that are asked for, 32 rows of the block after the other. What is folded has no more rows.
Values BlockProgram::emitTileScores(const Product &product, const TileRows &right, Folding *folding) {
  Values folded;
  for (int64_t row = 0; row < product.rows; row += kBlock) {
    int64_t vectorOffset = columnBytesOf(row);
    auto emit = [&](Value column, const PendingTiles &pending, llvm::function_ref<void()> between) {
      return emitTileBlock(product, right, column, i64(right.steps), vectorOffset, pending, between);
    };
    int64_t multiplies = kTilesOfBlock * (right.steps <= kMostUnrolledSteps ? right.steps : 1);
    folded = holdsLeft(right.steps) ? emitHeldLeft(product, right, right.steps, vectorOffset, folding)
                                     : emitStrips(product, kBlock, multiplies, vectorOffset, folding, emit);
  }
  return folded;
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
  constexpr int64_t kLeastColumns = 4 * kBlock;
  if (product.rows != kBlock || product.columns < kLeastColumns || isLeftOut(op, Effect::kFoldedMaxima))
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

// The output, 32 columns and 32 rows at a time, each over all keys.
void BlockProgram::emitTileOutputs(const Product &product, const TileRows &right) {
  int64_t columnBytes = columnBytesOf(product.rows);
  Value words = product.innerCount;
  Value steps = builder_.createOrFold<arith::DivUIOp>(add(words, i64(kWordsOfStep - 1)), i64(kWordsOfStep));
  steps = builder_.createOrFold<arith::MaxSIOp>(steps, i64(1));
  clearTerms(product, words, multiply(steps, i64(kWordsOfStep)));
  PendingTiles pending;
  for (int64_t row = 0; row < product.rows; row += kBlock)
    for (int64_t column = 0; column < product.columns; column += kBlock) {
      pending.sums = emitTileBlock(product, right, i64(column), steps, columnBytesOf(row), pending);
      pending.place = byte(product.result, columnBytesOf(row) + column * columnBytes);
    }
  storeTileBlock(pending, columnBytes);
}

// What a whole step reads of the left operand beyond its last term is zero. The right one is zero there too, or holds
// rows that a mask hides: those weigh nothing, and nothing times what is not finite is no number, as in the graph.
void BlockProgram::clearTerms(const Product &product, Value from, Value to) {
  IntegerAttr a, b;
  if (matchPattern(from, m_Constant(&a)) && matchPattern(to, m_Constant(&b)) && a.getInt() == b.getInt())
    return;
  int64_t columnBytes = columnBytesOf(product.rows);
  Value zero = filled(VectorType::get({registers_.lanes}, builder_.getI32Type()), 0);
  loop(from, to, 1, [&](Value word) {
    Value column = byte(product.left, multiply(word, i64(columnBytes)));
    for (int64_t offset = 0; offset < columnBytes; offset += kVectorBytes)
      store(zero, byte(column, offset), kVectorBytes);
  });
}

LogicalResult BlockProgram::lowerTileDot(DotOp op) {
  auto a = cast<RankedTensorType>(op.getA().getType()), c = cast<RankedTensorType>(op.getResult().getType());
  int64_t terms = a.getDimSize(1), multiple = 2 * tile_unit::kRows;
  if (a.getDimSize(0) % multiple != 0 || c.getDimSize(1) % multiple != 0 || terms % tile_unit::kTerms != 0)
    return op.emitOpError("of tile units needs rows, columns and terms in multiples of 32");
  FailureOr<int64_t> left = materialize(op.getA());
  FailureOr<TileRows> right = tileRowsOf(op.getB(), op.getTransposed());
  if (failed(left) || failed(right))
    return failure();
  Product product{buffer(*left), {}, a.getDimSize(0), c.getDimSize(1), false, /*pairs=*/true};
  if (op.getTransposed()) {
    product.columnCount = right->count;
    product.innerCount = i64(terms / 2);
  } else {
    product.columnCount = i64(c.getDimSize(1));
    product.innerCount = builder_.createOrFold<arith::DivUIOp>(add(right->count, i64(1)), i64(2));
  }
  bool accumulates = !matchPattern(op.getAccumulator(), m_AnyZeroFloat());
  if (op.getTransposed() && !accumulates)
    if (ReduceOp reduce = consumerOfTileProduct(op, product)) {
      pendingProducts_.insert({reduce, {op, product}});
      return success();
    }
  boundTerms(op, product);
  if (!accumulates)
    boundColumns(op, product);
  int64_t offset = 0;
  if (failed(prepareAccumulator(op, product.accumulate, offset)))
    return failure();
  if (op.getTransposed() && product.accumulate)
    return op.emitOpError("of tile units adds to no tile of scores");
  product.result = buffer(offset);
  if (op.getTransposed())
    emitTileScores(product, *right);
  else
    emitTileOutputs(product, *right);
  clearColumns(product);
  bind(op.getResult(), offset);
  done_.insert(op);
  return success();
}
