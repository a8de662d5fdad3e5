#include "compiler/gpu/TurnLoops.h"

#include "dialects/tile/Schedule.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace tenon::tile;

bool tenon::tile::feedsDot(LoadOp load) {
  return !load->use_empty() &&
         llvm::all_of(load->getUsers(), [](Operation *user) { return isa<DotOp>(user); });
}

Operation *tenon::tile::firstUser(LoadOp load) {
  Operation *first = nullptr;
  for (Operation *user : load->getUsers()) {
    Operation *here = load->getBlock()->findAncestorOpInBlock(*user);
    if (!first || here->isBeforeInBlock(first))
      first = here;
  }
  return first;
}

std::optional<Row> Row::of(LoadOp load, scf::ForOp loop) {
  Value row = load.getRow(), turn = loop.getInductionVar();
  if (row == turn)
    return Row{};
  auto distance = row.getDefiningOp<arith::SubIOp>();
  if (distance && distance.getRhs() == turn && loop.isDefinedOutsideOfLoop(distance.getLhs()))
    return Row{distance.getLhs()};
  return std::nullopt;
}

Value Row::at(ImplicitLocOpBuilder &builder, Value turn) const {
  return end ? Value(arith::SubIOp::create(builder, end, turn)) : turn;
}

bool TurnLoad::continues(TurnLoad other) {
  return row == other.row && load.getTensor() == other.load.getTensor() && load.getType() == other.load.getType() &&
         load.getBatch() == other.load.getBatch() && load.getHead() == other.load.getHead() &&
         load.getLimit() == other.load.getLimit();
}

static TurnLoop turnLoop(scf::ForOp loop, SmallVectorImpl<LoadOp> &others) {
  TurnLoop result{loop, {}};
  for (LoadOp load : loop.getBody()->getOps<LoadOp>()) {
    if (!feedsDot(load))
      continue;
    std::optional<Row> row = Row::of(load, loop);
    bool named = row && llvm::all_of(ValueRange{load.getTensor(), load.getBatch(), load.getHead(), load.getLimit()},
                                     [&](Value value) { return loop.isDefinedOutsideOfLoop(value); });
    if (named)
      result.loads.push_back({load, *row});
    else
      others.push_back(load);
  }
  llvm::sort(result.loads, [](TurnLoad a, TurnLoad b) {
    return firstUser(a.load)->isBeforeInBlock(firstUser(b.load));
  });
  return result;
}

static bool continues(TurnLoop &next, TurnLoop &last) {
  return next.loop->getBlock() == last.loop->getBlock() && next.loop.getLowerBound() == last.loop.getUpperBound() &&
         next.loop.getStep() == last.loop.getStep() &&
         llvm::equal(next.loads, last.loads, [](TurnLoad &a, TurnLoad &b) { return a.continues(b); });
}

SmallVector<Chain> tenon::tile::findChains(func::FuncOp function, SmallVectorImpl<LoadOp> &others) {
  SmallVector<Chain> result;
  function.walk<WalkOrder::PreOrder>([&](scf::ForOp loop) {
    TurnLoop turn = turnLoop(loop, others);
    if (turn.loads.empty())
      return;
    if (result.empty() || !continues(turn, result.back().back()))
      result.emplace_back();
    result.back().push_back(turn);
  });
  for (Chain &chain : result) {
    bool whole = true;
    for (TurnLoop &turn : llvm::reverse(chain)) {
      for (TurnLoad &each : turn.loads)
        whole &= each.load->hasAttr(kWholeAttribute);
      turn.nextIsWhole = whole;
    }
  }
  return result;
}
