#include "tenon/Graph.h"

#include <algorithm>
#include <array>

namespace tenon {
namespace {

struct OperandCount {
  int8_t minimum, maximum;
};

// In the order of OperationForm.
constexpr OperandCount kOperandCounts[] = {
    {0, 0}, // kInput
    {0, 0}, // kConstant
    {0, 0}, // kIndex
    {0, 0}, // kLength
    {2, 5}, // kLoad: the table and one to four indices
    {1, 1}, // kConvert
    {1, 1}, // kUnaryReal
    {1, 1}, // kUnaryMask
    {2, 2}, // kBinaryReal
    {2, 2}, // kBinaryNumber
    {2, 2}, // kBinaryIndex
    {2, 2}, // kBinaryMask
    {2, 2}, // kComparison
    {3, 3}, // kWhere
    {1, 1}, // kTensorReal1
    {2, 2}, // kTensorReal2
    {2, 2}, // kDropout
};

constexpr OperationInfo describe(Operation operation, std::string_view mnemonic, OperationForm form,
                                 std::string_view formula) {
  const OperandCount count = kOperandCounts[static_cast<size_t>(form)];
  return {operation, mnemonic, form, count.minimum, count.maximum, formula};
}

constexpr OperationInfo kOperations[] = {
    describe(Operation::kInput, "input", OperationForm::kInput, "an argument of the graph"),
#define TENON_OPERATION(enumerator, mnemonic, form, formula)                                       \
  describe(Operation::enumerator, mnemonic, OperationForm::k##form, formula),
#include "tenon/Operations.def"
};

constexpr auto kByMnemonic = [] {
  std::array<const OperationInfo *, std::size(kOperations) - 1> sorted{};
  for (size_t i = 0; i < sorted.size(); ++i)
    sorted[i] = &kOperations[i + 1];
  std::ranges::sort(sorted, {}, [](const OperationInfo *info) { return info->mnemonic; });
  return sorted;
}();

} // namespace

const OperationInfo &operation_info(Operation operation) {
  return kOperations[static_cast<size_t>(operation)];
}

std::span<const OperationInfo> operation_table() {
  return std::span<const OperationInfo>(kOperations).subspan(1);
}

std::optional<Operation> find_operation(std::string_view mnemonic) {
  const auto found = std::ranges::lower_bound(
      kByMnemonic, mnemonic, {}, [](const OperationInfo *info) { return info->mnemonic; });
  if (found == kByMnemonic.end() || (*found)->mnemonic != mnemonic)
    return std::nullopt;
  return (*found)->operation;
}

std::string_view name(ValueType type) {
  static constexpr std::string_view kNames[2][3] = {
      {"tensor<*xf32>", "tensor<*xi32>", "tensor<*xi1>"}, {"f32", "i32", "i1"}};
  return kNames[type.scalar ? 1 : 0][static_cast<size_t>(type.kind)];
}

} // namespace tenon
