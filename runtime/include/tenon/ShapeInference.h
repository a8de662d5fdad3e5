/// Sizes of every value of a graph, from the sizes of its inputs; and the errors of calls that do
/// not fit.
///
/// A value has four dimensions, [batch, heads, rows, columns]. An input of fewer gets leading ones.
/// Element-wise operands broadcast: a dimension of size one is repeated, other sizes must agree.
/// `matmul` broadcasts the batch likewise; the heads of its right operand must divide those of its
/// left, of which consecutive groups then share one (grouped-query attention). A table that `load`
/// reads has one dimension for each index.
///
/// The score space is what batch_index, head_index, query_index, key_index, query_length and
/// key_length speak of: [batch, heads, queries, keys]. Structurally it is the shape of the operand
/// of softmax and logsumexp, index values taken as broadcast; without any of the two, the largest
/// result of a matmul (the first of equals). query_index is then the value of shape [1, 1, queries,
/// 1], key_index of [1, 1, 1, keys], batch_index of [batch, 1, 1, 1] and head_index of [1, heads,
/// 1, 1]. Two softmaxes of different shapes, or none and no matmul, are an error where the space is
/// spoken of.
#pragma once

#include "tenon/Api.h"
#include "tenon/Graph.h"
#include "tenon/Result.h"
#include "tenon/Tensor.h"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace tenon {

/// [batch, heads, rows, columns]
using ValueShape = std::array<int64_t, 4>;

struct GraphShapes {
  std::vector<ValueShape> values;   ///< of every node; ones for scalars and for dead nodes
  std::vector<Shape> results;       ///< rank 4, or [batch, head, query] for a logsumexp
  std::optional<ValueShape> scores; ///< the score space, where there is exactly one
};

/// `inputs`: the sizes of each input of the graph, in its order; none for a scalar.
/// Errors: the name of the input that does not fit, its sizes, and the size that it must have and
/// why.
TENON_API Result<GraphShapes> infer_all_shapes(const Graph &graph, std::span<const Shape> inputs);
TENON_API Result<GraphShapes> infer_all_shapes(const Graph &graph, std::span<const Tensor> inputs);

/// The sizes of the results alone.
TENON_API Result<std::vector<Shape>> infer_shapes(const Graph &graph,
                                                  std::span<const Tensor> inputs);

} // namespace tenon
