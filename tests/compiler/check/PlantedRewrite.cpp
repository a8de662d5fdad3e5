// A plugin with two wrong rewrites, for check-each to find.
#include "dialects/attention/Attention.h"
#include "dialects/tile/Tile.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Tools/Plugins/PassPlugin.h"

using namespace mlir;

namespace {

// a >= b  =>  a > b
struct PlantedRewrite : PassWrapper<PlantedRewrite, OperationPass<func::FuncOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(PlantedRewrite)
  StringRef getArgument() const override { return "planted-rewrite"; }
  StringRef getDescription() const override { return "Makes >= a >"; }
  void runOnOperation() override {
    getOperation().walk([](tenon::attention::GreaterEqualOp op) {
      OpBuilder b(op);
      op.replaceAllUsesWith(tenon::attention::GreaterOp::create(b, op.getLoc(), op.getType(), op.getA(), op.getB()).getResult());
    });
  }
};

// select(mask, score, masked)  =>  score, on tiles
struct PlantedTileRewrite : PassWrapper<PlantedTileRewrite, OperationPass<func::FuncOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(PlantedTileRewrite)
  StringRef getArgument() const override { return "planted-tile-rewrite"; }
  StringRef getDescription() const override { return "Drops the masks of tiles"; }
  void runOnOperation() override {
    getOperation().walk([](arith::SelectOp op) {
      auto tile = dyn_cast<RankedTensorType>(op.getType());
      if (tile && tile.getRank() == 2 && tile.getElementType().isF32())
        op.replaceAllUsesWith(op.getTrueValue());
    });
  }
};

} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "PlantedRewrite", "1", [] {
            PassRegistration<PlantedRewrite>();
            PassRegistration<PlantedTileRewrite>();
          }};
}
