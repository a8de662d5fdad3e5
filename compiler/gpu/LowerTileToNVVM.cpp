#include "compiler/gpu/LowerTileToNVVM.h"

#include "compiler/attention/PassOrder.h"
#include "compiler/gpu/AssignLayouts.h"
#include "compiler/gpu/ThreadProgram.h"
#include "tenon/KernelImage.h"

#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace tenon {
#define GEN_PASS_DEF_LOWERTILETONVVM
#include "compiler/gpu/LowerTileToNVVM.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

namespace {

struct LowerTileToNVVM : tenon::impl::LowerTileToNVVMBase<LowerTileToNVVM> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (failed(checkKernels(module, getArgument(), Form::kLaidOut)))
      return signalPassFailure();
    for (func::FuncOp kernel : llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
      if (kernel->hasAttr("tile.kernel") && failed(lowerKernel(module, kernel)))
        return signalPassFailure();
  }

  LogicalResult lowerKernel(ModuleOp module, func::FuncOp kernel) {
    auto threads = kernel->getAttrOfType<IntegerAttr>(kThreadsAttribute);
    if (!kernel.getBody().hasOneBlock() || kernel.getNumArguments() != 0)
      return kernel.emitError("a kernel is one block without arguments");
    if (failed(expandDivisions(kernel)))
      return failure();
    declareSharedMemory(module);
    ImplicitLocOpBuilder builder(kernel.getLoc(), kernel);
    LLVM::LLVMFuncOp function = declare(builder, kernel, threads.getInt());
    builder.setInsertionPointToStart(function.addEntryBlock(builder));
    int64_t warps = threads.getInt() / Layout::kLanes;
    ThreadProgram program(builder, function.getArgument(0), warps, rowsOfTiles(kernel) / warps);
    if (failed(program.lowerBlock(kernel.front())))
      return failure();
    LLVM::ReturnOp::create(builder, ValueRange());
    function->setAttr(kThreadsAttribute, threads);
    function->setAttr(kSharedBytesAttribute, builder.getI32IntegerAttr(program.sharedBytes()));
    // One element that the whole block reads has one address.
    WalkResult tables = kernel.walk([](GatherOp gather) {
      return isa<RankedTensorType>(gather.getType()) ? WalkResult::interrupt() : WalkResult::advance();
    });
    if (tables.wasInterrupted())
      function->setAttr(kReadsTablesAttribute, builder.getUnitAttr());
    kernel.erase();
    return success();
  }

  /// Division that rounds down or up has no instruction: spelled out while it is still one a tile.
  static LogicalResult expandDivisions(func::FuncOp kernel) {
    WalkResult found = kernel.walk([](Operation *op) {
      return isa<arith::FloorDivSIOp, arith::CeilDivSIOp, arith::CeilDivUIOp>(op) ? WalkResult::interrupt()
                                                                                  : WalkResult::advance();
    });
    if (!found.wasInterrupted())
      return success();
    RewritePatternSet patterns(kernel.getContext());
    arith::populateCeilFloorDivExpandOpsPatterns(patterns);
    return applyPatternsGreedily(kernel, std::move(patterns));
  }

  /// All tiles in registers have the same rows (AssignLayouts).
  static int64_t rowsOfTiles(func::FuncOp kernel) {
    int64_t rows = 0;
    kernel.walk([&](Operation *op) {
      for (Type type : op->getResultTypes())
        if (auto tile = dyn_cast<RankedTensorType>(type))
          rows = tile.getDimSize(0);
      return rows ? WalkResult::interrupt() : WalkResult::advance();
    });
    return rows;
  }

  static void declareSharedMemory(ModuleOp module) {
    if (module.lookupSymbol(kSharedSymbol))
      return;
    OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
    auto type = LLVM::LLVMArrayType::get(builder.getI8Type(), 0);
    LLVM::GlobalOp::create(builder, module.getLoc(), type, /*isConstant=*/false,
                           LLVM::Linkage::External, kSharedSymbol, Attribute(), kSharedAlignment,
                           kSharedSpace);
  }

  /// One parameter: KernelArguments by value, in the constant bank; loads of it become ld.param.
  static LLVM::LLVMFuncOp declare(ImplicitLocOpBuilder &builder, func::FuncOp kernel, int32_t threads) {
    MLIRContext *context = builder.getContext();
    auto pointer = LLVM::LLVMPointerType::get(context);
    auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context), {pointer});
    auto function = LLVM::LLVMFuncOp::create(builder, kernel.getName(), type);
    auto block = LLVM::LLVMArrayType::get(builder.getI8Type(), sizeof(KernelArguments));
    function.setArgAttr(0, LLVM::LLVMDialect::getByValAttrName(), TypeAttr::get(block));
    function.setArgAttr(0, LLVM::LLVMDialect::getAlignAttrName(),
                        builder.getI64IntegerAttr(alignof(KernelArguments)));
    function.setArgAttr(0, LLVM::LLVMDialect::getReadonlyAttrName(), builder.getUnitAttr());
    function.setArgAttr(0, NVVM::NVVMDialect::getGridConstantAttrName(), builder.getUnitAttr());
    function->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(), builder.getUnitAttr());
    function->setAttr(NVVM::NVVMDialect::getReqntidAttrName(), builder.getDenseI32ArrayAttr({threads}));
    // Without it ptxas stays below a bound of its own, for more blocks on an SM, and spills.
    function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(), builder.getI32IntegerAttr(1));
    return function;
  }
};

} // namespace
