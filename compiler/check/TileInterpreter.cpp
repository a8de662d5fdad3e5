#include "compiler/check/TileInterpreter.h"

#include "compiler/check/ElementwiseOps.h"
#include "compiler/check/TileMemory.h"
#include "dialects/tile/Schedule.h"
#include "tenon/Dropout.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/StringMap.h"

#include <cmath>

using namespace mlir;
using namespace tenon::tile;

namespace tenon::check {
namespace {

using Handler = LogicalResult (*)(Operation *, TileBlock &);

//===-- What the launch gives ------------------------------------------------------------------===//

LogicalResult size(Operation *op, TileBlock &block) {
  const KernelArguments &arguments = block.launch.arguments;
  const int32_t sizes[] = {arguments.batch, arguments.heads, arguments.key_heads, arguments.query_length,
                           arguments.key_length};
  block.setInteger(op->getResult(0), sizes[static_cast<int>(cast<SizeOp>(op).getSize())]);
  return success();
}

LogicalResult phase(Operation *op, TileBlock &block) {
  block.setInteger(op->getResult(0), block.launch.arguments.phase);
  return success();
}

LogicalResult scalar(Operation *op, TileBlock &block) {
  const auto &slot = block.launch.arguments.scalars[cast<ScalarOp>(op).getSlot()];
  Elements result = Elements::zeros(op->getResult(0).getType());
  if (result.isReal())
    result.reals[0] = slot.real;
  else
    result.integers[0] = slot.index;
  block.set(op->getResult(0), std::move(result));
  return success();
}

LogicalResult constant(Operation *op, TileBlock &block) {
  block.set(op->getResult(0), evaluateConstant(cast<arith::ConstantOp>(op)));
  return success();
}

//===-- Tiles ----------------------------------------------------------------------------------===//

LogicalResult dot(Operation *op, TileBlock &block) {
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

LogicalResult reduce(Operation *op, TileBlock &block) {
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

LogicalResult any(Operation *op, TileBlock &block) {
  block.setInteger(op->getResult(0), llvm::is_contained(block.get(cast<AnyOp>(op).getSource()).integers, 1));
  return success();
}

// result[i, j] = source[position(i, j)]
template <class Position> LogicalResult spread(Operation *op, TileBlock &block, Position position) {
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

LogicalResult expand(Operation *op, TileBlock &block) {
  return spread(op, block, [](int64_t row) { return row; });
}
LogicalResult splat(Operation *op, TileBlock &block) {
  return spread(op, block, [](int64_t) { return 0; });
}

LogicalResult index(Operation *op, TileBlock &block) {
  auto index = cast<IndexOp>(op);
  Elements result = Elements::zeros(index.getType());
  int64_t columns = result.shape.size() == 2 ? result.shape[1] : 1, start = block.get(index.getStart()).integer();
  bool rows = index.getDirection() == Direction::rows;
  for (int64_t i = 0, count = result.size(); i < count; ++i)
    result.integers[i] = wrapTo(result.elementType, start + (rows ? i / columns : i % columns));
  block.set(index, std::move(result));
  return success();
}

// visit(i, number) for each element of a tile, in its order; `op` names what the numbers depend on.
template <class Op> void forEachNumber(Op op, TileBlock &block, const Elements &tile,
                                       llvm::function_ref<void(int64_t, uint32_t)> visit) {
  auto seed = static_cast<uint64_t>(block.get(op.getSeed()).integer());
  auto word = [&](Value value) { return static_cast<uint32_t>(block.get(value).integer()); };
  int64_t columns = tile.shape[1];
  for (int64_t i = 0, count = tile.size(); i < count; ++i) {
    uint32_t row = word(op.getRow()) + static_cast<uint32_t>(i / columns), group = op.getGroup();
    visit(i, dropout_number(seed, word(op.getOffset()), word(op.getStream()) + row % group, row / group,
                            word(op.getColumn()) + static_cast<uint32_t>(i % columns)));
  }
}

LogicalResult random(Operation *op, TileBlock &block) {
  auto random = cast<RandomOp>(op);
  Elements result = Elements::zeros(random.getType());
  forEachNumber(random, block, result, [&](int64_t i, uint32_t number) { result.integers[i] = number; });
  block.set(random, std::move(result));
  return success();
}

LogicalResult drop(Operation *op, TileBlock &block) {
  auto drop = cast<DropOp>(op);
  Elements result = block.get(drop.getSource());
  auto threshold = static_cast<uint32_t>(block.get(drop.getThreshold()).integer());
  forEachNumber(drop, block, result, [&](int64_t i, uint32_t number) {
    if (number < threshold)
      result.reals[i] = 0;
  });
  block.set(drop, std::move(result));
  return success();
}

//===-- Control --------------------------------------------------------------------------------===//

LogicalResult forLoop(Operation *op, TileBlock &block) {
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

LogicalResult ifElse(Operation *op, TileBlock &block) {
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

LogicalResult nothing(Operation *, TileBlock &) { return success(); }

const llvm::StringMap<Handler> &handlers() {
  static const llvm::StringMap<Handler> table = {
      {"tile.tensor", nothing}, // its uses look at the slot
      {"tile.size", size},
      {"tile.scalar", scalar},
      {"tile.phase", phase},
      {"tile.seed", [](Operation *op, TileBlock &block) {
         const KernelArguments &arguments = block.launch.arguments;
         block.setInteger(op->getResult(0), static_cast<int64_t>(arguments.seed_pointer ? *arguments.seed_pointer : arguments.seed));
         return success();
       }},
      {"tile.offset", [](Operation *op, TileBlock &block) {
         const KernelArguments &arguments = block.launch.arguments;
         block.setInteger(op->getResult(0), static_cast<int64_t>(arguments.offset_pointer ? *arguments.offset_pointer : arguments.offset));
         return success();
       }},
      {"tile.program_id", [](Operation *op, TileBlock &block) {
         block.setInteger(op->getResult(0), block.program[static_cast<int>(cast<ProgramIdOp>(op).getAxis())]);
         return success();
       }},
      {"tile.load", memory::load},
      {"tile.store", memory::store},
      {"tile.load_tile", memory::loadTile},
      {"tile.store_tile", memory::storeTile},
      {"tile.gather", memory::gather},
      {"tile.dot", dot},
      {"tile.reduce", reduce},
      {"tile.any", any},
      {"tile.expand", expand},
      {"tile.splat", splat},
      {"tile.index", index},
      {"tile.random", random},
      {"tile.drop", drop},
      {"tile.shared_alloc", memory::sharedAlloc},
      {"tile.stage", memory::stage},
      {"tile.copy_async", memory::copyAsync},
      {"tile.copy_whole", memory::copyWhole},
      {"tile.store_shared", memory::storeShared},
      {"tile.commit", memory::commit},
      {"tile.wait", memory::wait},
      {"tile.barrier", nothing}, // blocks run as one thread
      {"tile.read", memory::read},
      {"tile.write", memory::write},
      {"arith.constant", constant},
      {"scf.for", forLoop},
      {"scf.if", ifElse},
      {"scf.yield", nothing},
      {"func.return", nothing},
  };
  return table;
}

} // namespace

LogicalResult TileBlock::run(mlir::Block &block) {
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

LogicalResult runTileKernel(func::FuncOp kernel, const TileLaunch &launch) {
  if (!kernel.getBody().hasOneBlock())
    return kernel.emitError("the tile interpreter runs functions of one block");
  for (int32_t z = 0; z < launch.grid[2]; ++z)
    for (int32_t y = 0; y < launch.grid[1]; ++y)
      for (int32_t x = 0; x < launch.grid[0]; ++x) {
        const int32_t program[3] = {x, y, z};
        if (failed(TileBlock(launch, program).run(kernel.getBody().front())))
          return failure();
      }
  return success();
}

int64_t tileQueries(func::FuncOp kernel) {
  int64_t rows = 0;
  kernel.walk([&](Operation *op) {
    if (auto store = dyn_cast<StoreOp>(op))
      rows = cast<RankedTensorType>(store.getValue().getType()).getShape().front();
    if (auto store = dyn_cast<StoreSharedOp>(op))
      rows = store.getShared().getType().getShape().front();
  });
  return rows;
}

} // namespace tenon::check
