// Tiles of rows and columns, computed column by column where something needs them.
#include "compiler/host/BlockProgram.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

static bool isMask(Type type) {
  return getElementTypeOrSelf(type).isInteger(1);
}

// Repeats an operation of one element for each vector of its operands; once where all are the same
// in every row.
FailureOr<Values> BlockProgram::repeat(Operation *op, llvm::function_ref<Values(Value)> valuesOf) {
  SmallVector<Values> operands;
  int64_t count = 1;
  for (Value operand : op->getOperands()) {
    operands.push_back(valuesOf(operand));
    count = std::max<int64_t>(count, operands.back().size());
  }
  auto tile = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  bool vectors = llvm::any_of(operands, [](Values &v) { return isa<VectorType>(v[0].getType()); });
  Type element = getElementTypeOrSelf(op->getResult(0).getType());
  Type type = vectors ? Type(vectorOf(element, tile.getDimSize(0))) : element;
  Values results;
  for (int64_t i = 0; i < count; ++i) {
    IRMapping mapping;
    for (auto [operand, values] : llvm::zip(op->getOperands(), operands)) {
      Value value = values.size() == 1 ? values[0] : values[i];
      mapping.map(operand, vectors ? broadcast(value, lanesOf(tile.getDimSize(0))) : value);
    }
    Operation *copy = builder_.clone(*op, mapping);
    copy->getResult(0).setType(type);
    results.push_back(copy->getResult(0));
  }
  return results;
}

// A value of a tile's constant, the same in all elements.
static FailureOr<Value> uniformConstant(OpBuilder &builder, arith::ConstantOp op) {
  auto elements = dyn_cast<DenseElementsAttr>(op.getValue());
  if (!elements || !elements.isSplat())
    return op.emitOpError("has elements that differ: the host knows no such tile");
  return Value(
      arith::ConstantOp::create(builder, op.getLoc(), elements.getSplatValue<TypedAttr>()));
}

// Lanes 0, 1, 2, … of vector `i`, from `start`.
static Value rowIndices(ImplicitLocOpBuilder &builder, Value start, int64_t lanes, int64_t i) {
  auto type = VectorType::get({lanes}, builder.getI32Type());
  SmallVector<int32_t> numbers;
  for (int64_t lane = 0; lane < lanes; ++lane)
    numbers.push_back(static_cast<int32_t>(i * lanes + lane));
  Value offsets =
      arith::ConstantOp::create(builder, DenseElementsAttr::get(type, ArrayRef(numbers)));
  return arith::AddIOp::create(builder, vector::BroadcastOp::create(builder, type, start), offsets);
}

//===-- Scalars and tiles of one dimension --------------------------------------------------===//

LogicalResult BlockProgram::lowerVector(Operation *op) {
  if (op->getNumResults() != 1)
    return op->emitOpError("is not known to the host");
  Value result = op->getResult(0);
  auto tile = dyn_cast<RankedTensorType>(result.getType());
  auto valuesOf = [&](Value value) {
    return isVector(value.getType()) ? vectors_[value] : Values{scalars_.lookup(value)};
  };
  if (!tile && isElementwise(op)) {
    IRMapping mapping;
    for (Value operand : op->getOperands())
      mapping.map(operand, scalars_.lookup(operand));
    scalars_[result] = builder_.clone(*op, mapping)->getResult(0);
    return success();
  }
  FailureOr<Values> values = failure();
  int64_t count = tile ? vectorsOf(tile) : 1;
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto value = uniformConstant(builder_, constant);
    if (failed(value))
      return failure();
    values = Values{*value};
  } else if (auto index = dyn_cast<IndexOp>(op)) {
    if (index.getDirection() != Direction::rows)
      return op->emitOpError("counts columns of a tile that has one");
    values = Values();
    for (int64_t i = 0; i < count; ++i)
      values->push_back(
          rowIndices(builder_, scalars_.lookup(index.getStart()), lanesOf(tile.getDimSize(0)), i));
  } else if (auto splat = dyn_cast<SplatOp>(op)) {
    values = Values{scalars_.lookup(splat.getSource())};
  } else if (auto table = dyn_cast<GatherOp>(op)) {
    values = gather(table, valuesOf);
  } else if (auto load = dyn_cast<LoadOp>(op)) {
    values = loadElements(load);
  } else if (isElementwise(op)) {
    values = repeat(op, valuesOf);
  } else {
    return op->emitOpError("is not known to the host");
  }
  if (failed(values))
    return failure();
  if (!tile) {
    scalars_[result] = values->front();
    return success();
  }
  if (values->size() == 1)
    values->assign(count, broadcast(values->front(), lanesOf(tile.getDimSize(0))));
  vectors_[result] = std::move(*values);
  return success();
}

//===-- Tiles of rows and columns -----------------------------------------------------------===//

bool BlockProgram::isFree(Value tile, bool orTable) {
  llvm::SetVector<Value> parts; // each once: expressions share theirs
  parts.insert(tile);
  for (size_t i = 0; i < parts.size(); ++i) {
    Operation *op = parts[i].getDefiningOp();
    if (auto table = dyn_cast_or_null<GatherOp>(op); orTable && table && isTileOfTable(table))
      continue;
    if (!op || buffers_.contains(parts[i]))
      return false;
    if (isa<arith::ConstantOp, ExpandOp, SplatOp, IndexOp>(op))
      continue;
    if (!isElementwise(op) || getElementTypeOrSelf(parts[i]).isF32())
      return false;
    for (Value operand : op->getOperands())
      if (isMatrix(operand.getType()))
        parts.insert(operand);
  }
  return true;
}

LogicalResult BlockProgram::collect(Value tile, Cone &cone) {
  if (tile == inRegisters_)
    return success();
  Operation *op = tile.getDefiningOp();
  if (auto load = dyn_cast_or_null<LoadOp>(op); load && !buffers_.contains(tile))
    if (failed(pack(load)))
      return failure();
  if (auto table = dyn_cast_or_null<GatherOp>(op); table && !buffers_.contains(tile) && isTileOfTable(table))
    if (failed(packTable(table)))
      return failure();
  if (auto it = buffers_.find(tile); it != buffers_.end()) {
    if (!llvm::is_contained(cone.leaves, std::pair(tile, it->second)))
      cone.leaves.emplace_back(tile, it->second);
    return success();
  }
  if (!op || !(isElementwise(op) || isa<ExpandOp, SplatOp, IndexOp, GatherOp>(op)))
    return emitError(tile.getLoc(), "the host cannot compute this tile");
  if (llvm::is_contained(cone.ops, op))
    return success();
  Type element = getElementTypeOrSelf(tile);
  if (!element.isF32() && !element.isInteger(32) && !element.isInteger(1) &&
      !isRounding(op))
    return op->emitOpError("has elements that the host does not compute with: ") << element;
  for (Value operand : op->getOperands())
    if (isMatrix(operand.getType()) && failed(collect(operand, cone)))
      return failure();
  cone.ops.push_back(op);
  return success();
}

SmallVector<Stored> BlockProgram::planStores(Value tile, const Cone &cone,
                                                           bool storeTile) {
  SmallVector<Stored> stored;
  SmallVector<std::pair<Value, int64_t>> dying;
  for (auto leaf : cone.leaves)
    if (mayOverwrite(leaf.first, &cone))
      dying.push_back(leaf);
  for (Operation *op : cone.ops) {
    Value value = op->getResult(0);
    bool isRoot = value == tile && storeTile;
    if (!isRoot && (isFree(value) || !isNeeded(value, &cone)))
      continue;
    auto type = cast<RankedTensorType>(value.getType());
    auto place = llvm::find_if(dying, [&](auto &leaf) {
      return cast<RankedTensorType>(leaf.first.getType()).getShape() == type.getShape();
    });
    if (place == dying.end()) {
      stored.push_back({value, allocateBuffer(type)});
      continue;
    }
    stored.push_back({value, place->second});
    buffers_.erase(place->first);
    dying.erase(place);
  }
  for (Stored &store : stored) {
    bind(store.tile, store.offset);
    done_.insert(store.tile.getDefiningOp());
  }
  return stored;
}

LogicalResult BlockProgram::computeColumn(Operation *op, Value column,
                                          ColumnValues &values) {
  auto tile = cast<RankedTensorType>(op->getResult(0).getType());
  auto valuesOf = [&](Value value) {
    if (isMatrix(value.getType()))
      return values[value];
    return isVector(value.getType()) ? rowsOfLoop(value) : Values{scalars_.lookup(value)};
  };
  FailureOr<Values> result = failure();
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto value = uniformConstant(builder_, constant);
    if (failed(value))
      return failure();
    result = Values{*value};
  } else if (auto expand = dyn_cast<ExpandOp>(op)) {
    result = rowsOfLoop(expand.getSource());
  } else if (auto splat = dyn_cast<SplatOp>(op)) {
    result = Values{scalars_.lookup(splat.getSource())};
  } else if (auto index = dyn_cast<IndexOp>(op)) {
    Value start = scalars_.lookup(index.getStart());
    result = Values();
    if (index.getDirection() == Direction::columns)
      result->push_back(
          add(start, arith::TruncIOp::create(builder_, builder_.getI32Type(), column)));
    else
      for (int64_t i = 0; i < vectorsOf(tile); ++i)
        result->push_back(rowIndices(builder_, start, lanesOf(tile.getDimSize(0)), i));
  } else if (auto table = dyn_cast<GatherOp>(op)) {
    result = gather(table, valuesOf);
  } else if (joined_.contains(op)) {
    result = computeJoined(op, values);
  } else if (op == powerInWords_) { // computed when it is stored, two columns at once; as pairs are
    result = inFixedPoint(op->getOperand(0), values);
  } else if (hasPairs(tile)) {
    result = values[op->getOperand(0)];
  } else {
    result = repeat(op, valuesOf);
  }
  if (failed(result))
    return failure();
  values[op->getResult(0)] = std::move(*result);
  return success();
}

void BlockProgram::loadLeaves(const Cone &cone, int64_t rows, Value columnOffset,
                              ColumnValues &values) {
  int64_t lanes = lanesOf(rows), vectorBytes = lanes * sizeof(float);
  for (auto [leaf, offset] : cone.leaves) {
    Value pointer = byte(buffer(offset), columnOffset);
    for (int64_t i = 0; i < vectorsOf(rows); ++i) {
      bool mask = isMask(leaf.getType());
      Type element = mask ? builder_.getI32Type() : getElementTypeOrSelf(leaf.getType());
      Value vector =
          load(VectorType::get({lanes}, element), byte(pointer, i * vectorBytes), vectorBytes);
      if (mask)
        vector = arith::CmpIOp::create(builder_, arith::CmpIPredicate::ne, vector,
                                       filled(vector.getType(), 0));
      values[leaf].push_back(vector);
    }
  }
}

// Stores a tile's elements in the columns from `first`, one for each of `values`, or the words of two.
void BlockProgram::storeColumns(const Stored &stored, Value first, MutableArrayRef<ColumnValues> values,
                                ColumnValues &words) {
  auto type = cast<RankedTensorType>(stored.tile.getType());
  int64_t rows = type.getDimSize(0), lanes = lanesOf(rows), vectorBytes = lanes * sizeof(float);
  auto vectorOf = [&](ColumnValues &column, int64_t i) {
    const Values &vectors = column[stored.tile];
    return broadcast(vectors.size() == 1 ? vectors[0] : vectors[i], lanes);
  };
  auto storeColumn = [&](Value column, llvm::function_ref<Value(int64_t)> elements) {
    Value pointer = byte(buffer(stored.offset), multiply(column, i64(rows * sizeof(float))));
    for (int64_t i = 0; i < vectorsOf(rows); ++i)
      store(elements(i), byte(pointer, i * vectorBytes), vectorBytes);
  };
  if (hasPairs(type)) {
    Value word = arith::ShRUIOp::create(builder_, first, i64(1));
    return storeColumn(word, [&](int64_t i) { return words[stored.tile][i]; });
  }
  for (auto [i, column] : llvm::enumerate(values))
    storeColumn(add(first, i64(i)), [&](int64_t j) -> Value {
      Value vector = vectorOf(column, j);
      if (!isMask(type))
        return vector;
      return arith::ExtSIOp::create(builder_, VectorType::get({lanes}, builder_.getI32Type()), vector);
    });
}

FailureOr<int64_t> BlockProgram::materialize(Value tile) {
  if (auto it = buffers_.find(tile); it != buffers_.end())
    return it->second;
  if (auto load = tile.getDefiningOp<LoadOp>()) {
    if (failed(pack(load)))
      return failure();
    return buffers_[tile];
  }
  Cone cone;
  Values none;
  if (failed(collect(tile, cone)) ||
      failed(forEachColumn(tile, cone, planStores(tile, cone, /*storeTile=*/true), none, nullptr)))
    return failure();
  return buffers_[tile];
}

void BlockProgram::copyWords(RankedTensorType tile, int64_t from, int64_t to) {
  int64_t rows = tile.getDimSize(0), vectorBytes = lanesOf(rows) * sizeof(float);
  auto words = vectorOf(builder_.getI32Type(), rows);
  loop(i64(0), i64(tile.getDimSize(1) / 2 * vectorsOf(rows)), 1, [&](Value vector) {
    Value place = multiply(vector, i64(vectorBytes));
    store(load(words, byte(buffer(from), place), vectorBytes), byte(buffer(to), place), vectorBytes);
  });
}

LogicalResult BlockProgram::copy(Value tile, int64_t offset) {
  if (auto it = buffers_.find(tile); it != buffers_.end() && hasPairs(tile.getType())) {
    copyWords(cast<RankedTensorType>(tile.getType()), it->second, offset);
    return success();
  }
  Cone cone;
  Values none;
  if (failed(collect(tile, cone)))
    return failure();
  return forEachColumn(tile, cone, {{tile, offset}}, none, nullptr);
}

LogicalResult BlockProgram::materializeInto(Value tile, int64_t offset) {
  auto it = buffers_.find(tile);
  if (it != buffers_.end() && it->second == offset)
    return success();
  return copy(tile, offset);
}
