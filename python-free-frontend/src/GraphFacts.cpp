#include "GraphFacts.h"

#include "KernelGraph.h"
#include "LengthClasses.h"

#include <algorithm>

namespace tenon {
namespace {

void describe_inputs(GraphFacts &facts) {
  for (const GraphInput &input : facts.graph.inputs()) {
    InputFacts described{.name = input.name, .type = input.type};
    auto captured = std::ranges::find(facts.captured, input.name, &CapturedTensor::name);
    if (input.type.scalar) {
      described.source = InputFacts::Source::kScalar;
      auto known = std::ranges::find(facts.scalars, input.name, &ScalarFacts::name);
      if (known == facts.scalars.end())
        known = facts.scalars.insert(known, ScalarFacts{.name = input.name});
      known->kind = input.type.kind;
      described.position = static_cast<int>(known - facts.scalars.begin());
    } else if (captured != facts.captured.end()) {
      described.source = InputFacts::Source::kCaptured;
      described.position = static_cast<int>(captured - facts.captured.begin());
    } else {
      described.position = facts.caller_inputs++;
    }
    facts.inputs.push_back(std::move(described));
  }
}

void describe_uses(GraphFacts &facts) {
  const Graph &graph = facts.graph;
  for (const Node &node : graph.nodes()) {
    for (size_t i = 0; i < node.operands.size(); ++i) {
      const Node &operand = graph.node(node.operands[i]);
      if (operand.operation != Operation::kInput)
        continue;
      InputFacts &input = facts.inputs[operand.payload];
      (node.operation == Operation::kLoad && i == 0 ? input.table : input.elementwise) = true;
      if (node.operation == Operation::kDropout && i == 1)
        facts.scalars[static_cast<size_t>(input.position)].probability = true;
    }
  }
}

void describe_for_kernels(GraphFacts &facts) {
  const KernelGraph kernel = kernel_graph(facts.graph);
  facts.kernel_text = kernel.graph.text();
  facts.kernel_hash = kernel.graph.hash();
  LengthClasses classes(kernel.graph);
  for (size_t i = 0; i < facts.inputs.size(); ++i) {
    const ValueId value = kernel.graph.inputs()[i].value;
    InputFacts &input = facts.inputs[i];
    input.transposed = kernel.transposed[i];
    input.width_shapes_code = !input.type.scalar && !input.table &&
                              !classes.columns_are_keys(value) &&
                              !classes.columns_are_queries(value);
  }
}

} // namespace

GraphFacts GraphFacts::of(TracedGraph traced) {
  GraphFacts facts;
  facts.graph = traced.graph.canonical();
  facts.text = facts.graph.text();
  facts.captured = std::move(traced.captured);
  for (ScalarDefault &scalar : traced.scalars)
    facts.scalars.push_back({.name = std::move(scalar.name), .initial = scalar.value});
  describe_inputs(facts);
  describe_uses(facts);
  describe_for_kernels(facts);
  for (ValueId result : facts.graph.results())
    facts.is_logsumexp.push_back(facts.graph.node(result).operation == Operation::kLogsumexp);
  facts.uses_dropout = facts.graph.uses(Operation::kDropout);
  return facts;
}

const InputFacts &GraphFacts::caller_input(size_t position) const {
  return *std::ranges::find_if(inputs, [&](const InputFacts &input) {
    return input.source == InputFacts::Source::kCaller &&
           input.position == static_cast<int>(position);
  });
}

} // namespace tenon
