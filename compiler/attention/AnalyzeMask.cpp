#include "compiler/attention/AnalyzeMask.h"

#include "compiler/attention/Effects.h"
#include "compiler/attention/MaskBounds.h"
#include "compiler/attention/PassOrder.h"
#include "compiler/attention/Refusal.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace tenon;

namespace tenon {
#define GEN_PASS_DEF_ANALYZEMASK
#include "compiler/attention/AnalyzeMask.h.inc"
} // namespace tenon

namespace {

struct AnalyzeMask : tenon::impl::AnalyzeMaskBase<AnalyzeMask> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isDeclaration())
      return;
    if (failed(checkOrder(function, getArgument(), Form::kGraph, Form::kScheduled)))
      return signalPassFailure();
    if (isLeftOut(function, Effect::kCutLoops))
      return;
    auto fused = function.getOps<attention::FusedOp>();
    if (fused.empty()) {
      (void)refuse(function, "mask", "there is no fused attention; run fuse-attention before analyze-mask");
      return signalPassFailure();
    }
    for (attention::FusedOp op : fused) {
      Value visible = op.getMask().front().getTerminator()->getOperand(0);
      if (op.getBounds().empty() && !matchPattern(visible, m_One()))
        buildBounds(op);
    }
  }
};

} // namespace
