/// From a tile kernel to PTX.
///
///     tile IR ─ StageSharedMemory ─ AssignLayouts ─ LowerTileToNVVM ─ upstream's conversions ─► llvm + nvvm
///             ─ translation ─ a few LLVM passes ─ NVPTX ─► PTX text
///
/// After the pipeline the kernel is an `llvm.func` with the attributes `tile.threads` and
/// `tile.shared_bytes` (i32): what a launch needs.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/Error.h"

#include <optional>
#include <string>

namespace tenon {

/// A GPU that code is made for.
struct GpuTarget {
  std::string name;       ///< "sm_80"; a trailing `a`: that chip and no other
  std::string ptxVersion; ///< LLVM's feature: the lowest version of the PTX ISA that knows the target
  int64_t sharedBytes;    ///< dynamic shared memory that a block may ask for (CUDA C++ Programming Guide,
                          ///< "Technical Specifications per Compute Capability")

  /// Nothing for a name that this back end does not know.
  static std::optional<GpuTarget> find(llvm::StringRef name);
};

/// Registers the passes of this folder with their names, for tenon-opt.
void registerGpuPasses();

/// Registers what translation to LLVM IR needs.
void registerGpuDialects(mlir::DialectRegistry &registry);

/// Tile kernels => llvm and nvvm dialects.
void buildGpuPipeline(mlir::OpPassManager &passes, const GpuTarget &target);

/// The PTX text of a module that the pipeline made. Its kernels become code side by side, with the same text however
/// many threads there are; the context allows several from then on. Errors: shared memory beyond the target's; a target
/// unknown to LLVM; no kernel.
llvm::Expected<std::string> emitPtx(mlir::ModuleOp module, const GpuTarget &target);

/// The LLVM IR that this PTX is made of, as text, to be read. The same errors.
llvm::Expected<std::string> emitGpuLlvm(mlir::ModuleOp module, const GpuTarget &target);

} // namespace tenon
