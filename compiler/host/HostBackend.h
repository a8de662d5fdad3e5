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

/// Where a HostEntry lies in a flat image.
struct HostEntryPoint {
  std::string name;
  uint64_t offset = 0;
  uint64_t workspaceBytes = 0; ///< of a call
};

/// A flat image (FlatImage.h) and its entries, in the order of the module's kernels.
struct HostCode {
  std::vector<std::byte> bytes;
  std::vector<HostEntryPoint> entries;
};

/// Machine code of the kernels of a module that buildHostPipeline has lowered, made for several at once where
/// parallel_for has threads. Errors: code that would need a symbol from elsewhere, with the symbol's name.
llvm::Expected<HostCode> emitHostCode(mlir::ModuleOp module, const HostTarget &target);

/// The same as text, to be read.
llvm::Expected<std::string> emitHostAssembly(mlir::ModuleOp module, const HostTarget &target);

/// The LLVM IR that it is made of, as text, to be read.
llvm::Expected<std::string> emitHostLlvm(mlir::ModuleOp module, const HostTarget &target);

} // namespace tenon
