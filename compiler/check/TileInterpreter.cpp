#include "compiler/check/TileInterpreter.h"

#include "compiler/check/ElementwiseOps.h"
#include "dialects/tile/Schedule.h"
#include "tenon/DataType.h"
#include "tenon/Dropout.h"
#include "tenon/Tensor.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"

#include <algorithm>
#include <cmath>
#include <deque>

using namespace mlir;
using namespace tenon::tile;

namespace tenon::check {
namespace {

// The values of one block while it runs.
class Block {
public:
  Block(const TileLaunch &launch, const int32_t (&program)[3]) : launch(launch), program(program) {}

  // A value, or a stage of a ring in shared memory.
  using Place = std::pair<Value, int64_t>;
  Place placeOf(Value value) const {
    auto stage = stages_.find(value);
    return stage == stages_.end() ? Place(value, 0) : stage->second;
  }
  void setStage(Value value, Place place) { stages_[value] = place; }

  const Elements &get(Value value) const { return *values_.at(placeOf(value)); }
  void set(Value value, Elements elements) { set(placeOf(value), std::move(elements)); }
  void set(Place place, Elements elements) {
    values_[place] = std::make_shared<const Elements>(std::move(elements));
  }
  void copy(Value to, std::shared_ptr<const Elements> from) { values_[placeOf(to)] = std::move(from); }
  std::shared_ptr<const Elements> share(Value value) const { return values_.at(placeOf(value)); }
  void setInteger(Value value, int64_t integer) {
    Elements elements = Elements::zeros(value.getType());
    elements.integers[0] = wrapTo(value.getType(), integer);
    set(value, std::move(elements));
  }

  LogicalResult run(mlir::Block &block);

  const TileLaunch &launch;
  const int32_t (&program)[3];

  // Copies into shared memory: they arrive at the wait that covers their group, not before.
  using Copies = std::vector<std::pair<Place, Elements>>;
  Copies openGroup;
  std::deque<Copies> groups;

private:
  llvm::DenseMap<Place, std::shared_ptr<const Elements>> values_;
  llvm::DenseMap<Value, Place> stages_;
};

using Handler = LogicalResult (*)(Operation *, Block &);

//===-- Memory ---------------------------------------------------------------------------------===//

const TensorArgument &tensorOf(Value handle, Block &block) {
  return block.launch.arguments.tensors[handle.getDefiningOp<TensorOp>().getSlot()];
}

char *elementAddress(Value handle, Block &block, llvm::ArrayRef<int64_t> index) {
  const TensorArgument &tensor = tensorOf(handle, block);
  DataType dtype = dataTypeOf(cast<tile::TensorType>(handle.getType()).getElementType());
  int64_t offset = 0;
  for (auto [i, position] : llvm::enumerate(index))
    offset += position * tensor.strides[i];
  return static_cast<char *>(tensor.data) + offset * static_cast<int64_t>(size_in_bytes(dtype));
}

// Broadcast tensors have stride 0, and sizes that the launch does not see: only real extents are checked.
LogicalResult checkInside(Operation *op, Value handle, Block &block, llvm::ArrayRef<int64_t> index) {
  const TensorArgument &tensor = tensorOf(handle, block);
  for (auto [i, position] : llvm::enumerate(index))
    if (position < 0 || (tensor.strides[i] != 0 && position >= tensor.sizes[i]))
      return op->emitError("index ") << position << " of dimension " << i << " leaves the tensor's "
                                     << tensor.sizes[i] << " elements";
  return success();
}

template <class Op> concept Packs = requires(Op op) { op.getGroup(); };
template <class Op> concept Begins = requires(Op op) { op.getColumn(); };

// Where rows of a tensor lie: those of loads, stores and copies.
template <class Op> class RowsInMemory {
public:
  RowsInMemory(Op op, int64_t limit, Block &block)
      : op_(op), block_(block), batch_(integer(op.getBatch())), head_(integer(op.getHead())),
        row_(integer(op.getRow())), limit_(limit) {
    if constexpr (Packs<Op>)
      group_ = op.getGroup();
    if constexpr (Begins<Op>)
      column_ = op.getColumn();
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
  Block &block_;
  int64_t batch_, head_, row_, limit_, group_ = 1, column_ = 0;
};

int64_t columnsOf(const Elements &tile) { return tile.shape.size() == 2 ? tile.shape[1] : 1; }

// A tile of rows from global memory: load, and copy_async into shared memory.
template <class Op> LogicalResult readRows(Op load, int64_t limit, Block &block, Elements &result) {
  RowsInMemory<Op> rows(load, limit, block);
  if (load->hasAttr(kWholeAttribute) && rows.first() + result.shape[0] > limit)
    return load->emitError("the tile at row ") << rows.first() << " is said to be whole, and ends beyond " << limit;
  return rows.forEach(result.shape[0], [&](int64_t i, int64_t j, const char *address) {
    result.reals[i * columnsOf(result) + j] = roundTo(result.elementType, load_as_double(address, rows.dtype()));
  });
}

LogicalResult load(Operation *op, Block &block) {
  Elements result = Elements::zeros(op->getResult(0).getType());
  auto load = cast<LoadOp>(op);
  if (failed(readRows(load, block.get(load.getLimit()).integer(), block, result)))
    return failure();
  block.set(op->getResult(0), std::move(result));
  return success();
}

template <class Op> LogicalResult storeRows(Op store, const Elements &value, Block &block) {
  RowsInMemory<Op> rows(store, block.get(store.getLimit()).integer(), block);
  return rows.forEach(value.shape[0], [&](int64_t i, int64_t j, char *address) {
    store_from_double(address, rows.dtype(), value.reals[i * columnsOf(value) + j]);
  });
}

LogicalResult store(Operation *op, Block &block) {
  auto store = cast<StoreOp>(op);
  return storeRows(store, block.get(store.getValue()), block);
}

LogicalResult storeShared(Operation *op, Block &block) {
  auto store = cast<StoreSharedOp>(op);
  return storeRows(store, block.get(store.getShared()), block);
}

LogicalResult gather(Operation *op, Block &block) {
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

//===-- What the launch gives ------------------------------------------------------------------===//

LogicalResult size(Operation *op, Block &block) {
  const KernelArguments &arguments = block.launch.arguments;
  const int32_t sizes[] = {arguments.batch, arguments.heads, arguments.key_heads, arguments.query_length,
                           arguments.key_length};
  block.setInteger(op->getResult(0), sizes[static_cast<int>(cast<SizeOp>(op).getSize())]);
  return success();
}

LogicalResult scalar(Operation *op, Block &block) {
  const auto &slot = block.launch.arguments.scalars[cast<ScalarOp>(op).getSlot()];
  Elements result = Elements::zeros(op->getResult(0).getType());
  if (result.isReal())
    result.reals[0] = slot.real;
  else
    result.integers[0] = slot.index;
  block.set(op->getResult(0), std::move(result));
  return success();
}

LogicalResult constant(Operation *op, Block &block) {
  block.set(op->getResult(0), evaluateConstant(cast<arith::ConstantOp>(op)));
  return success();
}

//===-- Shared memory --------------------------------------------------------------------------===//

// What nobody has written, or what a copy under way will overwrite, reads as NaN.
Elements poisoned(Type type) {
  Elements elements = Elements::zeros(type);
  std::fill(elements.reals.begin(), elements.reals.end(), NAN);
  return elements;
}

LogicalResult sharedAlloc(Operation *op, Block &block) {
  auto type = cast<SharedType>(op->getResult(0).getType());
  bool isRing = type.getShape().size() == 3;
  auto tile = SharedType::get(type.getContext(), type.getShape().take_back(2), type.getElementType());
  for (int64_t stage = 0; stage < (isRing ? type.getShape()[0] : 1); ++stage)
    block.set(Block::Place(op->getResult(0), stage), poisoned(tile));
  return success();
}

LogicalResult stage(Operation *op, Block &block) {
  auto stage = cast<StageOp>(op);
  int64_t index = block.get(stage.getIndex()).integer(), stages = stage.getRing().getType().getShape()[0];
  if (index < 0 || index >= stages)
    return op->emitError("stage ") << index << " of a ring of " << stages;
  block.setStage(stage, {stage.getRing(), index});
  return success();
}

template <class Op> LogicalResult copyRows(Op copy, int64_t limit, Block &block) {
  block.set(copy.getShared(), poisoned(copy.getShared().getType()));
  Elements rows = Elements::zeros(copy.getShared().getType());
  if (failed(readRows(copy, limit, block, rows)))
    return failure();
  block.openGroup.push_back({block.placeOf(copy.getShared()), std::move(rows)});
  return success();
}

LogicalResult copyAsync(Operation *op, Block &block) {
  auto copy = cast<CopyAsyncOp>(op);
  return copyRows(copy, block.get(copy.getLimit()).integer(), block);
}

LogicalResult copyWhole(Operation *op, Block &block) {
  auto copy = cast<CopyWholeOp>(op);
  if (block.get(copy.getGuard()).integer())
    return copyRows(copy, std::numeric_limits<int32_t>::max(), block);
  block.set(copy.getShared(), poisoned(copy.getShared().getType()));
  return success();
}

LogicalResult commit(Operation *, Block &block) {
  block.groups.push_back(std::move(block.openGroup));
  block.openGroup.clear();
  return success();
}

LogicalResult wait(Operation *op, Block &block) {
  size_t pending = cast<WaitOp>(op).getPending();
  while (block.groups.size() > pending) {
    for (auto &[shared, rows] : block.groups.front())
      block.set(shared, std::move(rows));
    block.groups.pop_front();
  }
  return success();
}

LogicalResult read(Operation *op, Block &block) {
  block.copy(op->getResult(0), block.share(cast<ReadOp>(op).getShared()));
  return success();
}

LogicalResult write(Operation *op, Block &block) {
  auto write = cast<WriteOp>(op);
  block.copy(write.getShared(), block.share(write.getValue()));
  return success();
}

//===-- Tiles ----------------------------------------------------------------------------------===//

LogicalResult dot(Operation *op, Block &block) {
  auto dot = cast<DotOp>(op);
  const Elements &a = block.get(dot.getA()), &b = block.get(dot.getB());
  Elements result = block.get(dot.getAccumulator());
  int64_t rows = result.shape[0], columns = result.shape[1], inner = a.shape[1];
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      double sum = result.reals[i * columns + j];
      for (int64_t k = 0; k < inner; ++k)
        sum += a.reals[i * inner + k] * b.reals[dot.getTransposed() ? j * inner + k : k * columns + j];
      result.reals[i * columns + j] = roundTo(result.elementType, sum);
    }
  block.set(dot, std::move(result));
  return success();
}

LogicalResult reduce(Operation *op, Block &block) {
  auto reduce = cast<ReduceOp>(op);
  const Elements &source = block.get(reduce.getSource());
  Elements result = Elements::zeros(reduce.getType());
  bool maximum = reduce.getReduction() == Reduction::maximum;
  for (int64_t i = 0; i < source.shape[0]; ++i) {
    double value = maximum ? -INFINITY : 0;
    for (int64_t j = 0; j < source.shape[1]; ++j) {
      double element = source.reals[i * source.shape[1] + j];
      value = maximum ? std::fmax(value, element) : value + element;
    }
    result.reals[i] = roundTo(result.elementType, value);
  }
  block.set(reduce, std::move(result));
  return success();
}

LogicalResult any(Operation *op, Block &block) {
  block.setInteger(op->getResult(0), llvm::is_contained(block.get(cast<AnyOp>(op).getSource()).integers, 1));
  return success();
}

// result[i, j] = source[position(i, j)]
template <class Position> LogicalResult spread(Operation *op, Block &block, Position position) {
  const Elements &source = block.get(op->getOperand(0));
  Elements result = Elements::zeros(op->getResult(0).getType());
  int64_t columns = result.shape.size() == 2 ? result.shape[1] : 1;
  for (size_t i = 0; i < result.size(); ++i) {
    size_t from = position(static_cast<int64_t>(i) / columns);
    if (result.isReal())
      result.reals[i] = source.reals[from];
    else
      result.integers[i] = source.integers[from];
  }
  block.set(op->getResult(0), std::move(result));
  return success();
}

LogicalResult expand(Operation *op, Block &block) {
  return spread(op, block, [](int64_t row) { return row; });
}
LogicalResult splat(Operation *op, Block &block) {
  return spread(op, block, [](int64_t) { return 0; });
}

LogicalResult index(Operation *op, Block &block) {
  auto index = cast<IndexOp>(op);
  Elements result = Elements::zeros(index.getType());
  int64_t columns = result.shape.size() == 2 ? result.shape[1] : 1, start = block.get(index.getStart()).integer();
  bool rows = index.getDirection() == Direction::rows;
  for (int64_t i = 0, count = result.size(); i < count; ++i)
    result.integers[i] = wrapTo(result.elementType, start + (rows ? i / columns : i % columns));
  block.set(index, std::move(result));
  return success();
}

LogicalResult random(Operation *op, Block &block) {
  auto random = cast<RandomOp>(op);
  Elements result = Elements::zeros(random.getType());
  auto seed = static_cast<uint64_t>(block.get(random.getSeed()).integer());
  auto word = [&](Value value) { return static_cast<uint32_t>(block.get(value).integer()); };
  for (int64_t i = 0; i < result.shape[0]; ++i)
    for (int64_t j = 0; j < result.shape[1]; ++j)
      result.integers[i * result.shape[1] + j] =
          dropout_number(seed, word(random.getOffset()), word(random.getStream()),
                         word(random.getRow()) + static_cast<uint32_t>(i),
                         word(random.getColumn()) + static_cast<uint32_t>(j));
  block.set(random, std::move(result));
  return success();
}

LogicalResult drop(Operation *op, Block &block) {
  auto drop = cast<DropOp>(op);
  Elements result = block.get(drop.getSource());
  auto seed = static_cast<uint64_t>(block.get(drop.getSeed()).integer());
  auto word = [&](Value value) { return static_cast<uint32_t>(block.get(value).integer()); };
  for (int64_t i = 0; i < result.shape[0]; ++i)
    for (int64_t j = 0; j < result.shape[1]; ++j)
      if (dropout_number(seed, word(drop.getOffset()), word(drop.getStream()),
                         word(drop.getRow()) + static_cast<uint32_t>(i),
                         word(drop.getColumn()) + static_cast<uint32_t>(j)) < word(drop.getThreshold()))
        result.reals[i * result.shape[1] + j] = 0;
  block.set(drop, std::move(result));
  return success();
}

//===-- Control --------------------------------------------------------------------------------===//

LogicalResult forLoop(Operation *op, Block &block) {
  auto loop = cast<scf::ForOp>(op);
  int64_t lower = block.get(loop.getLowerBound()).integer(), upper = block.get(loop.getUpperBound()).integer();
  int64_t step = block.get(loop.getStep()).integer();
  if (step <= 0)
    return op->emitError("the step must be positive, was ") << step;
  for (auto [argument, initial] : llvm::zip(loop.getRegionIterArgs(), loop.getInitArgs()))
    block.copy(argument, block.share(initial));
  for (int64_t i = lower; i < upper; i += step) {
    block.setInteger(loop.getInductionVar(), i);
    if (failed(block.run(*loop.getBody())))
      return failure();
    SmallVector<std::shared_ptr<const Elements>> next;
    for (Value value : loop.getBody()->getTerminator()->getOperands())
      next.push_back(block.share(value));
    for (auto [argument, value] : llvm::zip(loop.getRegionIterArgs(), next))
      block.copy(argument, value);
  }
  for (auto [result, argument] : llvm::zip(loop.getResults(), loop.getRegionIterArgs()))
    block.copy(result, block.share(argument));
  return success();
}

LogicalResult ifElse(Operation *op, Block &block) {
  auto branch = cast<scf::IfOp>(op);
  Region &region = block.get(branch.getCondition()).integer() ? branch.getThenRegion() : branch.getElseRegion();
  if (region.empty())
    return success();
  if (failed(block.run(region.front())))
    return failure();
  for (auto [result, value] : llvm::zip(branch.getResults(), region.front().getTerminator()->getOperands()))
    block.copy(result, block.share(value));
  return success();
}

LogicalResult nothing(Operation *, Block &) { return success(); }

const llvm::StringMap<Handler> &handlers() {
  static const llvm::StringMap<Handler> table = {
      {"tile.tensor", nothing}, // its uses look at the slot
      {"tile.size", size},
      {"tile.scalar", scalar},
      {"tile.seed", [](Operation *op, Block &block) {
         const KernelArguments &arguments = block.launch.arguments;
         block.setInteger(op->getResult(0), static_cast<int64_t>(arguments.seed_pointer ? *arguments.seed_pointer : arguments.seed));
         return success();
       }},
      {"tile.offset", [](Operation *op, Block &block) {
         const KernelArguments &arguments = block.launch.arguments;
         block.setInteger(op->getResult(0), static_cast<int64_t>(arguments.offset_pointer ? *arguments.offset_pointer : arguments.offset));
         return success();
       }},
      {"tile.program_id", [](Operation *op, Block &block) {
         block.setInteger(op->getResult(0), block.program[static_cast<int>(cast<ProgramIdOp>(op).getAxis())]);
         return success();
       }},
      {"tile.load", load},
      {"tile.store", store},
      {"tile.gather", gather},
      {"tile.dot", dot},
      {"tile.reduce", reduce},
      {"tile.any", any},
      {"tile.expand", expand},
      {"tile.splat", splat},
      {"tile.index", index},
      {"tile.random", random},
      {"tile.drop", drop},
      {"tile.shared_alloc", sharedAlloc},
      {"tile.stage", stage},
      {"tile.copy_async", copyAsync},
      {"tile.copy_whole", copyWhole},
      {"tile.store_shared", storeShared},
      {"tile.commit", commit},
      {"tile.wait", wait},
      {"tile.barrier", nothing}, // blocks run as one thread
      {"tile.read", read},
      {"tile.write", write},
      {"arith.constant", constant},
      {"scf.for", forLoop},
      {"scf.if", ifElse},
      {"scf.yield", nothing},
      {"func.return", nothing},
  };
  return table;
}

LogicalResult Block::run(mlir::Block &block) {
  for (Operation &op : block) {
    auto handler = handlers().find(op.getName().getStringRef());
    if (handler != handlers().end()) {
      if (failed(handler->second(&op, *this)))
        return failure();
      continue;
    }
    SmallVector<const Elements *, 3> operands;
    for (Value operand : op.getOperands())
      operands.push_back(&get(operand));
    auto result = evaluateElementwise(&op, operands);
    if (!result)
      return op.emitError("the tile interpreter has no such operation");
    set(op.getResult(0), std::move(*result));
  }
  return success();
}

} // namespace

LogicalResult runTileKernel(func::FuncOp kernel, const TileLaunch &launch) {
  if (!kernel.getBody().hasOneBlock())
    return kernel.emitError("the tile interpreter runs functions of one block");
  for (int32_t z = 0; z < launch.grid[2]; ++z)
    for (int32_t y = 0; y < launch.grid[1]; ++y)
      for (int32_t x = 0; x < launch.grid[0]; ++x) {
        const int32_t program[3] = {x, y, z};
        if (failed(Block(launch, program).run(kernel.getBody().front())))
          return failure();
      }
  return success();
}

int64_t tileQueries(func::FuncOp kernel) {
  int64_t rows = 0;
  kernel.walk([&](StoreOp store) {
    rows = cast<RankedTensorType>(store.getValue().getType()).getShape().front();
  });
  return rows;
}

} // namespace tenon::check
