/// Shared memory: tiles come in from global memory, go to fragments and come from registers.
#include "compiler/gpu/ThreadProgram.h"

#include "llvm/Support/SaveAndRestore.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

namespace {
constexpr int64_t kChunk = 16; // bytes that one cp.async moves
constexpr int64_t kAcross = 4; // threads side by side
constexpr int64_t kPhase = 8;  // lanes whose chunks shared memory takes at once
} // namespace

Value ThreadProgram::warpRow() {
  return multiply(warp_, rowsOfWarp_);
}

LogicalResult ThreadProgram::lowerSharedAlloc(SharedAllocOp op) {
  auto space = LLVM::LLVMPointerType::get(builder_.getContext(), kSharedSpace);
  SharedTile tile{LLVM::AddressOfOp::create(builder_, space, kSharedSymbol), sharedBytes_, op.getType()};
  sharedBytes_ += llvm::alignTo(tile.bytes(), kSharedAlignment);
  shared_[op] = tile;
  return success();
}

LogicalResult ThreadProgram::lowerStage(StageOp op) {
  SharedTile tile = shared(op.getRing());
  Value distance = multiply(scalar(op.getIndex()), tile.stageBytes());
  shared_[op] = {at(tile.pointer, builder_.getI8Type(), distance), tile.start, op.getType()};
  return success();
}

ThreadProgram::Copy ThreadProgram::copyOf(CopyAsyncOp op) {
  return {op, op.getTensor(), op.getBatch(), op.getHead(), op.getRow(), op.getLimit(), Value(),
          op.getWidth(), op.getLayout(), op.getShared(), op.getGroup()};
}
ThreadProgram::Copy ThreadProgram::copyOf(CopyWholeOp op) {
  return {op, op.getTensor(), op.getBatch(), op.getHead(), op.getRow(), Value(), op.getGuard(),
          op.getWidth(), op.getLayout(), op.getShared()};
}

Value ThreadProgram::offsetIn(const SharedTile &tile, Value row, Value column) {
  SharedRows rows = tile.inMemory();
  Value offset = column ? multiply(column, tile.elementBytes()) : Value();
  if (row && rows.mask() != 0) {
    Value toggled = arith::ShLIOp::create(builder_, row, i32(rows.shift()));
    toggled = arith::AndIOp::create(builder_, toggled, i32(rows.mask()));
    offset = offset ? Value(arith::XOrIOp::create(builder_, offset, toggled)) : toggled;
  }
  if (!row)
    return offset;
  Value start = multiply(row, rows.bytes());
  return offset ? add(start, offset) : start;
}

Value ThreadProgram::beyond(const SharedTile &tile, Value offset, Element further) {
  SharedRows rows = tile.inMemory();
  int64_t bytes = further.column * tile.elementBytes();
  if (int64_t toggled = rows.toggled(further.row, bytes))
    offset = arith::XOrIOp::create(builder_, offset, i32(toggled));
  return at(at(tile.pointer, builder_.getI8Type(), offset), tile.start + rows.added(further.row, bytes));
}

Value ThreadProgram::toggled(Value pointer, int64_t bits) {
  if (bits == 0)
    return pointer;
  Value number = LLVM::PtrToIntOp::create(builder_, builder_.getI32Type(), pointer);
  number = arith::XOrIOp::create(builder_, number, i32(bits));
  return LLVM::IntToPtrOp::create(builder_, pointer.getType(), number);
}

/// Threads stand in a rectangle, `kAcross` side by side or as many as there are chunks: they read 64 adjacent
/// bytes, whole sectors of 32, and a thread has few rows, each an address, and steps along the row, which are
/// constants. The eight lanes whose chunks are written at once stand in rows so far apart that each goes to other
/// banks: in padded rows of width 64 lanes 0 to 3 in row r, 4 to 7 in row r + 4, whose chunks lie 4 further.
LogicalResult ThreadProgram::lowerCopy(const Copy &copy) {
  TensorView tensor = view(copy.tensor);
  SharedTile tile = shared(copy.shared);
  int64_t rows = tile.rows(), columns = tile.columns();
  int64_t elements = kChunk / tile.elementBytes(), chunks = columns / elements;
  int64_t threads = warps_ * Layout::kLanes, across = acrossOf(tile);
  int64_t down = threads / across, width = copy.width;
  Type element = tile.type.getElementType();
  if (!isa<FloatType>(tensor.element))
    return copy.op->emitError("cannot copy ") << tensor.element << " to " << tile.type;

  Value chunk = arith::AndIOp::create(builder_, thread_, i32(across - 1));
  Value rowInTile = add(rowOfCopy(tile, across), multiply(warp_, Layout::kLanes / across));
  Value column = multiply(chunk, elements);
  Value source = sources_.contains(copy.op) ? sources_.lookup(copy.op) : copySource(copy, scalar(copy.row));
  bool packed = copy.group != 1;
  Value target = offsetIn(tile, rowInTile, column);
  bool partial = width < columns;
  Value guard = copy.guard ? scalar(copy.guard) : Value();
  Value left = copy.limit ? Value(arith::SubIOp::create(builder_, scalar(copy.limit), scalar(copy.row))) : Value();
  auto inside = [&](Value row) { return left ? less(add(rowInTile, row), left) : guard; };
  // A chunk, `down` rows further and `across` chunks to the right each time.
  auto direct = [&](int64_t i, int64_t j) {
    Value bytes = i32(kChunk);
    if (partial) { // what the row still has
      Value rest = arith::SubIOp::create(builder_, i32(width), add(column, j * across * elements));
      rest = arith::MinSIOp::create(builder_, rest, i32(elements));
      rest = arith::MaxSIOp::create(builder_, rest, i32(0));
      bytes = multiply(rest, tile.elementBytes());
    }
    bytes = arith::SelectOp::create(builder_, inside(i32(i * down)), bytes, i32(0));
    Value from = at(source, j * across * kChunk);
    // Of toggled bits one is left to the steps. It is toggled in the address, which a ring's stage moves by whole lines:
    // in the offset it would take a register through the loop.
    SharedRows rows = tile.inMemory();
    int64_t right = j * across * kChunk;
    Value to = toggled(at(tile.pointer, builder_.getI8Type(), target), rows.toggled(i * down, right));
    NVVM::CpAsyncOp::create(builder_, at(to, tile.start + rows.added(i * down, right)), from, kChunk,
                            NVVM::LoadCacheModifierKind::CG, bytes);
  };
  auto throughRegisters = [&](Value row, Value j) {
    Value stride = copy.layout == 2 ? tensor.strides[3] : Value();
    Value right = multiply(j, across * elements), step = widen(right);
    if (stride)
      step = multiply(step, stride);
    Value from = packed ? at(packedSource(copy, row), tensor.stored, step)
                        : at(source, tensor.stored, add(multiply(widen(row), tensor.strides[2]), step));
    Values loaded = guarded(inside(row), SmallVector<Type>(elements, element), [&] {
      return copyChunk(tensor, from, stride, add(column, right), element, elements,
                       partial ? width : 0);
    });
    Value vector = LLVM::UndefOp::create(builder_, VectorType::get(elements, element));
    for (auto [index, value] : llvm::enumerate(loaded))
      vector = LLVM::InsertElementOp::create(builder_, vector, value, i32(index));
    Value to = offsetIn(tile, add(rowInTile, row), add(column, right));
    LLVM::StoreOp::create(builder_, vector, beyond(tile, to, {}), kChunk);
  };
  /// Where there are more threads than chunks, those beyond the tile have nothing to do.
  auto inTile = [&](Value row, function_ref<Values()> chunksOfRow) {
    if (rows % down == 0)
      (void)chunksOfRow();
    else
      guarded(less(add(rowInTile, row), i32(rows)), {}, chunksOfRow);
  };
  if (copy.layout == 0 && tensor.element == element) {
    // From row to row by one distance: a distance for each row would take registers all through a loop.
    Value distance = multiply(tensor.strides[2], down);
    for (int64_t i = 0; i * down < rows; ++i) {
      if (packed)
        source = packedSource(copy, i32(i * down));
      else if (i != 0)
        source = at(source, tensor.stored, distance);
      inTile(i32(i * down), [&]() -> Values {
        for (int64_t j = 0; j < chunks / across; ++j)
          direct(i, j);
        return {};
      });
    }
    return success();
  }
  // Loops over rows and chunks, so that the addresses of one chunk are all that a thread holds.
  auto repeat = [&](int64_t end, int64_t step, function_ref<void(Value)> body) {
    auto loop = scf::ForOp::create(builder_, i32(0), i32(end), i32(step));
    OpBuilder::InsertionGuard restore(builder_);
    builder_.setInsertionPoint(loop.getBody()->getTerminator());
    body(loop.getInductionVar());
  };
  auto inLoop = [&]() -> Values {
    repeat(rows, down, [&](Value row) {
      inTile(row, [&]() -> Values {
        repeat(chunks / across, 1, [&](Value j) { throughRegisters(row, j); });
        return {};
      });
    });
    return {};
  };
  if (guard)
    guarded(guard, {}, inLoop);
  else
    inLoop();
  return success();
}

/// Threads side by side: more of them where rows would be left over otherwise, since a copy for some of the threads
/// is a branch.
int64_t ThreadProgram::acrossOf(const SharedTile &tile) const {
  int64_t chunks = tile.columns() * tile.elementBytes() / kChunk, most = chunks & -chunks;
  auto leaves = [&](int64_t across) { return tile.rows() % (warps_ * Layout::kLanes / across) != 0; };
  int64_t across = std::min(most, kAcross), wider = std::min(most, kPhase);
  return leaves(across) && !leaves(wider) ? wider : across;
}

/// The thread's row in a tile, and elements from the beginning of a row to its first chunk.
std::pair<Value, Value> ThreadProgram::copyPlace(const Copy &copy, const TensorView &tensor) {
  SharedTile tile{Value(), 0, copy.shared.getType()};
  int64_t elements = kChunk / tile.elementBytes(), across = acrossOf(tile);
  Value rowInTile = add(rowOfCopy(tile, across), multiply(warp_, Layout::kLanes / across));
  Value inRow = widen(multiply(arith::AndIOp::create(builder_, lane_, i32(across - 1)), elements));
  if (copy.layout == 2)
    inRow = multiply(inRow, tensor.strides[3]);
  return {rowInTile, inRow};
}

/// What stays from tile to tile first, then the tile's own row.
Value ThreadProgram::copySource(const Copy &copy, Value row) {
  TensorView tensor = view(copy.tensor);
  auto [rowInTile, inRow] = copyPlace(copy, tensor);
  Value source = rowStart(tensor, scalar(copy.batch), scalar(copy.head), rowInTile);
  source = at(source, tensor.stored, inRow);
  return at(source, tensor.stored, multiply(widen(row), tensor.strides[2]));
}

/// Packed rows lie at no one distance: each, `further` down from the thread's first, is looked up.
Value ThreadProgram::packedSource(const Copy &copy, Value further) {
  TensorView tensor = view(copy.tensor);
  auto [rowInTile, inRow] = copyPlace(copy, tensor);
  auto [head, row] = unpackRow(scalar(copy.head), add(scalar(copy.row), add(rowInTile, further)), copy.group);
  return at(rowStart(tensor, scalar(copy.batch), head, row), tensor.stored, inRow);
}

SmallVector<ThreadProgram::Walk> ThreadProgram::walksOf(scf::ForOp loop) {
  SmallVector<Walk> walks;
  auto consider = [&](const Copy &copy) {
    auto row = copy.row.getDefiningOp<arith::SubIOp>();
    if (!row || !loop.isDefinedOutsideOfLoop(row.getLhs()) || copy.layout != 0)
      return;
    auto turn = row.getRhs().getDefiningOp<arith::AddIOp>();
    auto ahead = turn ? turn.getRhs().getDefiningOp<arith::ConstantOp>() : arith::ConstantOp();
    if (row.getRhs() == loop.getInductionVar())
      walks.push_back({copy, row.getLhs(), 0});
    else if (ahead && turn.getLhs() == loop.getInductionVar())
      walks.push_back({copy, row.getLhs(), cast<IntegerAttr>(ahead.getValue()).getInt()});
  };
  for (CopyWholeOp copy : loop.getBody()->getOps<CopyWholeOp>())
    consider(copyOf(copy));
  return walks;
}

/// The address at the loop's first turn: where the loop before left it, if it is the same walk.
Value ThreadProgram::firstSource(const Walk &walk, scf::ForOp loop) {
  for (const Walked &before : llvm::reverse(walked_))
    if (before.walk.continues(walk) && before.bound == loop.getLowerBound())
      return before.source;
  // The thread's number anew: what earlier copies made of it would take registers through the loops before.
  Value thread = readAgain("%tid.x");
  llvm::SaveAndRestore threadAgain(thread_, thread);
  llvm::SaveAndRestore laneAgain(lane_, Value(arith::AndIOp::create(builder_, thread, i32(Layout::kLanes - 1))));
  llvm::SaveAndRestore warpAgain(warp_, Value(arith::ShRUIOp::create(builder_, thread, i32(Layout::kLaneBits))));
  Value turn = add(scalar(loop.getLowerBound()), walk.ahead);
  return copySource(walk.copy, arith::SubIOp::create(builder_, scalar(walk.end), turn));
}

/// The row of a lane's first chunk. Of a lane's bits above those that count `across`, the first ones choose
/// among the rows of a phase, one or `across` apart, the next among those between or after them, the others rows
/// further down.
Value ThreadProgram::rowOfCopy(const SharedTile &tile, int64_t across) {
  int64_t inPhase = kPhase / across, step = tile.inMemory().stepOfWriters(across);
  Value phase = arith::AndIOp::create(builder_, arith::ShRUIOp::create(builder_, lane_, i32(llvm::Log2_64(across))),
                                      i32(inPhase - 1));
  Value rest = arith::ShRUIOp::create(builder_, lane_, i32(llvm::Log2_64(kPhase)));
  Value between = arith::AndIOp::create(builder_, rest, i32(across - 1));
  Value further = arith::ShRUIOp::create(builder_, rest, i32(llvm::Log2_64(across)));
  return add(add(multiply(phase, step), multiply(between, step == 1 ? inPhase : 1)), multiply(further, kPhase));
}

/// `count` elements of a row; those from column `width` on are 0, where it is given.
Values ThreadProgram::copyChunk(const TensorView &tensor, Value pointer, Value stride, Value column,
                                Type to, int64_t count, int64_t width) {
  Values values;
  for (int64_t i = 0; i < count; ++i) {
    auto load = [&]() -> Values {
      Value place = stride ? at(pointer, tensor.stored, multiply(stride, i))
                           : at(pointer, i * tensor.stored.getIntOrFloatBitWidth() / 8);
      return {loadElement(tensor, place, to)};
    };
    values.append(width ? guarded(less(add(column, i), i32(width)), to, load) : load());
  }
  return values;
}

/// Each warp stores its own rows, in the order of copies: 16 bytes at once where the tensor's rows are aligned
/// to them, which only the launch knows, else element by element.
LogicalResult ThreadProgram::lowerStoreShared(StoreSharedOp op) {
  SharedTile tile = shared(op.getShared());
  TensorView tensor = view(op.getTensor());
  int64_t elements = kChunk / tile.elementBytes(), chunks = tile.columns() / elements, width = op.getWidth();
  int64_t across = std::min(chunks & -chunks, kAcross), down = Layout::kLanes / across;
  Type element = tile.type.getElementType();
  if (tensor.stored != element || width % elements != 0)
    return op.emitError("cannot store ") << tile.type << " to " << width << " columns of " << tensor.element;
  Value address = LLVM::PtrToIntOp::create(builder_, builder_.getI64Type(), tensor.data);
  for (int axis : {0, 1, 2})
    address = arith::OrIOp::create(builder_, address, multiply(tensor.strides[axis], tile.elementBytes()));
  Value rest = arith::AndIOp::create(builder_, address, i64(kChunk - 1));
  Value aligned = arith::CmpIOp::create(builder_, arith::CmpIPredicate::eq, rest, i64(0));
  Value column = multiply(arith::AndIOp::create(builder_, lane_, i32(across - 1)), elements);
  Value first = add(warpRow(), rowOfCopy(tile, across));

  auto loop = scf::ForOp::create(builder_, i32(0), i32(rowsOfWarp_), i32(down));
  OpBuilder::InsertionGuard restore(builder_);
  builder_.setInsertionPoint(loop.getBody()->getTerminator());
  Value rowInTile = add(first, loop.getInductionVar());
  Value row = add(scalar(op.getRow()), rowInTile);
  Value source = offsetIn(tile, rowInTile, column);
  auto vector = VectorType::get(elements, element);
  auto storeChunk = [&](Value target, Value chunk) {
    guarded(aligned, {}, [&]() -> Values {
      LLVM::StoreOp::create(builder_, chunk, target, kChunk);
      return {};
    });
    Value scattered = arith::XOrIOp::create(builder_, aligned, arith::ConstantOp::create(builder_, builder_.getBoolAttr(true)));
    guarded(scattered, {}, [&]() -> Values {
      for (int64_t i = 0; i < elements; ++i)
        LLVM::StoreOp::create(builder_, LLVM::ExtractElementOp::create(builder_, chunk, i32(i)),
                              at(target, i * tile.elementBytes()));
      return {};
    });
  };
  Value inside = less(row, scalar(op.getLimit()));
  guarded(inside, {}, [&]() -> Values {
    Value target = rowStart(tensor, scalar(op.getBatch()), scalar(op.getHead()), row);
    target = at(target, tensor.stored, widen(column));
    for (int64_t j = 0; j * across < chunks; ++j) {
      int64_t distance = j * across * kChunk;
      if (j * across * elements >= width)
        break;
      auto one = [&]() -> Values {
        Element further{0, static_cast<int>(j * across * elements)};
        Value chunk = LLVM::LoadOp::create(builder_, vector, beyond(tile, source, further), kChunk);
        storeChunk(at(target, distance), chunk);
        return {};
      };
      if ((j + 1) * across * elements <= width)
        one();
      else
        guarded(less(add(column, j * across * elements), i32(width)), {}, one);
    }
    return {};
  });
  return success();
}

//===-- Between shared memory and registers ----------------------------------------------------===//

LogicalResult ThreadProgram::lowerRead(ReadOp op) {
  SharedTile tile = shared(op.getShared());
  Layout layout = layoutOf(op.getType());
  if (tile.elementBytes() == 2) {
    Layout::MatrixAddresses addresses = *layout.matrixAddresses();
    Value offset = add(matrixOffset(tile, addresses), multiply(warpRow(), tile.rowBytes()));
    Values words;
    for (int group = 0; group < layout.registers() / 8; ++group)
      words.append(loadMatrix(tile, offset, layout.element({8 * group, 0, 0}), addresses.transpose));
    definePairs(op, std::move(words));
    return success();
  }
  Value start = offsetIn(tile, rowOfThread(), columnOfThread());
  auto pair = VectorType::get(2, tile.type.getElementType());
  Values values;
  for (int i = 0; i < layout.registers(); i += 2) {
    Value both = LLVM::LoadOp::create(builder_, pair, beyond(tile, start, layout.element({i, 0, 0})),
                                      2 * tile.elementBytes());
    for (int64_t half : {0, 1})
      values.push_back(LLVM::ExtractElementOp::create(builder_, both, i32(half)));
  }
  define(op, std::move(values));
  return success();
}

LogicalResult ThreadProgram::lowerWrite(WriteOp op) {
  SharedTile tile = shared(op.getShared());
  Layout layout = layoutOf(op.getValue().getType());
  bool paired = isPaired(op.getValue().getType());
  Values values = paired ? pairs(op.getValue()) : registers(op.getValue());
  Value start = offsetIn(tile, rowOfThread(), columnOfThread());
  auto pair = VectorType::get(2, tile.type.getElementType());
  for (int i = 0; i < layout.registers(); i += 2) {
    Value both = paired ? values[i / 2] : Value(LLVM::UndefOp::create(builder_, pair));
    for (int half = 0; half < 2 && !paired; ++half)
      both = LLVM::InsertElementOp::create(builder_, both, values[i + half], i32(half));
    LLVM::StoreOp::create(builder_, both, beyond(tile, start, layout.element({i, 0, 0})), 2 * tile.elementBytes());
  }
  return success();
}

LogicalResult ThreadProgram::lowerBarrier(BarrierOp op) {
  if (op.getScope() == Scope::block)
    NVVM::Barrier0Op::create(builder_);
  else
    NVVM::SyncWarpOp::create(builder_, i32(-1));
  return success();
}
