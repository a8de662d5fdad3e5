// Products of tiles, by register tiles: G columns of the result in V vectors of rows each are
// summed up in registers, over one element of each of the G columns of the right operand,
// broadcast, and V vectors of the left a step.
#include "compiler/host/BlockProgram.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

namespace {

/// The shape of a register tile.
struct RegisterTile {
  int64_t registers; ///< that the target must have
  int64_t vectors;   ///< V: vectors of the left operand
  int64_t columns;   ///< G
};

// The largest that leave a register for the broadcast element besides V for the left operand; 6 x 4
// reaches the peak of an AVX-512 core, 4 x 4 loses a tenth.
constexpr RegisterTile kRegisterTiles[] = {{32, 4, 6},  {32, 3, 8}, {32, 2, 12},
                                           {32, 1, 12}, {16, 2, 6}, {16, 1, 12}};

// What a loop over `columns` in groups of `group` reaches: the last group may be wasted in part,
// and a small one spends more of its instructions on loads (6 x 4: 217 GFLOP/s, 4 x 4: 198, on a
// Xeon with AVX-512).
double efficiency(int64_t group, int64_t columns) {
  return (1 - 0.35 / group) * columns / llvm::alignTo(columns, group);
}

RegisterTile largestRegisterTile(int64_t registers, int64_t vectors) {
  return *llvm::find_if(kRegisterTiles, [&](const RegisterTile &tile) {
    return registers >= tile.registers && vectors % tile.vectors == 0;
  });
}

// One size for all groups, the last of which may lack columns.
RegisterTile chooseRegisterTile(int64_t registers, int64_t vectors, int64_t columns) {
  RegisterTile best = largestRegisterTile(registers, vectors);
  // Of groups as good as each other by this estimate the smallest: less code, and on AMD no worse for its loads.
  constexpr double kAsGood = 0.005;
  for (int64_t group = best.columns - 1; group >= best.columns / 2; --group)
    if (efficiency(group, columns) > efficiency(best.columns, columns) - kAsGood)
      best.columns = group;
  return best;
}

// In as few groups of at most `most` columns as there can be, of two sizes, so that none lacks any: 64 are 9 x 6 + 2 x 5.
SmallVector<ColumnGroups, 2> evenGroups(int64_t columns, int64_t most) {
  int64_t groups = llvm::divideCeil(columns, most), larger = llvm::divideCeil(columns, groups);
  int64_t end = (groups - (groups * larger - columns)) * larger;
  SmallVector<ColumnGroups, 2> parts{{larger, 0, end}};
  if (end < columns)
    parts.push_back({larger - 1, end, columns});
  return parts;
}

} // namespace

static std::optional<int64_t> constantOf(Value value) {
  IntegerAttr constant;
  return matchPattern(value, m_Constant(&constant)) ? std::optional(constant.getInt()) : std::nullopt;
}

// Register tiles are as large as fit where that was faster: with 16 registers, whose smaller ones, 4 x 2, are just the sums
// that two multiply-adds a cycle keep under way; and beside tile units, on Xeons (efficiency).
SmallVector<ColumnGroups, 2> BlockProgram::groupsOf(const Product &product, int64_t vectors) {
  std::optional<int64_t> count = constantOf(product.columnCount);
  if (count.value_or(0) > 0 && (registers_.count < 32 || products_ == Products::kTiles))
    return evenGroups(*count, largestRegisterTile(registers_.count, vectors).columns);
  int64_t columns = chooseRegisterTile(registers_.count, vectors, product.columns).columns;
  return {{columns, 0, count && *count % columns == 0 ? count : std::nullopt}};
}

// Where the columns of a register tile begin in the right operand. Those beyond the last repeat it; what comes of them is
// dropped.
Values BlockProgram::columnsOf(const Product &product, const ColumnGroups &group, Value firstColumn) {
  auto place = [&](Value column) {
    if (!product.panelStride)
      return byte(product.base, multiply(column, product.columnStride));
    Value panel = arith::DivUIOp::create(builder_, column, i64(kPanelColumns));
    Value within = arith::RemUIOp::create(builder_, column, i64(kPanelColumns));
    return byte(byte(product.base, multiply(panel, product.panelStride)), multiply(within, product.columnStride));
  };
  Value last = builder_.createOrFold<arith::SubIOp>(product.columnCount, i64(1));
  bool inOnePanel = group.end && kPanelColumns % group.columns == 0 && group.first % group.columns == 0;
  Values bases;
  for (int64_t i = 0; i < group.columns; ++i) {
    Value column = add(firstColumn, i64(i));
    if (product.panelStride && inOnePanel)
      bases.push_back(i == 0 ? place(firstColumn) : byte(bases[0], multiply(i64(i), product.columnStride)));
    else
      bases.push_back(place(group.end ? column : minimum(column, last)));
  }
  return bases;
}

// The sums of a group of columns, vectors of one column side by side.
Values BlockProgram::sumRegisterTile(const Product &product, const ColumnGroups &group, int64_t vectors,
                                     Value firstColumn, Value vectorOffset) {
  int64_t lanes = lanesOf(product.rows);
  int64_t vectorBytes = lanes * sizeof(float), columnBytes = product.rows * sizeof(float);
  auto vector = VectorType::get({lanes}, builder_.getF32Type());
  Type word = product.pairs ? builder_.getI32Type() : vector.getElementType();

  Values bases = columnsOf(product, group, firstColumn);
  Value left = byte(product.left, vectorOffset);

  Values carried(group.columns * vectors, filled(vector, 0));
  carried.push_back(i64(0));
  Values sums = loop(i64(0), product.innerCount, 1, carried, [&](Value k, ValueRange state) {
    Value offset = state.back();
    Value step = byte(left, multiply(k, i64(columnBytes)));
    Values a, next;
    for (int64_t v = 0; v < vectors; ++v)
      a.push_back(load(vector.clone(word), byte(step, v * vectorBytes), vectorBytes));
    for (int64_t i = 0; i < group.columns; ++i) {
      Value b = broadcast(load(word, byte(bases[i], offset), product.pairs ? 2 : 4), lanes);
      for (int64_t v = 0; v < vectors; ++v) {
        Value sum = state[i * vectors + v];
        next.push_back(product.pairs ? multiplyPairs(a[v], b, sum)
                                     : Value(math::FmaOp::create(builder_, a[v], b, sum)));
      }
    }
    next.push_back(add(offset, product.innerStride));
    return next;
  });
  sums.pop_back();
  return sums;
}

void BlockProgram::emitRegisterTile(const Product &product, const ColumnGroups &group, int64_t vectors,
                                    Value firstColumn, Value vectorOffset) {
  int64_t lanes = lanesOf(product.rows);
  int64_t vectorBytes = lanes * sizeof(float), columnBytes = product.rows * sizeof(float);
  auto vector = VectorType::get({lanes}, builder_.getF32Type());
  Values sums = sumRegisterTile(product, group, vectors, firstColumn, vectorOffset);

  Value result = byte(byte(product.result, vectorOffset), multiply(firstColumn, i64(columnBytes)));
  // What lies beyond the tile is slack; what the right operand lacks within it must stay as it is.
  bool slackOnly = group.end || constantOf(product.columnCount) == product.columns;
  for (int64_t i = 0; i < group.columns; ++i) {
    Value exists;
    if (product.accumulate && !slackOnly)
      exists = broadcast(arith::CmpIOp::create(builder_, arith::CmpIPredicate::slt,
                                               add(firstColumn, i64(i)), product.columnCount),
                         lanes);
    for (int64_t v = 0; v < vectors; ++v) {
      Value pointer = byte(result, i * columnBytes + v * vectorBytes);
      Value sum = sums[i * vectors + v];
      if (exists)
        sum = arith::SelectOp::create(builder_, exists, sum, filled(vector, 0));
      if (product.accumulate)
        sum = arith::AddFOp::create(builder_, load(vector, pointer, vectorBytes), sum);
      store(sum, pointer, vectorBytes);
    }
  }
}

// Columns that the right operand lacks.
void BlockProgram::clearColumns(const Product &product) {
  int64_t lanes = lanesOf(product.rows), vectors = product.rows / lanes;
  bool whole = constantOf(product.columnCount) == product.columns;
  if (product.accumulate || product.bounded || whole)
    return;
  Type vector = VectorType::get({lanes}, builder_.getF32Type());
  loop(product.columnCount, i64(product.columns), 1, [&](Value column) {
    Value pointer = byte(product.result, multiply(column, i64(product.rows * sizeof(float))));
    for (int64_t v = 0; v < vectors; ++v)
      store(filled(vector, 0), byte(pointer, v * lanes * sizeof(float)), lanes * sizeof(float));
  });
}

// A load of queries says how many of them exist: of short heads half of the rows of a block or more do not. Of two loads
// of queries beside each other neither does: whose rows a product has is not told.
void BlockProgram::noteQueryRows(LoadOp load, Value count) {
  auto isQuery = [&](Operation *user) {
    auto product = dyn_cast<DotOp>(user);
    return product && product.getTransposed() && product.getA() == load.getResult();
  };
  if (llvm::none_of(load->getUsers(), isQuery))
    return;
  queryTile_ = isKnown(queryRows_) ? 0 : cast<RankedTensorType>(load.getResult().getType()).getDimSize(0);
  queryRows_ = count;
}

// Where the rows of a product end that exist, i64; all of them where that is not known.
Value BlockProgram::endOfRows(const Product &product) {
  bool known = product.rows == queryTile_ && isKnown(queryRows_) && !isLeftOut(kernel_, Effect::kExistingRows);
  return known ? queryRows_ : i64(product.rows);
}

// A product whose columns or terms end within the block, by the last key or by a mask, leaves out vectors of rows that do
// not exist, in register tiles of two vectors at most; whole ones, which are most of the work of long heads, have large
// tiles and take all rows. In rows that are left out stands anything: what follows is by lanes, and rows are stored up to
// their count.
void BlockProgram::emitProduct(const Product &product) {
  int64_t lanes = lanesOf(product.rows), vectors = product.rows / lanes, vectorBytes = lanes * sizeof(float);
  bool whole = constantOf(product.columnCount) && constantOf(product.innerCount);
  if (vectors > 1 && !product.ends.empty()) {
    emitVectorsApart(product);
  } else if (Value end = endOfRows(product); whole || constantOf(end) || vectors % 2 != 0) {
    int64_t vectorsOfTile = largestRegisterTile(registers_.count, vectors).vectors;
    emitRegisterTiles(product, vectorsOfTile, i64(vectors * vectorBytes));
  } else {
    emitRegisterTiles(product, 2, multiply(end, i64(sizeof(float))));
  }
  clearColumns(product);
}

// Of vectors up to `end` bytes in a column of the result.
void BlockProgram::emitRegisterTiles(const Product &product, int64_t vectorsOfTile, Value end) {
  int64_t vectorBytes = lanesOf(product.rows) * sizeof(float), tileBytes = vectorsOfTile * vectorBytes;
  auto groups = [&](Value vectorOffset) {
    for (const ColumnGroups &group : groupsOf(product, vectorsOfTile))
      loop(i64(group.first), group.end ? i64(*group.end) : product.columnCount, group.columns, [&](Value firstColumn) {
        emitRegisterTile(product, group, vectorsOfTile, firstColumn, vectorOffset);
      });
  };
  if (constantOf(end) == tileBytes)
    return groups(i64(0));
  loop(i64(0), end, tileBytes, groups);
}

// Vectors with ends of their own one after the other, so that each ends there.
void BlockProgram::emitVectorsApart(const Product &product) {
  int64_t lanes = lanesOf(product.rows), table = workspace_.allocate(product.ends.size() * sizeof(int64_t));
  for (auto [v, end] : llvm::enumerate(product.ends))
    store(end, byte(buffer(table), v * sizeof(int64_t)), sizeof(int64_t));
  Value end = builder_.createOrFold<arith::DivUIOp>(add(endOfRows(product), i64(lanes - 1)), i64(lanes));
  loop(i64(0), end, 1, [&](Value v) {
    Product part = product;
    Value place = byte(buffer(table), multiply(v, i64(sizeof(int64_t)))), offset = multiply(v, i64(lanes * sizeof(float)));
    (product.endsOfTerms ? part.innerCount : part.columnCount) = load(builder_.getI64Type(), place, sizeof(int64_t));
    part.left = byte(part.left, offset), part.result = byte(part.result, offset);
    emitRegisterTiles(part, 1, i64(lanes * sizeof(float)));
  });
  workspace_.release(table);
}

//===-- Products that a reduction folds at once
//-------------------------------------------------===//

// More operations an element, unrolled over a register tile, would cost more to compile than they save.
static constexpr int kMostOpsOfElement = 4;

// Of a whole product, the reduction in whose loop it is formed: what is reduced is made of the product alone by few
// operations, while it is in registers. Null for none.
ReduceOp BlockProgram::consumerOfProduct(DotOp op, const Product &product) {
  int64_t vectors = product.rows / lanesOf(product.rows);
  if (constantOf(product.columnCount) != product.columns ||
      largestRegisterTile(registers_.count, vectors).vectors != vectors || !groupsOf(product, vectors)[0].end)
    return {};
  return reductionOf(op);
}

ReduceOp BlockProgram::reductionOf(DotOp op) {
  if (isLeftOut(op, Effect::kFoldedMaxima))
    return {};
  Value value = op.getResult();
  for (int i = 0; i <= kMostOpsOfElement; ++i) {
    for (Operation *user : value.getUsers())
      if (auto reduce = dyn_cast<ReduceOp>(user); reduce && reduce->getBlock() == op->getBlock())
        return getElementTypeOrSelf(value).isF32() ? reduce : ReduceOp();
    Operation *user = value.hasOneUse() ? *value.getUsers().begin() : nullptr;
    if (!user || !isa<arith::ArithDialect>(user->getDialect()) || user->getNumResults() != 1 ||
        !llvm::all_of(user->getOperands(),
                      [&](Value operand) { return operand == value || isFree(operand, /*orTable=*/true); }))
      return {};
    value = user->getResult(0);
  }
  return {};
}

LogicalResult BlockProgram::lowerProductAndReduce(PendingProduct pending, ReduceOp reduce) {
  if (units_ && pending.product.pairs)
    return lowerTileProductAndReduce(pending, reduce);
  const Product &product = pending.product;
  Value source = reduce.getSource(), scores = pending.dot.getResult();
  int64_t vectors = product.rows / lanesOf(product.rows);
  inRegisters_ = scores;
  Cone cone;
  if (failed(collect(source, cone)))
    return failure();
  inRegisters_ = Value();
  done_.insert(reduce);
  SmallVector<Stored> stored = planStores(source, cone, /*storeTile=*/false);
  if (isNeeded(scores, &cone)) {
    stored.push_back({scores, allocateBuffer(cast<RankedTensorType>(scores.getType()))});
    bind(scores, stored.back().offset);
  }
  done_.insert(pending.dot);

  bool fine = true;
  auto foldRegisterTile = [&](const ColumnGroups &group, Value firstColumn, ValueRange state) {
    Values sums = sumRegisterTile(product, group, vectors, firstColumn, i64(0)), next(state);
    for (int64_t i = 0; i < group.columns; ++i) {
      SmallVector<ColumnValues, 1> values(1);
      ColumnValues words;
      Value column = add(firstColumn, i64(i));
      loadLeaves(cone, product.rows, multiply(column, i64(product.rows * sizeof(float))), values[0]);
      values[0][scores] = Values(ArrayRef(sums).slice(i * vectors, vectors));
      for (Operation *op : cone.ops)
        fine &= succeeded(computeColumn(op, column, values[0]));
      if (!fine)
        return next;
      next = fold(reduce.getReduction(), source.getType(), values[0][source], next);
      for (const Stored &store : stored)
        storeColumns(store, column, values, words);
    }
    return next;
  };
  Values folded = identityOf(reduce.getReduction(), product.rows);
  for (const ColumnGroups &group : groupsOf(product, vectors))
    folded = loop(i64(group.first), i64(*group.end), group.columns, folded,
                  [&](Value firstColumn, ValueRange state) { return foldRegisterTile(group, firstColumn, state); });
  vectors_[reduce.getResult()] = folded;
  return success(fine);
}

// buffer[i, j] *= factors[i], unless all factors are 1.
void BlockProgram::rescale(int64_t offset, const Values &factors, int64_t columns) {
  auto vector = cast<VectorType>(factors[0].getType());
  int64_t lanes = vector.getNumElements(), vectorBytes = lanes * sizeof(float);
  Values moved;
  for (Value factor : factors)
    moved.push_back(arith::CmpFOp::create(builder_, arith::CmpFPredicate::UNE, factor, filled(vector, 1)));
  Value any = isLeftOut(kernel_, Effect::kRareRescaling) ? filled(builder_.getI1Type(), 1) : anyOfRows(moved);
  auto branch = scf::IfOp::create(builder_, any);
  OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToStart(branch.thenBlock());
  loop(i64(0), i64(columns), 1, [&](Value column) {
    Value pointer = byte(buffer(offset), multiply(column, i64(factors.size() * vectorBytes)));
    for (auto [i, factor] : llvm::enumerate(factors)) {
      Value place = byte(pointer, i * vectorBytes);
      Value element = load(vector, place, vectorBytes);
      store(arith::MulFOp::create(builder_, element, factor), place, vectorBytes);
    }
  });
}

// The factors of an accumulator that is a tile multiplied by one number a row: tile and factors.
static std::pair<Value, Value> matchRescaled(Value accumulator) {
  auto product = accumulator.getDefiningOp<arith::MulFOp>();
  if (!product || !accumulator.hasOneUse())
    return {};
  for (auto [tile, factor] : {std::pair(product.getLhs(), product.getRhs()),
                              std::pair(product.getRhs(), product.getLhs())})
    if (auto expand = factor.getDefiningOp<ExpandOp>())
      return {tile, expand.getSource()};
  return {};
}

LogicalResult BlockProgram::prepareAccumulator(DotOp op, bool &accumulate, int64_t &offset) {
  Value accumulator = op.getAccumulator();
  auto type = cast<RankedTensorType>(accumulator.getType());
  accumulate = !matchPattern(accumulator, m_AnyZeroFloat());
  done_.insert(op);
  if (!accumulate) {
    offset = allocateBuffer(type);
    return success();
  }
  if (auto [tile, factors] = matchRescaled(accumulator); tile && buffers_.contains(tile)) {
    done_.insert(accumulator.getDefiningOp());
    if (mayOverwrite(tile)) {
      offset = buffers_[tile];
      buffers_.erase(tile);
      rescale(offset, vectors_[factors], type.getDimSize(1));
      return success();
    }
    done_.erase(accumulator.getDefiningOp());
  }
  FailureOr<int64_t> place = materialize(accumulator);
  if (failed(place))
    return failure();
  if (mayOverwrite(accumulator)) {
    offset = *place;
    buffers_.erase(accumulator);
    return success();
  }
  offset = allocateBuffer(type);
  return copy(accumulator, offset);
}

// Of few queries a product takes no longer than its rows take to come from memory, and a register tile asks for a few
// columns of many: all rows are requested first.
void BlockProgram::requestRows(const Rows &rows, int64_t rowBytes) {
  loop(i64(0), rows.count, 1, [&](Value row) { request(byte(rows.pointer, multiply(row, rows.rowStride)), rowBytes); });
}

LogicalResult BlockProgram::lowerDot(DotOp op) {
  auto a = dyn_cast<RankedTensorType>(op.getA().getType());
  auto b = dyn_cast<RankedTensorType>(op.getB().getType());
  auto c = cast<RankedTensorType>(op.getResult().getType());
  bool pairs = a && hasPairs(a) && products_ != Products::kFloat32;
  Type factor = pairs ? a.getElementType() : builder_.getF32Type();
  if (!a || !b || a.getElementType() != factor || b.getElementType() != factor ||
      !c.getElementType().isF32())
    return op.emitOpError(products_ != Products::kFloat32
                              ? "multiplies tiles of float32, or of bfloat16, on this host"
                              : "multiplies tiles of float32 on this host");
  if (pairs && units_)
    return lowerTileDot(op);
  if (runsAlongRows(op))
    return lowerDotAlongRows(op, pairs);
  FailureOr<int64_t> left = materialize(op.getA());
  FailureOr<Rows> right = rowsOf(op.getB(), op.getTransposed());
  if (failed(left) || failed(right))
    return failure();
  auto source = op.getB().getDefiningOp<LoadOp>();
  bool inMemory = source && source.getLayout() <= 1 && !rowBuffers_.contains({op.getB(), op.getTransposed()});
  if (inMemory && a.getDimSize(0) == registers_.lanes)
    requestRows(*right, right->width * sizeof(float));
  Product product{buffer(*left), {}, a.getDimSize(0), c.getDimSize(1), false, pairs};
  product.base = right->pointer;
  if (op.getTransposed()) {
    product.columnStride = right->rowStride, product.innerStride = right->columnStride;
    product.columnCount = right->count, product.innerCount = i64(right->width);
  } else {
    product.columnStride = right->columnStride, product.innerStride = right->rowStride;
    product.columnCount = i64(right->width), product.innerCount = right->count;
    product.panelStride = right->panelStride;
  }
  bool accumulate = !matchPattern(op.getAccumulator(), m_AnyZeroFloat());
  if (ReduceOp reduce = accumulate ? ReduceOp() : consumerOfProduct(op, product)) {
    pendingProducts_.insert({reduce, {op, product}});
    return success();
  }
  boundTerms(op, product);
  if (!accumulate)
    boundColumns(op, product);
  int64_t offset = 0;
  if (failed(prepareAccumulator(op, product.accumulate, offset)))
    return failure();
  product.result = buffer(offset);
  emitProduct(product);
  bind(op.getResult(), offset);
  done_.insert(op);
  return success();
}
