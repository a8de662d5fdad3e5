#include "interpreter/MaskedScores.h"

#include <cmath>
#include <limits>

namespace tenon::interpreter {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr ValueId kNone = -1;

/// A node of the graph in the one that is made: visible ? value : −∞ where there is such a mask.
struct Element {
  ValueId value = kNone, visible = kNone;
  ValueId whole = kNone; ///< the selection, once something has asked for it
  bool of_product = false;
};

class MaskKeeper {
public:
  explicit MaskKeeper(const Graph &graph) : from_(graph) {}

  /// Whether a selection was moved behind something.
  bool moved() const { return moved_; }
  Result<Graph> run() {
    for (const Node &node : from_.nodes()) {
      TENON_ASSIGN_OR_RETURN(Element element, copy(node));
      for (const ValueId operand : node.operands)
        element.of_product |= at(operand).of_product;
      element.of_product |= node.operation == Operation::kMatmul;
      elements_.push_back(element);
    }
    std::vector<ValueId> results;
    for (const ValueId result : from_.results()) {
      TENON_ASSIGN_OR_RETURN(const ValueId whole, this->whole(result));
      results.push_back(whole);
    }
    TENON_TRY(to_.set_results(results));
    return std::move(to_);
  }

private:
  Element &at(ValueId value) { return elements_[static_cast<size_t>(value)]; }
  bool is_constant(ValueId value, float number) const {
    const Node &node = from_.node(value);
    return node.operation == Operation::kConstant && node.type.kind == ElementKind::kReal &&
           node.real() == number;
  }
  bool is_positive(ValueId value) const {
    const Node &node = from_.node(value);
    return node.operation == Operation::kConstant && node.type.kind == ElementKind::kReal &&
           node.real() > 0 && std::isfinite(node.real());
  }

  /// Of what is masked in part the selection.
  Result<ValueId> whole(ValueId value) {
    Element &element = at(value);
    if (element.visible == kNone)
      return element.value;
    if (element.whole == kNone) {
      TENON_ASSIGN_OR_RETURN(
          element.whole,
          to_.add(Operation::kWhere, {element.visible, element.value, to_.constant(-kInfinity)}));
    }
    return element.whole;
  }
  Result<ValueId> both(ValueId a, ValueId b) {
    if (a == kNone || b == kNone)
      return a == kNone ? b : a;
    return to_.add(Operation::kAnd, {a, b});
  }

  Result<Element> copy(const Node &node) {
    if (node.operation == Operation::kInput) {
      TENON_ASSIGN_OR_RETURN(const ValueId input,
                             to_.add_input(from_.inputs()[node.payload].name, node.type));
      return Element{input};
    }
    if (node.operation == Operation::kConstant)
      return Element{node.type.kind == ElementKind::kReal ? to_.constant(node.real())
                                                          : to_.constant(node.index())};
    if (node.operation == Operation::kWhere && node.type.kind == ElementKind::kReal &&
        !at(node.operands[0]).of_product)
      for (const size_t masked : {2, 1})
        if (is_constant(node.operands[masked], -kInfinity))
          return mask(node, masked);
    if (moves_behind(node))
      return behind(node);
    std::vector<ValueId> operands;
    for (const ValueId operand : node.operands) {
      TENON_ASSIGN_OR_RETURN(const ValueId whole, this->whole(operand));
      operands.push_back(whole);
    }
    TENON_ASSIGN_OR_RETURN(const ValueId value, to_.add(node.operation, operands));
    return Element{value};
  }

  /// where(c, x, −∞), or where(c, −∞, x), which is visible where c is not.
  Result<Element> mask(const Node &node, size_t masked) {
    ValueId visible = at(node.operands[0]).value;
    if (masked == 1) {
      TENON_ASSIGN_OR_RETURN(visible, to_.add(Operation::kNot, {visible}));
    }
    const Element &kept = at(node.operands[3 - masked]);
    TENON_ASSIGN_OR_RETURN(visible, both(kept.visible, visible));
    return Element{kept.value, visible};
  }

  bool moves_behind(const Node &node) {
    if (node.operands.size() != 2)
      return false;
    const bool first = at(node.operands[0]).visible != kNone,
               second = at(node.operands[1]).visible != kNone;
    switch (node.operation) {
    case Operation::kAdd:
      return first || second;
    case Operation::kSubtract:
      return first && !second;
    case Operation::kMultiply:
      return (first && is_positive(node.operands[1])) || (second && is_positive(node.operands[0]));
    case Operation::kDivide:
      return first && is_positive(node.operands[1]);
    default:
      return false;
    }
  }

  Result<Element> behind(const Node &node) {
    moved_ = true;
    const Element a = at(node.operands[0]), b = at(node.operands[1]);
    TENON_ASSIGN_OR_RETURN(const ValueId value, to_.add(node.operation, {a.value, b.value}));
    TENON_ASSIGN_OR_RETURN(const ValueId visible, both(a.visible, b.visible));
    return Element{value, visible};
  }

  const Graph &from_;
  Graph to_;
  std::vector<Element> elements_;
  bool moved_ = false;
};

} // namespace

Result<Graph> with_masks_kept(const Graph &graph) {
  MaskKeeper keeper(graph);
  TENON_ASSIGN_OR_RETURN(Graph kept, keeper.run());
  return keeper.moved() ? std::move(kept) : graph;
}

} // namespace tenon::interpreter
