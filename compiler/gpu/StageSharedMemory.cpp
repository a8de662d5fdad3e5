#include "compiler/gpu/StageSharedMemory.h"

#include "compiler/attention/ChooseSchedule.h"
#include "compiler/attention/PassOrder.h"
#include "compiler/gpu/TurnLoops.h"
#include "dialects/tile/Schedule.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/MapVector.h"

namespace tenon {
#define GEN_PASS_DEF_STAGESHAREDMEMORY
#include "compiler/gpu/StageSharedMemory.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

namespace {

constexpr int64_t kRowsOfFragment = 16; // of mma.m16n8
constexpr int64_t kElementsOfChunk = 8; // 16 bits each, of 16 bytes

/// Stages the products of one function.
class Stager {
public:
  explicit Stager(func::FuncOp function)
      : function(function), builder(function.getLoc(), function.getContext()) {
    if (auto given = function->getAttrOfType<IntegerAttr>(kStagesAttribute))
      stages = given.getInt();
    if (function->hasAttr(kSwizzledAttribute))
      conflicts = Conflicts::swizzled;
    function.walk([&](Operation *op) {
      if (isa<GatherOp, RandomOp, DropOp>(op))
        maxWidth = kMaxWidthBesideTables;
    });
  }

  LogicalResult run() {
    SmallVector<LoadOp> others;
    SmallVector<Chain> chains = findChains(function, others);
    for (LoadOp load : others)
      stageAtOnce(load);
    for (Chain &chain : chains)
      stages == 1 ? stageOneAhead(chain) : stageAllAhead(chain);
    stageResidents();
    SmallVector<StoreOp> stores(function.getOps<StoreOp>());
    for (StoreOp store : stores)
      stageOutput(store);
    SmallVector<DotOp> dots;
    function.walk([&](DotOp dot) { dots.push_back(dot); });
    for (DotOp dot : dots)
      if (failed(stageComputed(dot)))
        return failure();
    return success();
  }

private:
  /// One buffer serves all loads of one tensor and shape: loops come one after the other.
  Value buffer(Value key, RankedTensorType tile, int64_t stages) {
    SmallVector<int64_t> shape(tile.getShape());
    if (stages > 1)
      shape.insert(shape.begin(), stages);
    auto type = sharedType(shape, tile.getElementType());
    Value &slot = buffers[{key, type}];
    if (!slot) {
      OpBuilder::InsertionGuard guard(builder);
      builder.setInsertionPointToStart(&function.front());
      slot = SharedAllocOp::create(builder, type);
    }
    return slot;
  }
  SharedType sharedType(ArrayRef<int64_t> shape, Type element) {
    return SharedType::get(builder.getContext(), shape, element, conflicts);
  }
  static RankedTensorType tileType(LoadOp load) {
    return cast<RankedTensorType>(load.getResult().getType());
  }
  Value bufferOf(LoadOp load) { return buffer(load.getTensor(), tileType(load), 1); }
  Value stageOf(LoadOp load, Value index) {
    Value ring = buffer(load.getTensor(), tileType(load), stages);
    auto type = sharedType(tileType(load).getShape(), tileType(load).getElementType());
    return StageOp::create(builder, type, ring, index);
  }

  void copy(LoadOp load, Value row, Value shared) {
    CopyAsyncOp::create(builder, load.getTensor(), load.getBatch(), load.getHead(), row,
                        load.getLimit(), load.getWidth(), load.getLayout(), shared, load.getGroup());
  }
  void copyWhole(LoadOp load, Value row, Value guard, Value shared) {
    CopyWholeOp::create(builder, load.getTensor(), load.getBatch(), load.getHead(), row,
                        load.getWidth(), load.getLayout(), guard, shared);
  }
  void commit() { CommitOp::create(builder); }
  void waitForAll(int pending = 0) {
    WaitOp::create(builder, pending);
    BarrierOp::create(builder, Scope::block);
  }
  void meet(Scope scope) { BarrierOp::create(builder, scope); }
  Value constant(int64_t value) { return arith::ConstantOp::create(builder, builder.getI32IntegerAttr(value)); }

  /// if condition: `make`
  void when(Value condition, function_ref<void()> make) {
    auto branch = scf::IfOp::create(builder, TypeRange(), condition, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPoint(branch.thenBlock()->getTerminator());
    make();
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

  /// The turn that comes so many after this one, and whether there is one.
  std::pair<Value, Value> laterTurn(TurnLoop &turn, Chain &chain, int64_t turns) {
    Value step = turn.loop.getStep();
    if (turns != 1)
      step = arith::MulIOp::create(builder, step, constant(turns));
    Value next = arith::AddIOp::create(builder, turn.loop.getInductionVar(), step);
    return {next, arith::CmpIOp::create(builder, arith::CmpIPredicate::slt, next, chain.back().loop.getUpperBound())};
  }

  /// If there is such a turn, counted from the first: its tiles. The group is closed in any case, so that groups can
  /// be counted.
  void copyBefore(Chain &chain, int64_t turn, ArrayRef<TurnLoad> loads, function_ref<Value(LoadOp)> target) {
    scf::ForOp first = chain.front().loop;
    builder.setInsertionPoint(first);
    Value index = first.getLowerBound();
    if (turn != 0)
      index = arith::AddIOp::create(builder, index, arith::MulIOp::create(builder, first.getStep(), constant(turn)));
    Value some =
        arith::CmpIOp::create(builder, arith::CmpIPredicate::slt, index, chain.back().loop.getUpperBound());
    when(some, [&] {
      for (auto [load, row] : loads)
        copy(load, row.at(builder, index), target(load));
    });
    commit();
  }

  void copyLater(bool whole, ArrayRef<TurnLoad> loads, Value next, Value more, function_ref<Value(LoadOp)> target) {
    if (whole) { // no branch: code on both sides of it can mix
      for (auto [load, row] : loads)
        copyWhole(load, row.at(builder, next), more, target(load));
    } else {
      when(more, [&] {
        for (auto [load, row] : loads)
          copy(load, row.at(builder, next), target(load));
      });
    }
    commit();
  }

  /// All stages but one are under way while that one is computed with.
  void stageAllAhead(Chain &chain) {
    scf::ForOp first = chain.front().loop;
    const int64_t ahead = stages - 1;
    const int pending = static_cast<int>(ahead - 1);
    for (int64_t turn = 0; turn < ahead; ++turn)
      copyBefore(chain, turn, chain.front().loads, [&](LoadOp load) { return stageOf(load, constant(turn)); });
    waitForAll(pending);
    for (TurnLoop &turn : chain) {
      builder.setInsertionPointToStart(turn.loop.getBody());
      Value since = turn.loop.getInductionVar();
      if (!matchPattern(first.getLowerBound(), m_Zero()))
        since = arith::SubIOp::create(builder, since, first.getLowerBound());
      Value count = arith::DivUIOp::create(builder, since, turn.loop.getStep());
      Value here = arith::RemUIOp::create(builder, count, constant(stages));
      Value there =
          arith::RemUIOp::create(builder, arith::AddIOp::create(builder, count, constant(ahead)), constant(stages));
      auto [next, more] = laterTurn(turn, chain, ahead);
      copyLater(turn.nextIsWhole && ahead == 1, turn.loads, next, more,
                [&, there = there](LoadOp load) { return stageOf(load, there); });
      for (auto [load, row] : turn.loads)
        replace(load, stageOf(load, here));
      builder.setInsertionPoint(turn.loop.getBody()->getTerminator());
      waitForAll(pending);
    }
  }

  void stageOneAhead(Chain &chain) {
    auto target = [&](LoadOp load) { return bufferOf(load); };
    copyBefore(chain, 0, ArrayRef(chain.front().loads).take_front(), target);
    for (TurnLoop &turn : chain) {
      LoadOp ahead = turn.loads.front().load;
      ArrayRef<TurnLoad> inTurn = ArrayRef(turn.loads).drop_front();
      builder.setInsertionPointToStart(turn.loop.getBody());
      waitForAll();
      for (auto [load, row] : inTurn)
        copyThis(load, row.at(builder, turn.loop.getInductionVar()));
      if (!inTurn.empty())
        commit();
      Operation *done = lastUser(ahead);
      for (auto [load, row] : inTurn)
        if (firstUser(load)->isBeforeInBlock(done) || firstUser(load) == done) {
          builder.setInsertionPoint(firstUser(load));
          waitForAll();
        }
      builder.setInsertionPointAfter(done);
      waitForAll();
      auto [next, more] = laterTurn(turn, chain, 1);
      copyLater(turn.nextIsWhole, ArrayRef(turn.loads).take_front(), next, more, target);
      for (auto [load, row] : turn.loads)
        replace(load, bufferOf(load));
    }
  }

  void copyThis(LoadOp load, Value row) {
    if (load->hasAttr(kWholeAttribute))
      copyWhole(load, row, arith::ConstantOp::create(builder, builder.getBoolAttr(true)), bufferOf(load));
    else
      copy(load, row, bufferOf(load));
  }

  /// Requests a tile where it is needed, and waits for it.
  void stageAtOnce(LoadOp load) {
    builder.setInsertionPoint(load);
    meet(Scope::block);
    copy(load, load.getRow(), bufferOf(load));
    commit();
    waitForAll();
    replace(load, bufferOf(load));
  }

  /// Tiles that are loaded once. The wait for them comes before the first use, after the requests of a loop's
  /// first keys, so that both are under way at once.
  void stageResidents() {
    SmallVector<LoadOp> loads;
    function.walk([&](LoadOp load) {
      if (feedsDot(load))
        loads.push_back(load);
    });
    for (LoadOp load : loads) {
      if (load->getParentOp() != function) {
        stageAtOnce(load);
        continue;
      }
      Operation *user = firstUser(load);
      builder.setInsertionPoint(load);
      Value shared = buffer(load.getResult(), tileType(load), 1);
      if (isLeft(load))
        residents[cast<SharedType>(shared.getType())] = shared;
      copy(load, load.getRow(), shared);
      commit();
      int later = 0;
      bool waited = false;
      for (Operation *op = load->getNextNode(); op != user; op = op->getNextNode()) {
        later += isa<CommitOp>(op);
        waited |= isa<WaitOp>(op) && cast<WaitOp>(op).getPending() == 0;
      }
      builder.setInsertionPoint(user);
      if (!waited)
        waitForAll(later);
      replace(load, shared);
    }
  }

  /// Gives the users of a load its buffer, or what is read of it to registers, here and once.
  void replace(LoadOp load, Value shared) {
    RankedTensorType tile = tileType(load);
    int64_t blocksOfWarp = std::max<int64_t>(1, tile.getDimSize(0) / kRowsOfFragment / warpsOf(tile));
    if (isLeft(load) && tile.getElementTypeBitWidth() == 16 && blocksOfWarp * tile.getDimSize(1) <= maxWidth &&
        load->getParentOp() == function) {
      Value registers = ReadOp::create(builder, tile, shared);
      load.replaceAllUsesWith(registers);
    } else {
      load.replaceAllUsesWith(shared);
    }
    load.erase();
  }

  static bool isLeft(LoadOp load) {
    return llvm::all_of(load->getUsers(), [&](Operation *user) {
      return cast<DotOp>(user).getA() == load.getResult() && cast<DotOp>(user).getB() != load.getResult();
    });
  }

  /// As AssignLayouts deals rows to warps.
  int64_t warpsOf(RankedTensorType tile) {
    auto asked = function->getAttrOfType<IntegerAttr>(kWarpsAttribute);
    return asked ? asked.getInt() : tile.getDimSize(0) / kRowsOfFragment;
  }

  /// store(O) ⇒ write(O rounded, the query's buffer); store(that buffer): then in pieces of 16 bytes. A warp reads
  /// of the query the rows that it overwrites.
  void stageOutput(StoreOp store) {
    auto tile = dyn_cast<RankedTensorType>(store.getValue().getType());
    Type element = store.getTensor().getType().getElementType();
    if (!tile || tile.getRank() != 2 || !tile.getElementType().isF32() || element.getIntOrFloatBitWidth() != 16 ||
        store.getLayout() == 2 || store.getGroup() != 1 || store.getWidth() % kElementsOfChunk != 0)
      return;
    auto type = sharedType(tile.getShape(), element);
    if (!residents.contains(type))
      return;
    builder.setInsertionPoint(store);
    Value rounded = arith::TruncFOp::create(builder, tile.clone(element), store.getValue());
    Value shared = residents.lookup(type);
    meet(Scope::warp);
    WriteOp::create(builder, rounded, shared);
    meet(Scope::warp);
    StoreSharedOp::create(builder, shared, store.getTensor(), store.getBatch(), store.getHead(), store.getRow(),
                          store.getLimit(), store.getWidth());
    store.erase();
  }

  Value write(Value value, Scope scope) {
    auto tile = cast<RankedTensorType>(value.getType());
    Value shared = buffer(Value(), tile, 1);
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
    if (a && a.getElementType().isF32() && !dot.getTf32())
      dot.getAMutable().assign(write(dot.getA(), Scope::warp));
    return success();
  }

  func::FuncOp function;
  ImplicitLocOpBuilder builder;
  int64_t maxWidth = kMaxWidthInRegisters, stages = 1;
  Conflicts conflicts = Conflicts::padded;
  llvm::MapVector<std::pair<Value, Type>, Value> buffers;
  llvm::DenseMap<Type, Value> residents; ///< left operands that were loaded once, by the type of their buffer
};

struct StageSharedMemory : tenon::impl::StageSharedMemoryBase<StageSharedMemory> {
  void runOnOperation() override {
    if (failed(checkOrder(getOperation(), getArgument(), Form::kTiles, Form::kTiles)))
      return signalPassFailure();
    if (failed(Stager(getOperation()).run()))
      signalPassFailure();
  }
};

} // namespace
