/// The way to LLVM that both back ends share.
#pragma once

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/ConvertToLLVM/ToLLVMPass.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/raw_ostream.h"

#include <string>

namespace tenon {

/// LLVM's verifier runs where assertions do: it finds our own bugs alone.
#ifdef NDEBUG
inline constexpr bool kSkipsVerifier = true;
#else
inline constexpr bool kSkipsVerifier = false;
#endif

/// Branches and arithmetic to the llvm dialect. One walk for both dialects, which keeps nothing to go back to: a third
/// of the time of upstream's two passes, to the same code.
inline mlir::ConvertToLLVMPassOptions scalarsToLLVM() {
  mlir::ConvertToLLVMPassOptions options;
  options.filterDialects = {"cf", "arith"};
  options.allowPatternRollback = false;
  return options;
}

/// What the pass finds the patterns by.
inline void registerScalarsToLLVM(mlir::DialectRegistry &registry) {
  mlir::arith::registerConvertArithToLLVMInterface(registry);
  mlir::cf::registerConvertControlFlowToLLVMInterface(registry);
}

/// Functions of a lowered module that have the attribute by which a back end marks its kernels.
inline llvm::SmallVector<mlir::LLVM::LLVMFuncOp> kernelsOf(mlir::ModuleOp module, llvm::StringRef mark) {
  return llvm::filter_to_vector(module.getOps<mlir::LLVM::LLVMFuncOp>(),
                                [&](mlir::LLVM::LLVMFuncOp function) { return function->hasAttr(mark); });
}

/// A kernel of a module, and what is no kernel.
inline mlir::OwningOpRef<mlir::ModuleOp> alone(mlir::ModuleOp module, mlir::LLVM::LLVMFuncOp kernel,
                                               llvm::StringRef mark) {
  mlir::OwningOpRef<mlir::ModuleOp> result = mlir::ModuleOp::create(module.getLoc());
  for (mlir::Operation &op : *module.getBody())
    if (&op == kernel || !op.hasAttr(mark))
      result->push_back(op.clone());
  return result;
}

/// LLVM IR as text, to be read.
inline std::string printed(const llvm::Module &module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream, nullptr);
  return text;
}

} // namespace tenon
