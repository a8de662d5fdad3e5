// Any bytes as the text of a graph: it is refused with a place, or it goes round. What goes round
// and is small is also given shapes and evaluated, which must end in results or an error.
#include "tenon/Graph.h"
#include "tenon/Interpreter.h"
#include "tenon/Parallel.h"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

/// The fuzzer runs on one thread, and so needs no library of threads.
void tenon::parallel_for(int64_t count, FunctionRef<void(int64_t)> body) {
  for (int64_t i = 0; i < count; ++i)
    body(i);
}

namespace {

using namespace tenon;

void require(bool condition) {
  if (!condition)
    std::abort();
}

/// A 2 x 3 or 3 x 3 tensor of the kind that the input wants, so that some products fit and some do
/// not.
Tensor tensor_for(const GraphInput &input, size_t position) {
  static constexpr DataType kTypes[] = {DataType::kFloat32, DataType::kInt32, DataType::kBool};
  Shape shape;
  if (!input.type.scalar)
    shape = {position % 2 == 0 ? 3 : 2, 3};
  return Tensor::full(shape, 0.5 * static_cast<double>(position),
                      kTypes[static_cast<size_t>(input.type.kind)])
      .value();
}

void evaluate(const Graph &graph) {
  constexpr size_t kMostNodes = 256;
  if (graph.nodes().size() > kMostNodes)
    return;
  std::vector<Tensor> inputs;
  for (const GraphInput &input : graph.inputs())
    inputs.push_back(tensor_for(input, inputs.size()));
  const auto results = interpret(graph, inputs);
  require(results ? results->size() == graph.results().size() : !results.error().message().empty());
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  const Result<Graph> graph = Graph::parse(text);
  if (!graph) {
    require(graph.error().argument().find(':') != std::string::npos);
    return 0;
  }
  require(graph->verify().ok());
  const std::string canonical = graph->text();
  const Result<Graph> again = Graph::parse(canonical);
  require(again.ok() && again->text() == canonical && again->hash() == graph->hash());
  evaluate(*graph);
  return 0;
}
