// Products of tiles: their operands and accumulators, and those that a reduction folds. RegisterTiles.cpp emits them.
#include "compiler/host/BlockProgram.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

//===-- Products that a reduction folds at once
//-------------------------------------------------===//

// More operations an element, unrolled over a register tile, would cost more to compile than they save.
static constexpr int kMostOpsOfElement = 4;

// Of a whole product, the reduction in whose loop it is formed: what is reduced is made of the product alone by few
// operations, while it is in registers. Null for none.
ReduceOp BlockProgram::consumerOfProduct(DotOp op, const Product &product) {
  return fillsRegisterTiles(product) ? reductionOf(op) : ReduceOp();
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
