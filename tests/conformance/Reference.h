/// The answer, and how far from it a result may be.
#pragma once

#include "tenon/Tenon.h"

namespace tenon::conformance {

struct Reference {
  Tensor output, logsumexp;  ///< float64; logsumexp undefined where the graph has none
  double unfused_error = 0;  ///< largest error of an unfused computation in the inputs' element type
  double unfused_logsumexp_error = 0; ///< with TF32: of the logsumexp of scores from rounded inputs
};

/// Of a graph with inputs as in a call; `dtype` is the element type of the query. With `tf32` the unfused
/// computation rounds the operands of its products to TF32, and nothing else.
Reference make_reference(const Graph &graph, const std::vector<Tensor> &inputs, uint64_t seed, uint64_t offset,
                         DataType dtype, bool tf32 = false);

/// "" where `actual` is right, else the worst element: where, what it is, what it must be.
std::string compare(const Tensor &actual, const Tensor &expected, double unfused_error, DataType dtype);

} // namespace tenon::conformance
