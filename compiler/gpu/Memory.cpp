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

llvm::MapVector<int, SmallVector<int>> tile::registersByRow(const Layout &layout) {
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
