#include "compiler/host/LowerTileToVector.h"

#include "compiler/attention/PassOrder.h"
#include "compiler/host/BlockProgram.h"
#include "dialects/tile/Schedule.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/StringSwitch.h"

namespace tenon {
#define GEN_PASS_DEF_LOWERTILETOVECTOR
#include "compiler/host/LowerTileToVector.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

namespace {

// drop(truncf(x)) => truncf(random < threshold ? 0 : x), since 0 is rounded to itself.
LogicalResult expandDrop(DropOp op) {
  auto rounding = op.getSource().getDefiningOp<arith::TruncFOp>();
  if (!rounding)
    return op.emitOpError("takes what was just rounded, on the host");
  ImplicitLocOpBuilder b(op.getLoc(), op);
  Value exact = rounding.getIn();
  auto type = cast<RankedTensorType>(exact.getType());
  auto indices = type.clone(b.getI32Type());
  Value numbers = RandomOp::create(b, indices, op.getSeed(), op.getOffset(), op.getStream(),
                                   op.getRow(), op.getColumn(), op.getGroup());
  Value threshold = SplatOp::create(b, indices, op.getThreshold());
  Value keep = arith::CmpIOp::create(b, arith::CmpIPredicate::sge, numbers, threshold);
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
  Value kept = arith::SelectOp::create(b, keep, exact, zero);
  op.replaceAllUsesWith(arith::TruncFOp::create(b, op.getType(), kept).getResult());
  op.erase();
  return success();
}

struct LowerTileToVector : tenon::impl::LowerTileToVectorBase<LowerTileToVector> {
  using LowerTileToVectorBase::LowerTileToVectorBase;

  void runOnOperation() override {
    if (failed(checkKernels(getOperation(), getArgument(), Form::kTiles)))
      return signalPassFailure();
    for (auto kernel : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>()))
      if (kernel->hasAttr("tile.kernel") && failed(lowerKernel(kernel)))
        return signalPassFailure();
  }

  LogicalResult lowerKernel(func::FuncOp kernel) {
    if (!kernel.getBody().hasOneBlock() || kernel.getNumArguments() != 0)
      return kernel.emitError("a kernel is one block without arguments");
    auto products = llvm::StringSwitch<std::optional<Products>>(bfloat16)
                        .Case("none", Products::kFloat32)
                        .Case("pairs", Products::kPairs)
                        .Case("tiles", Products::kTiles)
                        .Default(std::nullopt);
    if (!products)
      return kernel.emitError("bfloat16 is '") << bfloat16 << "', must be none, pairs or tiles";
    SmallVector<DropOp> drops;
    kernel.walk([&](DropOp drop) { drops.push_back(drop); });
    for (DropOp drop : drops)
      if (failed(expandDrop(drop)))
        return failure();
    ImplicitLocOpBuilder builder(kernel.getLoc(), kernel);
    auto pointer = LLVM::LLVMPointerType::get(&getContext());
    Type i32 = builder.getI32Type();
    auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(&getContext()),
                                            {pointer, pointer, i32, i32, i32});
    auto function = LLVM::LLVMFuncOp::create(builder, kernel.getName(), type);
    function.setArgAttr(0, LLVM::LLVMDialect::getNoAliasAttrName(), builder.getUnitAttr());
    function.setArgAttr(1, LLVM::LLVMDialect::getNoAliasAttrName(), builder.getUnitAttr());
    Block *entry = function.addEntryBlock(builder);
    builder.setInsertionPointToStart(entry);
    BlockProgram program(builder, entry->getArguments(), {lanes, registers},
                         *products);
    program.configureTiles(kernel.front());
    if (failed(program.lowerBlock(kernel.front()))) {
      function.erase();
      return failure();
    }
    program.releaseTiles();
    LLVM::ReturnOp::create(builder, ValueRange());
    function->setAttr(kWorkspaceBytesAttribute,
                      builder.getI64IntegerAttr(program.workspaceBytes()));
    kernel.erase();
    return success();
  }
};

} // namespace
