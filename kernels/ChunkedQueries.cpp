// Launches of so few queries that their blocks would leave threads idle: their keys are cut in chunks, each a block of the
// grid of its own, which leaves m, ℓ and O as they lie. A second phase is the same kernel: its blocks visit no key, and
// add up what the chunks left. In launches of more queries all keys are one chunk, and a lone chunk is the result itself.
#include "kernels/FlashForwardMaker.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::kernels;

// Blocks of rows run fastest in the grid.
void FlashForwardMaker::cutKeys(Value blocks) {
  blocks_ = blocks;
  Value phase = tile::PhaseOp::create(b, b.getI32Type());
  combines_ = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, phase, index(0));
  Value isCut = arith::CmpIOp::create(b, arith::CmpIPredicate::sle, block_.queryLength, index(plan_.chunkedQueries));
  Value ofChunk = keysOfChunk(b, block_.keyLength, plan_.chunkKeys, plan_.mostChunks);
  chunkKeys_ = select(isCut, ofChunk, block_.keyLength);
}

KeyRange FlashForwardMaker::rangeOfCut() {
  Value begin = arith::MulIOp::create(b, chunk_, chunkKeys_);
  Value left = arith::SubIOp::create(b, block_.keyLength, begin); // the end is no more than the keys: 32 bits hold it
  Value end = arith::AddIOp::create(b, begin, arith::MinSIOp::create(b, chunkKeys_, left));
  return {begin, select(combines_, begin, end)};
}

// In a row of the workspace tensor, one behind the other: m, ℓ, O. Of so few queries no blocks are grouped: `number_` is the
// block's own.
FlashForwardMaker::Left FlashForwardMaker::leftBy(Value chunk) {
  auto from = [&](int64_t column) -> Value {
    auto width = static_cast<int32_t>(leftByChunk(plan_.tileQueries, plan_.paddedValueWidth));
    auto type = tile::TensorType::get(b.getContext(), f32_);
    return tile::TensorOp::create(b, type, b.getI32IntegerAttr(plan_.partialSlot), index(column), b.getI32IntegerAttr(width));
  };
  Value row = arith::AddIOp::create(b, arith::MulIOp::create(b, chunk, blocks_), number_);
  return {from(0), from(plan_.tileQueries), from(2 * plan_.tileQueries), row};
}

// m' = max(m, m_c), ℓ' = 2^(m − m') ℓ + 2^(m_c − m') ℓ_c, O' = 2^(m − m') O + 2^(m_c − m') O_c, in the order of the chunks.
FlashForwardMaker::State FlashForwardMaker::addChunks(const State &state) {
  Value keys = arith::MaxSIOp::create(b, chunkKeys_, index(1)); // of no keys there is no chunk
  Value beyond = arith::SubIOp::create(b, arith::AddIOp::create(b, block_.keyLength, keys), index(1));
  Value chunks = select(combines_, arith::DivUIOp::create(b, beyond, keys), index(0));
  auto loop = scf::ForOp::create(b, index(0), chunks, index(1), ValueRange{state.maximum, state.sum, state.output});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Left left = leftBy(loop.getInductionVar());
  auto read = [&](Value tensor, RankedTensorType tile) -> Value {
    return tile::LoadTileOp::create(b, tile, tensor, block_.batch, block_.head, left.row);
  };
  Value before = loop.getRegionIterArg(0), own = read(left.maximum, rows_);
  // One of the powers is 1. Of a row that has seen nothing both are: −∞ less −∞ is NaN.
  Value isGreater = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, own, before);
  Value maximum = select(isGreater, own, before), least = select(isGreater, before, own);
  Value nothing = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, maximum, filled(rows_, -kInfinity));
  Value below = power(select(nothing, filled(rows_, 0), contracted<arith::SubFOp>(least, maximum)));
  Value old = select(isGreater, below, filled(rows_, 1)), weight = select(isGreater, filled(rows_, 1), below);
  auto sum = [&](Value soFar, Value more, RankedTensorType type) {
    auto weighted = [&](Value value, Value by) {
      return contracted<arith::MulFOp>(value, type == rows_ ? by : expand(by, type));
    };
    return contracted<arith::AddFOp>(weighted(soFar, old), weighted(more, weight));
  };
  scf::YieldOp::create(b, ValueRange{maximum, sum(loop.getRegionIterArg(1), read(left.sum, rows_), rows_),
                                     sum(loop.getRegionIterArg(2), read(left.output, output_), output_)});
  return {loop.getResult(0), loop.getResult(1), loop.getResult(2)};
}

// Where there are other chunks. Gives the rows whose results are to be stored: then none.
Value FlashForwardMaker::leaveChunk(const State &state) {
  Value others = arith::CmpIOp::create(b, arith::CmpIPredicate::sgt, block_.keyLength, chunkKeys_);
  Value isPart = select(combines_, arith::ConstantOp::create(b, b.getBoolAttr(false)), others);
  auto branch = scf::IfOp::create(b, isPart);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    Left left = leftBy(chunk_);
    for (auto [value, tensor] : {std::pair{state.maximum, left.maximum}, {state.sum, left.sum}, {state.output, left.output}})
      tile::StoreTileOp::create(b, value, tensor, block_.batch, block_.head, left.row);
  }
  return select(isPart, index(0), block_.rows);
}
