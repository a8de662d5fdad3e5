#include "compiler/gpu/StageSharedMemory.h"

#include "dialects/tile/Tile.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/MapVector.h"

namespace tenon {
#define GEN_PASS_DEF_STAGESHAREDMEMORY
#include "compiler/gpu/StageSharedMemory.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

namespace {

bool feedsDot(LoadOp load) {
  return !load->use_empty() &&
         llvm::all_of(load->getUsers(), [](Operation *user) { return isa<DotOp>(user); });
}

/// Stages the products of one function.
class Stager {
public:
  explicit Stager(func::FuncOp function)
      : function(function), builder(function.getLoc(), function.getContext()) {
    function.walk([&](Operation *op) {
      if (isa<GatherOp, RandomOp>(op))
        maxWidth = kMaxWidthBesideTables;
    });
  }

  LogicalResult run() {
    SmallVector<scf::ForOp> loops;
    function.walk([&](scf::ForOp loop) { loops.push_back(loop); });
    for (scf::ForOp loop : loops)
      stageLoop(loop);
    stageResidents();
    SmallVector<DotOp> dots;
    function.walk([&](DotOp dot) { dots.push_back(dot); });
    for (DotOp dot : dots)
      if (failed(stageComputed(dot)))
        return failure();
    return success();
  }

private:
  /// One buffer serves all loads of one tensor and shape: loops come one after the other.
  Value buffer(Value key, RankedTensorType tile) {
    Value &slot = buffers[{key, tile}];
    if (!slot) {
      OpBuilder::InsertionGuard guard(builder);
      builder.setInsertionPointToStart(&function.front());
      slot = SharedAllocOp::create(builder, SharedType::get(builder.getContext(), tile.getShape(),
                                                            tile.getElementType()));
    }
    return slot;
  }
  Value bufferOf(LoadOp load) { return buffer(load.getTensor(), tileType(load)); }
  static RankedTensorType tileType(LoadOp load) {
    return cast<RankedTensorType>(load.getResult().getType());
  }

  void copy(LoadOp load, Value row) {
    CopyAsyncOp::create(builder, load.getTensor(), load.getBatch(), load.getHead(), row,
                        load.getLimit(), load.getWidth(), load.getLayout(), bufferOf(load));
  }
  void commit() { CommitOp::create(builder); }
  void waitForAll(int pending = 0) {
    WaitOp::create(builder, pending);
    BarrierOp::create(builder, Scope::block);
  }
  void meet(Scope scope) { BarrierOp::create(builder, scope); }

  /// if row < end: request the tile at `row`. The group is closed in any case, so that groups can be counted.
  void copyBefore(LoadOp load, Value row, Value end) {
    Value more = arith::CmpIOp::create(builder, arith::CmpIPredicate::slt, row, end);
    auto branch = scf::IfOp::create(builder, TypeRange(), more, /*withElseRegion=*/false);
    {
      OpBuilder::InsertionGuard guard(builder);
      builder.setInsertionPoint(branch.thenBlock()->getTerminator());
      copy(load, row);
    }
    commit();
  }

  static Operation *firstUser(LoadOp load) {
    Operation *first = nullptr;
    for (Operation *user : load->getUsers()) {
      Operation *here = load->getBlock()->findAncestorOpInBlock(*user);
      if (!first || here->isBeforeInBlock(first))
        first = here;
    }
    return first;
  }
  static Operation *lastUser(LoadOp load) {
    Operation *last = nullptr;
    for (Operation *user : load->getUsers()) {
      Operation *here = load->getBlock()->findAncestorOpInBlock(*user);
      if (!last || last->isBeforeInBlock(here))
        last = here;
    }
    return last;
  }
  /// Whether the tile of any turn can be named outside its turn: rows from the loop's own variable on.
  static bool isPredictable(LoadOp load, scf::ForOp loop) {
    return load.getRow() == loop.getInductionVar() &&
           llvm::all_of(ValueRange{load.getTensor(), load.getBatch(), load.getHead(), load.getLimit()},
                        [&](Value value) { return loop.isDefinedOutsideOfLoop(value); });
  }

  void stageLoop(scf::ForOp loop) {
    SmallVector<LoadOp> predictable, others;
    for (LoadOp load : loop.getBody()->getOps<LoadOp>())
      if (feedsDot(load))
        (isPredictable(load, loop) ? predictable : others).push_back(load);
    for (LoadOp load : others)
      stageAtOnce(load);
    if (predictable.empty())
      return;
    llvm::sort(predictable, [](LoadOp a, LoadOp b) {
      return firstUser(a)->isBeforeInBlock(firstUser(b));
    });
    LoadOp ahead = predictable.front();
    ArrayRef<LoadOp> inTurn = ArrayRef(predictable).drop_front();

    builder.setInsertionPoint(loop);
    copyBefore(ahead, loop.getLowerBound(), loop.getUpperBound());
    builder.setInsertionPointToStart(loop.getBody());
    waitForAll();
    for (LoadOp load : inTurn)
      copy(load, load.getRow());
    if (!inTurn.empty())
      commit();
    Operation *done = lastUser(ahead);
    for (LoadOp load : inTurn)
      if (firstUser(load)->isBeforeInBlock(done) || firstUser(load) == done) {
        builder.setInsertionPoint(firstUser(load));
        waitForAll();
      }
    builder.setInsertionPointAfter(done);
    waitForAll();
    Value next = arith::AddIOp::create(builder, loop.getInductionVar(), loop.getStep());
    copyBefore(ahead, next, loop.getUpperBound());
    for (LoadOp load : predictable)
      replace(load, bufferOf(load));
  }

  /// Requests a tile where it is needed, and waits for it.
  void stageAtOnce(LoadOp load) {
    builder.setInsertionPoint(load);
    meet(Scope::block);
    copy(load, load.getRow());
    commit();
    waitForAll();
    replace(load, bufferOf(load));
  }

  /// Tiles that are loaded once. The wait for them comes before the first use, after the requests of a loop's
  /// first keys, so that both are under way at once.
  void stageResidents() {
    SmallVector<LoadOp> residents;
    function.walk([&](LoadOp load) {
      if (feedsDot(load))
        residents.push_back(load);
    });
    for (LoadOp load : residents) {
      if (load->getParentOp() != function) {
        stageAtOnce(load);
        continue;
      }
      Operation *user = firstUser(load);
      builder.setInsertionPoint(load);
      Value shared = buffer(load.getResult(), tileType(load));
      CopyAsyncOp::create(builder, load.getTensor(), load.getBatch(), load.getHead(), load.getRow(),
                          load.getLimit(), load.getWidth(), load.getLayout(), shared);
      commit();
      int later = 0;
      for (Operation *op = load->getNextNode(); op != user; op = op->getNextNode())
        later += isa<CommitOp>(op);
      builder.setInsertionPoint(user);
      waitForAll(later);
      replace(load, shared);
    }
  }

  /// Gives the users of a load its buffer, or what is read of it to registers, here and once.
  void replace(LoadOp load, Value shared) {
    RankedTensorType tile = tileType(load);
    bool leftOnly = llvm::all_of(load->getUsers(), [&](Operation *user) {
      return cast<DotOp>(user).getA() == load.getResult() && cast<DotOp>(user).getB() != load.getResult();
    });
    if (leftOnly && tile.getElementTypeBitWidth() == 16 && tile.getDimSize(1) <= maxWidth &&
        load->getParentOp() == function) {
      Value registers = ReadOp::create(builder, tile, shared);
      load.replaceAllUsesWith(registers);
    } else {
      load.replaceAllUsesWith(shared);
    }
    load.erase();
  }

  Value write(Value value, Scope scope) {
    auto tile = cast<RankedTensorType>(value.getType());
    Value shared = buffer(Value(), tile);
    meet(scope);
    WriteOp::create(builder, value, shared);
    meet(scope);
    return shared;
  }

  LogicalResult stageComputed(DotOp dot) {
    builder.setInsertionPoint(dot);
    if (auto b = dyn_cast<RankedTensorType>(dot.getB().getType()))
      dot.getBMutable().assign(write(dot.getB(), Scope::block));
    // A warp reads of the left operand the rows that it wrote.
    auto a = dyn_cast<RankedTensorType>(dot.getA().getType());
    if (a && a.getElementType().isF32())
      dot.getAMutable().assign(write(dot.getA(), Scope::warp));
    return success();
  }

  func::FuncOp function;
  ImplicitLocOpBuilder builder;
  int64_t maxWidth = kMaxWidthInRegisters;
  llvm::MapVector<std::pair<Value, Type>, Value> buffers;
};

struct StageSharedMemory : tenon::impl::StageSharedMemoryBase<StageSharedMemory> {
  void runOnOperation() override {
    if (failed(Stager(getOperation()).run()))
      signalPassFailure();
  }
};

} // namespace
