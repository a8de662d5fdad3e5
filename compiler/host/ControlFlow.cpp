#include "compiler/host/BlockProgram.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

// A tile from outside is computed once, before the loop, not in every turn.
LogicalResult BlockProgram::prepareOperandsFromOutside(Operation *op) {
  WalkResult result = op->walk([&](Operation *inner) {
    for (OpOperand &operand : inner->getOpOperands()) {
      Value tile = operand.get();
      Operation *definition = tile.getDefiningOp();
      if (inner == op || !isMatrix(tile.getType()) || !definition || op->isAncestor(definition) ||
          buffers_.contains(tile) || isFree(tile))
        continue;
      auto dot = dyn_cast<DotOp>(inner);
      bool isRightOperand = dot && operand.getOperandNumber() == 1;
      if (dot && runsAlongRows(dot) && (isRightOperand || dot.getTransposed())) {
        if (!isRightOperand)
          leftRows(tile.getDefiningOp<LoadOp>());
        continue;
      }
      bool ofTiles = units_ && hasPairs(tile.getType());
      if (isRightOperand && ofTiles ? failed(tileRowsOf(tile, dot.getTransposed()))
          : isRightOperand          ? failed(rowsOf(tile, dot.getTransposed()))
                                    : failed(materialize(tile)))
        return WalkResult::interrupt();
    }
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

LogicalResult BlockProgram::lowerFor(scf::ForOp op) {
  if (failed(prepareOperandsFromOutside(op)))
    return failure();
  done_.insert(op); // it needs its initial values no longer than to here

  Values carried;
  llvm::DenseMap<Value, int64_t> places; // of carried tiles of rows and columns
  for (auto [initial, argument] : llvm::zip(op.getInitArgs(), op.getRegionIterArgs())) {
    if (!isMatrix(initial.getType())) {
      if (isVector(initial.getType()))
        llvm::append_range(carried, vectors_[initial]);
      else
        carried.push_back(scalars_.lookup(initial));
      continue;
    }
    bool inPlace = mayOverwrite(initial) &&
                   llvm::none_of(places, [&](auto &p) { return p.second == buffers_[initial]; });
    int64_t offset =
        inPlace ? buffers_[initial] : allocateBuffer(cast<RankedTensorType>(initial.getType()));
    if (inPlace)
      buffers_.erase(initial);
    else if (failed(materializeInto(initial, offset)))
      return failure();
    owners_[offset] = nullptr;
    places[argument] = offset;
    bind(argument, offset);
  }

  auto loop = scf::ForOp::create(builder_, scalars_.lookup(op.getLowerBound()),
                                 scalars_.lookup(op.getUpperBound()), scalars_.lookup(op.getStep()),
                                 carried);
  // Binds what the loop carries, in the order above.
  auto distribute = [&](ValueRange flat, ValueRange tiles) {
    for (Value tile : tiles) {
      if (isMatrix(tile.getType()))
        continue;
      int64_t count = isVector(tile.getType()) ? vectorsOf(tile.getType()) : 1;
      if (isVector(tile.getType()))
        vectors_[tile] = Values(flat.take_front(count));
      else
        scalars_[tile] = flat.front();
      flat = flat.drop_front(count);
    }
  };
  {
    OpBuilder::InsertionGuard guard(builder_);
    builder_.setInsertionPointToStart(loop.getBody());
    scalars_[op.getInductionVar()] = loop.getInductionVar();
    distribute(loop.getRegionIterArgs(), op.getRegionIterArgs());
    if (failed(lowerBlock(*op.getBody())))
      return failure();

    Block *outer = std::exchange(block_, op.getBody());
    auto yield = cast<scf::YieldOp>(op.getBody()->getTerminator());
    done_.insert(yield);
    Values next;
    SmallVector<Stored> moves;
    for (auto [value, argument] : llvm::zip(yield.getOperands(), op.getRegionIterArgs())) {
      if (isVector(value.getType())) {
        llvm::append_range(next, vectors_[value]);
      } else if (!isMatrix(value.getType())) {
        next.push_back(scalars_.lookup(value));
      } else if (auto it = buffers_.find(value);
                 it != buffers_.end() && it->second == places[argument]) {
        continue;
      } else if (op.getRegionIterArgs().size() == places.size() && places.size() == 1) {
        if (failed(materializeInto(value, places[argument])))
          return failure();
      } else {
        // Other carried tiles may still be read: first aside, then into place.
        int64_t aside = allocateBuffer(cast<RankedTensorType>(value.getType()));
        if (failed(materializeInto(value, aside)))
          return failure();
        buffers_[value] = aside;
        moves.push_back({value, places[argument]});
      }
    }
    for (Stored move : moves)
      if (failed(copy(move.tile, move.offset)))
        return failure();
    releaseBuffers(op.getBody());
    block_ = outer;
    if (!next.empty())
      scf::YieldOp::create(builder_, next);
  }

  distribute(loop.getResults(), op.getResults());
  for (auto [argument, result] : llvm::zip(op.getRegionIterArgs(), op.getResults())) {
    if (!isMatrix(result.getType()))
      continue;
    buffers_.erase(argument);
    bind(result, places[argument]);
    owners_[places[argument]] = block_;
  }
  return success();
}

static ValueRange elseYields(scf::IfOp op) {
  return op.getElseRegion().empty() ? ValueRange() : ValueRange(op.elseYield().getOperands());
}

// Whether a tile of the block around, or one that its loop carries, which the else branch leaves as it is, is read by
// nobody behind: what the other branch makes of it may then take its buffer.
bool BlockProgram::staysInPlace(scf::IfOp op, Value tile) {
  auto it = buffers_.find(tile);
  Block *owner = it == buffers_.end() ? nullptr : owners_.lookup(it->second);
  return it != buffers_.end() && (!owner || owner == op->getBlock()) && tile.getParentBlock() == op->getBlock() &&
         llvm::all_of(tile.getUsers(), [&](Operation *user) { return op->isAncestor(user) || isDone(user); });
}

LogicalResult BlockProgram::lowerIf(scf::IfOp op) {
  if (failed(prepareOperandsFromOutside(op)))
    return failure();
  llvm::DenseMap<Value, int64_t> places;
  SmallVector<Type> types;
  for (auto [result, otherwise] : llvm::zip_equal(op.getResults(), elseYields(op))) {
    Type type = result.getType();
    if (isMatrix(type) && staysInPlace(op, otherwise) && overwrittenIn_.insert({otherwise, op.thenBlock()}).second)
      places[result] = buffers_[otherwise];
    else if (isMatrix(type))
      places[result] = allocateBuffer(cast<RankedTensorType>(type));
    else if (isVector(type))
      types.append(vectorsOf(type), vectorOf(getElementTypeOrSelf(type),
                                             cast<RankedTensorType>(type).getDimSize(0)));
    else
      types.push_back(type);
  }
  auto branch = scf::IfOp::create(builder_, types, scalars_.lookup(op.getCondition()),
                                  /*withElseRegion=*/!op.getElseRegion().empty());
  for (int i : {1, 0}) { // of a tile that stays, the other branch asks no more
    Region &from = op->getRegion(i), &to = branch->getRegion(i);
    if (from.empty())
      continue;
    OpBuilder::InsertionGuard guard(builder_);
    Block &block = to.front();
    if (!block.empty())
      block.back().erase();
    builder_.setInsertionPointToEnd(&block);
    if (failed(lowerBlock(from.front())))
      return failure();
    Block *outer = std::exchange(block_, &from.front());
    Operation *yield = from.front().getTerminator();
    Values next;
    for (auto [value, result] : llvm::zip(yield->getOperands(), op.getResults())) {
      if (isVector(value.getType()))
        llvm::append_range(next, vectors_[value]);
      else if (!isMatrix(value.getType()))
        next.push_back(scalars_.lookup(value));
      else if (failed(materializeInto(value, places[result])))
        return failure();
    }
    done_.insert(yield);
    releaseBuffers(&from.front());
    block_ = outer;
    scf::YieldOp::create(builder_, next);
  }
  ValueRange flat = branch.getResults();
  for (Value result : op.getResults()) {
    if (isMatrix(result.getType())) {
      bind(result, places[result]);
      continue;
    }
    int64_t count = isVector(result.getType()) ? vectorsOf(result.getType()) : 1;
    if (isVector(result.getType()))
      vectors_[result] = Values(flat.take_front(count));
    else
      scalars_[result] = flat.front();
    flat = flat.drop_front(count);
  }
  return success();
}
