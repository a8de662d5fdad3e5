#include "tenon/Graph.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdio>
#include <string>
#include <unordered_map>
#include <utility>

namespace tenon {
namespace {

struct NodeHash {
  size_t operator()(const Node &node) const {
    const uint32_t head[] = {static_cast<uint32_t>(node.operation),
                             static_cast<uint32_t>(node.type.kind), node.type.scalar, node.payload};
    const uint64_t seed = XXH3_64bits(head, sizeof head);
    return XXH3_64bits_withSeed(node.operands.data(), node.operands.size() * sizeof(ValueId), seed);
  }
};

struct SameExpression {
  bool operator()(const Node &a, const Node &b) const {
    return a.operation == b.operation && a.type == b.type && a.payload == b.payload &&
           a.operands == b.operands;
  }
};

/// Node of the old graph -> node of the new one, by a walk in post-order without recursion: a graph
/// may be a chain of a million nodes.
class Canonicaliser {
public:
  Canonicaliser(const Graph &graph, std::vector<Node> &nodes)
      : graph_(graph), nodes_(nodes), canonical_(graph.nodes().size(), -1) {}

  void keep_input(ValueId input) { emit(input); }

  ValueId visit(ValueId root) {
    if (known(root) >= 0)
      return known(root);
    std::vector<std::pair<ValueId, size_t>> stack{{root, 0}}; // value, its next operand
    while (!stack.empty()) {
      auto &[value, next] = stack.back();
      const std::vector<ValueId> &operands = graph_.node(value).operands;
      while (next < operands.size() && known(operands[next]) >= 0)
        ++next;
      if (next < operands.size()) {
        stack.emplace_back(operands[next++], 0);
      } else {
        emit(value);
        stack.pop_back();
      }
    }
    return known(root);
  }

private:
  ValueId &known(ValueId value) { return canonical_[static_cast<size_t>(value)]; }

  void emit(ValueId value) {
    Node node = graph_.node(value);
    for (ValueId &operand : node.operands)
      operand = known(operand);
    const auto fresh = static_cast<ValueId>(nodes_.size());
    const auto [place, is_new] = expressions_.try_emplace(node, fresh);
    if (is_new)
      nodes_.push_back(std::move(node));
    known(value) = place->second;
  }

  const Graph &graph_;
  std::vector<Node> &nodes_;
  std::vector<ValueId> canonical_;
  std::unordered_map<Node, ValueId, NodeHash, SameExpression> expressions_;
};

} // namespace

Graph Graph::canonical() const {
  Graph result;
  Canonicaliser canonicaliser(*this, result.nodes_);
  for (const GraphInput &input : inputs_) {
    canonicaliser.keep_input(input.value);
    result.inputs_.push_back({input.name, input.type, canonicaliser.visit(input.value)});
  }
  for (const ValueId value : results_)
    result.results_.push_back(canonicaliser.visit(value));
  return result;
}

std::string Graph::hash() const {
  const std::string canonical_text = text();
  const XXH128_hash_t hash = XXH3_128bits(canonical_text.data(), canonical_text.size());
  char digits[33];
  std::snprintf(digits, sizeof digits, "%016llx%016llx",
                static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return digits;
}

} // namespace tenon
