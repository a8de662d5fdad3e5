// Right operands of bfloat16 are rewritten for their products (Pairs.cpp, TileOperands.cpp), once for all blocks of
// queries of a head that a thread computes one after the other: they stay in its workspace, whose first bytes say whose
// they are. These are zero where a phase of a launch begins.
#include "compiler/host/BlockProgram.h"

#include "dialects/attention/Attention.h"
#include "tenon/KernelImage.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

static constexpr int64_t kElementBytes = 2;
static constexpr int64_t kMostKeptBytes = 1 << 20; ///< 8,192 keys of width 64, and as many values
/// Copying keys takes about half of what reading them for one block of queries does, and saves a twentieth of the others.
static constexpr int64_t kLeastBlocksForKeys = 8;
/// Rows of no more are near enough where they lie: copied, width 64 took 1 % longer on a Xeon, width 128 7 % less.
static constexpr int64_t kNearBytes = 128;
// In the first bytes of the workspace.
static constexpr int64_t kOwner = 0, kNoOnesCount = sizeof(int64_t);

static int64_t queriesOf(Value tile) { return cast<RankedTensorType>(tile.getType()).getDimSize(0); }
static RankedTensorType tileOf(LoadOp op) { return cast<RankedTensorType>(op.getResult().getType()); }

// Of few queries there is one block, which rewrites nothing twice.
void BlockProgram::reserveKept(Block &kernel) {
  Operation *function = kernel.getParentOp();
  bool few = function->hasAttr(attention::kFewQueriesAttribute), ofTiles = products_ != Products::kPairs;
  KeptRows rows[2];
  kernel.walk([&](DotOp dot) {
    if (!hasPairs(dot.getA().getType()))
      return;
    keepsRows_ = true;
    KeptRows &kept = rows[dot.getTransposed()];
    auto load = dot.getB().getDefiningOp<LoadOp>();
    if (load && (!kept.load || tileOf(load).getDimSize(0) > tileOf(kept.load).getDimSize(0)))
      kept = {load, dot.getTransposed() ? kLeastBlocksForKeys * queriesOf(dot.getA()) : 0};
  });
  keepsRows_ &= products_ != Products::kFloat32 && (ofTiles || (!few && !isLeftOut(function, Effect::kKeptValues)));
  if (!keepsRows_)
    return;
  workspace_.allocate(kOwnWorkspaceBytes);
  const bool keepsKeys = ofTiles && !few && rows[1].load && tileOf(rows[1].load).getDimSize(1) * kElementBytes > kNearBytes;
  if (!keepsKeys || isLeftOut(function, Effect::kKeptKeys))
    rows[1].load = LoadOp();
  for (auto [kept, reserved] : llvm::zip_equal(keptRows_, rows)) {
    kept = reserved;
    if (!kept.load)
      continue;
    kept.bytes = tileOf(kept.load).getNumElements() * kElementBytes;
    kept.places = kMostKeptBytes / kept.bytes;
    kept.counts = workspace_.allocate(kept.places * sizeof(int64_t));
    kept.rows = workspace_.allocate(kept.places * kept.bytes);
  }
}

// What keeps a tile's rows, if all that differs from the loads that fill a place is the row and, of keys, how many.
const KeptRows *BlockProgram::keptOf(LoadOp op, bool transposed) {
  KeptRows &kept = keptRows_[transposed];
  LoadOp known = kept.load;
  if (!known)
    return nullptr;
  auto tile = tileOf(op), place = tileOf(known);
  bool fits = tile.getDimSize(1) == place.getDimSize(1) &&
              (transposed ? tile.getDimSize(0) <= place.getDimSize(0) : tile.getDimSize(0) == place.getDimSize(0));
  bool same = op.getTensor() == known.getTensor() && op.getBatch() == known.getBatch() &&
              op.getHead() == known.getHead() && op.getWidth() == known.getWidth();
  return fits && same ? &kept : nullptr;
}

// What another head left is forgotten.
void BlockProgram::keepRowsOf(LoadOp op) {
  Value batch = arith::ShLIOp::create(builder_, widen(scalars_.lookup(op.getBatch())), i64(32));
  Value head = add(add(batch, widen(scalars_.lookup(op.getHead()))), i64(1));
  Value known = load(builder_.getI64Type(), buffer(kOwner), sizeof(int64_t));
  Value other = arith::CmpIOp::create(builder_, arith::CmpIPredicate::ne, known, head);
  auto branch = scf::IfOp::create(builder_, other);
  OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToStart(branch.thenBlock());
  store(head, buffer(kOwner), sizeof(int64_t));
  for (const KeptRows &kept : keptRows_)
    if (kept.load)
      loop(i64(0), i64(kept.places), 1, [&](Value place) {
        store(i64(0), byte(buffer(kept.counts), multiply(place, i64(sizeof(int64_t)))), sizeof(int64_t));
      });
}

// Rows at the multiples of those of a place, the first ones, have places of their own, each with the count of those that
// have been rewritten. Others are rewritten every time, to `otherPlace`, unless they lie there as they are.
KeptPlace BlockProgram::keepOrRewrite(LoadOp op, bool transposed, const Rows &rows, Value otherPlace, bool liesThere,
                                      llvm::function_ref<void(Value)> rewrite) {
  const KeptRows *kept = keptOf(op, transposed);
  if (!kept) {
    if (!liesThere)
      rewrite(otherPlace);
    return {otherPlace, {}};
  }
  keepRowsOf(op);
  LoadOp filling = kept->load;
  Value row = widen(scalars_.lookup(op.getRow())), rowsOfPlace = i64(tileOf(filling).getDimSize(0));
  Value place = arith::DivUIOp::create(builder_, row, rowsOfPlace);
  Value isMultiple = arith::CmpIOp::create(builder_, arith::CmpIPredicate::eq, multiply(place, rowsOfPlace), row);
  Value isFirst = arith::CmpIOp::create(builder_, arith::CmpIPredicate::ult, place, i64(kept->places));
  Value isKept = arith::AndIOp::create(builder_, isMultiple, isFirst);
  if (kept->leastQueries != 0) {
    Value queries = argument(builder_.getI32Type(), offsetof(KernelArguments, query_length));
    Value enough = arith::CmpIOp::create(builder_, arith::CmpIPredicate::sge, queries, i32(kept->leastQueries));
    isKept = arith::AndIOp::create(builder_, isKept, enough);
  }
  auto where = [&](Value yes, Value no) -> Value { return arith::SelectOp::create(builder_, isKept, yes, no); };
  Value pointer = where(byte(buffer(kept->rows), multiply(place, i64(kept->bytes))), otherPlace);
  Value count = where(byte(buffer(kept->counts), multiply(place, i64(sizeof(int64_t)))), buffer(kNoOnesCount));
  Value before = where(load(builder_.getI64Type(), count, sizeof(int64_t)), liesThere ? rows.count : i64(0));
  Value more = arith::CmpIOp::create(builder_, arith::CmpIPredicate::slt, before, rows.count);
  auto branch = scf::IfOp::create(builder_, more);
  OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToStart(branch.thenBlock());
  rewrite(pointer);
  store(rows.count, count, sizeof(int64_t));
  return {pointer, isKept};
}
