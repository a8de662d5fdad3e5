/// The answer, and how far from it a result may be.
#pragma once

#include "tenon/Tenon.h"

namespace tenon::conformance {

struct Reference {
  Tensor output, logsumexp;  ///< float64; logsumexp undefined where the graph has none
  double unfused_error = 0;  ///< largest error of an unfused computation in the inputs' element type
};

/// Of a graph with inputs as in a call; `dtype` is the element type of the query.
Reference make_reference(const Graph &graph, const std::vector<Tensor> &inputs, uint64_t seed, uint64_t offset,
                         DataType dtype);

/// "" where `actual` is right, else the worst element: where, what it is, what it must be.
std::string compare(const Tensor &actual, const Tensor &expected, double unfused_error, DataType dtype);

} // namespace tenon::conformance
