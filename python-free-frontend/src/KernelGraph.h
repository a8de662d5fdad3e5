/// A graph as kernels compute it.
///
/// A kernel reads query, key and value from memory as [batch, heads, rows, width], by any strides,
/// and the key enters its product transposed. Where a graph has it otherwise, the caller's tensor
/// is seen through other strides, and the graph says so:
///
///     matmul(query, key)  =>  matmul(query, transpose(key')),  key' the key transposed, without a
///     copy
#pragma once

#include "tenon/Graph.h"

#include <vector>

namespace tenon {

struct KernelGraph {
  Graph graph;                  ///< canonical; its inputs are those of the graph it was made of
  std::vector<bool> transposed; ///< of each input: its last two dimensions are exchanged
};

KernelGraph kernel_graph(const Graph &graph);

} // namespace tenon
