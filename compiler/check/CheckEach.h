/// Runs the IR before the first pass and after every one on the same random inputs, and names the first
/// pass that changed the answer.
///
///     tenon-opt graph.mlir --fuse-attention --choose-schedule --tile-attention --check-each
///
/// What can be run, and begun with: a function of attention operations, fused or not, or the kernels over tiles of one
/// launch, staged and laid out or not. Later forms (vectors, LLVM) are not, which is said once; where a file holds
/// nothing else, that is an error. Passes must run in one thread: all kernels of a module are read after each.
#pragma once

#include "mlir/Pass/PassInstrumentation.h"

#include <memory>

namespace tenon::check {

struct CheckState;

class CheckEach : public mlir::PassInstrumentation {
public:
  /// `seed` draws the inputs.
  explicit CheckEach(uint64_t seed);
  ~CheckEach() override;

  void runBeforePass(mlir::Pass *pass, mlir::Operation *op) override;
  void runAfterPass(mlir::Pass *pass, mlir::Operation *op) override;

  /// Whether the answers stayed the same so far; shared with the instrumentation, which the pass manager
  /// owns and destroys.
  std::shared_ptr<const bool> unchanged() const;

private:
  std::shared_ptr<CheckState> state_;
};

} // namespace tenon::check
