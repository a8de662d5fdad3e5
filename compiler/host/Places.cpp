// Rings of tiles that outlive a turn of a loop: the stage that a turn reads and writes is the buffer of the tile, so that
// what is computed in place stays there.
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
  int64_t offset = places_.lookup(op.getShared());
  if (isMatrix(op.getType())) {
    bind(op.getResult(), offset);
    owners_[offset] = block_;
    return success();
  }
  VectorType vector = vectorOf(builder_.getF32Type(), cast<RankedTensorType>(op.getType()).getDimSize(0));
  int64_t bytes = vector.getNumElements() * static_cast<int64_t>(sizeof(float));
  for (int64_t i = 0; i < vectorsOf(op.getType()); ++i)
    vectors_[op.getResult()].push_back(load(vector, byte(buffer(offset), i * bytes), bytes));
  return success();
}

LogicalResult BlockProgram::lowerWrite(WriteOp op) {
  int64_t offset = places_.lookup(op.getShared());
  Value value = op.getValue();
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
