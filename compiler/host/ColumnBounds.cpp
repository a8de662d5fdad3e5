// Columns of a tile of scores that a mask hides from its end on: behind the last key, and, where a row sees keys up to
// its own place, behind that of the last row. No one needs them, so loops over columns and products end there:
//
//     mask = c < n                 hides the columns from n - first on from all rows
//     mask = r >= c, or c <= r     hides those behind row r: each vector of rows has an end of its own
//     mask = a & b                 whichever ends first
//
//     x = select(mask, s, -inf)    exp2(x - m), truncf, select(keep, p, 0): -inf or 0 from the end on
#include "compiler/host/BlockProgram.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

// The mask beside which a tile is -inf, or 0 where `zeros`; null where there is none.
Value BlockProgram::hidingMask(Value tile, bool zeros) {
  Operation *op = tile.getDefiningOp();
  if (auto select = dyn_cast_or_null<arith::SelectOp>(op)) {
    if (zeros)
      return matchPattern(select.getFalseValue(), m_AnyZeroFloat()) ? hidingMask(select.getTrueValue(), true) : Value();
    return matchPattern(select.getFalseValue(), m_NegInfFloat()) ? select.getCondition() : Value();
  }
  if (auto rounded = dyn_cast_or_null<arith::TruncFOp>(op))
    return zeros ? hidingMask(rounded.getIn(), true) : Value();
  if (auto power = dyn_cast_or_null<math::Exp2Op>(op))
    return zeros ? hidingMask(power.getOperand(), false) : Value();
  if (auto difference = dyn_cast_or_null<arith::SubFOp>(op))
    return !zeros && difference.getRhs().getDefiningOp<ExpandOp>() ? hidingMask(difference.getLhs(), false) : Value();
  if (auto branch = dyn_cast_or_null<scf::IfOp>(op)) { // whichever it was, the same mask hides it
    unsigned number = cast<OpResult>(tile).getResultNumber();
    Value mask = hidingMask(branch.thenYield().getOperand(number), zeros);
    return mask && mask == hidingMask(branch.elseYield().getOperand(number), zeros) ? mask : Value();
  }
  return {};
}

// Whether all that is made of a tile ends in reductions and products that know the mask's columns to be -inf or 0.
bool BlockProgram::isReadWithin(Value tile, Value mask) {
  llvm::SetVector<Value> made; // each once: expressions share their parts
  made.insert(tile);
  for (size_t i = 0; i < made.size(); ++i) {
    Value value = made[i];
    bool within = llvm::all_of(value.getUses(), [&](OpOperand &use) {
      Operation *user = use.getOwner();
      auto branch = isa<scf::YieldOp>(user) ? dyn_cast<scf::IfOp>(user->getParentOp()) : scf::IfOp();
      if (branch && (branch->getBlock() == value.getParentBlock() || user->getBlock() == value.getParentBlock())) {
        made.insert(branch.getResult(use.getOperandNumber()));
        return true;
      }
      if (user->getBlock() != value.getParentBlock())
        return false;
      if (auto reduce = dyn_cast<ReduceOp>(user))
        return hidingMask(value, reduce.getReduction() == Reduction::sum) == mask;
      if (isa<DotOp>(user))
        return use.getOperandNumber() == 0 && hidingMask(value, true) == mask;
      if (isElementwise(user))
        made.insert(user->getResult(0));
      return isElementwise(user);
    });
    if (!within)
      return false;
  }
  return true;
}

// The mask that all readers of a tile of scores apply; null where there is none.
Value BlockProgram::maskOfReaders(Value tile) {
  Value mask;
  for (Value next = tile; !mask && !next.use_empty();) {
    Operation *user = *next.getUsers().begin();
    if (!isElementwise(user))
      return {};
    next = user->getResult(0);
    mask = hidingMask(next, false);
  }
  return mask && isReadWithin(tile, mask) ? mask : Value();
}

// Where `columns < limit` ends: `limit` with its predicate, of a comparison of the tile's columns; null for others.
static std::pair<Value, bool> matchLimit(arith::CmpIOp compare, IndexOp &columns) {
  using Predicate = arith::CmpIPredicate;
  auto asColumns = [](Value value) {
    auto index = value.getDefiningOp<IndexOp>();
    return index && index.getDirection() == Direction::columns ? index : IndexOp();
  };
  Predicate predicate = compare.getPredicate();
  if ((columns = asColumns(compare.getLhs())) && (predicate == Predicate::slt || predicate == Predicate::sle))
    return {compare.getRhs(), predicate == Predicate::sle};
  if ((columns = asColumns(compare.getRhs())) && (predicate == Predicate::sgt || predicate == Predicate::sge))
    return {compare.getLhs(), predicate == Predicate::sge};
  return {};
}

std::optional<ColumnBounds> BlockProgram::boundsOfMask(Value mask, RankedTensorType tile) {
  llvm::SetVector<Value> parts; // of a conjunction, each once
  parts.insert(mask);
  std::optional<ColumnBounds> bounds;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (auto both = parts[i].getDefiningOp<arith::AndIOp>()) {
      parts.insert(both.getLhs());
      parts.insert(both.getRhs());
      continue;
    }
    std::optional<ColumnBounds> part = boundsOfComparison(parts[i], tile);
    if (!part || !bounds) {
      bounds = part ? part : bounds;
      continue;
    }
    if (bounds->ofVector.empty())
      std::swap(bounds, part);
    bounds->end = minimum(bounds->end, part->end);
    for (auto [vector, end] : llvm::enumerate(bounds->ofVector))
      end = minimum(end, part->ofVector.empty() ? part->end : part->ofVector[vector]);
  }
  return bounds;
}

std::optional<ColumnBounds> BlockProgram::boundsOfComparison(Value mask, RankedTensorType tile) {
  auto compare = mask.getDefiningOp<arith::CmpIOp>();
  IndexOp columns;
  auto [limit, inclusive] = compare ? matchLimit(compare, columns) : std::pair<Value, bool>();
  if (!limit)
    return std::nullopt;
  Value start = widen(scalars_.lookup(columns.getStart()));
  auto endAt = [&](Value last) { // even, since columns may lie in pairs
    Value end = builder_.createOrFold<arith::SubIOp>(widen(last), start);
    end = add(end, i64(inclusive ? 2 : 1));
    end = clamp(end, i64(0), i64(tile.getDimSize(1)));
    return Value(arith::AndIOp::create(builder_, end, i64(~int64_t{1})));
  };
  if (auto splat = limit.getDefiningOp<SplatOp>())
    return ColumnBounds{{}, endAt(scalars_.lookup(splat.getSource())), {}};
  auto expand = limit.getDefiningOp<ExpandOp>();
  auto rows = expand ? vectors_.find(expand.getSource()) : vectors_.end();
  if (rows == vectors_.end())
    return std::nullopt;
  ColumnBounds bounds;
  for (Value vector : rows->second) {
    Value last = LLVM::vector_reduce_smax::create(builder_, builder_.getI32Type(), vector);
    bounds.ofVector.push_back(endAt(last));
    bounds.end = bounds.end ? Value(arith::MaxSIOp::create(builder_, bounds.end, bounds.ofVector.back()))
                            : bounds.ofVector.back();
  }
  return bounds;
}

// The columns before which such comparisons hide nothing, i64; null where there is another part. Where a comparison of a
// row's own place decides, that is the place of the first row.
Value BlockProgram::openColumnsOf(Value mask, RankedTensorType tile) {
  if (auto both = mask.getDefiningOp<arith::AndIOp>()) {
    Value left = openColumnsOf(both.getLhs(), tile), right = openColumnsOf(both.getRhs(), tile);
    return left && right ? minimum(left, right) : Value();
  }
  auto compare = mask.getDefiningOp<arith::CmpIOp>();
  IndexOp columns;
  auto [limit, inclusive] = compare ? matchLimit(compare, columns) : std::pair<Value, bool>();
  if (!limit)
    return {};
  Value last;
  if (auto splat = limit.getDefiningOp<SplatOp>()) {
    last = widen(scalars_.lookup(splat.getSource()));
  } else {
    auto expand = limit.getDefiningOp<ExpandOp>();
    auto rows = expand ? vectors_.find(expand.getSource()) : vectors_.end();
    if (rows == vectors_.end())
      return {};
    for (Value vector : rows->second) {
      Value least = widen(LLVM::vector_reduce_smin::create(builder_, builder_.getI32Type(), vector));
      last = last ? minimum(last, least) : least;
    }
  }
  Value open = builder_.createOrFold<arith::SubIOp>(last, widen(scalars_.lookup(columns.getStart())));
  return clamp(add(open, i64(inclusive ? 1 : 0)), i64(0), i64(tile.getDimSize(1)));
}

// Bounds of a tile by the mask that hides the rest, or null where its readers need all of it.
std::optional<ColumnBounds> BlockProgram::boundsOf(Value tile) {
  if (isLeftOut(kernel_, Effect::kBoundedColumns))
    return std::nullopt;
  Value mask = hidingMask(tile, false);
  if (!mask)
    mask = hidingMask(tile, true);
  if (!mask)
    mask = maskOfReaders(tile);
  if (!mask)
    return std::nullopt;
  auto key = std::pair(mask, block_);
  if (auto known = columnBounds_.find(key); known != columnBounds_.end())
    return known->second.end ? std::optional(known->second) : std::nullopt;
  auto bounds = boundsOfMask(mask, cast<RankedTensorType>(tile.getType()));
  ColumnBounds &kept = columnBounds_[key];
  if (!bounds)
    return std::nullopt;
  bounds->mask = mask;
  kept = *bounds;
  return bounds;
}

// Columns of the scores of a product.
void BlockProgram::boundColumns(DotOp op, Product &product) {
  auto bounds = boundsOf(op.getResult());
  if (!bounds || !isReadWithin(op.getResult(), bounds->mask))
    return;
  product.bounded = true;
  product.columnCount = minimum(product.columnCount, bounds->end);
  for (Value end : bounds->ofVector)
    product.ends.push_back(minimum(product.columnCount, end));
}

// Terms of a product with probabilities, two a word where they lie in pairs; of values read in memory the rows there.
void BlockProgram::boundTerms(DotOp op, Product &product) {
  auto bounds = hidingMask(op.getA(), true) ? boundsOf(op.getA()) : std::nullopt;
  if (!bounds)
    return;
  product.endsOfTerms = true;
  auto terms = [&](Value columns) {
    if (product.pairs && !product.stored)
      columns = arith::ShRUIOp::create(builder_, columns, i64(1));
    return minimum(product.innerCount, columns);
  };
  for (Value end : bounds->ofVector)
    product.ends.push_back(terms(end));
  product.innerCount = terms(bounds->end);
}

// Where the columns end that someone reads.
Value BlockProgram::columnEnd(Value tile, ArrayRef<Stored> stored) {
  Value all = i64(cast<RankedTensorType>(tile.getType()).getDimSize(1));
  auto bounds = boundsOf(tile);
  bool hides = bounds && (hidingMask(tile, false) || hidingMask(tile, true));
  return hides && isReadWithin(tile, bounds->mask) && llvm::all_of(stored, [&](const Stored &store) {
           return isReadWithin(store.tile, bounds->mask);
         }) ? bounds->end : all;
}
