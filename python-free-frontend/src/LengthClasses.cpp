#include "LengthClasses.h"

#include <numeric>

namespace tenon {

LengthClasses::LengthClasses(const Graph &graph)
    : graph_(graph), parent_(2 * graph.nodes().size() + 2) {
  std::iota(parent_.begin(), parent_.end(), size_t{0});
  for (size_t i = 0; i < graph.nodes().size(); ++i)
    visit(static_cast<ValueId>(i));
}

size_t LengthClasses::find(size_t i) {
  while (parent_[i] != i)
    i = parent_[i] = parent_[parent_[i]];
  return i;
}

void LengthClasses::visit(ValueId value) {
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

} // namespace tenon
