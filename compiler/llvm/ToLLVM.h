/// The way to LLVM that both back ends share.
#pragma once

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/ConvertToLLVM/ToLLVMPass.h"
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

/// LLVM IR as text, to be read.
inline std::string printed(const llvm::Module &module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream, nullptr);
  return text;
}

} // namespace tenon
