// Blocks of rows that share chunks of keys, so that these come from a near cache for all but the first of them. The grid
// does not change: of the blocks that belong together the first computes all, the others nothing. Fewer keys are one
// chunk, and each block computes its own rows.
#include "kernels/FlashForwardMaker.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::kernels;

void FlashForwardMaker::buildGroups() {
  auto ring = [&](RankedTensorType tile) -> Value {
    SmallVector<int64_t> shape = {plan_.queryGroups};
    llvm::append_range(shape, tile.getShape());
    auto type = tile::SharedType::get(b.getContext(), shape, f32_, tile::Conflicts::padded);
    return tile::SharedAllocOp::create(b, type);
  };
  keptMaximum_ = ring(rows_), keptSum_ = ring(rows_), keptOutput_ = ring(output_);

  KeyRange all = blocks_ ? rangeOfCut() : KeyRange{index(0), block_.keyLength};
  Value far = arith::CmpIOp::create(b, arith::CmpIPredicate::sge, block_.keyLength, index(plan_.groupsFromKeys));
  Value least = arith::AddIOp::create(b, all.begin, index(1)); // of no keys there is one chunk too
  Value behind = arith::MaxSIOp::create(b, all.end, least);
  Value keys = select(far, index(plan_.groupKeys), arith::SubIOp::create(b, behind, all.begin));
  Value many = arith::CmpIOp::create(b, arith::CmpIPredicate::sge, block_.rows, index(plan_.groupsFromQueries));
  Value groups = select(arith::AndIOp::create(b, far, many), index(plan_.queryGroups), index(1));
  Value beside = arith::RemUIOp::create(b, number_, groups);
  auto first = scf::IfOp::create(b, arith::CmpIOp::create(b, arith::CmpIPredicate::eq, beside, index(0)));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(first.thenBlock());
  Value beyond = arith::AddIOp::create(b, block_.rows, index(plan_.tileQueries - 1));
  Value blocks = arith::DivUIOp::create(b, beyond, index(plan_.tileQueries));
  Value end = arith::MinSIOp::create(b, groups, arith::SubIOp::create(b, blocks, number_));
  auto chunks = scf::ForOp::create(b, all.begin, behind, keys);
  b.setInsertionPointToStart(chunks.getBody());
  Value begin = chunks.getInductionVar();
  auto rows = scf::ForOp::create(b, index(0), end, index(1));
  b.setInsertionPointToStart(rows.getBody());
  Value ofAll = arith::MinSIOp::create(b, arith::AddIOp::create(b, begin, keys), all.end);
  visitChunk({begin, ofAll}, all, rows.getInductionVar());
}

// m, ℓ, O = places[group]
void FlashForwardMaker::visitChunk(const KeyRange &range, const KeyRange &all, Value group) {
  beginRows(arith::AddIOp::create(b, number_, group));
  KeyLoops loops = planLoops(range);
  auto place = [&](Value ring, RankedTensorType tile) -> Value {
    auto type = tile::SharedType::get(b.getContext(), tile.getShape(), f32_, tile::Conflicts::padded);
    return tile::StageOp::create(b, type, ring, group);
  };
  Value maximum = place(keptMaximum_, rows_), sum = place(keptSum_, rows_), output = place(keptOutput_, output_);
  auto keep = [&](const State &state) {
    tile::WriteOp::create(b, state.maximum, maximum);
    tile::WriteOp::create(b, state.sum, sum);
    tile::WriteOp::create(b, state.output, output);
  };
  Value isFirst = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, range.begin, all.begin);
  auto begins = scf::IfOp::create(b, isFirst);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(begins.thenBlock());
    keep({firstReference(loops), filled(rows_, 0), filled(output_, 0)});
  }
  State state = visit(loops, {tile::ReadOp::create(b, rows_, maximum), tile::ReadOp::create(b, rows_, sum),
                              tile::ReadOp::create(b, output_, output)});
  Value isLast = arith::CmpIOp::create(b, arith::CmpIPredicate::sge, range.end, all.end);
  auto either = scf::IfOp::create(b, isLast, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(either.thenBlock());
  epilogue(state);
  b.setInsertionPointToStart(either.elseBlock());
  keep(state);
}
