/// What the launch gives, and global memory.
#include "compiler/gpu/ThreadProgram.h"

#include "tenon/KernelImage.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

//===-- The argument block ---------------------------------------------------------------------===//

/// The block is in constant memory: a load of it may be made anywhere, and once.
Value ThreadProgram::argument(Type type, int64_t offset) {
  unsigned bytes = isa<LLVM::LLVMPointerType>(type) ? 8 : type.getIntOrFloatBitWidth() / 8;
  return LLVM::LoadOp::create(builder_, type, at(arguments_, offset), bytes, /*isVolatile=*/false,
                              /*isNonTemporal=*/false, /*isInvariant=*/true);
}

LogicalResult ThreadProgram::lowerSize(SizeOp op) {
  constexpr int64_t offsets[] = {offsetof(KernelArguments, batch), offsetof(KernelArguments, heads),
                                 offsetof(KernelArguments, key_heads),
                                 offsetof(KernelArguments, query_length),
                                 offsetof(KernelArguments, key_length)};
  scalars_[op] = argument(builder_.getI32Type(), offsets[static_cast<int>(op.getSize())]);
  return success();
}

LogicalResult ThreadProgram::lowerScalar(ScalarOp op) {
  scalars_[op] = argument(op.getType(), offsetof(KernelArguments, scalars) +
                                            op.getSlot() * sizeof(KernelArguments::Scalar));
  return success();
}

/// *pointer where there is one, else the value beside it.
static constexpr struct { int64_t pointer, value; }
    kSeed = {offsetof(KernelArguments, seed_pointer), offsetof(KernelArguments, seed)},
    kOffset = {offsetof(KernelArguments, offset_pointer), offsetof(KernelArguments, offset)};

LogicalResult ThreadProgram::lowerSeed(SeedOp op) {
  scalars_[op] = indirect(kSeed.pointer, kSeed.value, builder_.getI64Type());
  return success();
}

LogicalResult ThreadProgram::lowerOffset(OffsetOp op) {
  scalars_[op] = indirect(kOffset.pointer, kOffset.value, builder_.getI32Type());
  return success();
}

Value ThreadProgram::indirect(int64_t pointerOffset, int64_t valueOffset, Type type) {
  Value address = argument(builder_.getI64Type(), pointerOffset);
  Value present = arith::CmpIOp::create(builder_, arith::CmpIPredicate::ne, address, i64(0));
  auto branch = scf::IfOp::create(builder_, type, present, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToStart(branch.thenBlock());
  auto space = LLVM::LLVMPointerType::get(builder_.getContext(), kGlobalSpace);
  Value pointer = LLVM::IntToPtrOp::create(builder_, space, address);
  Value loaded = LLVM::LoadOp::create(builder_, type, pointer);
  scf::YieldOp::create(builder_, loaded);
  builder_.setInsertionPointToStart(branch.elseBlock());
  Value given = argument(type, valueOffset);
  scf::YieldOp::create(builder_, given);
  return branch.getResult(0);
}

LogicalResult ThreadProgram::lowerProgramId(ProgramIdOp op) {
  Type type = builder_.getI32Type();
  scalars_[op] = op.getAxis() == Axis::x   ? Value(NVVM::BlockIdXOp::create(builder_, type))
                 : op.getAxis() == Axis::y ? Value(NVVM::BlockIdYOp::create(builder_, type))
                                           : Value(NVVM::BlockIdZOp::create(builder_, type));
  return success();
}

//===-- Addresses ------------------------------------------------------------------------------===//

ThreadProgram::TensorView ThreadProgram::view(Value tensor) {
  TensorView result;
  result.element = cast<TensorType>(tensor.getType()).getElementType();
  result.stored = result.element.isInteger(1) ? builder_.getI8Type() : result.element;
  auto op = tensor.getDefiningOp<TensorOp>();
  int64_t offset = offsetof(KernelArguments, tensors) + op.getSlot() * sizeof(TensorArgument);
  auto generic = LLVM::LLVMPointerType::get(builder_.getContext());
  auto global = LLVM::LLVMPointerType::get(builder_.getContext(), kGlobalSpace);
  result.data = LLVM::AddrSpaceCastOp::create(
      builder_, global, argument(generic, offset + offsetof(TensorArgument, data)));
  for (int64_t i = 0; i < 4; ++i) {
    result.strides.push_back(
        argument(builder_.getI64Type(), offset + offsetof(TensorArgument, strides) + 8 * i));
    result.sizes.push_back(
        argument(builder_.getI32Type(), offset + offsetof(TensorArgument, sizes) + 4 * i));
  }
  if (Value column = op.getColumn())
    result.data = at(result.data, result.stored, multiply(widen(scalar(column)), result.strides[3]));
  return result;
}

Value ThreadProgram::at(Value pointer, Type element, Value index) {
  return LLVM::GEPOp::create(builder_, pointer.getType(), element, pointer,
                             ArrayRef<LLVM::GEPArg>{index});
}
Value ThreadProgram::at(Value pointer, int64_t bytes) {
  if (bytes == 0)
    return pointer;
  return LLVM::GEPOp::create(builder_, pointer.getType(), builder_.getI8Type(), pointer,
                             ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(bytes)});
}

/// Where column 0 of a row lies.
Value ThreadProgram::rowStart(const TensorView &tensor, Value batch, Value head, Value row) {
  Value index = multiply(widen(batch), tensor.strides[0]);
  index = add(index, multiply(widen(head), tensor.strides[1]));
  index = add(index, multiply(widen(row), tensor.strides[2]));
  return at(tensor.data, tensor.stored, index);
}

/// Between real types; a mask's byte is true where it is not 0.
Value ThreadProgram::convert(Value element, Type to) {
  Type from = element.getType();
  if (from == to)
    return element;
  if (from.isInteger() && to.isInteger(1))
    return arith::CmpIOp::create(builder_, arith::CmpIPredicate::ne, element, zero(from));
  if (!isa<FloatType>(from) || !isa<FloatType>(to))
    return Value();
  if (!to.isF32()) {
    if (!from.isF32()) // float16 and bfloat16: through what holds both
      element = arith::ExtFOp::create(builder_, builder_.getF32Type(), element);
    return arith::TruncFOp::create(builder_, to, element);
  }
  return arith::ExtFOp::create(builder_, to, element);
}

Value ThreadProgram::loadElement(const TensorView &tensor, Value pointer, Type to) {
  return convert(LLVM::LoadOp::create(builder_, tensor.stored, pointer), to);
}

//===-- Tiles of global memory -----------------------------------------------------------------===//

/// Head and row of a row that may be packed: see tile.load.
std::pair<Value, Value> ThreadProgram::unpackRow(Value head, Value row, int64_t group) {
  if (group == 1)
    return {head, row};
  Value inGroup = arith::RemUIOp::create(builder_, row, i32(group));
  return {add(head, inGroup), arith::DivUIOp::create(builder_, row, i32(group))};
}

/// The registers of a tile by their rows in the thread.
static llvm::MapVector<int, SmallVector<int>> registersByRow(const Layout &layout) {
  llvm::MapVector<int, SmallVector<int>> byRow;
  for (int i = 0; i < layout.registers(); ++i)
    byRow[layout.element({i, 0, 0}).row].push_back(i);
  return byRow;
}

/// Row by row: for tiles that no product reads. Neighbours come together where they are aligned to twice an
/// element.
LogicalResult ThreadProgram::lowerLoad(LoadOp op) {
  TensorView tensor = view(op.getTensor());
  auto tile = cast<RankedTensorType>(op.getType());
  Layout layout = layoutOf(tile);
  Type element = tile.getElementType();
  bool isVector = tile.getRank() == 1;
  int64_t width = op.getWidth();
  bool inPairs = !isVector && op.getLayout() == 0 && width % 2 == 0;
  Value first = add(scalar(op.getRow()), rowOfThread());
  Value column = isVector ? i32(0) : columnOfThread();
  Values values(layout.registers());
  auto loadPlace = [&](Value start, int columnInThread) -> Values {
    SmallVector<Type> types(inPairs ? 2 : 1, element);
    Value here = add(column, columnInThread);
    auto load = [&]() -> Values {
      Value pointer = at(start, tensor.stored, multiply(widen(here), tensor.strides[3]));
      if (!inPairs)
        return {loadElement(tensor, pointer, element)};
      Value both = LLVM::LoadOp::create(builder_, VectorType::get(2, tensor.stored),
                                        at(start, tensor.stored, widen(here)),
                                        tensor.stored.getIntOrFloatBitWidth() / 4);
      return {convert(LLVM::ExtractElementOp::create(builder_, both, i32(0)), element),
              convert(LLVM::ExtractElementOp::create(builder_, both, i32(1)), element)};
    };
    // The lane adds up to 7 columns to the register's multiple of 8.
    if (isVector || (columnInThread & ~7) + 8 <= width)
      return load();
    if ((columnInThread & ~7) >= width)
      return Values(types.size(), zero(element));
    return guarded(less(here, i32(width)), types, load);
  };
  for (auto &[rowInThread, places] : registersByRow(layout)) {
    Value row = add(first, rowInThread);
    Values loaded = guarded(less(row, scalar(op.getLimit())), SmallVector<Type>(places.size(), element), [&] {
      auto [head, unpacked] = unpackRow(scalar(op.getHead()), row, op.getGroup());
      Value start = rowStart(tensor, scalar(op.getBatch()), head, unpacked);
      Values made;
      for (size_t i = 0; i < places.size(); i += inPairs ? 2 : 1)
        made.append(loadPlace(start, layout.element({places[i], 0, 0}).column));
      return made;
    });
    for (auto [place, value] : llvm::zip_equal(places, loaded))
      values[place] = value;
  }
  define(op, std::move(values));
  return success();
}

LogicalResult ThreadProgram::lowerStore(StoreOp op) {
  TensorView tensor = view(op.getTensor());
  auto tile = cast<RankedTensorType>(op.getValue().getType());
  Layout layout = layoutOf(tile);
  Values values = registers(op.getValue());
  if (!convert(values[0], tensor.element))
    return op.emitError("cannot store ") << tile << " to " << tensor.element;
  bool isVector = tile.getRank() == 1;
  int64_t width = op.getWidth();
  Value first = add(scalar(op.getRow()), rowOfThread()), column = columnOfThread();
  auto stride = [&](Value index) -> Value {
    return op.getLayout() == 2 ? multiply(widen(index), tensor.strides[3]) : widen(index);
  };
  // Neighbours go together where they are aligned to twice an element, and both inside or outside.
  bool inPairs = !isVector && op.getLayout() == 0 && width % 2 == 0;
  for (auto &[rowInThread, places] : registersByRow(layout)) {
    Value row = add(first, rowInThread);
    Value inside = less(row, scalar(op.getLimit()));
    if (isVector) // the four lanes of a row hold the same: one writes
      inside = arith::AndIOp::create(
          builder_, inside, arith::CmpIOp::create(builder_, arith::CmpIPredicate::eq, column, i32(0)));
    guarded(inside, {}, [&]() -> Values {
      auto [head, unpacked] = unpackRow(scalar(op.getHead()), row, op.getGroup());
      Value start = rowStart(tensor, scalar(op.getBatch()), head, unpacked);
      if (isVector) {
        LLVM::StoreOp::create(builder_, convert(values[places[0]], tensor.element), start);
        return {};
      }
      for (size_t i = 0; i < places.size(); i += inPairs ? 2 : 1) {
        int columnInThread = layout.element({places[i], 0, 0}).column;
        Value here = add(column, columnInThread);
        auto write = [&]() -> Values {
          Value pointer = at(start, tensor.stored, stride(here));
          if (!inPairs) {
            LLVM::StoreOp::create(builder_, convert(values[places[i]], tensor.element), pointer);
            return {};
          }
          Value both = LLVM::UndefOp::create(builder_, VectorType::get(2, tensor.element));
          for (int half : {0, 1})
            both = LLVM::InsertElementOp::create(
                builder_, both, convert(values[places[i + half]], tensor.element), i32(half));
          LLVM::StoreOp::create(builder_, both, pointer, tensor.element.getIntOrFloatBitWidth() / 4);
          return {};
        };
        // The lane adds up to 7 columns to the register's multiple of 8.
        if ((columnInThread & ~7) + 8 <= width)
          write();
        else if ((columnInThread & ~7) < width)
          guarded(less(here, i32(width)), {}, write);
      }
      return {};
    });
  }
  return success();
}

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
