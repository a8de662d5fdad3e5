/// A function that was compiled from a graph: called with tensors, it runs as one kernel.
///
///     auto attend = tenon::compile([&](Value q, Value k, Value v) {
///       Value scores = where(query_index() >= key_index(), matmul(q, transpose(k)) * scale, -inf);
///       return matmul(softmax(scores), v);
///     }).value();
///     attend.launch({out}, {q, k, v}, {.stream = stream, .seed = 42}); // into the caller's tensors
///     Tensor fresh = attend(q, k, v).value();                          // allocates the result
///
/// Machine code is made at the first call for each combination of element types, widths, grouping
/// and alignment, kept by the process's KernelCache, and found again by all of these. Sequence
/// lengths, batch, heads, strides and scalars of the launch are arguments of the kernel and compile
/// nothing new.
#pragma once

#include "tenon/Api.h"
#include "tenon/Compiler.h"
#include "tenon/Device.h"
#include "tenon/Explanation.h"
#include "tenon/Graph.h"
#include "tenon/KernelCache.h"
#include "tenon/Result.h"
#include "tenon/Tensor.h"
#include "tenon/Value.h"

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace tenon {

/// A tensor of the caller's, by reference: a call copies none.
class TensorReference {
public:
  TensorReference(const Tensor &tensor) : tensor_(&tensor) {} // NOLINT(google-explicit-constructor)
  const Tensor &operator*() const { return *tensor_; }
  const Tensor *operator->() const { return tensor_; }

private:
  const Tensor *tensor_;
};

/// A CUstream, a cudaStream_t, or the number of one.
struct Stream {
  StreamHandle handle = 0;
  Stream() = default;
  Stream(StreamHandle number) : handle(number) {} // NOLINT(google-explicit-constructor)
  template <class Opaque>
  Stream(Opaque *stream) : handle(reinterpret_cast<StreamHandle>(stream)) {} // NOLINT
};

struct ScalarArgument {
  std::string_view name;
  double value = 0;
};

/// Up to kMaxScalarArguments of them, in place: {{"scale", 0.3}, {"cap", 30}}.
class ScalarArguments {
public:
  ScalarArguments() {} // NOLINT: the places stay uninitialised
  ScalarArguments(std::initializer_list<ScalarArgument> arguments) {
    for (const ScalarArgument &argument : arguments)
      add(argument);
  }
  void add(ScalarArgument argument) {
    if (size_ < kMaxScalarArguments)
      places_[size_].argument = argument;
    ++size_;
  }
  /// More than kMaxScalarArguments were given; the launch refuses.
  bool overflowed() const { return size_ > kMaxScalarArguments; }
  int size() const { return overflowed() ? kMaxScalarArguments : size_; }
  const ScalarArgument &operator[](int i) const { return places_[i].argument; }

private:
  union Place {
    Place() {} // NOLINT
    ScalarArgument argument;
  };
  int size_ = 0;
  Place places_[kMaxScalarArguments];
};

struct LaunchOptions {
  Stream stream = {};                       ///< ignored by the host, whose launches are synchronous
  uint64_t seed = 0;                        ///< of dropout
  uint64_t offset = 0;                      ///< of dropout; at most 32 bits
  const uint64_t *seed_pointer = nullptr;   ///< in the device's memory; takes the place of `seed`
  const uint64_t *offset_pointer = nullptr; ///< in the device's memory; takes the place of `offset`
  ScalarArguments scalars = {};             ///< by name; those not given have their default
};

struct CompileOptions {
  Way device = Way::kAuto;
  int ordinal = 0;          ///< of a named cuda or emulator device
  std::string target = {};  ///< code for another target than the device's best: "host:x86-64-v3"
  bool exact_shape = false; ///< compiles lengths in: one kernel for each set of sizes
  std::vector<std::string> inputs = {}; ///< names; by default query, key, value, input3, …
  std::string name = "attention";       ///< appears in explanations
  std::string schedule = "{}"; ///< JSON object for the compiler, {"tile_queries": 64}; one it refuses is an error
  KernelCache *cache = nullptr;         ///< by default KernelCache::process()
  bool tf32 = false; ///< on a GPU: products of float32 by tensor cores, operands rounded to 11 bits
};

/// A line of Function::cached(): sizes that were called, and what they run.
struct CachedShape {
  std::string shapes; ///< "query f32 [1, 8, 128, 64], key …"
  Way way = Way::kEager;
  std::string kernel; ///< "" where none is needed
};

class TENON_API Function {
public:
  Function() = default; ///< no function: calls return an error
  bool defined() const { return state_ != nullptr; }

  /// A function of a graph: its tensor inputs in their order are the inputs of a call, its scalar
  /// inputs must be given by name at each launch. Errors: a graph that does not verify.
  static Result<Function> from_graph(const Graph &graph, CompileOptions options = {});

  /// Runs into the caller's tensors, one for each result, in the order of the inputs. Inputs and
  /// outputs lie on the device that runs it. On a GPU it returns before the kernel ends. Once
  /// `prepare` or a call with these sizes was made, it allocates nothing, compiles nothing and
  /// takes no lock. An output that overlaps an input is an error where it is sure to, from dense
  /// memory or the first element; views between each other's elements are the caller's matter.
  /// Errors: the argument, what it was and what it must be; kUnsupported where a named device
  /// refuses, with the reasons; the device's own.
  Status launch(std::initializer_list<TensorReference> outputs,
                std::initializer_list<TensorReference> inputs,
                const LaunchOptions &options = {}) const {
    return launch(std::span(outputs.begin(), outputs.size()),
                  std::span(inputs.begin(), inputs.size()), options);
  }
  Status launch(std::span<const TensorReference> outputs, std::span<const TensorReference> inputs,
                const LaunchOptions &options = {}) const;

  /// The short form: allocates the results where the inputs lie, copies inputs to a named device
  /// and results back where they must, and waits. Results have the first input's element type; a
  /// logsumexp, float32.
  template <class... Tensors>
  requires((std::is_same_v<Tensors, Tensor> && ...)) Result<Tensor>
  operator()(const Tensor &first, const Tensors &...rest) const {
    const TensorReference inputs[] = {first, rest...};
    Result<std::vector<Tensor>> results = call(inputs);
    return results ? Result<Tensor>(std::move(results->front())) : Result<Tensor>(results.error());
  }
  /// All results, with options.
  Result<std::vector<Tensor>> call(std::span<const TensorReference> inputs,
                                   const LaunchOptions &options = {}) const;
  Result<std::vector<Tensor>> call(std::initializer_list<TensorReference> inputs,
                                   const LaunchOptions &options = {}) const {
    return call(std::span(inputs.begin(), inputs.size()), options);
  }

  /// Compiles, loads and allocates all that launches with tensors of these sizes need.
  Status prepare(std::span<const TensorReference> inputs, const LaunchOptions &options = {}) const;
  Status prepare(std::initializer_list<TensorReference> inputs,
                 const LaunchOptions &options = {}) const {
    return prepare(std::span(inputs.begin(), inputs.size()), options);
  }
  /// Bytes of the device's memory that are prepared for launches of these sizes, besides their tensors: on the host for
  /// all threads of the arena and one from outside.
  Result<uint64_t> workspace(std::span<const TensorReference> inputs) const;

  /// What a call with these inputs runs, and why. Compiles what is not compiled yet, runs nothing.
  Result<Explanation> explain(std::span<const TensorReference> inputs) const;
  Result<Explanation> explain(std::initializer_list<TensorReference> inputs) const {
    return explain(std::span(inputs.begin(), inputs.size()));
  }
  /// What the compiler is asked for these inputs: the graph, their signature, the target ("" is
  /// that of the named device, else this host's). Only their sizes, types and strides are read.
  Result<CompileRequest> request(std::span<const TensorReference> inputs,
                                 std::string target = "") const;

  /// Of the latest call that decided anything; before any, what was asked and the graph.
  Explanation explain() const;

  /// The sizes called so far, and the kernel of each.
  std::vector<CachedShape> cached() const;

  const Graph &graph() const;     ///< canonical
  std::string graph_text() const; ///< MLIR in the attention dialect
  /// The tensor that was captured at tracing and stands behind an input of the graph; undefined if
  /// none does.
  Tensor captured(std::string_view input) const;
  /// The sizes of the results for these inputs. Errors: what does not fit.
  Result<std::vector<Shape>> result_shapes(std::span<const TensorReference> inputs) const;

private:
  friend struct FunctionAccess;
  struct State;
  std::shared_ptr<State> state_;
};

namespace detail {

using TracedBody = FunctionRef<std::vector<Value>(std::span<const Value>)>;
TENON_API Result<Function> compile_traced(std::span<const ValueType> parameters, TracedBody body,
                                          CompileOptions options);

template <class Parameter> constexpr ValueType type_of_parameter() {
  using Plain = std::remove_cvref_t<Parameter>;
  static_assert(std::is_base_of_v<Value, Plain>,
                "a traced lambda takes Value, Mask, Index, Scalar or IndexScalar");
  if constexpr (std::is_same_v<Plain, Mask>)
    return kMaskTensor;
  else if constexpr (std::is_same_v<Plain, Index>)
    return kIndexTensor;
  else if constexpr (std::is_same_v<Plain, Scalar>)
    return kRealScalar;
  else if constexpr (std::is_same_v<Plain, IndexScalar>)
    return kIndexScalar;
  else
    return kRealTensor;
}

template <class... Parameters> struct ParameterList {};

template <class> struct Signature_;
template <class Result, class... Parameters> struct Signature_<Result(Parameters...)> {
  using List = ParameterList<Parameters...>;
};
template <class Result, class... P>
struct Signature_<Result (*)(P...)> : Signature_<Result(P...)> {};
template <class C, class R, class... P> struct Signature_<R (C::*)(P...)> : Signature_<R(P...)> {};
template <class C, class R, class... P>
struct Signature_<R (C::*)(P...) const> : Signature_<R(P...)> {};
template <class C, class R, class... P>
struct Signature_<R (C::*)(P...) noexcept> : Signature_<R(P...)> {};
template <class C, class R, class... P>
struct Signature_<R (C::*)(P...) const noexcept> : Signature_<R(P...)> {};

/// The parameters of a lambda; of a generic one, as many Values as it can be called with: 3, else 1
/// to 8.
template <class Body> constexpr auto parameters_of() {
  if constexpr (requires { &Body::operator(); })
    return typename Signature_<decltype(&Body::operator())>::List{};
  else if constexpr (std::is_pointer_v<Body>)
    return typename Signature_<Body>::List{};
  else if constexpr (std::is_invocable_v<Body, Value, Value, Value>)
    return ParameterList<Value, Value, Value>{};
  else if constexpr (std::is_invocable_v<Body, Value>)
    return ParameterList<Value>{};
  else if constexpr (std::is_invocable_v<Body, Value, Value>)
    return ParameterList<Value, Value>{};
  else if constexpr (std::is_invocable_v<Body, Value, Value, Value, Value>)
    return ParameterList<Value, Value, Value, Value>{};
  else if constexpr (std::is_invocable_v<Body, Value, Value, Value, Value, Value>)
    return ParameterList<Value, Value, Value, Value, Value>{};
  else if constexpr (std::is_invocable_v<Body, Value, Value, Value, Value, Value, Value>)
    return ParameterList<Value, Value, Value, Value, Value, Value>{};
  else if constexpr (std::is_invocable_v<Body, Value, Value, Value, Value, Value, Value, Value>)
    return ParameterList<Value, Value, Value, Value, Value, Value, Value>{};
  else
    return ParameterList<Value, Value, Value, Value, Value, Value, Value, Value>{};
}

/// What a lambda may return: a Value, or a pair, tuple or array of Values.
template <class Returned> std::vector<Value> results_of(const Returned &returned) {
  if constexpr (std::is_convertible_v<Returned, Value>)
    return {Value(returned)};
  else
    return std::apply([](const auto &...each) { return std::vector<Value>{Value(each)...}; },
                      returned);
}
inline std::vector<Value> results_of(const std::vector<Value> &returned) {
  return returned;
}

template <class Body, class... Parameters>
Result<Function> compile_body(Body &body, CompileOptions options, ParameterList<Parameters...>) {
  const std::array<ValueType, sizeof...(Parameters)> types{type_of_parameter<Parameters>()...};
  auto traced = [&](std::span<const Value> values) {
    return [&]<size_t... I>(std::index_sequence<I...>) {
      return results_of(body(std::remove_cvref_t<Parameters>(values[I])...));
    }
    (std::make_index_sequence<sizeof...(Parameters)>());
  };
  return compile_traced(types, traced, std::move(options));
}

} // namespace detail

/// Traces a lambda of 1 to 8 Values (or Mask, Index, Scalar, IndexScalar) that returns the output,
/// or the output and a second result such as the logsumexp. Machine code is made at the first call
/// or `prepare`. Errors: the first thing that made no sense while tracing; names that are no
/// identifiers or not unique; a target that is none.
template <class Body> Result<Function> compile(Body &&body, CompileOptions options = {}) {
  return detail::compile_body(body, std::move(options),
                              detail::parameters_of<std::decay_t<Body>>());
}

} // namespace tenon
