/// From tile IR to machine code for the host: a list of passes, and emission.
#pragma once

#include "compiler/host/HostTarget.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/Error.h"

#include <cstddef>
#include <string>
#include <vector>

namespace tenon {

/// Tile kernels of a module => LLVM dialect.
void buildHostPipeline(mlir::OpPassManager &pipeline, const HostTarget &target);

/// Registers the passes and the translation of the dialects that the pipeline ends in.
void registerHostPasses();
void registerHostTranslations(mlir::DialectRegistry &registry);

/// A flat image (FlatImage.h) that one HostEntry is called in.
struct HostCode {
  std::vector<std::byte> bytes;
  uint64_t entryOffset = 0;
  uint64_t workspaceBytes = 0; ///< of a call
  std::string assembly;        ///< where it was asked for
};

/// Machine code of the one kernel of a module that buildHostPipeline has lowered.
/// Errors: code that would need a symbol from elsewhere, with the symbol's name.
llvm::Expected<HostCode> emitHostCode(mlir::ModuleOp module, const HostTarget &target,
                                      bool withAssembly = false);

} // namespace tenon
