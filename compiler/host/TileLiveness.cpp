#include "compiler/host/TileLiveness.h"

using namespace mlir;
using namespace tenon::tile_unit;

static bool isTile(Value value) { return isa<TileType>(value.getType()); }

static bool anyValue(Operation *op, llvm::function_ref<bool(Value)> test) {
  auto arguments = [&](Region &region) { return llvm::any_of(region.getArguments(), test); };
  return llvm::any_of(op->getOperands(), test) || llvm::any_of(op->getResults(), test) ||
         llvm::any_of(op->getRegions(), arguments);
}

static bool hasRegister(Value value) {
  auto type = dyn_cast<TileType>(value.getType());
  return type && type.getNumber();
}

// Edges from `point` to all that may come next: what is handed over, and what it becomes.
static void forEachEdge(RegionBranchOpInterface op, RegionBranchPoint point,
                        llvm::function_ref<void(OperandRange, RegionSuccessor)> body) {
  SmallVector<RegionSuccessor> successors;
  op.getSuccessorRegions(point, successors);
  for (RegionSuccessor successor : successors)
    body(op.getSuccessorOperands(point, successor), successor);
}

// Null where the region does not say where it is left for.
static RegionBranchTerminatorOpInterface terminatorOf(Block &block) {
  return dyn_cast_if_present<RegionBranchTerminatorOpInterface>(block.mightHaveTerminator() ? block.getTerminator()
                                                                                            : nullptr);
}

//===-- The program ----------------------------------------------------------------------------===//

void TileLiveness::addTile(Value value) {
  if (isTile(value) && numbers_.try_emplace(value, tiles_.size()).second)
    tiles_.push_back(value);
}

// What hands tiles on, and the operation that it does so for.
LogicalResult TileLiveness::addTies(Operation *op) {
  if (auto multiply = dyn_cast<MultiplyOp>(op)) {
    ties_.push_back({op, numbers_.at(multiply.getC()), numbers_.at(multiply.getResult())});
    return success();
  }
  if (isa<TileUnitDialect>(op->getDialect()))
    return success();
  auto branch = dyn_cast<RegionBranchOpInterface>(op);
  auto terminator = dyn_cast<RegionBranchTerminatorOpInterface>(op);
  if (terminator)
    branch = dyn_cast<RegionBranchOpInterface>(op->getParentOp());
  llvm::DenseSet<Value> handedOver, received;
  if (branch)
    forEachEdge(branch, terminator ? RegionBranchPoint(terminator) : RegionBranchPoint::parent(),
                [&](OperandRange operands, RegionSuccessor successor) {
                  for (auto [from, to] : llvm::zip_equal(operands, successor.getSuccessorInputs())) {
                    if (!isTile(from))
                      continue;
                    ties_.push_back({op, numbers_.at(from), numbers_.at(to)});
                    handedOver.insert(from);
                  }
                });
  if (!llvm::all_of(op->getOperands(), [&](Value operand) { return !isTile(operand) || handedOver.contains(operand); }))
    return op->emitOpError("takes a tile: only operations of tile_unit do, and those that hand values to their regions");
  return success();
}

// An operation that has tiles, behind those around it: in the order of the text.
LogicalResult TileLiveness::addOperation(Operation *op, Operation *function) {
  if (places_.contains(op))
    return success();
  if (!op->getParentRegion()->hasOneBlock())
    return op->emitOpError("stands between branches: tiles get registers while loops have regions");
  if (Operation *around = op->getParentOp(); around != function) {
    if (!isa<RegionBranchOpInterface>(around) || !terminatorOf(*op->getBlock()))
      return around->emitOpError("has tiles in a region, and does not say when it goes there");
    if (failed(addOperation(around, function)))
      return failure();
  }
  places_.try_emplace(op, places_.size());
  operations_[op->getBlock()].push_back(op);
  llvm::for_each(op->getResults(), [&](Value value) { addTile(value); });
  for (Region &region : op->getRegions())
    llvm::for_each(region.getArguments(), [&](Value value) { addTile(value); });
  return addTies(op);
}

LogicalResult TileLiveness::collect(FunctionOpInterface function) {
  if (llvm::any_of(function.getArguments(), isTile))
    return function.emitOpError("takes a tile: these are loaded");
  WalkResult result = function.getFunctionBody().walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (!anyValue(op, isTile) && !isa<ConfigureOp, ReleaseOp>(op))
      return WalkResult::advance();
    if (anyValue(op, hasRegister))
      return WalkResult(op->emitOpError("has a tile with a register: allocate-tile-registers has run already"));
    return WalkResult(addOperation(op, function));
  });
  return failure(result.wasInterrupted());
}

Operation *TileLiveness::definition(unsigned number) const {
  Value tile = tiles_[number];
  Operation *result = tile.getDefiningOp();
  return result ? result : tile.getParentBlock()->getParentOp();
}

unsigned TileLiveness::begin(unsigned number) const { return places_.at(definition(number)); }

unsigned TileLiveness::end(unsigned number) const {
  unsigned last = begin(number);
  for (Operation *user : tiles_[number].getUsers())
    last = std::max(last, places_.at(user));
  return last;
}

//===-- What is alive --------------------------------------------------------------------------===//

void TileLiveness::read(Operation *op, BitVector &live) {
  for (Value operand : op->getOperands())
    if (isTile(operand))
      live.set(numbers_.at(operand));
}

// All at once.
void TileLiveness::define(Operation *at, ValueRange values, BitVector &live) {
  if (!llvm::any_of(values, isTile))
    return;
  auto tiles = llvm::map_to_vector(llvm::make_filter_range(values, isTile), [&](Value v) { return numbers_.at(v); });
  for (unsigned tile : tiles)
    live.set(tile);
  if (size_t count = live.count(); count > most_ || (count == most_ && places_.at(at) < places_.at(whereMost_)))
    most_ = count, whereMost_ = at;
  for (unsigned tile : tiles)
    interferences_[tile] |= live;
  for (unsigned tile : tiles)
    live.reset(tile);
}

void TileLiveness::passBlock(Block &block, BitVector &live) {
  for (Operation *op : llvm::reverse(operations_[&block]))
    passOperation(op, live);
}

void TileLiveness::passOperation(Operation *op, BitVector &live) {
  if (auto branch = dyn_cast<RegionBranchOpInterface>(op))
    return passRegions(branch, live);
  if (isa<ConfigureOp, ReleaseOp>(op) && live.any())
    wiped_ = op;
  define(op, op->getResults(), live);
  read(op, live);
}

// What is alive where a region begins is alive where it is branched to: round and round, until no more is found.
void TileLiveness::passRegions(RegionBranchOpInterface op, BitVector &live) {
  define(op, op->getResults(), live);
  SmallVector<BitVector> starts(op->getNumRegions(), BitVector(size()));
  auto comingFrom = [&](RegionBranchPoint point) {
    BitVector result(size());
    forEachEdge(op, point, [&](OperandRange, RegionSuccessor successor) {
      result |= successor.isParent() ? live : starts[successor.getSuccessor()->getRegionNumber()];
    });
    return result;
  };
  for (bool changes = true; changes;) {
    changes = false;
    for (Region &region : llvm::reverse(op->getRegions())) {
      if (region.empty())
        continue;
      auto terminator = terminatorOf(region.front());
      BitVector now = terminator ? comingFrom(terminator) : live;
      passBlock(region.front(), now);
      define(op, region.getArguments(), now);
      BitVector &start = starts[region.getRegionNumber()];
      changes |= now != start;
      start = now;
    }
  }
  live = comingFrom(RegionBranchPoint::parent());
  read(op, live);
}

LogicalResult TileLiveness::analyze(FunctionOpInterface function) {
  if (failed(collect(function)))
    return failure();
  if (operations_.empty())
    return success();
  interferences_.assign(size(), BitVector(size()));
  BitVector live(size());
  passBlock(function.getFunctionBody().front(), live);
  for (unsigned tile = 0; tile < size(); ++tile) {
    interferences_[tile].reset(tile);
    for (unsigned other : interferences_[tile].set_bits())
      interferences_[other].set(tile);
  }
  if (wiped_)
    return wiped_->emitOpError("stands where a tile is alive, whose register it clears");
  return success();
}
