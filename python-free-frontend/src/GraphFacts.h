/// What a call needs to know of a graph beyond its text: which inputs callers pass, which are
/// tables, which widths shape the code.
#pragma once

#include "Trace.h"
#include "tenon/Graph.h"

#include <optional>
#include <string>
#include <vector>

namespace tenon {

struct InputFacts {
  enum class Source : uint8_t { kCaller, kCaptured, kScalar };
  std::string name = {};
  ValueType type = {};
  Source source = Source::kCaller;
  int position = 0;               ///< among those of its source
  bool table = false;             ///< read by load: its leading dimensions count
  bool elementwise = false;       ///< used as a value too
  bool transposed = false;        ///< kernels read it with its last two dimensions exchanged
  bool width_shapes_code = false; ///< its last dimension, as kernels read it, is neither the
                                  ///< queries nor the keys
};

struct ScalarFacts {
  std::string name = {};
  ElementKind kind = ElementKind::kReal;
  std::optional<double> initial = {};
  bool probability = false; ///< of a dropout: must lie in [0, 1]
};

struct GraphFacts {
  Graph graph; ///< canonical
  std::string text;
  std::string kernel_text, kernel_hash; ///< of the graph that kernels compute: KernelGraph.h
  std::vector<InputFacts> inputs;       ///< of the graph, in its order
  std::vector<ScalarFacts> scalars;
  std::vector<CapturedTensor> captured;
  std::vector<bool> is_logsumexp; ///< of each result: rank 3, float32
  int caller_inputs = 0;
  bool uses_dropout = false;

  static GraphFacts of(TracedGraph traced);
  const InputFacts &caller_input(size_t position) const;
};

} // namespace tenon
