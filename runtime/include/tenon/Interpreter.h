/// The eager interpreter: what the answer is.
///
/// It evaluates a graph operation by operation, each by its formula, and so defines what every
/// other back end must compute. With Precision::kFloat64 all arithmetic on reals is double: the
/// oracle from which tolerances are derived. With kFloat32 all of it is float32: the answer where
/// nothing can be compiled.
///
/// A score that `where(visible, score, −∞)` masks stays masked when more is added to it: a NaN or
/// ∞ there does not leak (interpreter/MaskedScores.h has the rules).
///
/// Inputs are on the host, of any strides. A real input may be of any floating-point type and is
/// widened exactly (float64 is rounded where the precision is float32), an index input is int32, a
/// mask input is bool; a scalar input is a tensor of rank 0. Each element of a result depends on
/// its own row alone: not on batch, nor on the number of threads. What a sum over columns or over k
/// is: terms added one by one in ascending order, in the precision.
#pragma once

#include "tenon/Api.h"
#include "tenon/DataType.h"
#include "tenon/Graph.h"
#include "tenon/Result.h"
#include "tenon/ShapeInference.h"
#include "tenon/Tensor.h"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace tenon {

enum class Precision : uint8_t { kFloat32, kFloat64 };

struct InterpreterOptions {
  Precision precision = Precision::kFloat32;
  uint64_t seed = 0;   ///< of dropout
  uint64_t offset = 0; ///< of dropout; at most 32 bits
  /// What query_length and key_length return, where it is not the size of the score space.
  std::optional<int32_t> query_length = {};
  std::optional<int32_t> key_length = {};
  /// Of results of kind real, rounded once, to nearest even. By default that of the precision.
  std::optional<DataType> output = {};
};

/// One tensor a result of the graph, contiguous, on the host: rank 4, [batch, heads, rows,
/// columns], or [batch, heads, rows] for a logsumexp and what is computed from it alone. Index
/// results are int32, masks bool. Errors: what infer_shapes refuses, an input of another kind of
/// element, too few or too many inputs, a dropout probability outside [0, 1], an offset beyond 32
/// bits, memory that cannot be had.
TENON_API Result<std::vector<Tensor>> interpret(const Graph &graph, std::span<const Tensor> inputs,
                                                const InterpreterOptions &options = {});

} // namespace tenon
