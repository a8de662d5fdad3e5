#include "tenon/Graph.h"

#include "graph/GraphLexer.h"
#include "graph/TypeRules.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace tenon {
namespace {

bool is_name_character(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || c == '$' || c == '.' || c == '-';
}

bool is_input_name(std::string_view name) {
  return !name.empty() && (is_letter(name.front()) || name.front() == '_') &&
         std::ranges::all_of(name, is_name_character);
}

std::string operation_name(Operation operation) {
  return "attention." + std::string(operation_info(operation).mnemonic);
}

} // namespace

ValueId Graph::append(Node node) {
  nodes_.push_back(std::move(node));
  return static_cast<ValueId>(nodes_.size() - 1);
}

Result<ValueId> Graph::add_input(std::string name, ValueType type) {
  if (!is_input_name(name))
    return Error::invalid_argument(
        "name of an input", in_quotes(name),
        "a letter or underscore, then letters, digits, '_', '$', '.' or '-'");
  if (std::ranges::find(inputs_, name, &GraphInput::name) != inputs_.end())
    return Error::invalid_argument("name of an input", in_quotes(name),
                                   "a name that no other input has");
  if (inputs_.size() == kMaxInputs || nodes_.size() == kMaxNodes)
    return Error::invalid_argument("graph", std::to_string(inputs_.size()) + " inputs",
                                   "at most " + std::to_string(kMaxInputs));
  const ValueId value = append({.operation = Operation::kInput,
                                .type = type,
                                .payload = static_cast<uint32_t>(inputs_.size())});
  inputs_.push_back({std::move(name), type, value});
  return value;
}

ValueId Graph::constant(float value) {
  return append({.operation = Operation::kConstant,
                 .type = kRealScalar,
                 .payload = std::bit_cast<uint32_t>(value)});
}

ValueId Graph::constant(int32_t value) {
  return append({.operation = Operation::kConstant,
                 .type = kIndexScalar,
                 .payload = std::bit_cast<uint32_t>(value)});
}

Result<ValueId> Graph::add(Operation operation, std::span<const ValueId> operands) {
  if (operation == Operation::kInput || operation == Operation::kConstant)
    return Error::invalid_argument("operation", std::string(operation_info(operation).mnemonic),
                                   "an operation on values: see add_input and constant");
  if (nodes_.size() >= kMaxNodes)
    return Error::invalid_argument("graph", std::to_string(nodes_.size()) + " operations",
                                   "at most " + std::to_string(kMaxNodes));
  std::vector<ValueType> types;
  for (const ValueId operand : operands) {
    if (!is_value(operand))
      return Error::invalid_argument("operand " + std::to_string(types.size()) + " of " +
                                         operation_name(operation),
                                     "value " + std::to_string(operand), "a value of this graph");
    types.push_back(type(operand));
  }
  auto result = infer_type(operation, types);
  if (!result)
    return result.error();
  if (operation == Operation::kLoad && node(operands[0]).operation != Operation::kInput)
    return Error::invalid_argument("operand 0 of attention.load",
                                   "the result of " + operation_name(node(operands[0]).operation),
                                   "an input of the graph");
  return append(
      {.operation = operation, .type = *result, .operands = {operands.begin(), operands.end()}});
}

Result<ValueId> Graph::convert(ValueId value, ElementKind kind) {
  if (!is_value(value))
    return Error::invalid_argument("operand 0 of attention.convert",
                                   "value " + std::to_string(value), "a value of this graph");
  const ElementKind from = type(value).kind;
  if (from == kind)
    return value;
  if (kind == ElementKind::kMask)
    return Error::invalid_argument("kind to convert to", "mask",
                                   "real or index; compare with 0 instead");
  auto converted = add(Operation::kConvert, {value});
  if (!converted || type(*converted).kind == kind)
    return converted;
  return add(Operation::kConvert, {*converted}); // i1 to i32, through f32
}

Result<void> Graph::set_results(std::span<const ValueId> results) {
  if (results.empty() || results.size() > kMaxResults)
    return Error::invalid_argument("results of the graph", std::to_string(results.size()),
                                   "1 to " + std::to_string(kMaxResults));
  for (size_t i = 0; i < results.size(); ++i) {
    const std::string argument = "result " + std::to_string(i);
    if (!is_value(results[i]))
      return Error::invalid_argument(argument, "value " + std::to_string(results[i]),
                                     "a value of this graph");
    if (type(results[i]).scalar)
      return Error::invalid_argument(argument, std::string(name(type(results[i]))), "a tensor");
  }
  results_.assign(results.begin(), results.end());
  return {};
}

bool Graph::uses(Operation operation) const {
  const std::vector<bool> live = live_nodes(*this);
  for (size_t i = 0; i < nodes_.size(); ++i)
    if (live[i] && nodes_[i].operation == operation)
      return true;
  return false;
}

Result<void> Graph::verify() const {
  if (results_.empty())
    return Error::invalid_argument("results of the graph", "none",
                                   "1 to " + std::to_string(kMaxResults));
  // Rebuilding through the checked interface is the check.
  Graph rebuilt;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const Node &node = nodes_[i];
    if (node.operation == Operation::kInput) {
      auto added = rebuilt.add_input(inputs_[node.payload].name, node.type);
      if (!added)
        return added.error();
    } else if (node.operation == Operation::kConstant) {
      rebuilt.append(node);
    } else {
      auto added = rebuilt.add(node.operation, node.operands);
      if (!added)
        return added.error();
    }
  }
  return rebuilt.set_results(results_);
}

} // namespace tenon
