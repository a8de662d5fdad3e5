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

/// Each lane over its own elements of a row, then over the four lanes that share it.
LogicalResult ThreadProgram::lowerReduce(ReduceOp op) {
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
  Value everyone = i32(-1), clamp = i32(Layout::kLanes - 1);
  for (Value &sum : sums)
    for (int distance : {1, 2})
      sum = combine(sum, NVVM::ShflOp::create(builder_, sum.getType(), everyone, sum, i32(distance), clamp,
                                              NVVM::ShflKind::bfly, UnitAttr()));
  define(op, std::move(sums));
  return success();
}

namespace {

// Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
constexpr int kRounds = 10;
constexpr uint32_t kMultipliers[2] = {0xD2511F53, 0xCD9E8D57};
constexpr uint32_t kKeySteps[2] = {0x9E3779B9, 0xBB67AE85};
constexpr int kColumnsOfCall = 32; // that share a call among four lanes

} // namespace

/// One call gives a lane the eight numbers of its columns 8j + 2t + {0, 1}, j = 0 … 3, of 32: number
/// 2j + {0, 1}, the halves of word j.
LogicalResult ThreadProgram::lowerRandom(RandomOp op) {
  Type word = builder_.getI32Type();
  auto constant = [&](uint32_t value) { return i32(static_cast<int32_t>(value)); };
  Value seed = scalar(op.getSeed());
  Value keys[2] = {
      arith::TruncIOp::create(builder_, word, seed),
      arith::TruncIOp::create(builder_, word, arith::ShRUIOp::create(builder_, seed, i64(32)))};
  Value row = add(scalar(op.getRow()), rowOfThread());
  Value group = arith::ShRUIOp::create(builder_, scalar(op.getColumn()), i32(5));
  Value second = add(multiply(group, 4), arith::AndIOp::create(builder_, lane_, i32(3)));

  auto call = [&](int rowInThread, int groupInTile) {
    Value counter[4] = {add(row, rowInThread), add(second, 4 * groupInTile), scalar(op.getStream()),
                        scalar(op.getOffset())};
    for (uint32_t round = 0; round < kRounds; ++round) {
      auto a = arith::MulUIExtendedOp::create(builder_, counter[0], constant(kMultipliers[0]));
      auto b = arith::MulUIExtendedOp::create(builder_, counter[2], constant(kMultipliers[1]));
      auto mix = [&](Value high, Value other, int k) -> Value {
        Value key = add(keys[k], constant(round * kKeySteps[k]));
        return arith::XOrIOp::create(builder_, arith::XOrIOp::create(builder_, high, other), key);
      };
      Value first = mix(b.getHigh(), counter[1], 0), third = mix(a.getHigh(), counter[3], 1);
      counter[0] = first, counter[1] = b.getLow(), counter[2] = third, counter[3] = a.getLow();
    }
    return Values(counter, counter + 4);
  };
  Layout layout = layoutOf(op.getType());
  llvm::DenseMap<std::pair<int, int>, Values> calls;
  Values values;
  for (int i = 0; i < layout.registers(); ++i) {
    Element element = layout.element({i, 0, 0});
    Values &words = calls[{element.row, element.column / kColumnsOfCall}];
    if (words.empty())
      words = call(element.row, element.column / kColumnsOfCall);
    Value number = words[element.column % kColumnsOfCall / 8];
    values.push_back(element.column % 2 == 0
                         ? Value(arith::AndIOp::create(builder_, number, i32(0xFFFF)))
                         : Value(arith::ShRUIOp::create(builder_, number, i32(16))));
  }
  define(op, std::move(values));
  return success();
}
