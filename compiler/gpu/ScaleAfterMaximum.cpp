#include "compiler/gpu/ScaleAfterMaximum.h"

#include "compiler/attention/PassOrder.h"
#include "dialects/tile/Tile.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace tenon {
#define GEN_PASS_DEF_SCALEAFTERMAXIMUM
#include "compiler/gpu/ScaleAfterMaximum.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

namespace {

/// x · c with a constant c > 0, the same for all elements.
struct Scaled {
  arith::MulFOp product;
  Value source;
  APFloat factor;
};

/// The element of a constant tile with equal elements. (m_Constant asks for a trait by its type's name, which
/// two compilers may spell differently: MLIR's libraries need not come from ours.)
std::optional<APFloat> splatOf(Value value) {
  auto constant = value.getDefiningOp<arith::ConstantOp>();
  auto elements = constant ? dyn_cast<DenseFPElementsAttr>(constant.getValue()) : nullptr;
  if (!elements || !elements.isSplat())
    return std::nullopt;
  return elements.getSplatValue<APFloat>();
}

std::optional<Scaled> matchScaled(Value value) {
  auto product = value.getDefiningOp<arith::MulFOp>();
  if (!product)
    return std::nullopt;
  for (auto [source, other] : {std::pair(product.getLhs(), product.getRhs()),
                               std::pair(product.getRhs(), product.getLhs())}) {
    std::optional<APFloat> factor = splatOf(other);
    if (factor && factor->isFiniteNonZero() && !factor->isNegative())
      return Scaled{product, source, *factor};
  }
  return std::nullopt;
}

Value multiply(PatternRewriter &rewriter, Location loc, Value source, Scaled like) {
  auto type = cast<RankedTensorType>(source.getType());
  Value factor = arith::ConstantOp::create(rewriter, loc, DenseElementsAttr::get(type, like.factor));
  return arith::MulFOp::create(rewriter, loc, source, factor, like.product.getFastmath());
}

/// select(mask, x·c, −∞) ⇒ select(mask, x, −∞)·c
struct MaskBeforeScale : OpRewritePattern<arith::SelectOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::SelectOp op, PatternRewriter &rewriter) const override {
    std::optional<APFloat> masked = splatOf(op.getFalseValue());
    if (!masked || !masked->isInfinity())
      return rewriter.notifyMatchFailure(op, "what replaces a masked score is not infinite");
    std::optional<Scaled> scaled = matchScaled(op.getTrueValue());
    if (!scaled)
      return rewriter.notifyMatchFailure(op, "the scores are no product with a positive constant");
    if (!scaled->product->hasOneUse())
      return rewriter.notifyMatchFailure(op, "the product is needed as it is");
    Value select = arith::SelectOp::create(rewriter, op.getLoc(), op.getCondition(), scaled->source,
                                           op.getFalseValue());
    rewriter.replaceOp(op, multiply(rewriter, op.getLoc(), select, *scaled));
    return success();
  }
};

/// rowmax(x·c) ⇒ rowmax(x)·c
struct MaximumBeforeScale : OpRewritePattern<ReduceOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ReduceOp op, PatternRewriter &rewriter) const override {
    if (op.getReduction() != Reduction::maximum)
      return rewriter.notifyMatchFailure(op, "a sum of rounded products is no rounded product");
    std::optional<Scaled> scaled = matchScaled(op.getSource());
    if (!scaled)
      return rewriter.notifyMatchFailure(op, "the scores are no product with a positive constant");
    auto maximum = ReduceOp::create(rewriter, op.getLoc(), op.getType(), op.getReduction(), scaled->source);
    maximum->setDiscardableAttrs(op->getDiscardableAttrDictionary());
    rewriter.replaceOp(op, multiply(rewriter, op.getLoc(), maximum, *scaled));
    return success();
  }
};

struct ScaleAfterMaximum : tenon::impl::ScaleAfterMaximumBase<ScaleAfterMaximum> {
  void runOnOperation() override {
    if (failed(checkOrder(getOperation(), getArgument(), Form::kTiles, Form::kLaidOut)))
      return signalPassFailure();
    RewritePatternSet patterns(&getContext());
    patterns.add<MaskBeforeScale, MaximumBeforeScale>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
