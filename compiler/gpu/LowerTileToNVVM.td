#ifndef TENON_LOWER_TILE_TO_NVVM
#define TENON_LOWER_TILE_TO_NVVM

include "mlir/Pass/PassBase.td"

def LowerTileToNVVM : Pass<"tenon-lower-tile-to-nvvm", "::mlir::ModuleOp"> {
  let summary = "tile kernels => what one thread does: scalars, mma.sync, ldmatrix, cp.async, shuffles";
  let description = [{
    Each function with the attribute `tile.kernel` becomes an `llvm.func` with one parameter, the argument
    block by value (runtime/include/tenon/KernelImage.h). A tile in registers becomes the values that its
    layout gives to a thread; element-wise operations are repeated for each of them. Control flow and
    arithmetic stay in `scf` and `arith`, on scalars, for upstream's conversions to finish.
  }];
  let dependentDialects = ["::mlir::NVVM::NVVMDialect", "::mlir::LLVM::LLVMDialect",
                           "::mlir::arith::ArithDialect", "::mlir::scf::SCFDialect"];
}

#endif // TENON_LOWER_TILE_TO_NVVM
