// Tiles that lie in places of their own: rings that outlive a turn of a loop, whose stage that a turn reads and writes is
// the buffer of the tile, so that what is computed in place stays there; and rows of a workspace tensor, for another phase.
#include "compiler/host/BlockProgram.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

LogicalResult BlockProgram::lowerSharedAlloc(SharedAllocOp op) {
  SharedType ring = op.getResult().getType();
  auto stages = llvm::to_vector(llvm::make_filter_range(op->getUsers(), llvm::IsaPred<StageOp>));
  if (stages.size() != 1 || !ring.getElementType().isF32())
    return op.emitOpError("on the host is a ring of float32, of which one stage is used at a time");
  auto tile = RankedTensorType::get(ring.getShape().drop_front(), ring.getElementType());
  places_[op.getResult()] = workspace_.allocate(ring.getShape().front() * bytesOf(tile));
  return success();
}

LogicalResult BlockProgram::lowerStage(StageOp op) {
  int64_t offset = places_.lookup(op.getRing());
  auto tile = RankedTensorType::get(op.getResult().getType().getShape(), builder_.getF32Type());
  shifts_[offset] = multiply(widen(scalars_.lookup(op.getIndex())), i64(bytesOf(tile)));
  places_[op.getResult()] = offset;
  return success();
}

LogicalResult BlockProgram::lowerRead(ReadOp op) {
  return readPlace(op.getResult(), places_.lookup(op.getShared()));
}

LogicalResult BlockProgram::lowerWrite(WriteOp op) {
  return writePlace(op.getValue(), places_.lookup(op.getShared()));
}

LogicalResult BlockProgram::lowerLoadTile(LoadTileOp op) {
  return readPlace(op.getResult(), placeIn(op.getTensor(), op.getBatch(), op.getHead(), op.getRow()));
}

LogicalResult BlockProgram::lowerStoreTile(StoreTileOp op) {
  return writePlace(op.getValue(), placeIn(op.getTensor(), op.getBatch(), op.getHead(), op.getRow()));
}

// Below 0, where no buffer of the workspace is.
int64_t BlockProgram::placeIn(Value tensor, Value batch, Value head, Value row) {
  const int64_t offset = -1 - static_cast<int64_t>(elsewhere_.size());
  auto at = [&](Value index) { return scalars_.lookup(index); };
  elsewhere_[offset] = rowStart(view(tensor), at(batch), at(head), at(row));
  return offset;
}

LogicalResult BlockProgram::readPlace(Value tile, int64_t offset) {
  if (isMatrix(tile.getType())) {
    bind(tile, offset);
    owners_[offset] = block_;
    return success();
  }
  VectorType vector = vectorOf(builder_.getF32Type(), cast<RankedTensorType>(tile.getType()).getDimSize(0));
  int64_t bytes = vector.getNumElements() * static_cast<int64_t>(sizeof(float));
  for (int64_t i = 0; i < vectorsOf(tile.getType()); ++i)
    vectors_[tile].push_back(load(vector, byte(buffer(offset), i * bytes), bytes));
  return success();
}

LogicalResult BlockProgram::writePlace(Value value, int64_t offset) {
  if (isMatrix(value.getType()))
    return materializeInto(value, offset);
  VectorType vector = vectorOf(builder_.getF32Type(), cast<RankedTensorType>(value.getType()).getDimSize(0));
  int64_t bytes = vector.getNumElements() * static_cast<int64_t>(sizeof(float));
  for (int64_t i = 0; i < vectorsOf(value.getType()); ++i) {
    const Values &vectors = vectors_[value];
    store(broadcast(vectors.size() == 1 ? vectors[0] : vectors[i], vector.getNumElements()),
          byte(buffer(offset), i * bytes), bytes);
  }
  return success();
}
