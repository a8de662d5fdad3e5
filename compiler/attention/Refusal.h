/// A refusal: what cannot be compiled, said at the op and kept in a form that a program can read.
#pragma once

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Operation.h"

namespace tenon {

/// What a refusal is about where other options, or none, would not be refused so.
inline constexpr llvm::StringLiteral kOptions = "options";

/// An error at `op` that says why; `what` says who refuses ("fuse", "schedule", "tile"), or kOptions. The compiler's
/// driver turns it into {"what": …, "why": …}: CompilerInterface.h.
inline llvm::LogicalResult refuse(mlir::Operation *op, llvm::StringLiteral what, const llvm::Twine &why) {
  mlir::InFlightDiagnostic diagnostic = op->emitError(why);
  if (mlir::Diagnostic *underlying = diagnostic.getUnderlyingDiagnostic())
    underlying->getMetadata().emplace_back(llvm::StringRef(what));
  return diagnostic;
}

/// Who refused, where `refuse` made the diagnostic; else "".
inline llvm::StringRef whoRefused(mlir::Diagnostic &diagnostic) {
  auto &metadata = diagnostic.getMetadata();
  return metadata.empty() ? llvm::StringRef() : metadata.front().getAsString();
}

} // namespace tenon
