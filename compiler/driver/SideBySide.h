/// The kernels of a module on their way through the device's passes, side by side.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace tenon {

/// Runs passes of modules on each function of the module apart from the others, and brings the results together, in the
/// order of the functions; a declaration that several made stays once. `set` is asked for how each run shall be. However
/// many threads there are, the module and what is diagnosed are the same. The context allows several threads from then on.
mlir::LogicalResult runSideBySide(mlir::ModuleOp module, const mlir::OpPassManager &passes,
                                  llvm::function_ref<void(mlir::PassManager &)> set);

} // namespace tenon
