/// A tile kernel, compiled for the host and loaded.
#pragma once

#include "compiler/host/HostBackend.h"
#include "tenon/KernelImage.h"

#include "mlir/IR/MLIRContext.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace tenon::test {

/// Targets that this machine executes.
std::vector<std::string> runnableTargets();

/// The dialects of tile kernels, and of what becomes of them.
std::unique_ptr<mlir::MLIRContext> makeContext();

class CompiledKernel {
public:
  /// Fails the test where the module cannot be compiled; `run` does nothing then.
  CompiledKernel(mlir::ModuleOp module, const std::string &target);
  /// From the text of a module.
  CompiledKernel(mlir::MLIRContext &context, const std::string &text, const std::string &target);
  CompiledKernel(const CompiledKernel &) = delete;
  ~CompiledKernel();

  void run(const KernelArguments &arguments, int32_t x = 0, int32_t y = 0, int32_t z = 0) const;

private:
  void compile(mlir::ModuleOp module, const std::string &target);

  void *code_ = nullptr;
  size_t bytes_ = 0;
  HostEntry entry_ = nullptr;
  std::unique_ptr<std::byte[]> workspace_;
  void *alignedWorkspace_ = nullptr;
};

} // namespace tenon::test
