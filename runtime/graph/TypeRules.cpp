#include "graph/TypeRules.h"

#include <cstdio>
#include <utility>

namespace tenon {
namespace {

constexpr uint8_t kReal = 1 << static_cast<int>(ElementKind::kReal);
constexpr uint8_t kIndex = 1 << static_cast<int>(ElementKind::kIndex);
constexpr uint8_t kMask = 1 << static_cast<int>(ElementKind::kMask);
constexpr uint8_t kNumber = kReal | kIndex;
constexpr uint8_t kAny = kNumber | kMask;

enum class Rank : uint8_t { kAny, kTensor, kScalar };

struct OperandRule {
  uint8_t kinds = 0;
  Rank rank = Rank::kAny;
  int8_t same_kind_as = -1; ///< an operand before it
};

enum class ResultKind : uint8_t { kFirst, kLast, kMask, kConverted, kIndex };
enum class ResultRank : uint8_t { kScalarIfAllAre, kTensor, kScalar };

struct TypeRule {
  OperandRule operands[3]; ///< the last one that is needed holds for all that follow
  ResultKind kind = ResultKind::kFirst;
  ResultRank rank = ResultRank::kScalarIfAllAre;
};

constexpr OperandRule kRealTensorOperand{kReal, Rank::kTensor};

// In the order of OperationForm.
constexpr TypeRule kRules[] = {
    {},                                            // kInput
    {},                                            // kConstant
    {{}, ResultKind::kIndex, ResultRank::kTensor}, // kIndex
    {{}, ResultKind::kIndex, ResultRank::kScalar}, // kLength
    {{{kAny, Rank::kTensor}, {kIndex}, {kIndex}}, ResultKind::kFirst, ResultRank::kTensor}, // kLoad
    {{{kAny}}, ResultKind::kConverted},                              // kConvert
    {{{kReal}}},                                                     // kUnaryReal
    {{{kMask}}},                                                     // kUnaryMask
    {{{kReal}, {kReal}}},                                            // kBinaryReal
    {{{kNumber}, {kNumber, Rank::kAny, 0}}},                         // kBinaryNumber
    {{{kIndex}, {kIndex}}},                                          // kBinaryIndex
    {{{kMask}, {kMask}}},                                            // kBinaryMask
    {{{kNumber}, {kNumber, Rank::kAny, 0}}, ResultKind::kMask},      // kComparison
    {{{kMask}, {kAny}, {kAny, Rank::kAny, 1}}, ResultKind::kLast},   // kWhere
    {{kRealTensorOperand}, ResultKind::kFirst, ResultRank::kTensor}, // kTensorReal1
    {{kRealTensorOperand, kRealTensorOperand},
     ResultKind::kFirst,
     ResultRank::kTensor}, // kTensorReal2
    {{kRealTensorOperand, {kReal, Rank::kScalar}},
     ResultKind::kFirst,
     ResultRank::kTensor}, // kDropout
};

const OperandRule &operand_rule(const TypeRule &rule, size_t position) {
  return rule.operands[position < 3 ? position : 2];
}

uint8_t allowed_kinds(const OperandRule &rule, std::span<const ValueType> operands) {
  if (rule.same_kind_as < 0)
    return rule.kinds;
  return uint8_t(1u << static_cast<int>(operands[static_cast<size_t>(rule.same_kind_as)].kind));
}

bool allows(const OperandRule &rule, uint8_t kinds, ValueType type) {
  return (kinds >> static_cast<int>(type.kind) & 1) != 0 &&
         (rule.rank == Rank::kAny || type.scalar == (rule.rank == Rank::kScalar));
}

/// "tensor<*xf32> or f32"
std::string allowed_types(const OperandRule &rule, uint8_t kinds) {
  std::string text;
  for (const bool scalar : {false, true})
    for (const ElementKind kind : {ElementKind::kReal, ElementKind::kIndex, ElementKind::kMask})
      if (allows(rule, kinds, {kind, scalar}))
        text += (text.empty() ? "" : " or ") + std::string(name(ValueType{kind, scalar}));
  return text;
}

ElementKind result_kind(ResultKind rule, std::span<const ValueType> operands) {
  switch (rule) {
  case ResultKind::kFirst:
    return operands.front().kind;
  case ResultKind::kLast:
    return operands.back().kind;
  case ResultKind::kMask:
    return ElementKind::kMask;
  case ResultKind::kIndex:
    return ElementKind::kIndex;
  case ResultKind::kConverted:
    return operands.front().kind == ElementKind::kReal ? ElementKind::kIndex : ElementKind::kReal;
  }
  std::unreachable();
}

bool result_is_scalar(ResultRank rule, std::span<const ValueType> operands) {
  if (rule != ResultRank::kScalarIfAllAre)
    return rule == ResultRank::kScalar;
  for (const ValueType type : operands)
    if (!type.scalar)
      return false;
  return true;
}

std::string operand_count(const OperationInfo &info) {
  const std::string maximum = std::to_string(info.maximum_operands);
  return info.minimum_operands == info.maximum_operands
             ? maximum
             : std::to_string(info.minimum_operands) + " to " + maximum;
}

} // namespace

Result<ValueType> infer_type(Operation operation, std::span<const ValueType> operands) {
  const OperationInfo &info = operation_info(operation);
  const std::string op_name = "attention." + std::string(info.mnemonic);
  if (operands.size() < static_cast<size_t>(info.minimum_operands) ||
      operands.size() > static_cast<size_t>(info.maximum_operands))
    return Error::invalid_argument("operands of " + op_name, std::to_string(operands.size()),
                                   operand_count(info));
  const TypeRule &rule = kRules[static_cast<size_t>(info.form)];
  for (size_t i = 0; i < operands.size(); ++i) {
    const OperandRule &operand = operand_rule(rule, i);
    const uint8_t kinds = allowed_kinds(operand, operands);
    if (!allows(operand, kinds, operands[i]))
      return Error::invalid_argument("operand " + std::to_string(i) + " of " + op_name,
                                     std::string(name(operands[i])), allowed_types(operand, kinds));
  }
  return ValueType{result_kind(rule.kind, operands), result_is_scalar(rule.rank, operands)};
}

bool has_single_type(OperationForm form) {
  static constexpr bool kSingle[] = {
      false, true,  true,  true,  false, false, // input constant index length load convert
      true,  true,  false, false, false, false, // unary real, mask; binary real number index mask
      false, false, true,  true,  false,        // comparison where; tensor of one, of two; dropout
  };
  return kSingle[static_cast<size_t>(form)];
}

std::vector<bool> live_nodes(const Graph &graph) {
  std::vector<bool> live(graph.nodes().size(), false);
  for (const ValueId result : graph.results())
    live[static_cast<size_t>(result)] = true;
  for (size_t i = live.size(); i-- > 0;)
    if (live[i])
      for (const ValueId operand : graph.nodes()[i].operands)
        live[static_cast<size_t>(operand)] = true;
  return live;
}

std::string in_quotes(std::string_view text) {
  constexpr size_t kLongest = 64;
  std::string result = "\"";
  for (const char c : text.substr(0, kLongest)) {
    if (c >= ' ' && c <= '~' && c != '"') {
      result += c;
    } else {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02X",
                    static_cast<unsigned>(static_cast<unsigned char>(c)));
      result += escape;
    }
  }
  return result + (text.size() > kLongest ? "…\"" : "\"");
}

} // namespace tenon
