// Elements of tables, at indices that may differ from element to element.
#include "compiler/gpu/ThreadProgram.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

/// A loop that carries so many values (an output of 96 columns or more) leaves no room for the addresses and elements
/// of a whole tile of a table, which ptxas would request at once.
static constexpr size_t kManyCarried = 48;
static constexpr int kLoadsAtOnce = 16;

/// What a gather's elements are by their indices, each clamped; as memory holds them.
Values ThreadProgram::gatherOneByOne(GatherOp op, const TensorView &tensor) {
  auto tile = dyn_cast<RankedTensorType>(op.getType()); // else one element that the whole block reads
  int count = tile ? layoutOf(tile).registers() : 1;
  auto elements = [&](Value value) {
    return isa<RankedTensorType>(value.getType()) ? registers(value) : Values(count, scalar(value));
  };
  // Along each axis equal indices give one offset: those of rows and of columns are few.
  SmallVector<Values> offsets;
  for (auto [axis, index] : llvm::enumerate(op.getIndices())) {
    llvm::DenseMap<Value, Value> known;
    Values along;
    for (Value element : elements(index)) {
      Value &offset = known[element];
      if (!offset)
        offset = clampedOffset(tensor, axis, element);
      along.push_back(offset);
    }
    offsets.push_back(std::move(along));
  }
  Values guards = op.getGuard() ? registers(op.getGuard()) : Values();
  Values values;
  for (int i = 0; i < count; ++i) {
    if (carried_ >= kManyCarried && i % kLoadsAtOnce == 0 && i != 0)
      NVVM::SyncWarpOp::create(builder_, i32(-1)); // ptxas moves no load across
    auto load = [&]() -> Values {
      Value index = offsets[0][i];
      for (size_t axis = 1; axis < offsets.size(); ++axis)
        index = add(index, offsets[axis][i]);
      return {LLVM::LoadOp::create(builder_, tensor.stored, at(tensor.data, tensor.stored, index))};
    };
    values.append(guards.empty() ? load() : guarded(guards[i], tensor.stored, load));
  }
  return values;
}

Value ThreadProgram::clampedOffset(const TensorView &tensor, size_t axis, Value index) {
  Value clamped = arith::MaxSIOp::create(builder_, index, i32(0));
  clamped = arith::MinSIOp::create(builder_, clamped, add(tensor.sizes[axis], -1));
  return multiply(widen(clamped), tensor.strides[axis]);
}

/// The first of the columns, where the last index counts columns, whose elements are adjacent, and no other index
/// depends on them; else null.
static Value firstOfAdjacent(GatherOp op) {
  auto columns = op.getIndices().back().getDefiningOp<IndexOp>();
  if (op.getLayout() > 1 || op.getGuard() || !columns || columns.getDirection() != Direction::columns)
    return {};
  for (Value index : op.getIndices().drop_back())
    if (isa<RankedTensorType>(index.getType()) && !index.getDefiningOp<ExpandOp>() && !index.getDefiningOp<SplatOp>())
      return {};
  return columns.getStart();
}

static scf::ForOp outermostLoop(OpBuilder &builder) {
  scf::ForOp outermost;
  for (Operation *parent = builder.getInsertionBlock()->getParentOp(); parent; parent = parent->getParentOp())
    if (auto loop = dyn_cast<scf::ForOp>(parent))
      outermost = loop;
  return outermost;
}

/// Whether neighbours at even columns may be loaded together. The same for the whole launch: before the loops.
Value ThreadProgram::hasAlignedPairs(GatherOp op) {
  OpBuilder::InsertionGuard guard(builder_);
  if (scf::ForOp outermost = outermostLoop(builder_))
    builder_.setInsertionPoint(outermost);
  TensorView tensor = view(op.getTensor());
  int64_t bytes = tensor.stored.getIntOrFloatBitWidth() / 8;
  Value places = LLVM::PtrToIntOp::create(builder_, builder_.getI64Type(), tensor.data);
  for (size_t axis = 0; axis + 1 < op.getIndices().size(); ++axis)
    places = arith::OrIOp::create(builder_, places, multiply(tensor.strides[axis], bytes));
  Value rest = arith::AndIOp::create(builder_, places, i64(2 * bytes - 1));
  return arith::CmpIOp::create(builder_, arith::CmpIPredicate::eq, rest, i64(0));
}

/// Two elements of memory as a word, or as what is loaded of two.
Value ThreadProgram::pairOf(Value first, Value second) {
  Type type = first.getType();
  if (type.isInteger(8)) {
    Type word = builder_.getI16Type();
    Value high = arith::ShLIOp::create(builder_, arith::ExtUIOp::create(builder_, word, second), i16(8));
    return arith::OrIOp::create(builder_, arith::ExtUIOp::create(builder_, word, first), high);
  }
  Value both = LLVM::UndefOp::create(builder_, VectorType::get(2, type));
  both = LLVM::InsertElementOp::create(builder_, both, first, i32(0));
  return LLVM::InsertElementOp::create(builder_, both, second, i32(1));
}

/// Where column 0 of each of the thread's rows lies; before the loops, if that is all known there.
SmallVector<std::pair<SmallVector<int>, Value>> ThreadProgram::rowsOfTable(GatherOp op) {
  auto byRow = registersByRow(layoutOf(op.getType()));
  OperandRange indices = op.getIndices().drop_back();
  SmallVector<Values> elements; // of each row, along each axis
  for (auto &[row, places] : byRow)
    elements.push_back(llvm::map_to_vector(indices, [&](Value index) {
      return isa<RankedTensorType>(index.getType()) ? registers(index)[places[0]] : scalar(index);
    }));
  OpBuilder::InsertionGuard guard(builder_);
  scf::ForOp outermost = outermostLoop(builder_);
  if (outermost && llvm::all_of(elements, [&](const Values &ofRow) {
        return llvm::all_of(ofRow, [&](Value element) { return outermost.isDefinedOutsideOfLoop(element); });
      }))
    builder_.setInsertionPoint(outermost);
  TensorView tensor = view(op.getTensor());
  SmallVector<std::pair<SmallVector<int>, Value>> rows;
  for (auto [ofRow, element] : llvm::zip_equal(byRow, elements)) {
    Value offset = i64(0);
    for (auto [axis, index] : llvm::enumerate(element))
      offset = add(clampedOffset(tensor, axis, index), offset);
    rows.push_back({ofRow.second, at(tensor.data, tensor.stored, offset)});
  }
  return rows;
}

/// Two elements at a time, each row by one address and distances from there.
Values ThreadProgram::gatherPairs(GatherOp op, const TensorView &tensor, Value first, Type pair) {
  Layout layout = layoutOf(op.getType());
  int64_t bytes = tensor.stored.getIntOrFloatBitWidth() / 8;
  Value column = widen(add(first, columnOfThread()));
  Values words(layout.registers() / 2);
  for (auto &[places, row] : rowsOfTable(op)) {
    Value start = at(row, tensor.stored, column);
    for (size_t i = 0; i < places.size(); i += 2)
      words[places[i] / 2] = LLVM::LoadOp::create(
          builder_, pair, at(start, layout.element({places[i], 0, 0}).column * bytes), 2 * bytes);
  }
  return words;
}

/// A tile of adjacent columns comes in pairs where the table has them all and they are aligned: one branch of the whole
/// block. Its sides give words of two elements, which are taken apart behind it, where they are needed.
LogicalResult ThreadProgram::lowerGather(GatherOp op) {
  TensorView tensor = view(op.getTensor());
  Type to = getElementTypeOrSelf(op.getType());
  Value first = firstOfAdjacent(op);
  Values loaded;
  if (!first) {
    loaded = gatherOneByOne(op, tensor);
  } else {
    bool bytes = tensor.stored.isInteger(8);
    Type pair = bytes ? Type(builder_.getI16Type()) : VectorType::get(2, tensor.stored);
    Value end = add(scalar(first), cast<RankedTensorType>(op.getType()).getDimSize(1));
    Value inside = arith::CmpIOp::create(builder_, arith::CmpIPredicate::sle, end, tensor.sizes[op.getIndices().size() - 1]);
    inside = arith::AndIOp::create(builder_, inside, hasAlignedPairs(op));
    Values words = either(
        inside, SmallVector<Type>(layoutOf(op.getType()).registers() / 2, pair),
        [&] { return gatherPairs(op, tensor, scalar(first), pair); },
        [&] {
          Values made, single = gatherOneByOne(op, tensor);
          for (size_t i = 0; i < single.size(); i += 2)
            made.push_back(pairOf(single[i], single[i + 1]));
          return made;
        });
    for (Value word : words)
      for (int64_t half : {0, 1})
        loaded.push_back(bytes ? Value(arith::AndIOp::create(builder_, word, i16(half ? -0x100 : 0xFF)))
                               : Value(LLVM::ExtractElementOp::create(builder_, word, i32(half))));
  }
  Values values;
  for (Value element : loaded) {
    values.push_back(convert(element, to));
    if (!values.back())
      return op.emitError("cannot read ") << tensor.element << " as " << to;
  }
  if (isa<RankedTensorType>(op.getType()))
    define(op, std::move(values));
  else
    scalars_[op] = values[0];
  return success();
}
