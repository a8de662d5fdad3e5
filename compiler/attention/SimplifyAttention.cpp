#include "compiler/attention/SimplifyAttention.h"

#include "compiler/attention/PassOrder.h"
#include "compiler/attention/ScalarExpressions.h"
#include "dialects/attention/Attention.h"

#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::attention;

namespace tenon {
#define GEN_PASS_DEF_SIMPLIFYATTENTION
#include "compiler/attention/SimplifyAttention.h.inc"
} // namespace tenon

namespace {

// f(constant, …) => constant
struct FoldConstants : OpTraitRewritePattern<Elementwise> {
  using OpTraitRewritePattern::OpTraitRewritePattern;
  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    SmallVector<Attribute> operands;
    for (Value operand : op->getOperands()) {
      operands.emplace_back();
      if (!matchPattern(operand, m_Constant(&operands.back())))
        return rewriter.notifyMatchFailure(op, "an operand is no constant");
    }
    TypedAttr value = evaluateConstants(op, operands);
    if (!value)
      return rewriter.notifyMatchFailure(op, "the operation has no constant value");
    rewriter.replaceOpWithNewOp<ConstantOp>(op, value);
    return success();
  }
};

// multiply(c, x) => multiply(x, c): what follows looks for scalars on the right
struct ScalarToTheRight : OpRewritePattern<MultiplyOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MultiplyOp op, PatternRewriter &rewriter) const override {
    if (isTensor(op.getA().getType()) || !isTensor(op.getB().getType()))
      return rewriter.notifyMatchFailure(op, "the left operand is no scalar beside a tensor");
    rewriter.replaceOpWithNewOp<MultiplyOp>(op, op.getType(), op.getB(), op.getA());
    return success();
  }
};

// divide(x, c) => multiply(x, 1 / c)
struct DivideByConstant : OpRewritePattern<DivideOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(DivideOp op, PatternRewriter &rewriter) const override {
    std::optional<float> divisor = realConstant(op.getB());
    if (!divisor || !std::isnormal(1 / *divisor))
      return rewriter.notifyMatchFailure(op, "the divisor has no normal reciprocal that is known");
    Value factor = ConstantOp::create(rewriter, op.getLoc(), rewriter.getF32FloatAttr(1 / *divisor));
    rewriter.replaceOpWithNewOp<MultiplyOp>(op, op.getType(), op.getA(), factor);
    return success();
  }
};

// multiply(x, 1) => x;  multiply(multiply(x, c), d) => multiply(x, c d)
struct MergeScales : OpRewritePattern<MultiplyOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MultiplyOp op, PatternRewriter &rewriter) const override {
    std::optional<float> outer = realConstant(op.getB());
    if (!outer)
      return rewriter.notifyMatchFailure(op, "the factor is no constant");
    if (*outer == 1.0f && op.getA().getType() == op.getType()) {
      rewriter.replaceOp(op, op.getA());
      return success();
    }
    auto inner = op.getA().getDefiningOp<MultiplyOp>();
    std::optional<float> factor = inner ? realConstant(inner.getB()) : std::nullopt;
    if (!factor || !std::isnormal(*factor * *outer))
      return rewriter.notifyMatchFailure(op, "there is no other scale, or their product is not normal");
    Value merged =
        ConstantOp::create(rewriter, op.getLoc(), rewriter.getF32FloatAttr(*factor * *outer));
    rewriter.replaceOpWithNewOp<MultiplyOp>(op, op.getType(), inner.getA(), merged);
    return success();
  }
};

// The scale s of x = multiply(y, s), with s one for the whole launch.
Value scaleOf(Value value) {
  auto scaled = value.getDefiningOp<MultiplyOp>();
  return scaled && scaled.getB().getType().isF32() ? scaled.getB() : Value();
}
Value unscaled(Value value) {
  return scaleOf(value) ? value.getDefiningOp<MultiplyOp>().getA() : value;
}

// transpose(multiply(x, s)) => multiply(transpose(x), s)
struct ScaleOutOfTranspose : OpRewritePattern<TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(TransposeOp op, PatternRewriter &rewriter) const override {
    Value scale = scaleOf(op.getOperand());
    if (!scale)
      return rewriter.notifyMatchFailure(op, "what is transposed is not scaled");
    Value inner = TransposeOp::create(rewriter, op.getLoc(), op.getType(), unscaled(op.getOperand()));
    rewriter.replaceOpWithNewOp<MultiplyOp>(op, op.getType(), inner, scale);
    return success();
  }
};

// matmul(multiply(a, s), b) => multiply(matmul(a, b), s), and likewise for b: the scores are scaled, not
// what is read from memory; of the product with the values, the result.
struct ScaleOutOfMatmul : OpRewritePattern<MatmulOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    Value left = scaleOf(op.getA()), right = scaleOf(op.getB());
    if (!left && !right)
      return rewriter.notifyMatchFailure(op, "no operand is scaled");
    Value result = MatmulOp::create(rewriter, op.getLoc(), op.getType(), unscaled(op.getA()),
                                    unscaled(op.getB()));
    for (Value scale : {left, right})
      if (scale)
        result = MultiplyOp::create(rewriter, op.getLoc(), op.getType(), result, scale);
    rewriter.replaceOp(op, result);
    return success();
  }
};

// dropout(multiply(x, s), p) => multiply(dropout(x, p), s): what is dropped is 0 either way, s being finite
struct ScaleOutOfDropout : OpRewritePattern<DropoutOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(DropoutOp op, PatternRewriter &rewriter) const override {
    Value scale = scaleOf(op.getOperand());
    if (!scale)
      return rewriter.notifyMatchFailure(op, "what is dropped is not scaled");
    Value inner = DropoutOp::create(rewriter, op.getLoc(), op.getType(), unscaled(op.getOperand()), op.getProbability());
    rewriter.replaceOpWithNewOp<MultiplyOp>(op, op.getType(), inner, scale);
    return success();
  }
};

// f(f(x)) => x for f = negate, not
template <typename Op> struct DropDouble : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;
  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    auto inner = op.getOperand().template getDefiningOp<Op>();
    if (!inner)
      return rewriter.notifyMatchFailure(op, "the operand is not of the same operation");
    rewriter.replaceOp(op, inner.getOperand());
    return success();
  }
};

// dropout(x, 0) => x
struct DropNoDropout : OpRewritePattern<DropoutOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(DropoutOp op, PatternRewriter &rewriter) const override {
    if (realConstant(op.getProbability()) != 0.0f)
      return rewriter.notifyMatchFailure(op, "the probability is not known to be zero");
    rewriter.replaceOp(op, op.getOperand());
    return success();
  }
};

// where(c, x, x) => x;  where(true, a, b) => a;  where(false, a, b) => b
struct DropChoice : OpRewritePattern<WhereOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(WhereOp op, PatternRewriter &rewriter) const override {
    IntegerAttr mask;
    Value chosen = op.getA() == op.getB() ? op.getA() : Value();
    if (matchPattern(op.getMask(), m_Constant(&mask)))
      chosen = mask.getValue().isZero() ? op.getB() : op.getA();
    if (!chosen || chosen.getType() != op.getType())
      return rewriter.notifyMatchFailure(op, "both sides can be chosen");
    rewriter.replaceOp(op, chosen);
    return success();
  }
};

struct SimplifyAttention : tenon::impl::SimplifyAttentionBase<SimplifyAttention> {
  LogicalResult initialize(MLIRContext *context) override {
    RewritePatternSet patterns(context);
    patterns.add<FoldConstants, ScalarToTheRight, DivideByConstant, MergeScales, ScaleOutOfTranspose,
                 ScaleOutOfMatmul, ScaleOutOfDropout, DropDouble<NegateOp>, DropDouble<NotOp>, DropNoDropout, DropChoice>(
        context);
    patterns_ = std::move(patterns);
    return success();
  }
  void runOnOperation() override {
    if (failed(checkOrder(getOperation(), getArgument(), Form::kGraph, Form::kScheduled)))
      return signalPassFailure();
    if (failed(applyPatternsGreedily(getOperation(), patterns_)))
      signalPassFailure();
  }

private:
  FrozenRewritePatternSet patterns_;
};

} // namespace
