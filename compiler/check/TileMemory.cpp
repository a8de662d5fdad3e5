#include "compiler/check/TileMemory.h"

#include "dialects/tile/Schedule.h"
#include "tenon/DataType.h"
#include "tenon/Tensor.h"

#include <algorithm>
#include <cmath>

using namespace mlir;
using namespace tenon::tile;

namespace tenon::check::memory {

//===-- Memory ---------------------------------------------------------------------------------===//

static const TensorArgument &tensorOf(Value handle, TileBlock &block) {
  return block.launch.arguments.tensors[handle.getDefiningOp<TensorOp>().getSlot()];
}

static char *elementAddress(Value handle, TileBlock &block, llvm::ArrayRef<int64_t> index) {
  const TensorArgument &tensor = tensorOf(handle, block);
  DataType dtype = dataTypeOf(cast<tile::TensorType>(handle.getType()).getElementType());
  int64_t offset = 0;
  for (auto [i, position] : llvm::enumerate(index))
    offset += position * tensor.strides[i];
  return static_cast<char *>(tensor.data) + offset * static_cast<int64_t>(size_in_bytes(dtype));
}

// Broadcast tensors have stride 0, and sizes that the launch does not see: only real extents are checked.
static LogicalResult checkInside(Operation *op, Value handle, TileBlock &block, llvm::ArrayRef<int64_t> index) {
  const TensorArgument &tensor = tensorOf(handle, block);
  for (auto [i, position] : llvm::enumerate(index))
    if (position < 0 || (tensor.strides[i] != 0 && position >= tensor.sizes[i]))
      return op->emitError("index ") << position << " of dimension " << i << " leaves the tensor's "
                                     << tensor.sizes[i] << " elements";
  return success();
}

namespace {

template <class Op> concept Packs = requires(Op op) { op.getGroup(); };

// Where rows of a tensor lie: those of loads, stores and copies.
template <class Op> class RowsInMemory {
public:
  RowsInMemory(Op op, int64_t limit, TileBlock &block)
      : op_(op), block_(block), batch_(integer(op.getBatch())), head_(integer(op.getHead())),
        row_(integer(op.getRow())), limit_(limit) {
    if constexpr (Packs<Op>)
      group_ = op.getGroup();
    if (Value column = op.getTensor().template getDefiningOp<TensorOp>().getColumn())
      column_ = integer(column);
  }

  int64_t first() const { return row_; }
  DataType dtype() const {
    return dataTypeOf(cast<tile::TensorType>(op_.getTensor().getType()).getElementType());
  }

  /// visit(i, j, address) for each element inside the limit and the width, of a tile with `rows` rows.
  template <class Visit> LogicalResult forEach(int64_t rows, Visit visit) const {
    for (int64_t i = 0; i < rows && row_ + i < limit_; ++i)
      for (int64_t j = 0; j < static_cast<int64_t>(op_.getWidth()); ++j) {
        int64_t row = row_ + i;
        int64_t index[] = {batch_, head_ + row % group_, row / group_, column_ + j};
        if (failed(checkInside(op_, op_.getTensor(), block_, index)))
          return failure();
        visit(i, j, elementAddress(op_.getTensor(), block_, index));
      }
    return success();
  }

private:
  int64_t integer(Value value) const { return block_.get(value).integer(); }

  mutable Op op_;
  TileBlock &block_;
  int64_t batch_, head_, row_, limit_, group_ = 1, column_ = 0;
};

} // namespace

static int64_t columnsOf(const Elements &tile) { return tile.shape.size() == 2 ? tile.shape[1] : 1; }

// A tile of rows from global memory: load, and copy_async into shared memory.
template <class Op> static LogicalResult readRows(Op load, int64_t limit, TileBlock &block, Elements &result) {
  RowsInMemory<Op> rows(load, limit, block);
  if (load->hasAttr(kWholeAttribute) && rows.first() + result.shape[0] > limit)
    return load->emitError("the tile at row ") << rows.first() << " is said to be whole, and ends beyond " << limit;
  return rows.forEach(result.shape[0], [&](int64_t i, int64_t j, const char *address) {
    result.reals[i * columnsOf(result) + j] = roundTo(result.elementType, load_as_double(address, rows.dtype()));
  });
}

LogicalResult load(Operation *op, TileBlock &block) {
  Elements result = Elements::zeros(op->getResult(0).getType());
  auto load = cast<LoadOp>(op);
  if (failed(readRows(load, block.get(load.getLimit()).integer(), block, result)))
    return failure();
  block.set(op->getResult(0), std::move(result));
  return success();
}

template <class Op> static LogicalResult storeRows(Op store, const Elements &value, TileBlock &block) {
  RowsInMemory<Op> rows(store, block.get(store.getLimit()).integer(), block);
  return rows.forEach(value.shape[0], [&](int64_t i, int64_t j, char *address) {
    store_from_double(address, rows.dtype(), value.reals[i * columnsOf(value) + j]);
  });
}

LogicalResult store(Operation *op, TileBlock &block) {
  auto store = cast<StoreOp>(op);
  return storeRows(store, block.get(store.getValue()), block);
}

// visit(element, address) for each element of a tile that lies in one row, column by column.
template <class Op, class Visit>
static LogicalResult forEachInRow(Op op, const Elements &tile, TileBlock &block, Visit visit) {
  auto integer = [&](Value value) { return block.get(value).integer(); };
  const Value column = op.getTensor().template getDefiningOp<TensorOp>().getColumn();
  int64_t index[] = {integer(op.getBatch()), integer(op.getHead()), integer(op.getRow()), column ? integer(column) : 0};
  for (int64_t j = 0; j < columnsOf(tile); ++j)
    for (int64_t i = 0; i < tile.shape[0]; ++i, ++index[3]) {
      if (failed(checkInside(op, op.getTensor(), block, index)))
        return failure();
      visit(i * columnsOf(tile) + j, elementAddress(op.getTensor(), block, index));
    }
  return success();
}

LogicalResult loadTile(Operation *op, TileBlock &block) {
  Elements result = Elements::zeros(op->getResult(0).getType());
  auto read = [&](int64_t element, const char *address) {
    result.reals[element] = load_as_double(address, DataType::kFloat32);
  };
  if (failed(forEachInRow(cast<LoadTileOp>(op), result, block, read)))
    return failure();
  block.set(op->getResult(0), std::move(result));
  return success();
}

LogicalResult storeTile(Operation *op, TileBlock &block) {
  auto store = cast<StoreTileOp>(op);
  const Elements &value = block.get(store.getValue());
  return forEachInRow(store, value, block, [&](int64_t element, char *address) {
    store_from_double(address, DataType::kFloat32, value.reals[element]);
  });
}

LogicalResult storeShared(Operation *op, TileBlock &block) {
  auto store = cast<StoreSharedOp>(op);
  return storeRows(store, block.get(store.getShared()), block);
}

LogicalResult gather(Operation *op, TileBlock &block) {
  auto gather = cast<GatherOp>(op);
  Elements result = Elements::zeros(gather.getType());
  const TensorArgument &tensor = tensorOf(gather.getTensor(), block);
  DataType dtype = dataTypeOf(gather.getTensor().getType().getElementType());
  for (size_t i = 0; i < result.size(); ++i) {
    if (gather.getGuard() && !block.get(gather.getGuard()).integers[i])
      continue;
    SmallVector<int64_t, 4> index;
    for (auto [dimension, value] : llvm::enumerate(gather.getIndices())) {
      const Elements &positions = block.get(value);
      int64_t position = positions.integers[positions.size() == 1 ? 0 : i];
      index.push_back(std::clamp<int64_t>(position, 0, std::max(0, tensor.sizes[dimension] - 1)));
    }
    double value = load_as_double(elementAddress(gather.getTensor(), block, index), dtype);
    if (result.isReal())
      result.reals[i] = roundTo(result.elementType, value);
    else
      result.integers[i] = static_cast<int64_t>(value);
  }
  block.set(gather, std::move(result));
  return success();
}

//===-- Shared memory --------------------------------------------------------------------------===//

// What nobody has written, or what a copy under way will overwrite, reads as NaN.
static Elements poisoned(Type type) {
  Elements elements = Elements::zeros(type);
  std::fill(elements.reals.begin(), elements.reals.end(), NAN);
  return elements;
}

LogicalResult sharedAlloc(Operation *op, TileBlock &block) {
  auto type = cast<SharedType>(op->getResult(0).getType());
  bool isRing = type.getShape().size() == 3 || llvm::any_of(op->getUsers(), llvm::IsaPred<StageOp>);
  auto tile = SharedType::get(type.getContext(), type.getShape().drop_front(isRing ? 1 : 0), type.getElementType(),
                              type.getConflicts());
  for (int64_t stage = 0; stage < (isRing ? type.getShape()[0] : 1); ++stage)
    block.set(TileBlock::Place(op->getResult(0), stage), poisoned(tile));
  return success();
}

LogicalResult stage(Operation *op, TileBlock &block) {
  auto stage = cast<StageOp>(op);
  int64_t index = block.get(stage.getIndex()).integer(), stages = stage.getRing().getType().getShape()[0];
  if (index < 0 || index >= stages)
    return op->emitError("stage ") << index << " of a ring of " << stages;
  block.setStage(stage, {stage.getRing(), index});
  return success();
}

template <class Op> static LogicalResult copyRows(Op copy, int64_t limit, TileBlock &block) {
  block.set(copy.getShared(), poisoned(copy.getShared().getType()));
  Elements rows = Elements::zeros(copy.getShared().getType());
  if (failed(readRows(copy, limit, block, rows)))
    return failure();
  block.openGroup.push_back({block.placeOf(copy.getShared()), std::move(rows)});
  return success();
}

LogicalResult copyAsync(Operation *op, TileBlock &block) {
  auto copy = cast<CopyAsyncOp>(op);
  return copyRows(copy, block.get(copy.getLimit()).integer(), block);
}

LogicalResult copyWhole(Operation *op, TileBlock &block) {
  auto copy = cast<CopyWholeOp>(op);
  if (block.get(copy.getGuard()).integer())
    return copyRows(copy, std::numeric_limits<int32_t>::max(), block);
  block.set(copy.getShared(), poisoned(copy.getShared().getType()));
  return success();
}

LogicalResult commit(Operation *, TileBlock &block) {
  block.groups.push_back(std::move(block.openGroup));
  block.openGroup.clear();
  return success();
}

LogicalResult wait(Operation *op, TileBlock &block) {
  size_t pending = cast<WaitOp>(op).getPending();
  while (block.groups.size() > pending) {
    for (auto &[shared, rows] : block.groups.front())
      block.set(shared, std::move(rows));
    block.groups.pop_front();
  }
  return success();
}

LogicalResult read(Operation *op, TileBlock &block) {
  block.copy(op->getResult(0), block.share(cast<ReadOp>(op).getShared()));
  return success();
}

LogicalResult write(Operation *op, TileBlock &block) {
  auto write = cast<WriteOp>(op);
  block.copy(write.getShared(), block.share(write.getValue()));
  return success();
}

} // namespace tenon::check::memory
