#include "tenon/Function.h"

#include "FunctionState.h"
#include "tenon/Target.h"

#include <algorithm>
#include <exception>
#include <new>

namespace tenon {
namespace {

Error undefined_function() {
  return Error(ErrorCode::kInvalidArgument,
               "the function is not defined: it was not made by tenon::compile");
}

Status check_options(const CompileOptions &options) {
  if (options.device > Way::kEager)
    return Error::invalid_argument("device", std::to_string(static_cast<int>(options.device)),
                                   "a Way");
  if (!options.target.empty()) {
    TENON_ASSIGN_OR_RETURN(const Target target, Target::parse(options.target));
    const bool gpu = options.device == Way::kCuda || options.device == Way::kEmulator;
    if ((target.kind == TargetKind::kCuda) != gpu)
      return Error::invalid_argument(
          "target", options.target + " with device " + std::string(name(options.device)),
          "a target of a named device: sm_80 … with cuda or emulator, host:… with host");
  }
  if (options.ordinal < 0)
    return Error::invalid_argument("ordinal", std::to_string(options.ordinal), "0 or more");
  return {};
}

std::vector<TensorReference> references(const std::vector<Tensor> &tensors) {
  return {tensors.begin(), tensors.end()};
}

std::string default_name(size_t position) {
  constexpr const char *kNames[] = {"query", "key", "value"};
  return position < std::size(kNames) ? kNames[position] : "input" + std::to_string(position);
}

} // namespace

Result<Function> FunctionAccess::make(TracedGraph traced, CompileOptions options) {
  TENON_TRY(check_options(options));
  Function function;
  function.state_ = std::make_shared<Function::State>(std::move(traced), std::move(options));
  return function;
}

Result<Function> Function::from_graph(const Graph &graph, CompileOptions options) {
  TENON_TRY(graph.verify());
  return FunctionAccess::make(TracedGraph{.graph = graph, .captured = {}, .scalars = {}},
                              std::move(options));
}

Status Function::launch(std::span<const TensorReference> outputs,
                        std::span<const TensorReference> inputs,
                        const LaunchOptions &options) const {
  if (!state_) [[unlikely]]
    return undefined_function();
  if (outputs.empty()) [[unlikely]]
    return Error::invalid_argument("outputs", "none", "one tensor for each result");
  std::unique_ptr<Plan> temporary;
  Result<const Plan *> plan = state_->plan_for(outputs, inputs, temporary);
  if (!plan) [[unlikely]]
    return plan.error();
  TENON_TRY(state_->check_apart(**plan, outputs, inputs));
  return state_->run(**plan, outputs, inputs, options);
}

Result<std::vector<Tensor>> Function::call(std::span<const TensorReference> inputs,
                                           const LaunchOptions &options) const {
  if (!state_)
    return undefined_function();
  TENON_ASSIGN_OR_RETURN(State::PlacedCall call, state_->place(inputs, Tensor::empty));
  TENON_TRY(state_->run(*call.plan, references(call.results), references(call.inputs), options));
  if (call.plan->device)
    TENON_TRY(call.plan->device->synchronise(options.stream.handle));
  const DeviceLocation home = inputs.empty() ? DeviceLocation{} : inputs[0]->device();
  for (Tensor &result : call.results)
    if (!(result.device() == home)) {
      TENON_ASSIGN_OR_RETURN(Tensor host, result.to(DeviceLocation{}));
      TENON_ASSIGN_OR_RETURN(result, host.to(home));
    }
  return std::move(call.results);
}

Status Function::prepare(std::span<const TensorReference> inputs,
                         const LaunchOptions &options) const {
  if (!state_)
    return undefined_function();
  TENON_ASSIGN_OR_RETURN(const State::PlacedCall call, state_->place(inputs, stand_in));
  // The plan that launch will look for: with contiguous outputs, of the inputs' rank.
  std::unique_ptr<Plan> second;
  TENON_TRY(state_->plan_for(references(call.results), references(call.inputs), second));
  if (call.plan->device)
    return call.plan->device->prepare(*call.plan->kernel, call.plan->arguments,
                                      options.stream.handle);
  return {};
}

Result<uint64_t> Function::workspace(std::span<const TensorReference> inputs) const {
  TENON_ASSIGN_OR_RETURN(const Explanation explanation, explain(inputs));
  return explanation.workspace_bytes;
}

Result<Explanation> Function::explain(std::span<const TensorReference> inputs) const {
  if (!state_)
    return undefined_function();
  TENON_ASSIGN_OR_RETURN(const std::vector<Tensor> placed, state_->placed(inputs));
  // Not from the table: the answer says where the kernel comes from now.
  TENON_ASSIGN_OR_RETURN(const std::unique_ptr<Plan> plan,
                         Planner(state_->facts, state_->options).plan({}, references(placed)));
  return plan->explanation;
}

Result<CompileRequest> Function::request(std::span<const TensorReference> inputs,
                                         std::string target) const {
  if (!state_)
    return undefined_function();
  return Planner(state_->facts, state_->options).request(inputs, std::move(target));
}

Result<std::vector<Shape>> Function::result_shapes(std::span<const TensorReference> inputs) const {
  if (!state_)
    return undefined_function();
  return Planner(state_->facts, state_->options).result_shapes(inputs);
}

Explanation Function::explain() const {
  return state_ ? state_->latest() : Explanation();
}

std::vector<CachedShape> Function::cached() const {
  std::vector<CachedShape> shapes;
  if (state_)
    state_->plans.for_each([&](const Plan &plan) {
      shapes.push_back({plan.shapes, plan.way, plan.explanation.kernel});
    });
  return shapes;
}

const Graph &Function::graph() const {
  static const Graph none;
  return state_ ? state_->facts.graph : none;
}

Tensor Function::captured(std::string_view input) const {
  for (size_t i = 0; state_ && i < state_->facts.captured.size(); ++i)
    if (state_->facts.captured[i].name == input)
      return state_->facts.captured[i].tensor;
  return {};
}

std::string Function::graph_text() const {
  return state_ ? state_->facts.text : std::string();
}

namespace detail {

Result<Function> compile_traced(std::span<const ValueType> parameters, TracedBody body,
                                CompileOptions options) {
  if (!options.inputs.empty() && options.inputs.size() != parameters.size())
    return Error::invalid_argument("inputs", std::to_string(options.inputs.size()) + " names",
                                   std::to_string(parameters.size()) + ", one for each parameter");
  Trace trace;
  std::vector<Value> values;
  for (size_t i = 0; i < parameters.size(); ++i) {
    std::string name = options.inputs.empty() ? default_name(i) : options.inputs[i];
    if (parameters[i].scalar)
      values.push_back(trace.parameter(std::move(name), parameters[i].kind, std::nullopt));
    else
      values.push_back(trace.input(std::move(name), parameters[i]));
  }
  const std::vector<Value> results = body(values);
  TENON_ASSIGN_OR_RETURN(TracedGraph traced, std::move(trace).finish(results));
  return FunctionAccess::make(std::move(traced), std::move(options));
}

} // namespace detail
} // namespace tenon
