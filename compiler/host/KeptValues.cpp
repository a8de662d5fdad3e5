// Values of bfloat16 are rewritten for their products (Pairs.cpp, TileOperands.cpp), once for all blocks of queries of a
// head that a thread computes one after the other: they stay in its workspace, whose first bytes say whose they are.
// These are zero where a phase of a launch begins.
#include "compiler/host/BlockProgram.h"

#include "dialects/attention/Attention.h"
#include "tenon/KernelImage.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

static constexpr int64_t kElementBytes = 2;
static constexpr int64_t kMostKeptBytes = 1 << 20; ///< 8,192 keys of width 64
// In the first bytes of the workspace.
static constexpr int64_t kOwner = 0, kNoOnesCount = sizeof(int64_t);

// Of few queries there is one block, which rewrites nothing twice.
void BlockProgram::reserveOwner(Block &kernel) {
  auto multipliesPairs = [](DotOp dot) { return hasPairs(dot.getA().getType()); };
  kernel.walk([&](DotOp dot) { keepsValues_ |= multipliesPairs(dot); });
  keepsValues_ &= products_ != Products::kFloat32;
  bool few = kernel.getParentOp()->hasAttr(attention::kFewQueriesAttribute);
  keepsValues_ &= products_ != Products::kPairs || !isLeftOut(kernel.getParentOp(), Effect::kKeptValues);
  keepsValues_ &= !few || products_ != Products::kPairs;
  if (keepsValues_)
    workspace_.allocate(kOwnWorkspaceBytes);
}

// Whether a tile has its places in what the thread keeps: all that differs between its loads is the row.
bool BlockProgram::isKept(LoadOp op) {
  if (!keepsValues_)
    return false;
  if (!keptValues_.load) {
    auto tile = cast<RankedTensorType>(op.getResult().getType());
    keptValues_.load = op;
    keptValues_.bytes = tile.getNumElements() * kElementBytes;
    keptValues_.places = kMostKeptBytes / keptValues_.bytes;
    keptValues_.counts = workspace_.allocateBeyond(keptValues_.places * sizeof(int64_t));
    keptValues_.values = workspace_.allocateBeyond(keptValues_.places * keptValues_.bytes);
  }
  LoadOp known = keptValues_.load;
  return op.getResult().getType() == known.getResult().getType() && op.getTensor() == known.getTensor() &&
         op.getBatch() == known.getBatch() && op.getHead() == known.getHead() && op.getWidth() == known.getWidth();
}

// What another head left is forgotten.
void BlockProgram::keepValuesOf(LoadOp op) {
  Value batch = arith::ShLIOp::create(builder_, widen(scalars_.lookup(op.getBatch())), i64(32));
  Value head = add(add(batch, widen(scalars_.lookup(op.getHead()))), i64(1));
  Value known = load(builder_.getI64Type(), buffer(kOwner), sizeof(int64_t));
  Value other = arith::CmpIOp::create(builder_, arith::CmpIPredicate::ne, known, head);
  auto branch = scf::IfOp::create(builder_, other);
  OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToStart(branch.thenBlock());
  store(head, buffer(kOwner), sizeof(int64_t));
  loop(i64(0), i64(keptValues_.places), 1, [&](Value place) {
    store(i64(0), byte(buffer(keptValues_.counts), multiply(place, i64(sizeof(int64_t)))), sizeof(int64_t));
  });
}

// Rows at the multiples of their number, the first ones, have places of their own, each with the count of those that
// have been rewritten; others are rewritten every time, to `otherPlace`.
Value BlockProgram::keepOrRewrite(LoadOp op, const Rows &rows, Value otherPlace,
                                  llvm::function_ref<void(Value)> rewrite) {
  if (!isKept(op)) {
    rewrite(otherPlace);
    return otherPlace;
  }
  keepValuesOf(op);
  Value row = widen(scalars_.lookup(op.getRow()));
  Value place = arith::DivUIOp::create(builder_, row, i64(rows.rows));
  Value isMultiple = arith::CmpIOp::create(builder_, arith::CmpIPredicate::eq, multiply(place, i64(rows.rows)), row);
  Value isFirst = arith::CmpIOp::create(builder_, arith::CmpIPredicate::ult, place, i64(keptValues_.places));
  Value kept = arith::AndIOp::create(builder_, isMultiple, isFirst);
  auto where = [&](Value yes, Value no) -> Value { return arith::SelectOp::create(builder_, kept, yes, no); };
  Value pointer = where(byte(buffer(keptValues_.values), multiply(place, i64(keptValues_.bytes))), otherPlace);
  Value count = where(byte(buffer(keptValues_.counts), multiply(place, i64(sizeof(int64_t)))), buffer(kNoOnesCount));
  Value before = where(load(builder_.getI64Type(), count, sizeof(int64_t)), i64(0));
  Value more = arith::CmpIOp::create(builder_, arith::CmpIPredicate::slt, before, rows.count);
  auto branch = scf::IfOp::create(builder_, more);
  OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToStart(branch.thenBlock());
  rewrite(pointer);
  store(rows.count, count, sizeof(int64_t));
  return pointer;
}
