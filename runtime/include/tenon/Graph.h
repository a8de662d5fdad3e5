/// An attention graph: a plain list of pure operations, and its canonical text.
///
/// A value is a function of four indices [batch, head, row, column], broadcast as needed. Its type
/// says only what an element is, never how many there are: lengths, widths and storage come with
/// the call. The canonical text is valid MLIR in the `attention` dialect, is what the compiler
/// imports, and is what the kernel cache hashes:
///
///     func.func @attention(%query: tensor<*xf32>, %key: tensor<*xf32>, %scale: f32)
///         -> tensor<*xf32> {
///       %0 = attention.transpose %key : tensor<*xf32>
///       %1 = attention.matmul %query, %0 : tensor<*xf32>
///       %2 = attention.multiply %1, %scale : (tensor<*xf32>, f32) -> tensor<*xf32>
///       return %2 : tensor<*xf32>
///     }
///
/// Inputs are values too, and may be added at any time: a tensor captured while tracing is one.
#pragma once

#include "tenon/Api.h"
#include "tenon/Result.h"

#include <bit>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

/// What an element is. Arithmetic on reals is float32, on indices 32-bit two's complement that
/// wraps.
enum class ElementKind : uint8_t { kReal, kIndex, kMask };

struct ValueType {
  ElementKind kind = ElementKind::kReal;
  bool scalar = false; ///< one element for the whole launch: f32, i32, i1
  bool operator==(const ValueType &) const = default;
};

inline constexpr ValueType kRealTensor{ElementKind::kReal, false};
inline constexpr ValueType kIndexTensor{ElementKind::kIndex, false};
inline constexpr ValueType kMaskTensor{ElementKind::kMask, false};
inline constexpr ValueType kRealScalar{ElementKind::kReal, true};
inline constexpr ValueType kIndexScalar{ElementKind::kIndex, true};
inline constexpr ValueType kMaskScalar{ElementKind::kMask, true};

/// "tensor<*xf32>", "tensor<*xi32>", "tensor<*xi1>", "f32", "i32", "i1"
TENON_API std::string_view name(ValueType type);

/// kInput is no operation of the dialect: it stands for an argument of the graph.
enum class Operation : uint8_t {
  kInput,
#define TENON_OPERATION(enumerator, mnemonic, form, formula) enumerator,
#include "tenon/Operations.def"
};

/// How many operands, of which kinds, and what the result is: see Operations.def.
enum class OperationForm : uint8_t {
  kInput,
  kConstant,
  kIndex,
  kLength,
  kLoad,
  kConvert,
  kUnaryReal,
  kUnaryMask,
  kBinaryReal,
  kBinaryNumber,
  kBinaryIndex,
  kBinaryMask,
  kComparison,
  kWhere,
  kTensorReal1,
  kTensorReal2,
  kDropout,
};

struct OperationInfo {
  Operation operation;
  std::string_view mnemonic; ///< "matmul"; the op is attention.matmul
  OperationForm form;
  int8_t minimum_operands;
  int8_t maximum_operands;
  std::string_view formula;
};

TENON_API const OperationInfo &operation_info(Operation operation);
/// All operations of the table, in its order, without kInput.
TENON_API std::span<const OperationInfo> operation_table();
TENON_API std::optional<Operation> find_operation(std::string_view mnemonic);

/// The position of a value in Graph::nodes(). Operands always stand before their users.
using ValueId = int32_t;

struct Node {
  Operation operation = Operation::kInput;
  ValueType type;
  std::vector<ValueId> operands = {};
  uint32_t payload = 0; ///< kConstant: bits of the f32 or i32; kInput: position in Graph::inputs()

  float real() const { return std::bit_cast<float>(payload); }
  int32_t index() const { return static_cast<int32_t>(payload); }
};

struct GraphInput {
  std::string name; ///< a letter or underscore, then letters, digits, '_', '$', '.', '-'; unique
  ValueType type;
  ValueId value = -1;
};

class TENON_API Graph {
public:
  static constexpr size_t kMaxNodes = size_t{1} << 20;
  static constexpr size_t kMaxInputs = 256;
  static constexpr size_t kMaxResults = 8;

  // ---- Building. A refused call leaves the graph as it was.

  /// Errors: a name that is no identifier or is taken already.
  Result<ValueId> add_input(std::string name, ValueType type);
  ValueId constant(float value);
  ValueId constant(int32_t value);
  /// Appends an operation of the table, except a constant. There is no implicit conversion of
  /// kinds. Errors: which operation, which operand, its type, and the type that it must have.
  Result<ValueId> add(Operation operation, std::span<const ValueId> operands);
  Result<ValueId> add(Operation operation, std::initializer_list<ValueId> operands = {}) {
    return add(operation, std::span<const ValueId>(operands.begin(), operands.size()));
  }
  /// `convert` to a named kind: f32 -> i32, or i32, i1 -> f32. The value itself if it is of that
  /// kind.
  Result<ValueId> convert(ValueId value, ElementKind kind);
  /// One to kMaxResults tensors: usually the output, or the output and the logsumexp.
  Result<void> set_results(std::span<const ValueId> results);
  Result<void> set_results(std::initializer_list<ValueId> results) {
    return set_results(std::span<const ValueId>(results.begin(), results.size()));
  }

  // ---- Reading.

  const std::vector<Node> &nodes() const { return nodes_; }
  const std::vector<GraphInput> &inputs() const { return inputs_; }
  const std::vector<ValueId> &results() const { return results_; }
  const Node &node(ValueId value) const { return nodes_[static_cast<size_t>(value)]; }
  ValueType type(ValueId value) const { return node(value).type; }
  bool is_value(ValueId value) const {
    return value >= 0 && static_cast<size_t>(value) < nodes_.size();
  }
  bool uses(Operation operation) const; ///< by what the results need; dead nodes do not count

  /// What `add` and `set_results` guarantee, checked anew, and that there are results.
  Result<void> verify() const;

  /// The same function in canonical order: all inputs first, used or not, then what the results
  /// need and nothing else, each expression once, operands before their users, in the order in
  /// which a walk from the results meets them. So the text depends on the mathematics, and neither
  /// on the order in which a C++ compiler happens to evaluate arguments nor on what was traced in
  /// vain.
  Graph canonical() const;

  /// The text of the canonical graph: f32 constants as hex bits, values numbered %0, %1, …
  std::string text() const;
  /// XXH3-128 of the text, 32 hex digits.
  std::string hash() const;

  /// Reads what `text` prints, and besides: any SSA names, free white space, `//` comments, decimal
  /// f32 literals, a `module { }` around the function, any symbol name. The result of parsing is
  /// not yet canonical: it has the nodes of the text, in its order. Errors: "line:column" and what
  /// was expected there. No bytes crash it.
  static Result<Graph> parse(std::string_view text);

private:
  ValueId append(Node node);
  std::vector<Node> nodes_;
  std::vector<GraphInput> inputs_;
  std::vector<ValueId> results_;
};

} // namespace tenon
