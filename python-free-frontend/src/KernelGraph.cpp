#include "KernelGraph.h"

#include "LengthClasses.h"

namespace tenon {
namespace {

// What is left of a value without factors that are one number for the whole launch.
ValueId unscaled(const Graph &graph, ValueId value) {
  for (;;) {
    const Node &node = graph.node(value);
    if (node.operation != Operation::kMultiply)
      return value;
    const bool left = graph.type(node.operands[0]).scalar,
               right = graph.type(node.operands[1]).scalar;
    if (left == right)
      return value;
    value = node.operands[left ? 1 : 0];
  }
}

class Rewriter {
public:
  explicit Rewriter(const Graph &graph) : graph_(graph), transposed_(graph.inputs().size()) {}

  void choose() {
    LengthClasses classes(graph_);
    for (size_t i = 0; i < graph_.nodes().size(); ++i) {
      const Node &node = graph_.nodes()[i];
      if (node.operation != Operation::kMatmul)
        continue;
      if (classes.columns_are_keys(node.operands[0])) // the product with the values
        want(node.operands[1], /*under_transpose=*/false);
      if (!classes.columns_are_keys(static_cast<ValueId>(i)))
        continue;
      want(node.operands[0], /*under_transpose=*/false);
      want(node.operands[1], /*under_transpose=*/true);
    }
    for (const Node &node : graph_.nodes())
      if (node.operation == Operation::kLoad) // a table is indexed as it is
        transposed_[graph_.node(node.operands[0]).payload] = false;
  }
  const std::vector<bool> &transposed() const { return transposed_; }

  Result<Graph> rewrite() {
    for (const GraphInput &input : graph_.inputs()) {
      TENON_ASSIGN_OR_RETURN(const ValueId value, made_.add_input(input.name, input.type));
      inputs_.push_back(value);
    }
    for (const Node &node : graph_.nodes()) {
      TENON_ASSIGN_OR_RETURN(const ValueId value, rewritten(node));
      values_.push_back(value);
    }
    std::vector<ValueId> results;
    for (ValueId result : graph_.results())
      results.push_back(values_[static_cast<size_t>(result)]);
    TENON_TRY(made_.set_results(results));
    return made_.canonical();
  }

private:
  /// The operand of a product that a kernel reads, if it is an input, whether under a transpose or
  /// not.
  void want(ValueId operand, bool under_transpose) {
    const Node *node = &graph_.node(unscaled(graph_, operand));
    const bool is_transposed = node->operation == Operation::kTranspose;
    if (is_transposed)
      node = &graph_.node(unscaled(graph_, node->operands[0]));
    if (node->operation == Operation::kInput && is_transposed != under_transpose)
      transposed_[node->payload] = true;
  }

  Result<ValueId> rewritten(const Node &node) {
    if (node.operation == Operation::kInput)
      return transposed_[node.payload] ? made_.add(Operation::kTranspose, {inputs_[node.payload]})
                                       : Result<ValueId>(inputs_[node.payload]);
    if (node.operation == Operation::kConstant)
      return node.type.kind == ElementKind::kReal ? made_.constant(node.real())
                                                  : made_.constant(node.index());
    if (node.operation == Operation::kTranspose) {
      const Node &operand = graph_.node(node.operands[0]);
      if (operand.operation == Operation::kInput && transposed_[operand.payload])
        return inputs_[operand.payload];
    }
    std::vector<ValueId> operands;
    for (ValueId operand : node.operands)
      operands.push_back(values_[static_cast<size_t>(operand)]);
    return made_.add(node.operation, operands);
  }

  const Graph &graph_;
  std::vector<bool> transposed_;
  Graph made_;
  std::vector<ValueId> inputs_, values_;
};

} // namespace

KernelGraph kernel_graph(const Graph &graph) {
  Rewriter rewriter(graph);
  rewriter.choose();
  const std::vector<bool> none(graph.inputs().size(), false);
  if (rewriter.transposed() == none)
    return {graph, none};
  Result<Graph> rewritten = rewriter.rewrite();
  return rewritten ? KernelGraph{std::move(*rewritten), rewriter.transposed()}
                   : KernelGraph{graph, none};
}

} // namespace tenon
