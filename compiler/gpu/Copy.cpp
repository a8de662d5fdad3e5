/// Shared memory: tiles come in from global memory, go to fragments and come from registers.
#include "compiler/gpu/ThreadProgram.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

namespace {
constexpr int64_t kChunk = 16; // bytes that one cp.async moves
} // namespace

Value ThreadProgram::warpRow() {
  return multiply(warp_, rowsOfWarp_);
}

LogicalResult ThreadProgram::lowerSharedAlloc(SharedAllocOp op) {
  SharedTile tile{Value(), op.getType()};
  auto space = LLVM::LLVMPointerType::get(builder_.getContext(), kSharedSpace);
  Value start = LLVM::AddressOfOp::create(builder_, space, kSharedSymbol);
  tile.pointer = at(start, sharedBytes_);
  sharedBytes_ += llvm::alignTo(tile.bytes(), kSharedAlignment);
  shared_[op] = tile;
  return success();
}

/// Threads stand in a rectangle: as many side by side as there are 16-byte chunks in a row, or the greatest
/// power of two that divides that; the others below. So lanes read adjacent chunks, a thread keeps its
/// column, and all its addresses are one plus constants and multiples of the row's stride.
LogicalResult ThreadProgram::lowerCopyAsync(CopyAsyncOp op) {
  TensorView tensor = view(op.getTensor());
  SharedTile tile = shared(op.getShared());
  int64_t rows = tile.type.getShape()[0], columns = tile.type.getShape()[1];
  int64_t elements = kChunk / tile.elementBytes(), chunks = columns / elements;
  int64_t threads = warps_ * Layout::kLanes, across = std::min(chunks & -chunks, threads);
  int64_t down = threads / across, width = op.getWidth();
  Type element = tile.type.getElementType();
  if (!isa<FloatType>(tensor.element))
    return op.emitError("cannot copy ") << tensor.element << " to " << tile.type;

  Value chunk = arith::AndIOp::create(builder_, thread_, i32(across - 1));
  Value rowInTile = arith::ShRUIOp::create(builder_, thread_, i32(llvm::Log2_64(across)));
  Value column = multiply(chunk, elements);
  // What stays from tile to tile first, then the tile's own row.
  Value left = arith::SubIOp::create(builder_, scalar(op.getLimit()), scalar(op.getRow()));
  Value source = rowStart(tensor, scalar(op.getBatch()), scalar(op.getHead()), rowInTile);
  Value inRow = widen(column);
  if (op.getLayout() == 2)
    inRow = multiply(inRow, tensor.strides[3]);
  source = at(source, tensor.stored, inRow);
  source = at(source, tensor.stored, multiply(widen(scalar(op.getRow())), tensor.strides[2]));
  Value offset = add(multiply(rowInTile, tile.rowBytes()), multiply(chunk, kChunk));
  Value target = at(tile.pointer, builder_.getI8Type(), offset);

  bool partial = width < columns;
  // A chunk, `down` rows further and `across` chunks to the right each time.
  auto direct = [&](int64_t i, int64_t j) {
    Value inside = less(add(rowInTile, i * down), left);
    Value bytes = i32(kChunk);
    if (partial) { // what the row still has
      Value rest = arith::SubIOp::create(builder_, i32(width), add(column, j * across * elements));
      rest = arith::MinSIOp::create(builder_, rest, i32(elements));
      rest = arith::MaxSIOp::create(builder_, rest, i32(0));
      bytes = multiply(rest, tile.elementBytes());
    }
    bytes = arith::SelectOp::create(builder_, inside, bytes, i32(0));
    Value from = at(source, j * across * kChunk);
    NVVM::CpAsyncOp::create(builder_, at(target, i * down * tile.rowBytes() + j * across * kChunk), from,
                            kChunk, NVVM::LoadCacheModifierKind::CG, bytes);
  };
  auto throughRegisters = [&](Value row, int64_t j) {
    Value stride = op.getLayout() == 2 ? tensor.strides[3] : Value();
    Value step = i64(j * across * elements);
    if (stride)
      step = multiply(step, stride);
    Value from = at(source, tensor.stored, add(multiply(widen(row), tensor.strides[2]), step));
    Values loaded = guarded(less(add(rowInTile, row), left), SmallVector<Type>(elements, element), [&] {
      return copyChunk(tensor, from, stride, add(column, j * across * elements), element, elements,
                       partial ? width : 0);
    });
    Value vector = LLVM::UndefOp::create(builder_, VectorType::get(elements, element));
    for (auto [index, value] : llvm::enumerate(loaded))
      vector = LLVM::InsertElementOp::create(builder_, vector, value, i32(index));
    Value to = at(target, builder_.getI8Type(), multiply(row, tile.rowBytes()));
    LLVM::StoreOp::create(builder_, vector, at(to, j * across * kChunk), kChunk);
  };
  /// Where there are more threads than chunks, those beyond the tile have nothing to do.
  auto inTile = [&](Value row, function_ref<void(int64_t)> copy) {
    auto chunksOfRow = [&]() -> Values {
      for (int64_t j = 0; j < chunks / across; ++j)
        copy(j);
      return {};
    };
    if (rows % down == 0)
      (void)chunksOfRow();
    else
      guarded(less(add(rowInTile, row), i32(rows)), {}, chunksOfRow);
  };
  if (op.getLayout() == 0 && tensor.element == element) {
    // From row to row by one distance: a distance for each row would take registers all through a loop.
    Value distance = multiply(tensor.strides[2], down);
    for (int64_t i = 0; i * down < rows; ++i) {
      if (i != 0)
        source = at(source, tensor.stored, distance);
      inTile(i32(i * down), [&](int64_t j) { direct(i, j); });
    }
    return success();
  }
  // A loop, so that the addresses of one turn are all that a thread holds.
  auto loop = scf::ForOp::create(builder_, i32(0), i32(rows), i32(down));
  OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPoint(loop.getBody()->getTerminator());
  inTile(loop.getInductionVar(), [&](int64_t j) { throughRegisters(loop.getInductionVar(), j); });
  return success();
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

//===-- Between shared memory and registers ----------------------------------------------------===//

LogicalResult ThreadProgram::lowerRead(ReadOp op) {
  SharedTile tile = shared(op.getShared());
  Layout layout = layoutOf(op.getType());
  if (tile.elementBytes() == 2) {
    Layout::MatrixAddresses addresses = *layout.matrixAddresses();
    Value address = matrixAddress(tile, addresses);
    address = at(address, builder_.getI8Type(), multiply(warpRow(), tile.rowBytes()));
    Values words;
    for (int group = 0; group < layout.registers() / 8; ++group)
      words.append(loadMatrix(tile, address, layout.element({8 * group, 0, 0}), addresses.transpose));
    definePairs(op, std::move(words));
    return success();
  }
  Value start = add(multiply(rowOfThread(), tile.rowBytes()),
                    multiply(columnOfThread(), tile.elementBytes()));
  start = at(tile.pointer, builder_.getI8Type(), start);
  auto pair = VectorType::get(2, tile.type.getElementType());
  Values values;
  for (int i = 0; i < layout.registers(); i += 2) {
    Value both = LLVM::LoadOp::create(builder_, pair, at(start, tile.offset(layout.element({i, 0, 0}))),
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
  Values values = registers(op.getValue());
  Value start = add(multiply(rowOfThread(), tile.rowBytes()),
                    multiply(columnOfThread(), tile.elementBytes()));
  start = at(tile.pointer, builder_.getI8Type(), start);
  auto pair = VectorType::get(2, tile.type.getElementType());
  for (int i = 0; i < layout.registers(); i += 2) {
    Value both = LLVM::UndefOp::create(builder_, pair);
    for (int half : {0, 1})
      both = LLVM::InsertElementOp::create(builder_, both, values[i + half], i32(half));
    LLVM::StoreOp::create(builder_, both, at(start, tile.offset(layout.element({i, 0, 0}))),
                          2 * tile.elementBytes());
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
