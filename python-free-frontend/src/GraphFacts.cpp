#include "GraphFacts.h"

#include <algorithm>
#include <array>
#include <numeric>

namespace tenon {
namespace {

// Which rows and columns of a graph have the same length: a union of classes, one for the rows and
// one for the columns of each value.
class LengthClasses {
public:
  explicit LengthClasses(const Graph &graph)
      : graph_(graph), parent_(2 * graph.nodes().size() + 2) {
    std::iota(parent_.begin(), parent_.end(), size_t{0});
    for (size_t i = 0; i < graph.nodes().size(); ++i)
      visit(static_cast<ValueId>(i));
  }

  bool columns_are_a_length(ValueId value) {
    return find(columns(value)) == find(queries()) || find(columns(value)) == find(keys());
  }

private:
  size_t rows(ValueId value) const { return 2 * static_cast<size_t>(value); }
  size_t columns(ValueId value) const { return rows(value) + 1; }
  size_t queries() const { return parent_.size() - 2; }
  size_t keys() const { return parent_.size() - 1; }

  size_t find(size_t i) {
    while (parent_[i] != i)
      i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void join(size_t a, size_t b) { parent_[find(a)] = find(b); }

  void visit(ValueId value) {
    const Node &node = graph_.node(value);
    switch (node.operation) {
    case Operation::kQueryIndex:
      return join(rows(value), queries());
    case Operation::kKeyIndex:
      return join(columns(value), keys());
    case Operation::kMatmul:
      join(columns(node.operands[0]), rows(node.operands[1]));
      join(rows(value), rows(node.operands[0]));
      return join(columns(value), columns(node.operands[1]));
    case Operation::kTranspose:
      join(rows(value), columns(node.operands[0]));
      return join(columns(value), rows(node.operands[0]));
    case Operation::kSoftmax:
    case Operation::kLogsumexp:
      join(rows(node.operands[0]), queries());
      join(columns(node.operands[0]), keys());
      join(rows(value), rows(node.operands[0]));
      if (node.operation == Operation::kSoftmax)
        join(columns(value), columns(node.operands[0]));
      return;
    default:
      for (size_t i = node.operation == Operation::kLoad ? 1 : 0; i < node.operands.size(); ++i)
        if (!graph_.type(node.operands[i]).scalar) {
          join(rows(value), rows(node.operands[i]));
          join(columns(value), columns(node.operands[i]));
        }
    }
  }

  const Graph &graph_;
  std::vector<size_t> parent_;
};

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
  LengthClasses classes(graph);
  for (size_t i = 0; i < facts.inputs.size(); ++i)
    facts.inputs[i].width_shapes_code = !facts.inputs[i].type.scalar && !facts.inputs[i].table &&
                                        !classes.columns_are_a_length(graph.inputs()[i].value);
}

} // namespace

GraphFacts GraphFacts::of(TracedGraph traced) {
  GraphFacts facts;
  facts.graph = traced.graph.canonical();
  facts.text = facts.graph.text();
  facts.hash = facts.graph.hash();
  facts.captured = std::move(traced.captured);
  for (ScalarDefault &scalar : traced.scalars)
    facts.scalars.push_back({.name = std::move(scalar.name), .initial = scalar.value});
  describe_inputs(facts);
  describe_uses(facts);
  for (ValueId result : facts.graph.results())
    facts.is_logsumexp.push_back(facts.graph.node(result).operation == Operation::kLogsumexp);
  facts.uses_dropout = facts.graph.uses(Operation::kDropout);
  return facts;
}

} // namespace tenon
