/// What is known of a tile by its indices, and what goes along its rows.
#include "compiler/gpu/ThreadProgram.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

// The lane and the warp decide these parts of an element's place (Layout.h): row lane / 4 of the warp's
// rows, column 2 (lane mod 4). The register decides the rest, which `Layout::element` gives.
Value ThreadProgram::rowOfThread() {
  return add(warpRow(), arith::ShRUIOp::create(builder_, lane_, i32(2)));
}
Value ThreadProgram::columnOfThread() {
  return multiply(arith::AndIOp::create(builder_, lane_, i32(3)), 2);
}

LogicalResult ThreadProgram::lowerIndex(IndexOp op) {
  Layout layout = layoutOf(op.getType());
  bool rows = op.getDirection() == Direction::rows;
  Value start = add(scalar(op.getStart()), rows ? rowOfThread() : columnOfThread());
  llvm::DenseMap<int, Value> known;
  Values values;
  for (int i = 0; i < layout.registers(); ++i) {
    Element element = layout.element({i, 0, 0});
    int place = rows ? element.row : element.column;
    Value &value = known[place];
    if (!value)
      value = add(start, place);
    values.push_back(value);
  }
  define(op, std::move(values));
  return success();
}

LogicalResult ThreadProgram::lowerSplat(SplatOp op) {
  define(op, Values(layoutOf(op.getType()).registers(), scalar(op.getSource())));
  return success();
}

LogicalResult ThreadProgram::lowerExpand(ExpandOp op) {
  Layout matrix = layoutOf(op.getType()), rows = layoutOf(op.getSource().getType());
  Values source = registers(op.getSource()), values;
  for (int i = 0; i < matrix.registers(); ++i)
    values.push_back(source[rows.find({matrix.element({i, 0, 0}).row, 0})->registerIndex]);
  define(op, std::move(values));
  return success();
}

/// Each lane over its own elements of a row, then, unless that is enough, over the four lanes that share it.
LogicalResult ThreadProgram::lowerReduce(ReduceOp op) {
  if (getElementTypeOrSelf(op.getSource().getType()) != getElementTypeOrSelf(op.getType()))
    return lowerSumOnTensorCores(op);
  Layout matrix = layoutOf(op.getSource().getType()), rows = layoutOf(op.getType());
  auto combine = [&](Value a, Value b) -> Value {
    if (op.getReduction() == Reduction::maximum)
      return arith::MaxNumFOp::create(builder_, a, b);
    return arith::AddFOp::create(builder_, a, b);
  };
  Values source = registers(op.getSource()), sums(rows.registers());
  for (int i = 0; i < matrix.registers(); ++i) {
    Value &sum = sums[rows.find({matrix.element({i, 0, 0}).row, 0})->registerIndex];
    sum = sum ? combine(sum, source[i]) : source[i];
  }
  if (op->hasAttr(kLaneAttribute)) {
    define(op, std::move(sums));
    return success();
  }
  Value everyone = i32(-1), clamp = i32(Layout::kLanes - 1);
  for (Value &sum : sums)
    for (int distance : {1, 2})
      sum = combine(sum, NVVM::ShflOp::create(builder_, sum.getType(), everyone, sum, i32(distance), clamp,
                                              NVVM::ShflKind::bfly, UnitAttr()));
  define(op, std::move(sums));
  return success();
}

/// In all lanes of the warp where in one.
LogicalResult ThreadProgram::lowerAny(AnyOp op) {
  Values flags = registers(op.getSource());
  Value mine = flags.front();
  for (Value flag : ArrayRef(flags).drop_front())
    mine = arith::OrIOp::create(builder_, mine, flag);
  scalars_[op] = NVVM::VoteSyncOp::create(builder_, builder_.getI1Type(), i32(-1), mine, NVVM::VoteSyncKind::any);
  return success();
}
