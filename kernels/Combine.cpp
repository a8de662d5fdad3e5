#include "kernels/Combine.h"

#include "kernels/KeyLoops.h"
#include "dialects/tile/Tile.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

#include <numbers>

using namespace mlir;
using namespace tenon;
using namespace tenon::kernels;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr uint32_t kRowsAdjacent = 1, kAnyStrides = 2; // layouts: see tile.load

class Combine {
public:
  Combine(ImplicitLocOpBuilder &builder, const CombinePlan &plan)
      : b(builder), plan_(plan), f32_(b.getF32Type()), rows_(RankedTensorType::get({plan.rows}, f32_)) {}

  void build();

private:
  struct Sums {
    Value weights, output; // Σ w_c, Σ w_c O_c
  };
  /// Of the output that a block combines.
  struct Columns {
    Value first; ///< null: all
    int64_t width, padded;
  };

  Value index(int64_t value) { return arith::ConstantOp::create(b, b.getI32IntegerAttr(value)); }
  Value filled(RankedTensorType type, float value) {
    return arith::ConstantOp::create(b, DenseElementsAttr::get(type, value));
  }
  Value tensor(uint32_t slot, Type element) {
    return tile::TensorOp::create(b, tile::TensorType::get(b.getContext(), element), slot);
  }
  Value outputs(uint32_t slot, Type element, const Columns &columns) {
    if (!columns.first)
      return tensor(slot, element);
    return tile::TensorOp::create(b, tile::TensorType::get(b.getContext(), element), b.getI32IntegerAttr(slot),
                                  columns.first, b.getI32IntegerAttr(plan_.width));
  }
  Value expand(Value rows, RankedTensorType type) { return tile::ExpandOp::create(b, type, rows); }
  Value isMinusInfinity(Value rows) {
    return arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, rows, filled(rows_, -kInfinity));
  }

  int64_t columnBlocks() const { return (plan_.width + plan_.columnsAtOnce - 1) / plan_.columnsAtOnce; }
  void findBlock();
  void combineColumns(const Columns &columns);
  void storeLogsumexp(Value weights);
  Value partial(Value tensor, RankedTensorType type, Value chunk, int64_t width, uint32_t layout, Value limit);
  Value referenceOf(Value chunk, Value limit) {
    return partial(tensor(plan_.partialSlot + 1, f32_), rows_, chunk, 1, kRowsAdjacent, limit);
  }
  void findReference();
  Sums sum(const Columns &columns);
  Sums addChunks(Value first, const Columns &columns, Sums sums);
  void store(Value value, Value tensor, int64_t width, uint32_t layout);

  ImplicitLocOpBuilder &b;
  const CombinePlan &plan_;
  Type f32_;
  RankedTensorType rows_;
  Value batch_, columnBlock_, head_, firstRow_, limit_, chunks_;
  Value maximum_, reference_; // L, and 0 where it is −∞
};

void Combine::build() {
  findBlock();
  findReference();
  if (!columnBlock_) {
    combineColumns({Value(), plan_.width, plan_.paddedWidth});
  } else {
    // One program for all blocks of columns but the last, where that has fewer.
    Value first = arith::MulIOp::create(b, columnBlock_, index(plan_.columnsAtOnce));
    int64_t whole = plan_.width / plan_.columnsAtOnce * plan_.columnsAtOnce;
    Columns full{first, plan_.columnsAtOnce, plan_.columnsAtOnce};
    if (whole == plan_.width) {
      combineColumns(full);
    } else {
      Value isFull = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, first, index(whole));
      auto branch = scf::IfOp::create(b, TypeRange(), isFull, /*withElseRegion=*/true);
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPoint(branch.thenBlock()->getTerminator());
      combineColumns(full);
      b.setInsertionPoint(branch.elseBlock()->getTerminator());
      combineColumns({first, plan_.width - whole, plan_.paddedWidth - whole});
    }
  }
  func::ReturnOp::create(b);
}

void Combine::combineColumns(const Columns &columns) {
  Sums sums = sum(columns);
  // output = Σ w_c O_c / Σ w_c, zero where nothing weighs
  Value nothing = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, sums.weights, filled(rows_, 0));
  Value divisor = arith::SelectOp::create(b, nothing, filled(rows_, 1), sums.weights);
  Value factor = arith::DivFOp::create(b, filled(rows_, 1), divisor);
  Value output =
      arith::MulFOp::create(b, sums.output, expand(factor, cast<RankedTensorType>(sums.output.getType())));
  store(output, outputs(plan_.outputSlot, plan_.output, columns), columns.width, kRowsAdjacent);
  if (plan_.logsumexp)
    storeLogsumexp(sums.weights);
}

// logsumexp = ln 2 · (L + log₂ Σ w_c), by one of the blocks that have it
void Combine::storeLogsumexp(Value weights) {
  OpBuilder::InsertionGuard guard(b);
  if (columnBlock_) {
    Value mine = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, columnBlock_, index(0));
    auto branch = scf::IfOp::create(b, TypeRange(), mine, /*withElseRegion=*/false);
    b.setInsertionPoint(branch.thenBlock()->getTerminator());
  }
  Value natural = filled(rows_, std::numbers::ln2_v<float>), log = math::Log2Op::create(b, weights);
  if (plan_.naturalScores)
    log = arith::MulFOp::create(b, log, natural);
  Value logsumexp = arith::AddFOp::create(b, maximum_, log);
  if (!plan_.naturalScores)
    logsumexp = arith::MulFOp::create(b, logsumexp, natural);
  store(logsumexp, tensor(plan_.logsumexpSlot, f32_), 1, kAnyStrides);
}

void Combine::findBlock() {
  Type i32 = b.getI32Type();
  auto size = [&](tile::Size of) -> Value { return tile::SizeOp::create(b, i32, of); };
  batch_ = tile::ProgramIdOp::create(b, i32, tile::Axis::z);
  Value y = tile::ProgramIdOp::create(b, i32, tile::Axis::y);
  if (int64_t blocks = columnBlocks(); blocks > 1) {
    columnBlock_ = arith::RemUIOp::create(b, y, index(blocks));
    y = arith::DivUIOp::create(b, y, index(blocks));
  }
  Value x = tile::ProgramIdOp::create(b, i32, tile::Axis::x);
  head_ = arith::MulIOp::create(b, y, index(plan_.packed));
  firstRow_ = arith::MulIOp::create(b, x, index(plan_.rows));
  limit_ = arith::MulIOp::create(b, size(tile::Size::query_length), index(plan_.packed));
  Value keys = size(tile::Size::key_length), ofChunk = keysOfChunk(b, keys, plan_.chunkKeys, plan_.mostChunks);
  Value beyond = arith::SubIOp::create(b, arith::AddIOp::create(b, keys, ofChunk), index(1));
  chunks_ = arith::DivUIOp::create(b, beyond, ofChunk);
}

Value Combine::partial(Value tensor, RankedTensorType type, Value chunk, int64_t width, uint32_t layout, Value limit) {
  Value before = arith::MulIOp::create(b, chunk, limit_);
  Value firstRow = arith::AddIOp::create(b, before, firstRow_);
  Value end = arith::AddIOp::create(b, before, limit);
  return tile::LoadOp::create(b, type, tensor, batch_, head_, firstRow, end, width, layout, plan_.packed);
}

void Combine::findReference() {
  auto loop =
      scf::ForOp::create(b, index(0), chunks_, index(plan_.chunksAtOnce), ValueRange{filled(rows_, -kInfinity)});
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    // Of a chunk that does not exist the last is read once more.
    Value last = arith::SubIOp::create(b, chunks_, index(1));
    SmallVector<Value, kCombineChunks> references;
    for (int64_t i = 0; i < plan_.chunksAtOnce; ++i) {
      Value chunk = arith::AddIOp::create(b, loop.getInductionVar(), index(i));
      if (i != 0)
        chunk = arith::MinSIOp::create(b, chunk, last);
      references.push_back(referenceOf(chunk, limit_));
    }
    Value maximum = loop.getRegionIterArg(0);
    for (Value each : references)
      maximum = arith::MaxNumFOp::create(b, maximum, each);
    scf::YieldOp::create(b, maximum);
  }
  maximum_ = loop.getResult(0);
  reference_ = arith::SelectOp::create(b, isMinusInfinity(maximum_), filled(rows_, 0), maximum_);
}

Combine::Sums Combine::sum(const Columns &columns) {
  auto type = RankedTensorType::get({plan_.rows, columns.padded}, f32_);
  auto loop = scf::ForOp::create(b, index(0), chunks_, index(plan_.chunksAtOnce),
                                 ValueRange{filled(rows_, 0), filled(type, 0)});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Sums sums =
      addChunks(loop.getInductionVar(), columns, {loop.getRegionIterArg(0), loop.getRegionIterArg(1)});
  scf::YieldOp::create(b, ValueRange{sums.weights, sums.output});
  return {loop.getResult(0), loop.getResult(1)};
}

// Loads first, then the sums in the order of the chunks. A chunk that does not exist has no rows, so that its
// output is 0 and nothing is read; its weight is made 0.
Combine::Sums Combine::addChunks(Value first, const Columns &columns, Sums sums) {
  auto type = cast<RankedTensorType>(sums.output.getType());
  SmallVector<Value, kCombineChunks> there(plan_.chunksAtOnce), reference(plan_.chunksAtOnce), output(plan_.chunksAtOnce),
      sum(plan_.chunksAtOnce);
  for (int64_t i = 0; i < plan_.chunksAtOnce; ++i) {
    Value chunk = arith::AddIOp::create(b, first, index(i));
    there[i] = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, chunk, chunks_);
    Value limit = arith::SelectOp::create(b, there[i], limit_, index(0));
    reference[i] = referenceOf(chunk, limit);
    sum[i] = partial(tensor(plan_.partialSlot + 2, f32_), rows_, chunk, 1, kRowsAdjacent, limit);
    output[i] = partial(outputs(plan_.partialSlot, f32_, columns), type, chunk, columns.width,
                        partialLayout(plan_.width), limit);
  }
  for (int64_t i = 0; i < plan_.chunksAtOnce; ++i) {
    Value below = arith::SubFOp::create(b, reference[i], reference_);
    if (plan_.naturalScores)
      below = arith::MulFOp::create(b, below, filled(rows_, std::numbers::log2e_v<float>));
    Value weight = math::Exp2Op::create(b, below);
    weight = arith::MulFOp::create(b, weight, sum[i]);
    Value exists = tile::SplatOp::create(b, rows_.clone(b.getI1Type()), there[i]);
    weight = arith::SelectOp::create(b, exists, weight, filled(rows_, 0));
    sums.weights = arith::AddFOp::create(b, sums.weights, weight);
    Value weighted = arith::MulFOp::create(b, output[i], expand(weight, type), arith::FastMathFlags::contract);
    sums.output = arith::AddFOp::create(b, sums.output, weighted, arith::FastMathFlags::contract);
  }
  return sums;
}

void Combine::store(Value value, Value tensor, int64_t width, uint32_t layout) {
  tile::StoreOp::create(b, value, tensor, batch_, head_, firstRow_, limit_, width, layout, plan_.packed);
}

} // namespace

func::FuncOp kernels::buildCombine(OpBuilder &builder, Location loc, const CombinePlan &plan) {
  auto kernel = func::FuncOp::create(builder, loc, "combine", builder.getFunctionType(TypeRange(), TypeRange()));
  kernel->setAttr("tile.kernel", builder.getUnitAttr());
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(kernel.addEntryBlock());
  ImplicitLocOpBuilder body(loc, builder);
  Combine(body, plan).build();
  return kernel;
}
