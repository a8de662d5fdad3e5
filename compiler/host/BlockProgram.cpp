#include "compiler/host/BlockProgram.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

/// What a register tile may write beyond the last column of a buffer.
static constexpr int64_t kSlackColumns = 11;

BlockProgram::BlockProgram(ImplicitLocOpBuilder &builder, ValueRange entry,
                           VectorRegisters registers, Products products)
    : builder_(builder), arguments_(entry[0]),
      workspacePointer_(entry[1]), programIds_{entry[2], entry[3], entry[4]},
      registers_(registers), products_(products) {}

LogicalResult BlockProgram::lowerBlock(Block &block) {
  Block *outer = std::exchange(block_, &block);
  if (!kernel_)
    kernel_ = block.getParentOp();
  for (Operation &op : block.without_terminator()) {
    builder_.setLoc(op.getLoc());
    if (failed(lower(&op)))
      return failure();
    releaseBuffers();
  }
  block_ = outer;
  return success();
}

LogicalResult BlockProgram::lower(Operation *op) {
  // Computed where they are needed.
  bool computesMatrix = op->getNumResults() == 1 && isMatrix(op->getResult(0).getType());
  if (computesMatrix && !isa<DotOp, RandomOp, ReadOp, LoadTileOp, scf::ForOp, scf::IfOp>(op))
    return success();

  LogicalResult result = llvm::TypeSwitch<Operation *, LogicalResult>(op)
                             .Case([&](scf::ForOp op) { return lowerFor(op); })
                             .Case([&](scf::IfOp op) { return lowerIf(op); })
                             .Case([&](TensorOp op) { return lowerTensor(op); })
                             .Case([&](SizeOp op) { return lowerSize(op); })
                             .Case([&](PhaseOp op) { return lowerPhase(op); })
                             .Case([&](ScalarOp op) { return lowerScalar(op); })
                             .Case([&](SeedOp op) { return lowerSeed(op); })
                             .Case([&](OffsetOp op) { return lowerOffset(op); })
                             .Case([&](ProgramIdOp op) { return lowerProgramId(op); })
                             .Case([&](StoreOp op) { return lowerStore(op); })
                             .Case([&](SharedAllocOp op) { return lowerSharedAlloc(op); })
                             .Case([&](StageOp op) { return lowerStage(op); })
                             .Case([&](ReadOp op) { return lowerRead(op); })
                             .Case([&](WriteOp op) { return lowerWrite(op); })
                             .Case([&](LoadTileOp op) { return lowerLoadTile(op); })
                             .Case([&](StoreTileOp op) { return lowerStoreTile(op); })
                             .Case([&](DotOp op) { return lowerDot(op); })
                             .Case([&](ReduceOp op) { return lowerReduce(op); })
                             .Case([&](AnyOp op) { return lowerAny(op); })
                             .Case([&](RandomOp op) { return lowerRandom(op); })
                             .Default([&](Operation *op) { return lowerVector(op); });
  if (!isa<DotOp>(op)) // which may wait for a reduction
    done_.insert(op);
  return result;
}

//===-- Buffers
//--------------------------------------------------------------------------------===//

int64_t BlockProgram::bytesOf(RankedTensorType type) const {
  int64_t columns = type.getRank() == 1 ? 1 : hasPairs(type) ? type.getDimSize(1) / 2 : type.getDimSize(1) + kSlackColumns;
  return columns * type.getDimSize(0) * static_cast<int64_t>(sizeof(float));
}

Value BlockProgram::buffer(int64_t offset) {
  if (Value place = elsewhere_.lookup(offset))
    return place;
  Value start = byte(workspacePointer_, offset), shift = shifts_.lookup(offset);
  return shift ? byte(start, shift) : start;
}

int64_t BlockProgram::allocateBuffer(RankedTensorType type) {
  int64_t offset = workspace_.allocate(bytesOf(type));
  owners_[offset] = block_;
  return offset;
}

void BlockProgram::bind(Value tile, int64_t offset) {
  buffers_[tile] = offset;
}

// An operation that is computed on demand is done when it has been stored, or when nobody asks any
// more.
bool BlockProgram::isDone(Operation *op) {
  if (done_.contains(op))
    return true;
  if (op->getNumResults() != 1 || !isMatrix(op->getResult(0).getType()) ||
      op->getNumRegions() != 0 || isa<DotOp, RandomOp, ReadOp, LoadTileOp>(op) || isNeeded(op->getResult(0)))
    return false;
  done_.insert(op);
  return true;
}

bool BlockProgram::isNeeded(Value tile, const Cone *cone) {
  return llvm::any_of(tile.getUsers(), [&](Operation *user) {
    return !(cone && llvm::is_contained(cone->ops, user)) && !isDone(user);
  });
}

// A buffer that a loop carries may be written in the loop's own block, or a branch that has it to itself, once the old
// value is not needed.
bool BlockProgram::mayOverwrite(Value tile, const Cone *cone) {
  auto it = buffers_.find(tile);
  if (it == buffers_.end() || isNeeded(tile, cone))
    return false;
  Block *owner = owners_.lookup(it->second);
  return owner ? owner == block_ : tile.getParentBlock() == block_ || overwrittenIn_.lookup(tile) == block_;
}

void BlockProgram::releaseBuffers(Block *ending) {
  auto release = [&](auto &buffers, auto tileOf) {
    auto isDead = [&](auto &entry) {
      Block *owner = owners_.lookup(entry.second);
      return owner && owner == (ending ? ending : block_) && (ending || !isNeeded(tileOf(entry.first)));
    };
    auto dead = llvm::to_vector(llvm::make_filter_range(buffers, isDead));
    for (auto [key, offset] : dead) {
      buffers.erase(key);
      // Another tile may have been computed in the same place.
      bool isPlace = shifts_.contains(offset) || elsewhere_.contains(offset);
      if (!isPlace && llvm::none_of(buffers, [&](auto &entry) { return entry.second == offset; })) {
        workspace_.release(offset);
        owners_.erase(offset);
      }
    }
    return dead;
  };
  release(buffers_, [](Value tile) { return tile; });
  for (auto &[operand, offset] : release(rowBuffers_, [](RightOperand operand) { return operand.first; }))
    rows_.erase(operand), tileRows_.erase(operand);
}
