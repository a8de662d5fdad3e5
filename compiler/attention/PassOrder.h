/// Which pass comes after which: what a function is by now, and refusals that name the pass that is missing.
///
///     fuse-attention → choose-schedule → tile-attention ┬→ tenon-lower-tile-to-vector → allocate-tile-registers
///                                                       │  → lower-tile-units → tenon-expand-math
///                                                       └→ tenon-stage-shared-memory → tenon-assign-layouts
///                                                          → tenon-lower-tile-to-nvvm
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace tenon {

/// How far a function has come. Each form but the first is what one pass makes of the one before.
enum class Form {
  kGraph,     ///< operations of attention
  kFused,     ///< attention.fused
  kScheduled, ///< with a schedule
  kTiles,     ///< a kernel over tiles that lie in global memory and in registers
  kStaged,    ///< what products read lies in shared memory
  kLaidOut,   ///< each tile in registers has a layout
};

/// Nothing where the function holds neither operations of attention nor of tiles.
std::optional<Form> formOf(mlir::func::FuncOp function);

/// Refuses a function that has not come to `first` yet, naming the passes that are missing before `pass`, and one that
/// is beyond `last`, naming the pass that has run. A function that is of no form passes; so does a kernel without
/// products of what it loads, which has nothing to stage, where kStaged is asked for.
llvm::LogicalResult checkOrder(mlir::func::FuncOp function, llvm::StringRef pass, Form first, Form last);

/// For a pass that makes code of kernels: besides, refuses a module that holds none.
llvm::LogicalResult checkKernels(mlir::ModuleOp module, llvm::StringRef pass, Form form);

/// For a pass on scalars and vectors: refuses what `lowering` has not made such yet.
llvm::LogicalResult checkLowered(mlir::Operation *op, llvm::StringRef pass, llvm::StringRef lowering);

} // namespace tenon
