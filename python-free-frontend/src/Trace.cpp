#include "Trace.h"

#include "tenon/FloatingPointMode.h"

#include <atomic>
#include <cmath>
#include <utility>

namespace tenon::detail {
namespace {

thread_local Trace *current_trace = nullptr;
std::atomic<uint64_t> next_serial{1};

/// Forms whose operands are numbers of one kind: an index that meets a real number is converted.
bool takes_numbers(OperationForm form) {
  return form == OperationForm::kBinaryNumber || form == OperationForm::kComparison;
}

bool takes_reals(OperationForm form) {
  return form == OperationForm::kUnaryReal || form == OperationForm::kBinaryReal ||
         form == OperationForm::kTensorReal1 || form == OperationForm::kTensorReal2;
}

} // namespace

Trace::Trace() : serial_(next_serial.fetch_add(1)), outer_(std::exchange(current_trace, this)) {}
Trace::~Trace() {
  current_trace = outer_;
}
Trace *Trace::current() {
  return current_trace;
}

Value Trace::wrap(ValueId id) const {
  Value value;
  value.trace_ = serial_;
  value.id_ = id;
  return value;
}

Value Trace::keep(Result<ValueId> id) {
  return id ? wrap(*id) : fail(id.error());
}

Value Trace::fail(Error error) {
  if (!error_)
    error_ = std::move(error);
  return {};
}

bool Trace::poisoned(const Value &value) {
  if (value.literal_ || (value.trace_ == serial_ && value.id_ >= 0))
    return false;
  fail(Error::invalid_argument("operand",
                               value.trace_ == 0 ? "a value that was made outside of tenon::compile"
                                                 : "a value of another tracing",
                               "a value of the lambda that is being compiled"));
  return true;
}

std::optional<ElementKind> Trace::kind_of(const Value &value) const {
  if (value.literal_)
    return value.kind_;
  if (value.trace_ != serial_ || value.id_ < 0)
    return std::nullopt;
  return traced_.graph.type(value.id_).kind;
}

std::optional<ValueId> Trace::literal(const Value &value, std::optional<ElementKind> kind) {
  if (value.kind_ == ElementKind::kMask) {
    // There are no constant masks: a comparison of constants is one.
    const ValueId zero = traced_.graph.constant(int32_t{0});
    const ValueId other = traced_.graph.constant(static_cast<int32_t>(value.real_ != 0 ? 0 : 1));
    return *traced_.graph.add(Operation::kEqual, {zero, other});
  }
  if (value.kind_ == ElementKind::kReal)
    return traced_.graph.constant(nearest_float(value.real_));
  if (value.index_ == Value::kOutOfRange) {
    fail(Error::invalid_argument("constant", "an integer beyond 32 bits",
                                 "an integer from -2147483648 to 2147483647, or a real number"));
    return std::nullopt;
  }
  if (kind == ElementKind::kReal)
    return traced_.graph.constant(nearest_float(static_cast<double>(value.index_)));
  return traced_.graph.constant(static_cast<int32_t>(value.index_));
}

std::optional<ValueId> Trace::node(const Value &value, std::optional<ElementKind> kind) {
  if (poisoned(value))
    return std::nullopt;
  if (value.literal_)
    return literal(value, kind);
  if (kind == ElementKind::kReal && traced_.graph.type(value.id_).kind == ElementKind::kIndex) {
    Result<ValueId> converted = traced_.graph.convert(value.id_, ElementKind::kReal);
    if (converted)
      return *converted;
    fail(converted.error());
    return std::nullopt;
  }
  return value.id_;
}

std::optional<ElementKind> Trace::common_kind(OperationForm form,
                                              std::span<const Value> operands) const {
  if (takes_reals(form))
    return ElementKind::kReal;
  if (form == OperationForm::kWhere)
    operands = operands.subspan(1);
  else if (!takes_numbers(form))
    return std::nullopt;
  for (const Value &operand : operands)
    if (kind_of(operand) == ElementKind::kReal)
      return ElementKind::kReal;
  return std::nullopt;
}

Value Trace::input(std::string name, ValueType type) {
  return keep(traced_.graph.add_input(std::move(name), type));
}

Value Trace::apply(Operation operation, std::span<const Value> operands) {
  if (error_)
    return {};
  const OperationForm form = operation_info(operation).form;
  const std::optional<ElementKind> kind = common_kind(form, operands);
  std::vector<ValueId> ids;
  for (size_t i = 0; i < operands.size(); ++i) {
    const bool is_condition = form == OperationForm::kWhere && i == 0;
    const std::optional<ValueId> id = node(operands[i], is_condition ? std::nullopt : kind);
    if (!id)
      return {};
    ids.push_back(*id);
  }
  return keep(traced_.graph.add(operation, ids));
}

Value Trace::load(const Value &table, std::span<const Value> indices) {
  if (error_)
    return {};
  std::vector<Value> operands{table};
  operands.insert(operands.end(), indices.begin(), indices.end());
  if (table.literal_)
    return fail(Error::invalid_argument("load", "a number as table",
                                        "a tensor, or a parameter of the lambda"));
  return apply(Operation::kLoad, operands);
}

Value Trace::load_captured(const Tensor &table, std::span<const Value> indices) {
  const Value captured = capture(table);
  // Of a parameter the dimensions are known at the call; of a captured table now, beside the lambda that is wrong.
  if (!error_ && table.shape().size() != indices.size())
    return fail(Error::invalid_argument("load", std::to_string(indices.size()) + " indices",
                                        "one for each dimension of the table, which has " +
                                            std::to_string(table.shape().size())));
  return load(captured, indices);
}

Value Trace::capture(const Tensor &tensor) {
  if (error_)
    return {};
  const std::string name = "table" + std::to_string(traced_.captured.size());
  if (!tensor.defined())
    return fail(Error::invalid_argument(name, "no tensor", "a tensor with elements"));
  for (const CapturedTensor &known : traced_.captured)
    if (known.tensor.data() == tensor.data() && known.tensor.shape() == tensor.shape() &&
        known.tensor.strides() == tensor.strides() && known.tensor.dtype() == tensor.dtype())
      for (const GraphInput &input : traced_.graph.inputs())
        if (input.name == known.name)
          return wrap(input.value);
  ValueType type = kRealTensor;
  if (tensor.dtype() == DataType::kInt32)
    type = kIndexTensor;
  else if (tensor.dtype() == DataType::kBool)
    type = kMaskTensor;
  else if (!is_floating_point(tensor.dtype()))
    return fail(Error::unsupported_type(name, std::string(tenon::name(tensor.dtype())),
                                        "f32, f16, bf16, f64, i32 or bool"));
  traced_.captured.push_back({name, tensor});
  return input(name, type);
}

Value Trace::parameter(std::string name, ElementKind kind, std::optional<double> initial) {
  if (error_)
    return {};
  if (kind == ElementKind::kMask)
    return fail(Error::invalid_argument(name, "a scalar mask", "a real or an index scalar"));
  for (const ScalarDefault &known : traced_.scalars)
    if (known.name == name)
      for (const GraphInput &input : traced_.graph.inputs())
        if (input.name == name && input.type.kind == kind)
          return wrap(input.value);
  const Value value = input(name, {kind, true});
  traced_.scalars.push_back({std::move(name), initial});
  return value;
}

Value Trace::convert(const Value &value, ElementKind kind) {
  const std::optional<ValueId> id = error_ ? std::nullopt : node(value, std::nullopt);
  return id ? keep(traced_.graph.convert(*id, kind)) : Value();
}

Value Trace::dropout(const Value &probabilities, const Value &probability) {
  if (error_)
    return {};
  const double constant = probability.kind_ == ElementKind::kReal
                              ? probability.real_
                              : static_cast<double>(probability.index_);
  if (probability.literal_ && !(constant >= 0 && constant <= 1))
    return fail(
        Error::invalid_argument("dropout", std::to_string(constant), "a probability in [0, 1]"));
  const std::optional<ValueId> operand = node(probabilities, ElementKind::kReal);
  const std::optional<ValueId> scalar =
      operand ? node(probability, ElementKind::kReal) : std::nullopt;
  return scalar ? keep(traced_.graph.add(Operation::kDropout, {*operand, *scalar})) : Value();
}

Result<TracedGraph> Trace::finish(std::span<const Value> results) && {
  std::vector<ValueId> ids;
  for (const Value &result : results) {
    const std::optional<ValueId> id = error_ ? std::nullopt : node(result, ElementKind::kReal);
    if (!id)
      return std::move(*error_);
    ids.push_back(*id);
  }
  TENON_TRY(traced_.graph.set_results(ids));
  TENON_TRY(traced_.graph.verify());
  return std::move(traced_);
}

Value apply(Operation operation, std::initializer_list<Value> operands) {
  Trace *trace = Trace::current();
  return trace ? trace->apply(operation, {operands.begin(), operands.size()}) : Value();
}

Value load_value(const Value &table, std::initializer_list<Value> indices) {
  Trace *trace = Trace::current();
  return trace ? trace->load(table, {indices.begin(), indices.size()}) : Value();
}

Value load_captured(const Tensor &table, std::initializer_list<Value> indices) {
  Trace *trace = Trace::current();
  return trace ? trace->load_captured(table, {indices.begin(), indices.size()}) : Value();
}

} // namespace tenon::detail

namespace tenon {

using detail::Trace;

Value operator/(const Value &a, const Value &b) {
  Trace *trace = Trace::current();
  if (!trace)
    return {};
  const bool indices =
      trace->kind_of(a) == ElementKind::kIndex && trace->kind_of(b) == ElementKind::kIndex;
  return detail::apply(indices ? Operation::kFloorDivide : Operation::kDivide, {a, b});
}

Value operator-(const Value &a) {
  Trace *trace = Trace::current();
  if (!trace)
    return {};
  if (trace->kind_of(a) == ElementKind::kIndex)
    return detail::apply(Operation::kSubtract, {0, a});
  return detail::apply(Operation::kNegate, {a});
}

Value to_real(const Value &a) {
  Trace *trace = Trace::current();
  return trace ? trace->convert(a, ElementKind::kReal) : Value();
}

Value to_index(const Value &a) {
  Trace *trace = Trace::current();
  return trace ? trace->convert(a, ElementKind::kIndex) : Value();
}

Value dropout(const Value &probabilities, const Value &probability) {
  Trace *trace = Trace::current();
  return trace ? trace->dropout(probabilities, probability) : Value();
}

Value parameter(std::string name, ElementKind kind, std::optional<double> initial) {
  Trace *trace = Trace::current();
  return trace ? trace->parameter(std::move(name), kind, initial) : Value();
}

} // namespace tenon
