/// One tracing: the graph that grows, what it captures, and the first error.
#pragma once

#include "tenon/Graph.h"
#include "tenon/Tensor.h"
#include "tenon/Value.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tenon {

/// A tensor that a lambda captured with load: an input of the graph that callers do not pass.
struct CapturedTensor {
  std::string name;
  Tensor tensor;
};

struct ScalarDefault {
  std::string name;
  std::optional<double> value;
};

struct TracedGraph {
  Graph graph;
  std::vector<CapturedTensor> captured;
  std::vector<ScalarDefault> scalars;
};

namespace detail {

class Trace {
public:
  Trace();
  ~Trace();
  Trace(const Trace &) = delete;
  Trace &operator=(const Trace &) = delete;

  /// The trace of this thread, null outside of compile.
  static Trace *current();

  Value input(std::string name, ValueType type);
  Value apply(Operation operation, std::span<const Value> operands);
  Value load(const Value &table, std::span<const Value> indices);
  Value load_captured(const Tensor &table, std::span<const Value> indices);
  Value capture(const Tensor &tensor);
  Value parameter(std::string name, ElementKind kind, std::optional<double> initial);
  Value convert(const Value &value, ElementKind kind);
  Value dropout(const Value &probabilities, const Value &probability);
  std::optional<ElementKind> kind_of(const Value &value) const;
  Result<TracedGraph> finish(std::span<const Value> results) &&;

private:
  Value wrap(ValueId id) const;
  Value keep(Result<ValueId> id);
  Value fail(Error error);
  bool poisoned(const Value &value);
  /// The node of a value; literals become constants, of `kind` where they can.
  std::optional<ValueId> node(const Value &value, std::optional<ElementKind> kind);
  std::optional<ValueId> literal(const Value &value, std::optional<ElementKind> kind);
  std::optional<ElementKind> common_kind(OperationForm form, std::span<const Value> operands) const;

  uint64_t serial_;
  Trace *outer_;
  TracedGraph traced_;
  std::optional<Error> error_;
};

} // namespace detail
} // namespace tenon
