#include "FunctionState.h"

#include "tenon/Dropout.h"
#include "tenon/FloatingPointMode.h"
#include "tenon/Interpreter.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

namespace tenon {
namespace {

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

Error missing_scalar(const ScalarFacts &scalar) {
  return Error::invalid_argument("scalars", "no \"" + scalar.name + "\"",
                                 "a number for \"" + scalar.name + "\", which has no default");
}

Status check_value(const ScalarFacts &scalar, double value) {
  if (scalar.kind == ElementKind::kIndex &&
      !(value == std::floor(value) && value >= -2147483648.0 && value <= 2147483647.0))
    return Error::invalid_argument(scalar.name, number(value), "an integer of 32 bits");
  if (scalar.probability && !(value >= 0 && value <= 1))
    return Error::invalid_argument(scalar.name, number(value), "a probability in [0, 1]");
  if (std::isnan(value))
    return Error::invalid_argument(scalar.name, "NaN", "a number");
  if (std::isfinite(value) && !std::isfinite(static_cast<float>(value)))
    return Error::invalid_argument(scalar.name, number(value), "a number that float32 holds");
  return {};
}

Result<Tensor> scalar_tensor(ElementKind kind, double value) {
  if (kind == ElementKind::kIndex)
    return Tensor::from_values<int32_t>({}, {static_cast<int32_t>(value)});
  return Tensor::from_values<float>({}, {nearest_float(value)});
}

/// On the host for the interpreter; memory that another device holds is copied.
Result<Tensor> on_host(const Tensor &tensor) {
  return tensor.on_host() ? Result<Tensor>(tensor) : tensor.to(DeviceLocation{});
}

Status store(const Tensor &result, const Tensor &output, StreamHandle stream) {
  TENON_ASSIGN_OR_RETURN(Tensor shaped, result.reshape(output.shape()));
  Tensor target = output;
  if (output.on_host())
    return target.copy_from(shaped);
  if (!output.is_contiguous())
    return Error::invalid_argument("output", "strided, on a device",
                                   "contiguous, where the interpreter has to copy to it");
  TENON_ASSIGN_OR_RETURN(Tensor converted, shaped.to(output.dtype()));
  TENON_ASSIGN_OR_RETURN(Device * device,
                         Device::open(output.device().kind, output.device().ordinal));
  TENON_ASSIGN_OR_RETURN(Tensor dense, converted.contiguous());
  const size_t bytes = static_cast<size_t>(dense.element_count()) * size_in_bytes(dense.dtype());
  TENON_TRY(device->copy(output.data(), dense.data(), bytes, CopyDirection::kHostToDevice, stream));
  return device->synchronise(stream); // `dense` ends here
}

/// The device that holds the call's tensors, as the interpreter meets it: memory of the host needs none.
Result<Device *> device_of(std::span<const TensorReference> outputs,
                           std::span<const TensorReference> inputs) {
  for (auto tensors : {inputs, outputs})
    for (const TensorReference &tensor : tensors)
      if (!tensor->on_host())
        return Device::open(tensor->device().kind, tensor->device().ordinal);
  return nullptr;
}

/// A number that a launch gives, or a pointer to it in the memory of the device that holds the tensors.
Result<uint64_t> value_behind(const uint64_t *pointer, uint64_t value, Device *device,
                              StreamHandle stream) {
  if (!pointer)
    return value;
  if (!device)
    return *pointer;
  TENON_TRY(device->copy(&value, pointer, sizeof value, CopyDirection::kDeviceToHost, stream));
  TENON_TRY(device->synchronise(stream));
  return value;
}

Status check_offset(uint64_t offset) {
  if (offset > kMaxDropoutOffset)
    return Error::invalid_argument("offset", std::to_string(offset),
                                   "a number of at most 32 bits");
  return {};
}

/// Bytes from the first element on that are the tensor's without a gap: all of a dense one.
uint64_t own_bytes(const Tensor &tensor) {
  const int64_t count = tensor.element_count();
  int64_t reach = 1;
  for (int d = 0; count > 0 && d < tensor.rank(); ++d)
    reach += (tensor.size(d) - 1) * tensor.strides()[static_cast<size_t>(d)];
  const int64_t elements = reach == count ? count : std::min<int64_t>(count, 1);
  return static_cast<uint64_t>(elements) * size_in_bytes(tensor.dtype());
}

bool overlap(const Tensor &a, uint64_t bytes_of_a, const Tensor &b, uint64_t bytes_of_b) {
  const auto begin_a = reinterpret_cast<uintptr_t>(a.data()),
             begin_b = reinterpret_cast<uintptr_t>(b.data());
  return begin_a < begin_b + bytes_of_b && begin_b < begin_a + bytes_of_a;
}

} // namespace

Status Function::State::check_apart(const Plan &plan, References outputs,
                                    References inputs) const {
  const uint64_t *of_outputs = plan.own_bytes.data(), *of_inputs = of_outputs + outputs.size();
  for (size_t i = 0; i < outputs.size(); ++i) {
    for (size_t j = 0; j < inputs.size(); ++j)
      if (overlap(*outputs[i], of_outputs[i], *inputs[j], of_inputs[j])) [[unlikely]]
        return Error::invalid_argument("output", "memory of " + facts.caller_input(j).name,
                                       "memory of its own");
    for (size_t j = 0; j < i; ++j)
      if (overlap(*outputs[i], of_outputs[i], *outputs[j], of_outputs[j])) [[unlikely]]
        return Error::invalid_argument("output " + std::to_string(i),
                                       "memory of output " + std::to_string(j),
                                       "memory of its own");
  }
  return {};
}

Result<double> Function::State::scalar_value(size_t scalar, const LaunchOptions &launch) const {
  const ScalarFacts &facts_of = facts.scalars[scalar];
  for (int i = 0; i < launch.scalars.size(); ++i)
    if (launch.scalars[i].name == facts_of.name)
      return launch.scalars[i].value;
  if (!facts_of.initial)
    return missing_scalar(facts_of);
  return *facts_of.initial;
}

Status Function::State::check_scalars(const LaunchOptions &launch) const {
  if (launch.scalars.overflowed())
    return Error::invalid_argument("scalars", "too many",
                                   "at most " + std::to_string(kMaxScalarArguments));
  for (int i = 0; i < launch.scalars.size(); ++i) {
    const ScalarArgument &given = launch.scalars[i];
    auto known = std::ranges::find(facts.scalars, given.name, &ScalarFacts::name);
    if (known == facts.scalars.end()) {
      std::string names;
      for (const ScalarFacts &scalar : facts.scalars)
        names += (names.empty() ? "" : ", ") + scalar.name;
      return Error::invalid_argument("scalars", "\"" + std::string(given.name) + "\"",
                                     names.empty() ? "none: this function has no scalars"
                                                   : "one of " + names);
    }
    for (int earlier = 0; earlier < i; ++earlier)
      if (launch.scalars[earlier].name == given.name)
        return Error::invalid_argument("scalars", "\"" + std::string(given.name) + "\" twice",
                                       "each name once");
    TENON_TRY(check_value(*known, given.value));
  }
  return {};
}

Status Function::State::set_scalars(const Plan &plan, const LaunchOptions &launch,
                                    KernelArguments &arguments) const {
  for (const Plan::ScalarSlot &slot : plan.scalars) {
    const auto scalar = static_cast<size_t>(slot.scalar);
    TENON_ASSIGN_OR_RETURN(const double value, scalar_value(scalar, launch));
    if (facts.scalars[scalar].kind == ElementKind::kIndex)
      arguments.scalars[slot.slot].index = static_cast<int32_t>(value);
    else
      arguments.scalars[slot.slot].real = nearest_float(value);
  }
  return {};
}

// The way that is repeated: no allocation, no lock.
Status Function::State::launch_kernel(const Plan &plan, References outputs, References inputs,
                                      const LaunchOptions &launch) const {
  KernelArguments arguments; // NOLINT: a kernel reads what is filled here
  std::memcpy(static_cast<void *>(&arguments), &plan.arguments, plan.argument_bytes);
  for (size_t slot = 0; slot < plan.data.size(); ++slot) {
    const Plan::DataSlot &source = plan.data[slot];
    if (!plan.filled[slot])
      arguments.tensors[slot].data =
          (source.role == TensorRole::kInput ? inputs : outputs)[source.position]->data();
  }
  if (!facts.scalars.empty())
    TENON_TRY(set_scalars(plan, launch, arguments));
  if (facts.uses_dropout) {
    arguments.seed = launch.seed;
    arguments.offset = launch.offset;
    arguments.seed_pointer = launch.seed_pointer;
    arguments.offset_pointer = launch.offset_pointer;
  }
  return plan.device->launch(*plan.kernel, arguments, launch.stream.handle);
}

Status Function::State::interpret_into(const Plan &plan, References outputs, References inputs,
                                       const LaunchOptions &launch) const {
  std::vector<Tensor> arguments;
  InterpreterOptions options;
  TENON_ASSIGN_OR_RETURN(Device * device, device_of(outputs, inputs));
  // What the caller has put on his stream may still be writing the inputs.
  if (device)
    TENON_TRY(device->synchronise(launch.stream.handle));
  for (const InputFacts &input : facts.inputs) {
    const auto position = static_cast<size_t>(input.position);
    Result<Tensor> tensor = [&]() -> Result<Tensor> {
      if (input.source == InputFacts::Source::kCaller)
        return on_host(*inputs[position]);
      if (input.source == InputFacts::Source::kCaptured)
        return on_host(facts.captured[position].tensor);
      TENON_ASSIGN_OR_RETURN(const double value, scalar_value(position, launch));
      return scalar_tensor(input.type.kind, value);
    }();
    if (!tensor)
      return tensor.error();
    if (tensor->dtype() == DataType::kFloat64)
      options.precision = Precision::kFloat64;
    arguments.push_back(std::move(*tensor));
  }
  if (facts.uses_dropout) {
    TENON_ASSIGN_OR_RETURN(options.seed, value_behind(launch.seed_pointer, launch.seed, device,
                                                      launch.stream.handle));
    TENON_ASSIGN_OR_RETURN(options.offset, value_behind(launch.offset_pointer, launch.offset,
                                                        device, launch.stream.handle));
    TENON_TRY(check_offset(options.offset));
  }
  TENON_ASSIGN_OR_RETURN(std::vector<Tensor> results, interpret(facts.graph, arguments, options));
  for (size_t i = 0; i < outputs.size(); ++i)
    TENON_TRY(store(results[i], *outputs[i], launch.stream.handle));
  return {};
}

Status Function::State::run(const Plan &plan, References outputs, References inputs,
                            const LaunchOptions &launch) const {
  if (launch.scalars.size() != 0)
    TENON_TRY(check_scalars(launch));
  if (facts.uses_dropout && !launch.offset_pointer)
    TENON_TRY(check_offset(launch.offset));
  switch (plan.kind) {
  case Plan::Kind::kKernel:
    return launch_kernel(plan, outputs, inputs, launch);
  case Plan::Kind::kEager:
    return interpret_into(plan, outputs, inputs, launch);
  case Plan::Kind::kNothing:
    break;
  }
  return {};
}

Result<const Plan *> Function::State::plan_for(References outputs, References inputs,
                                               std::unique_ptr<Plan> &temporary) {
  CallKey key;
  bool fits = true;
  for (const TensorReference &output : outputs)
    fits &= key.add(*output);
  for (const TensorReference &input : inputs)
    fits &= key.add(*input);
  const uint64_t hash = fits ? key.hash() : 0;
  if (fits)
    if (const Plan *known = plans.find(key.words(), hash)) [[likely]]
      return known;
  TENON_ASSIGN_OR_RETURN(temporary, Planner(facts, options).plan(outputs, inputs));
  for (References tensors : {outputs, inputs})
    for (const TensorReference &tensor : tensors)
      temporary->own_bytes.push_back(own_bytes(*tensor));
  temporary->words.assign(key.words().begin(), key.words().end());
  temporary->hash = hash;
  {
    std::lock_guard lock(latest_mutex_);
    latest_ = temporary->explanation;
    decided_ = true;
  }
  const Plan *made = temporary.get();
  const Plan *kept = fits ? plans.insert(temporary) : nullptr;
  return kept ? kept : made;
}

Result<std::vector<Tensor>> Function::State::placed(References inputs) const {
  constexpr DeviceKind kKinds[] = {DeviceKind::kHost, DeviceKind::kHost, DeviceKind::kCuda,
                                   DeviceKind::kEmulator, DeviceKind::kHost};
  std::vector<Tensor> tensors;
  const DeviceKind kind = kKinds[static_cast<size_t>(options.device)];
  // A device that is not there is the first thing to say, before memory on it is.
  if (options.device == Way::kCuda || options.device == Way::kEmulator)
    if (Result<Device *> device = Device::open(kind, options.ordinal); !device)
      return device.error();
  for (const TensorReference &input : inputs) {
    const bool stays =
        !input->defined() || options.device == Way::kAuto || input->device().kind == kind;
    if (stays) {
      tensors.push_back(*input);
      continue;
    }
    TENON_ASSIGN_OR_RETURN(Tensor host, on_host(*input));
    TENON_ASSIGN_OR_RETURN(host, host.contiguous());
    TENON_ASSIGN_OR_RETURN(
        Tensor copy,
        host.to(DeviceLocation{kind, kind == DeviceKind::kHost ? 0 : options.ordinal}));
    tensors.push_back(std::move(copy));
  }
  return tensors;
}

Result<Function::State::PlacedCall> Function::State::place(References inputs,
                                                           MakeTensor make_result) {
  PlacedCall call;
  TENON_ASSIGN_OR_RETURN(call.inputs, placed(inputs));
  const std::vector<TensorReference> there(call.inputs.begin(), call.inputs.end());
  TENON_ASSIGN_OR_RETURN(call.plan, plan_for({}, there, call.temporary));
  const int rank = inputs.empty() ? 4 : inputs[0]->rank();
  for (size_t i = 0; i < call.plan->result_shapes.size(); ++i) {
    TENON_ASSIGN_OR_RETURN(
        Tensor result,
        make_result(result_shape_for_rank(call.plan->result_shapes[i], facts.is_logsumexp[i], rank),
                    call.plan->result_types[i], call.plan->location));
    call.results.push_back(std::move(result));
  }
  return call;
}

Explanation Function::State::latest() const {
  std::lock_guard lock(latest_mutex_);
  if (decided_)
    return latest_;
  Explanation explanation;
  explanation.asked = options.device;
  explanation.graph = facts.text;
  return explanation;
}

} // namespace tenon
