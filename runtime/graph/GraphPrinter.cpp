#include "graph/TypeRules.h"
#include "tenon/Graph.h"

#include <cinttypes>
#include <cstdio>
#include <utility>

namespace tenon {
namespace {

class Printer {
public:
  explicit Printer(const Graph &graph) : graph_(graph), names_(graph.nodes().size()) {}

  std::string print() {
    signature();
    for (const Node &node : graph_.nodes())
      if (node.operation != Operation::kInput)
        operation(node);
    results();
    return std::move(text_);
  }

private:
  std::string &value_name(ValueId value) { return names_[static_cast<size_t>(value)]; }

  template <typename Range, typename Print> void list(const Range &range, Print print) {
    bool first = true;
    for (const auto &element : range) {
      if (!std::exchange(first, false))
        text_ += ", ";
      print(element);
    }
  }

  void types(const std::vector<ValueId> &values) {
    list(values, [&](ValueId value) { text_ += name(graph_.type(value)); });
  }

  void values(const std::vector<ValueId> &values) {
    list(values, [&](ValueId value) { text_ += value_name(value); });
  }

  void signature() {
    text_ += "func.func @attention(";
    list(graph_.inputs(), [&](const GraphInput &input) {
      value_name(input.value) = '%' + input.name;
      text_ += '%' + input.name + ": ";
      text_ += name(input.type);
    });
    text_ += ")";
    const std::vector<ValueId> &results = graph_.results();
    if (!results.empty()) {
      text_ += results.size() == 1 ? " -> " : " -> (";
      types(results);
      text_ += results.size() == 1 ? "" : ")";
    }
    text_ += " {\n";
  }

  void constant(const Node &node) {
    char literal[16];
    if (node.type.kind == ElementKind::kReal)
      std::snprintf(literal, sizeof literal, "0x%08" PRIX32, node.payload);
    else
      std::snprintf(literal, sizeof literal, "%" PRId32, node.index());
    text_ += literal;
  }

  void operands(const Node &node) {
    const auto &operands = node.operands;
    if (node.operation == Operation::kLoad) {
      text_ += value_name(operands[0]) + "[";
      values({operands.begin() + 1, operands.end()});
      text_ += "]";
    } else {
      values(operands);
    }
  }

  void operation(const Node &node) {
    const auto id = static_cast<size_t>(&node - graph_.nodes().data());
    names_[id] = '%' + std::to_string(next_number_++);
    text_ += "  " + names_[id] + " = attention.";
    text_ += operation_info(node.operation).mnemonic;
    if (node.operation == Operation::kConstant || !node.operands.empty())
      text_ += ' ';
    if (node.operation == Operation::kConstant)
      constant(node);
    else
      operands(node);
    text_ += " : ";
    if (!has_single_type(operation_info(node.operation).form)) {
      text_ += '(';
      types(node.operands);
      text_ += ") -> ";
    }
    text_ += name(node.type);
    text_ += '\n';
  }

  void results() {
    text_ += "  return";
    if (!graph_.results().empty()) {
      text_ += ' ';
      values(graph_.results());
      text_ += " : ";
      types(graph_.results());
    }
    text_ += "\n}\n";
  }

  const Graph &graph_;
  std::vector<std::string> names_;
  std::string text_;
  int64_t next_number_ = 0;
};

} // namespace

std::string Graph::text() const {
  return Printer(canonical()).print();
}

} // namespace tenon
