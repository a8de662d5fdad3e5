/// Inside the interpreter: values as strided views, and what every operation's evaluation is given.
#pragma once

#include "tenon/Error.h"
#include "tenon/Graph.h"
#include "tenon/Interpreter.h"
#include "tenon/Result.h"
#include "tenon/ShapeInference.h"
#include "tenon/Tensor.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace tenon::interpreter {

/// Elements are `Real`, int32_t or bool, by the kind of the node's type. Strides are in elements,
/// and 0 wherever the size is one: a value can be read at any index of a larger shape it broadcasts
/// to.
struct Value {
  std::shared_ptr<const void> storage;
  const void *data = nullptr;
  ValueShape shape{1, 1, 1, 1};
  std::array<int64_t, 4> strides{};

  template <typename Element> const Element *elements() const {
    return static_cast<const Element *>(data);
  }
  int64_t at(int64_t batch, int64_t head, int64_t row, int64_t column) const {
    return batch * strides[0] + head * strides[1] + row * strides[2] + column * strides[3];
  }
};

/// A value that is being written: contiguous.
struct Fresh {
  Value value;
  void *data = nullptr;
  template <typename Element> Element *elements() const { return static_cast<Element *>(data); }
};

/// Element count, or -1 where it does not fit.
int64_t element_count(const ValueShape &shape);

/// Errors: kOutOfMemory where the bytes are more than this machine has.
Result<Fresh> allocate(const ValueShape &shape, size_t element_bytes);

/// Everything that an operation may read besides its operands.
struct Evaluation {
  const Graph &graph;
  const GraphShapes &shapes;
  std::span<const Tensor> inputs;
  const InterpreterOptions &options;
};

/// Evaluates one node. `shape` is that of its result.
using EvaluateFunction = Result<Value> (*)(const Evaluation &evaluation, const Node &node,
                                           std::span<const Value> operands,
                                           const ValueShape &shape);

template <typename Real> size_t element_bytes(ElementKind kind) {
  static_assert(sizeof(bool) == 1);
  constexpr size_t kBytes[] = {sizeof(Real), sizeof(int32_t), sizeof(bool)};
  return kBytes[static_cast<size_t>(kind)];
}

/// The parameters of every evaluation, and its instances for both precisions.
#define TENON_EVALUATION(function)                                                                 \
  Result<Value> function(const Evaluation &evaluation, const Node &node,                           \
                         std::span<const Value> operands, const ValueShape &shape)
#define TENON_INSTANTIATE_EVALUATION(function)                                                     \
  template TENON_EVALUATION(function<float>);                                                      \
  template TENON_EVALUATION(function<double>)

// ---- One function an operation, or for all element-wise ones. Real is float or double.

template <typename Real> TENON_EVALUATION(input);
template <typename Real> TENON_EVALUATION(constant);
template <typename Real> TENON_EVALUATION(index);
template <typename Real> TENON_EVALUATION(length);
template <typename Real> TENON_EVALUATION(load);
template <typename Real> TENON_EVALUATION(elementwise);
template <typename Real> TENON_EVALUATION(matmul);
template <typename Real> TENON_EVALUATION(transpose);
template <typename Real> TENON_EVALUATION(softmax);
template <typename Real> TENON_EVALUATION(logsumexp);
template <typename Real> TENON_EVALUATION(dropout);

/// The tensor that the caller gets: contiguous, of rank `sizes.size()`, converted to `real` if of
/// kind real.
template <typename Real>
Result<Tensor> to_tensor(const Value &value, ElementKind kind, const Shape &sizes, DataType real);

} // namespace tenon::interpreter
