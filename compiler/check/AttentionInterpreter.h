/// Executes a function of attention operations on host tensors, whatever the passes have made of it.
///
/// What is still a graph goes to the runtime's interpreter, the oracle; `attention.fused` is computed here
/// from its definition: mask, score, softmax, dropout, product. Where it has bounds, these are believed:
/// keys outside of [key_begin, key_end) are not visited and open keys are not masked, so that wrong bounds
/// give wrong answers.
#pragma once

#include "tenon/Tensor.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace tenon::check {

struct AttentionLaunch {
  std::vector<Tensor> inputs;  ///< one an argument of the function; scalars have rank 0
  uint64_t seed = 0, offset = 0;
};

/// The function's results, [batch, heads, queries, width] and [batch, heads, queries], in float32.
/// Fails with a diagnostic.
mlir::FailureOr<std::vector<Tensor>> runAttention(mlir::func::FuncOp function, const AttentionLaunch &launch);

} // namespace tenon::check
