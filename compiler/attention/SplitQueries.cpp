#include "compiler/attention/SplitQueries.h"

#include "compiler/attention/Effects.h"
#include "compiler/attention/KernelSignature.h"
#include "compiler/attention/PassOrder.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace tenon;

namespace tenon {
#define GEN_PASS_DEF_SPLITQUERIES
#include "compiler/attention/SplitQueries.h.inc"
} // namespace tenon

namespace {

struct SplitQueries : tenon::impl::SplitQueriesBase<SplitQueries> {
  void runOnOperation() override {
    for (auto many : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>())) {
      const bool leftOut = isLeftOut(many, Effect::kFewQueries);
      if (leftOut) // also where the length is known to be small
        many->removeAttr(attention::kFewQueriesAttribute);
      if (!many->hasAttr(kAnyQueriesAttribute))
        continue;
      if (failed(checkOrder(many, getArgument(), Form::kGraph, Form::kFused)))
        return signalPassFailure();
      many->removeAttr(kAnyQueriesAttribute);
      if (leftOut)
        continue;
      OpBuilder b(&getContext());
      b.setInsertionPointAfter(many);
      auto few = cast<func::FuncOp>(b.clone(*many));
      few.setName((many.getName() + kFewQueriesSuffix).str());
      few->setAttr(attention::kFewQueriesAttribute, b.getUnitAttr());
    }
  }
};

} // namespace
