#include "compiler/attention/FuseAttention.h"

#include "compiler/attention/KernelSignature.h"
#include "compiler/attention/PassOrder.h"
#include "compiler/attention/Refusal.h"
#include "compiler/attention/ScalarExpressions.h"
#include "dialects/attention/Attention.h"

#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include <cmath>

using namespace mlir;
using namespace tenon;
using namespace tenon::attention;

namespace tenon {
#define GEN_PASS_DEF_FUSEATTENTION
#include "compiler/attention/FuseAttention.h.inc"
} // namespace tenon

namespace {

bool isMinusInfinity(Value value) { return realConstant(value) == -INFINITY; }
bool isPositive(Value value) {
  std::optional<float> constant = realConstant(value);
  return constant && *constant > 0 && std::isfinite(*constant);
}

// Of what makes the scores. Code generators take time that grows faster than the length of a block.
constexpr size_t kMostOperations = 500;

// One element of a value of the graph, as code of a region. Where `visible` stands, it is
// visible ? value : -inf, and the condition does not depend on the product.
struct Element {
  Value value, visible = {};
  bool ofProduct = false;
};

/// Turns the expression between the two products into scalar code over (score, batch, head, query, key).
class ScoreExpression {
public:
  ScoreExpression(Block &block, Location loc) : b(loc, loc->getContext()), block_(block) {
    b.setInsertionPointToEnd(&block);
  }

  /// Its operands must have been imported before. Gives the reason if it cannot be.
  std::optional<std::string> import(Operation *op);
  void importProduct(Value product) { elements_[product] = {block_.getArgument(0), {}, true}; }
  Element element(Value value);

private:
  Value argument(int number) { return block_.getArgument(1 + number); } // batch, head, query, key
  Value minusInfinity() { return arith::ConstantOp::create(b, b.getF32FloatAttr(-INFINITY)); }
  Value both(Value a, Value c) { return a && c ? Value(arith::AndIOp::create(b, a, c)) : a ? a : c; }
  Value whole(const Element &x) {
    return x.visible ? Value(arith::SelectOp::create(b, x.visible, x.value, minusInfinity())) : x.value;
  }
  Value elementOf(Value tensor, ValueRange indices) {
    return ElementOp::create(b, getElementTypeOrSelf(tensor), tensor, indices);
  }
  std::optional<Element> masked(Operation *op);
  Element generic(Operation *op);
  Value special(Operation *op);

  ImplicitLocOpBuilder b;
  Block &block_;
  llvm::DenseMap<Value, Element> elements_;
};

// Of an input: its element at [batch, head, query, key]; a scalar is named directly.
Element ScoreExpression::element(Value value) {
  auto [place, isNew] = elements_.try_emplace(value);
  if (isNew)
    place->second.value = isTensor(value.getType())
                              ? elementOf(value, block_.getArguments().drop_front())
                              : value;
  return place->second;
}

// Selections of -inf along sums and positive scales: what is kept apart of a mask.
std::optional<Element> ScoreExpression::masked(Operation *op) {
  if (auto where = dyn_cast<WhereOp>(op)) {
    Element condition = element(where.getMask());
    bool second = isMinusInfinity(where.getB());
    if (condition.ofProduct || (!second && !isMinusInfinity(where.getA())))
      return std::nullopt;
    Element kept = element(second ? where.getA() : where.getB());
    // where(c, x, -inf): visible where c.  where(c, -inf, x): visible where not c.
    Value visible = condition.value;
    if (!second)
      visible = arith::XOrIOp::create(b, visible, arith::ConstantOp::create(b, b.getBoolAttr(true)));
    return Element{kept.value, both(kept.visible, visible), kept.ofProduct};
  }
  if (op->getNumOperands() != 2 || !isa<AddOp, SubtractOp, MultiplyOp>(op))
    return std::nullopt;
  Element x = element(op->getOperand(0)), y = element(op->getOperand(1));
  if (!x.visible && !y.visible)
    return std::nullopt;
  Element result{{}, both(x.visible, y.visible), x.ofProduct || y.ofProduct};
  if (isa<AddOp>(op)) {
    // where(c, 0, -inf) + x is a mask alone.
    bool onlyMask = y.visible && matchPattern(y.value, m_AnyZeroFloat());
    result.value = onlyMask ? x.value : buildScalar(b, op, {x.value, y.value});
  } else if (isa<SubtractOp>(op) && !y.visible) {
    result.value = buildScalar(b, op, {x.value, y.value});
  } else if (isa<MultiplyOp>(op) && isPositive(op->getOperand(y.visible ? 0 : 1))) {
    result.value = buildScalar(b, op, {x.value, y.value});
  } else {
    return std::nullopt;
  }
  return result;
}

// Indices, lengths, constants, and elements of tables: what reads no operand element by element.
Value ScoreExpression::special(Operation *op) {
  if (auto constant = dyn_cast<ConstantOp>(op))
    return arith::ConstantOp::create(b, constant.getValue());
  if (isa<QueryLengthOp, KeyLengthOp>(op))
    return b.clone(*op)->getResult(0);
  StringRef order[] = {BatchIndexOp::getOperationName(), HeadIndexOp::getOperationName(),
                       QueryIndexOp::getOperationName(), KeyIndexOp::getOperationName()};
  for (auto [number, name] : llvm::enumerate(order))
    if (op->getName().getStringRef() == name)
      return argument(number);
  return {};
}

Element ScoreExpression::generic(Operation *op) {
  Element result;
  SmallVector<Value> operands;
  bool isLoad = isa<LoadOp>(op);
  for (Value operand : op->getOperands().drop_front(isLoad ? 1 : 0)) {
    Element x = element(operand);
    result.ofProduct |= x.ofProduct;
    operands.push_back(whole(x));
  }
  result.value = isLoad ? elementOf(op->getOperand(0), operands) : buildScalar(b, op, operands);
  return result;
}

std::optional<std::string> ScoreExpression::import(Operation *op) {
  Value result = op->getResult(0);
  if (Value value = special(op)) {
    elements_[result] = {value};
  } else if (auto transpose = dyn_cast<TransposeOp>(op)) {
    if (!isa<BlockArgument>(transpose.getOperand()))
      return "a computed value is transposed between the products; only inputs can be";
    elements_[result] = {elementOf(transpose.getOperand(), {argument(0), argument(1), argument(3), argument(2)})};
  } else if (std::optional<Element> pulled = masked(op)) {
    elements_[result] = *pulled;
  } else {
    Element element = generic(op);
    if (!element.value)
      return ("an " + op->getName().getStringRef() +
              " stands between the two products, where only element-wise operations fuse").str();
    elements_[result] = element;
  }
  return std::nullopt;
}

/// matmul(dropout?(softmax(E(matmul(query, transpose(key))))), value) => attention.fused
struct FuseProducts : OpRewritePattern<MatmulOp> {
  FuseProducts(MLIRContext *context, SmallVectorImpl<std::string> &reasons)
      : OpRewritePattern(context), reasons_(reasons) {}

  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override;

private:
  struct Match {
    DropoutOp dropout;
    SoftmaxOp softmax;
    MatmulOp product;
    TransposeOp transposedKey;
    LogsumexpOp logsumexp;
    SmallVector<Operation *> expression; // in the order of the function
  };
  std::optional<std::string> match(MatmulOp op, Match &found) const;
  std::optional<std::string> collectExpression(Match &found) const;
  std::optional<std::string> matchInputs(MatmulOp op, Match &found) const;
  std::optional<std::string> fuse(MatmulOp op, Match &found, PatternRewriter &rewriter) const;

  SmallVectorImpl<std::string> &reasons_;
};

std::optional<std::string> FuseProducts::collectExpression(Match &found) const {
  llvm::SetVector<Operation *> operations;
  auto visit = [&](Value value) {
    if (Operation *op = value.getDefiningOp())
      operations.insert(op);
  };
  visit(found.softmax.getOperand());
  for (size_t i = 0; i < operations.size(); ++i) {
    Operation *op = operations[i];
    if (auto product = dyn_cast<MatmulOp>(op)) {
      if (found.product)
        return "the softmax's operand holds two products; only one of query and key fuses";
      found.product = product;
    } else {
      llvm::for_each(op->getOperands(), visit);
    }
  }
  if (!found.product)
    return "the softmax's operand holds no product of query and key";
  if (operations.size() > kMostOperations)
    return "the scores take " + std::to_string(operations.size()) + " operations, constants included; up to " +
           std::to_string(kMostOperations) + " fuse";
  found.expression = operations.takeVector();
  llvm::sort(found.expression, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  return std::nullopt;
}

std::optional<std::string> FuseProducts::matchInputs(MatmulOp op, Match &found) const {
  found.transposedKey = found.product.getB().getDefiningOp<TransposeOp>();
  if (!found.transposedKey)
    return "the first product's right operand is not transpose(key): the kernel reads the key as [batch, "
           "heads, keys, width]";
  std::pair<StringRef, Value> inputs[] = {{"query", found.product.getA()},
                                          {"key", found.transposedKey.getOperand()},
                                          {"value", op.getB()}};
  for (auto [name, value] : inputs)
    if (!isa<BlockArgument>(value))
      return ("the " + name + " is computed by " + value.getDefiningOp()->getName().getStringRef() +
              " in the graph; the kernel reads it from memory").str();
  return std::nullopt;
}

// What stands between a softmax, perhaps dropped, and `value`, next to the softmax; null where there is none of them.
Operation *userOfSoftmax(Value value, llvm::SmallPtrSetImpl<Operation *> &seen) {
  Operation *op = value.getDefiningOp();
  if (!op || isa<MatmulOp, SoftmaxOp>(op) || !seen.insert(op).second)
    return nullptr;
  for (Value operand : op->getOperands()) {
    Value probabilities = operand;
    if (auto dropout = operand.getDefiningOp<DropoutOp>())
      probabilities = dropout.getOperand();
    if (probabilities.getDefiningOp<SoftmaxOp>())
      return op;
    if (Operation *user = userOfSoftmax(operand, seen))
      return user;
  }
  return nullptr;
}

std::optional<std::string> FuseProducts::match(MatmulOp op, Match &found) const {
  Value probabilities = op.getA();
  found.dropout = probabilities.getDefiningOp<DropoutOp>();
  if (found.dropout)
    probabilities = found.dropout.getOperand();
  found.softmax = probabilities.getDefiningOp<SoftmaxOp>();
  if (!found.softmax) {
    llvm::SmallPtrSet<Operation *, 8> seen;
    Operation *user = userOfSoftmax(probabilities, seen);
    return user ? ("an " + user->getName().getStringRef() +
                   " stands between the softmax and the second product, where dropout fuses, and after it factors that "
                   "are one number for the whole launch; before the softmax any element-wise expression does").str()
                : std::string();
  }
  if (!probabilities.hasOneUse() || (found.dropout && !found.dropout->hasOneUse()))
    return "the softmax's result is used by something other than the second product";
  if (auto reason = collectExpression(found))
    return reason;
  if (auto reason = matchInputs(op, found))
    return reason;
  for (Operation *user : found.softmax.getOperand().getUsers()) {
    if (auto logsumexp = dyn_cast<LogsumexpOp>(user))
      found.logsumexp = logsumexp;
    else if (user != found.softmax)
      return "the scores are used by something other than the softmax and a logsumexp";
  }
  return std::nullopt;
}

void eraseDead(Block &block) {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
    if (isOpTriviallyDead(&op))
      op.erase();
}

std::optional<std::string> FuseProducts::fuse(MatmulOp op, Match &found, PatternRewriter &rewriter) const {
  Location loc = op.getLoc();
  Region scratch;
  Type real = rewriter.getF32Type(), index = rewriter.getI32Type();
  Block &block = scratch.emplaceBlock();
  block.addArguments({real, index, index, index, index}, SmallVector<Location>(5, loc));
  ScoreExpression expression(block, loc);
  expression.importProduct(found.product.getResult());
  for (Operation *step : found.expression)
    if (step != found.product)
      if (auto reason = expression.import(step))
        return reason;
  Element score = expression.element(found.softmax.getOperand());

  auto fused = FusedOp::create(rewriter, loc, op.getType(), found.logsumexp ? op.getType() : Type(),
                               found.product.getA(), found.transposedKey.getOperand(), op.getB(),
                               found.dropout ? found.dropout.getProbability() : Value());
  ImplicitLocOpBuilder end(loc, rewriter.getContext());
  end.setInsertionPointToEnd(&block);
  Value visible = score.visible;
  if (!visible)
    visible = arith::ConstantOp::create(end, end.getBoolAttr(true));
  IRMapping mapping;
  scratch.cloneInto(&fused.getMask(), mapping);
  Block &mask = fused.getMask().front();
  end.setInsertionPointToEnd(&mask);
  YieldOp::create(end, mapping.lookup(visible));
  eraseDead(mask);
  mask.eraseArgument(0);
  end.setInsertionPointToEnd(&block);
  YieldOp::create(end, score.value);
  eraseDead(block);
  fused.getScore().takeBody(scratch);

  rewriter.replaceOp(op, fused.getOutput());
  if (found.logsumexp)
    rewriter.replaceOp(found.logsumexp, fused.getLogsumexp());
  return std::nullopt;
}

LogicalResult FuseProducts::matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const {
  Match found;
  std::optional<std::string> reason = match(op, found);
  if (!reason) {
    rewriter.setInsertionPoint(op);
    reason = fuse(op, found, rewriter);
  }
  if (!reason)
    return success();
  if (!reason->empty())
    reasons_.push_back(*reason);
  return rewriter.notifyMatchFailure(op, reason->empty() ? "the left operand is no softmax" : *reason);
}

struct FuseAttention : tenon::impl::FuseAttentionBase<FuseAttention> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isDeclaration())
      return;
    if (failed(checkOrder(function, getArgument(), Form::kGraph, Form::kScheduled)))
      return signalPassFailure();
    SmallVector<std::string> reasons;
    FuseProducts pattern(&getContext(), reasons);
    PatternRewriter rewriter(&getContext());
    SmallVector<MatmulOp> products(function.getOps<MatmulOp>());
    for (MatmulOp product : products)
      (void)pattern.matchAndRewrite(product, rewriter);
    for (Block &block : function.getBody())
      eraseDead(block);
    for (const std::string &reason : reasons)
      (void)refuse(function, "fuse", reason);
    if (!reasons.empty() || failed(checkFused(function)))
      signalPassFailure();
  }

private:
  LogicalResult checkFused(func::FuncOp function);
};

// The kernel stores the fused operation's results, the output scaled, and nothing else.
LogicalResult FuseAttention::checkFused(func::FuncOp function) {
  auto fused = llvm::to_vector(function.getOps<FusedOp>());
  if (fused.empty())
    return refuse(function, "fuse", "no product of a softmax with values was found");
  if (fused.size() > 1)
    return refuse(fused[1], "fuse", "the graph holds more than one attention; a kernel computes one");
  Value output = scaledOutput(fused[0]).value;
  llvm::SmallDenseSet<Operation *> inKernel{fused[0]};
  for (Operation *op = output.getDefiningOp(); op != fused[0]; op = op->getOperand(0).getDefiningOp())
    inKernel.insert(op);
  for (Operation &op : function.getBody().front())
    for (Value result : op.getResults())
      if (isTensor(result.getType()) && !inKernel.contains(&op))
        return refuse(&op, "fuse", op.getName().getStringRef() +
                                       " is outside the fused attention: of what follows the second product, a "
                                       "factor that is one number for the whole launch fuses, and nothing else");
  Operation *terminator = function.getBody().front().getTerminator();
  llvm::SmallDenseSet<Value> returned;
  for (Value result : terminator->getOperands())
    if ((result != output && result != fused[0].getLogsumexp()) || !returned.insert(result).second)
      return refuse(terminator, "fuse", "each result must be the output or the logsumexp, once");
  if (!returned.contains(output))
    return refuse(terminator, "fuse", "the output is not among the results");
  return success();
}

} // namespace
