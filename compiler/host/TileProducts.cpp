// Products of bfloat16 by tile units. The rows of a tile of the result are 16 columns of the product, so that sums lie
// as those of vectors do (16 rows of the block side by side): all else is as with pairs (Pairs.cpp).
//
//     Sᵀ = K Qᵀ     a: 16 keys × 32 of the width, where they lie in memory     b: the packed queries
//     Oᵀ += Vᵀ Pᵀ   a: 16 columns × 32 keys, transposed (TileOperands.cpp)     b: the rounded probabilities
//
// Tiles are values (dialects/tile_unit): a pass behind this one gives them registers. A tile that is finished is stored
// where the next sum begins: stored at once, it would hold up the next ones.
#include "compiler/host/BlockProgram.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

static constexpr int64_t kWordsOfStep = tile_unit::kTerms / 2;
static constexpr int64_t kVectorBytes = tile_unit::kRowBytes; ///< 16 rows of the block, a word each
static constexpr int64_t kMostUnrolledSteps = 4;
static constexpr int64_t kBlock = kTileBlock;

void BlockProgram::configureTiles(Block &kernel) {
  reserveKept(kernel);
  if (!keepsRows_ || products_ == Products::kPairs)
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
