#include "compiler/host/AllocateTileRegisters.h"

#include "compiler/attention/PassOrder.h"
#include "compiler/host/TileLiveness.h"

#include <array>

namespace tenon {
#define GEN_PASS_DEF_ALLOCATETILEREGISTERS
#include "compiler/host/AllocateTileRegisters.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;
using namespace tenon::tile_unit;

namespace {

/// Tiles that lie in one register.
struct TileClass {
  SmallVector<unsigned> tiles; ///< none: they have joined another class
  BitVector beside;            ///< tiles that interfere with one of these; once all are joined, classes
  unsigned begin, end;         ///< in the text
  std::optional<int64_t> number = {};
};

class Allocation {
public:
  explicit Allocation(const TileLiveness &liveness) : liveness_(liveness) {}

  LogicalResult coalesce();
  LogicalResult colour();
  void assign() const;

private:
  InFlightDiagnostic refuse(const Tie &tie) const;
  SmallVector<int64_t> freeNumbers(unsigned which) const;
  bool search(SmallVector<unsigned> rest);

  static constexpr int64_t kMostTrials = 1 << 16;
  const TileLiveness &liveness_;
  SmallVector<TileClass> classes_; ///< by their first tile
  SmallVector<unsigned> classOf_;  ///< by tile
  int64_t trials_ = kMostTrials;   ///< that a search may still make
};

InFlightDiagnostic Allocation::refuse(const Tie &tie) const {
  InFlightDiagnostic error =
      isa<MultiplyOp>(tie.at) ? tie.at->emitOpError("overwrites its accumulator, which is read again")
                              : tie.at->emitOpError("hands on a tile to a register in which another is alive");
  error << ": there is no move between tile registers, and no spill";
  for (unsigned from : classes_[classOf_[tie.from]].tiles)
    for (unsigned to : classes_[classOf_[tie.to]].tiles)
      if (liveness_.interferences(from).test(to)) {
        error.attachNote(liveness_.tile(from).getLoc()) << "this tile is alive";
        error.attachNote(liveness_.tile(to).getLoc()) << "at the same time as this one";
        return error;
      }
  return error;
}

LogicalResult Allocation::coalesce() {
  for (unsigned tile = 0; tile < liveness_.size(); ++tile) {
    classes_.push_back({{tile}, liveness_.interferences(tile), liveness_.begin(tile), liveness_.end(tile)});
    classOf_.push_back(tile);
  }
  for (const Tie &tie : liveness_.ties()) {
    auto [into, from] = std::minmax({classOf_[tie.from], classOf_[tie.to]});
    if (into == from)
      continue;
    TileClass &first = classes_[into], &second = classes_[from];
    if (llvm::any_of(second.tiles, [&](unsigned tile) { return first.beside.test(tile); }))
      return refuse(tie);
    for (unsigned tile : second.tiles)
      classOf_[tile] = into;
    first.tiles.append(second.tiles);
    first.beside |= second.beside;
    first.begin = std::min(first.begin, second.begin), first.end = std::max(first.end, second.end);
    second.tiles.clear();
  }
  for (TileClass &joined : classes_) {
    BitVector others(classes_.size());
    for (unsigned tile : joined.beside.set_bits())
      others.set(classOf_[tile]);
    joined.beside = others;
  }
  return success();
}

// What has been free for longest first, of equals the lowest.
SmallVector<int64_t> Allocation::freeNumbers(unsigned which) const {
  std::array<bool, kRegisters> taken{};
  std::array<unsigned, kRegisters> freeFrom{};
  const TileClass &asking = classes_[which];
  for (auto [i, other] : llvm::enumerate(classes_)) {
    if (!other.number)
      continue;
    if (asking.beside.test(i))
      taken[*other.number] = true;
    else if (other.begin < asking.begin)
      freeFrom[*other.number] = std::max(freeFrom[*other.number], other.end);
  }
  SmallVector<int64_t> numbers;
  for (int64_t number = 0; number < kRegisters; ++number)
    if (!taken[number])
      numbers.push_back(number);
  llvm::stable_sort(numbers, [&](int64_t a, int64_t b) { return freeFrom[a] < freeFrom[b]; });
  return numbers;
}

// Those that have the least choice first. Registers that nobody has yet are alike.
bool Allocation::search(SmallVector<unsigned> rest) {
  if (rest.empty())
    return true;
  if (--trials_ < 0)
    return false;
  auto *next = llvm::min_element(
      rest, [&](unsigned a, unsigned b) { return freeNumbers(a).size() < freeNumbers(b).size(); });
  TileClass &least = classes_[*next];
  SmallVector<int64_t> numbers = freeNumbers(*next);
  rest.erase(next);
  bool triedNew = false;
  for (int64_t number : numbers) {
    bool isNew = llvm::none_of(classes_, [&](const TileClass &other) { return other.number == number; });
    if (isNew && std::exchange(triedNew, true))
      continue;
    least.number = number;
    if (search(rest))
      return true;
    least.number.reset();
  }
  return false;
}

LogicalResult Allocation::colour() {
  if (liveness_.most() > kRegisters)
    return liveness_.whereMost()->emitOpError()
           << "is where " << liveness_.most() << " tiles are alive: there are " << kRegisters << " registers, and no spill";
  BitVector rest(classes_.size());
  for (auto [i, tiles] : llvm::enumerate(classes_))
    rest[i] = !tiles.tiles.empty();
  // Set aside from the end of the text on, so that registers are given out from its beginning on.
  SmallVector<unsigned> aside;
  for (size_t before = aside.size() + 1; before != aside.size();) {
    before = aside.size();
    for (unsigned which = classes_.size(); which-- > 0;)
      if (rest[which] && (BitVector(rest) &= classes_[which].beside).count() < kRegisters) {
        aside.push_back(which);
        rest.reset(which);
      }
  }
  if (!search(llvm::to_vector(rest.set_bits())))
    return liveness_.definition(rest.find_first())->emitOpError()
           << "begins a tile that no register is found for: at most " << liveness_.most()
           << " are alive at once, but what loops carry stays in its register";
  for (unsigned which : llvm::reverse(aside))
    classes_[which].number = freeNumbers(which).front();
  return success();
}

void Allocation::assign() const {
  for (unsigned tile = 0; tile < liveness_.size(); ++tile) {
    Value value = liveness_.tile(tile);
    Type element = cast<TileType>(value.getType()).getElementType();
    value.setType(TileType::get(element, classes_[classOf_[tile]].number));
  }
}

// Any contents are as good as others: nothing has to be alive between two uses.
void makeUndefinedForEachUse(FunctionOpInterface function) {
  SmallVector<UndefinedOp> undefined;
  function.walk([&](UndefinedOp op) { undefined.push_back(op); });
  for (UndefinedOp op : undefined) {
    auto uses = llvm::to_vector(llvm::make_pointer_range(op->getUses()));
    for (OpOperand *use : llvm::reverse(uses)) { // the list begins with the last
      OpBuilder builder(use->getOwner());
      use->set(UndefinedOp::create(builder, op.getLoc(), op.getType()));
    }
    op.erase();
  }
}

struct AllocateTileRegisters : tenon::impl::AllocateTileRegistersBase<AllocateTileRegisters> {
  using AllocateTileRegistersBase::AllocateTileRegistersBase;

  void runOnOperation() override {
    if (failed(checkLowered(getOperation(), getArgument(), "tenon-lower-tile-to-vector")))
      return signalPassFailure();
    WalkResult result = getOperation()->walk<WalkOrder::PreOrder>([](Operation *op) {
      auto function = dyn_cast<FunctionOpInterface>(op);
      if (!function || function.isExternal())
        return WalkResult::advance();
      makeUndefinedForEachUse(function);
      TileLiveness liveness;
      if (failed(liveness.analyze(function)))
        return WalkResult::interrupt();
      Allocation allocation(liveness);
      if (failed(allocation.coalesce()) || failed(allocation.colour()))
        return WalkResult::interrupt();
      allocation.assign();
      return WalkResult::skip();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};

} // namespace
