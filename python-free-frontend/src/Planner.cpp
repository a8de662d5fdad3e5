#include "Plan.h"

#include "tenon/Parallel.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace tenon {
namespace {

/// What kernels hold in registers; wider heads are a matter for the interpreter.
constexpr int64_t kMaxWidth = 256;

constexpr DeviceKind kKinds[] = {DeviceKind::kHost, DeviceKind::kHost, DeviceKind::kCuda,
                                 DeviceKind::kEmulator, DeviceKind::kHost};
DeviceKind kind_of(Way way) { return kKinds[static_cast<size_t>(way)]; }

std::string place(DeviceLocation location) {
  std::string text(name(location.kind));
  return location.kind == DeviceKind::kHost ? text : text + ":" + std::to_string(location.ordinal);
}

bool fits_kind(DataType dtype, ElementKind kind) {
  switch (kind) {
  case ElementKind::kReal:
    return is_floating_point(dtype);
  case ElementKind::kIndex:
    return dtype == DataType::kInt32;
  case ElementKind::kMask:
    return dtype == DataType::kBool;
  }
  return false;
}

constexpr const char *kTypesOfKind[] = {"f32, f16, bf16 or f64", "i32", "bool"};

/// Right-aligned in four dimensions, as a kernel sees it; a table's dimensions are its leading ones.
TensorArgument argument_of(const Tensor &tensor, bool table) {
  TensorArgument argument{.data = tensor.data(), .strides = {}, .sizes = {1, 1, 1, 1}};
  const int first = table ? 0 : 4 - tensor.rank();
  for (int i = 0; i < tensor.rank(); ++i) {
    const int64_t size = tensor.shape()[static_cast<size_t>(i)];
    argument.sizes[first + i] = static_cast<int32_t>(size);
    argument.strides[first + i] = size == 1 ? 0 : tensor.strides()[static_cast<size_t>(i)];
  }
  return argument;
}

/// A mask or a bias is read element by element: of its layout only whether keys are adjacent counts, so
/// that no length changes the code.
Layout layout_of_elementwise(const Tensor &tensor, int64_t keys) {
  const bool adjacent = tensor.rank() > 0 && tensor.shape().back() == keys &&
                        (keys == 1 || tensor.strides().back() == 1);
  return adjacent ? Layout::kRows : Layout::kStrided;
}

/// On a GPU what the largest phase needs; on the host that of each thread, for all threads.
uint64_t workspace_bytes(const Plan &plan) {
  uint64_t bytes = 0;
  for (const LaunchPhase &phase : plan.kernel->description().phases) {
    const Result<GridSize> grid = grid_of(phase, plan.arguments);
    const uint64_t copies = plan.way == Way::kHost ? static_cast<uint64_t>(parallel_concurrency())
                            : grid                 ? static_cast<uint64_t>(grid->blocks())
                                                   : 0;
    const WorkspaceRule &rule = phase.workspace;
    bytes = std::max(bytes, plan.way == Way::kHost ? copies * (rule.fixed_bytes + rule.bytes_per_block)
                                                   : rule.fixed_bytes + copies * rule.bytes_per_block);
  }
  return bytes;
}

Error refusal(Way way, std::string why) {
  return Error(ErrorCode::kUnsupported, std::string(name(way)) + ": " + why);
}

} // namespace

std::vector<DataType> default_result_types(const GraphFacts &facts,
                                           std::span<const TensorReference> inputs) {
  DataType type = DataType::kFloat32;
  for (const InputFacts &input : facts.inputs)
    if (input.source == InputFacts::Source::kCaller && input.type.kind == ElementKind::kReal) {
      type = inputs[static_cast<size_t>(input.position)]->dtype();
      break;
    }
  std::vector<DataType> types;
  for (bool logsumexp : facts.is_logsumexp)
    types.push_back(logsumexp && type != DataType::kFloat64 ? DataType::kFloat32 : type);
  return types;
}

Result<Tensor> stand_in(Shape shape, DataType type, DeviceLocation location) {
  static constexpr uintptr_t kAlignedAddress = 4096; // never read or written
  return Tensor::wrap(reinterpret_cast<void *>(kAlignedAddress), std::move(shape), {}, type, location);
}

Shape result_shape_for_rank(const Shape &shape, bool is_logsumexp, int rank) {
  const int wanted = std::max(1, is_logsumexp ? rank - 1 : rank);
  Shape reduced = shape;
  while (static_cast<int>(reduced.size()) > wanted && reduced.front() == 1)
    reduced.erase(reduced.begin());
  return reduced;
}

Status Planner::check_inputs(std::span<const TensorReference> inputs) const {
  if (static_cast<int>(inputs.size()) != facts_.caller_inputs) {
    std::string names;
    for (const InputFacts &input : facts_.inputs)
      if (input.source == InputFacts::Source::kCaller)
        names += (names.empty() ? "" : ", ") + input.name;
    return Error::invalid_argument("inputs", std::to_string(inputs.size()) + " tensors",
                                   std::to_string(facts_.caller_inputs) + " tensors: " + names);
  }
  for (const InputFacts &input : facts_.inputs) {
    if (input.source != InputFacts::Source::kCaller)
      continue;
    const Tensor &tensor = *inputs[static_cast<size_t>(input.position)];
    if (!tensor.defined())
      return Error::invalid_argument(input.name, "no tensor", "a tensor");
    if (tensor.rank() > 4)
      return Error::shape_mismatch(input.name, std::to_string(tensor.rank()) + " dimensions", "at most 4");
    if (!fits_kind(tensor.dtype(), input.type.kind))
      return Error::unsupported_type(input.name, std::string(name(tensor.dtype())),
                                     kTypesOfKind[static_cast<size_t>(input.type.kind)]);
    if (!(tensor.device() == inputs[0]->device()))
      return Error::invalid_argument(input.name, "on " + place(tensor.device()),
                                     "on " + place(inputs[0]->device()) + ", where the first input lies");
  }
  return {};
}

Result<Planner::Call> Planner::understand(std::span<const TensorReference> outputs,
                                          std::span<const TensorReference> inputs) const {
  TENON_TRY(check_inputs(inputs));
  Call call;
  std::vector<Shape> sizes;
  for (const InputFacts &input : facts_.inputs) {
    Tensor tensor;
    if (input.source == InputFacts::Source::kCaller)
      tensor = *inputs[static_cast<size_t>(input.position)];
    else if (input.source == InputFacts::Source::kCaptured)
      tensor = facts_.captured[static_cast<size_t>(input.position)].tensor;
    sizes.push_back(tensor.defined() ? tensor.shape() : Shape{});
    call.inputs.push_back(std::move(tensor));
  }
  TENON_ASSIGN_OR_RETURN(call.shapes, infer_all_shapes(facts_.graph, sizes));
  if (!inputs.empty())
    call.location = inputs[0]->device();
  call.types = default_result_types(facts_, inputs);
  TENON_TRY(check_outputs(outputs, call));
  for (size_t i = 0; i < outputs.size(); ++i) {
    call.types[i] = outputs[i]->dtype();
    call.strided_output |= !facts_.is_logsumexp[i] && layout_of(*outputs[i]) == Layout::kStrided;
  }

  if (call.shapes.scores) {
    const ValueShape &scores = *call.shapes.scores;
    call.batch = scores[0], call.heads = scores[1], call.queries = scores[2], call.keys = scores[3];
  }
  for (const Node &node : facts_.graph.nodes())
    if (node.operation == Operation::kMatmul)
      call.key_heads = std::max(call.key_heads, call.shapes.values[static_cast<size_t>(node.operands[1])][1]);
  return call;
}

Status Planner::check_outputs(std::span<const TensorReference> outputs, const Call &call) const {
  if (outputs.empty())
    return {};
  if (outputs.size() != call.shapes.results.size())
    return Error::invalid_argument("outputs", std::to_string(outputs.size()) + " tensors",
                                   std::to_string(call.shapes.results.size()) + ", one for each result");
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Tensor &output = *outputs[i];
    const std::string argument = i == 0 ? "output" : facts_.is_logsumexp[i] ? "logsumexp" : "output " + std::to_string(i);
    if (!output.defined())
      return Error::invalid_argument(argument, "no tensor", "a tensor");
    if (output.is_read_only())
      return Error::invalid_argument(argument, "read-only memory", "memory that may be written");
    const Shape &expected = call.shapes.results[i];
    Shape given = output.shape();
    while (given.size() < expected.size())
      given.insert(given.begin(), 1);
    if (given != expected)
      return Error::shape_mismatch(argument, to_string(output.shape()),
                                   to_string(result_shape_for_rank(expected, facts_.is_logsumexp[i], 2)));
    if (!is_floating_point(output.dtype()))
      return Error::unsupported_type(argument, std::string(name(output.dtype())), "f32, f16, bf16 or f64");
    for (int d = 0; d < output.rank(); ++d)
      if (output.strides()[static_cast<size_t>(d)] == 0 && output.size(d) > 1)
        return Error::invalid_argument(argument, "a broadcast view", "memory of its own for each element");
  }
  return {};
}

std::vector<Way> Planner::ways_to_weigh(const Call &call) const {
  if (options_.device != Way::kAuto)
    return {options_.device};
  if (call.location.kind == DeviceKind::kEmulator)
    return {Way::kEmulator, Way::kEager};
  return {Way::kCuda, Way::kHost, Way::kEager};
}

Result<Device *> Planner::device_for(Way way, const Call &call) const {
  const DeviceKind kind = kind_of(way);
  const bool chosen_freely = options_.device == Way::kAuto;
  if (chosen_freely && call.location.kind != kind)
    return refusal(way, "the inputs lie on " + place(call.location));
  const int ordinal = chosen_freely || call.location.kind == kind ? call.location.ordinal : options_.ordinal;
  return Device::open(kind, ordinal);
}

Result<Signature> Planner::signature_of(const Call &call) const {
  Signature signature;
  for (size_t i = 0; i < facts_.inputs.size(); ++i) {
    const InputFacts &input = facts_.inputs[i];
    InputSignature described{.name = input.name};
    if (input.type.scalar) {
      described.dtype = input.type.kind == ElementKind::kIndex ? DataType::kInt32 : DataType::kFloat32;
      signature.inputs.push_back(std::move(described));
      continue;
    }
    const Tensor &tensor = call.inputs[i];
    described.dtype = tensor.dtype();
    if (tensor.dtype() == DataType::kFloat64)
      return Error(ErrorCode::kUnsupported, input.name + " is f64; kernels take f32, f16 and bf16");
    if (input.table && input.elementwise && tensor.rank() < 4)
      return Error(ErrorCode::kUnsupported, input.name + " is both a table of load and an operand");
    described.layout = input.table ? Layout::kStrided : layout_of_elementwise(tensor, call.keys);
    if (input.width_shapes_code) {
      const int64_t width = tensor.rank() == 0 ? 1 : tensor.shape().back();
      if (width > kMaxWidth)
        return Error(ErrorCode::kUnsupported, input.name + " is " + std::to_string(width) +
                                                  " wide; kernels hold at most " + std::to_string(kMaxWidth));
      described.width = static_cast<int32_t>(width);
      described.layout = layout_of(tensor);
    }
    signature.inputs.push_back(std::move(described));
  }
  for (const Node &node : facts_.graph.nodes())
    if (node.operation == Operation::kMatmul) {
      const int64_t heads = call.shapes.values[static_cast<size_t>(node.operands[1])][1];
      if (heads != 1 && heads != call.key_heads)
        return Error(ErrorCode::kUnsupported, "keys have " + std::to_string(call.key_heads) +
                                                  " heads and values " + std::to_string(heads) + ", or the reverse");
    }
  if (call.strided_output)
    return Error(ErrorCode::kUnsupported, "the elements of an output row are not adjacent, as kernels write them");
  signature.output = call.types.front();
  if (signature.output == DataType::kFloat64)
    return Error(ErrorCode::kUnsupported, "the output is f64; kernels write f32, f16 and bf16");
  for (size_t i = 1; i < call.types.size(); ++i)
    if (call.types[i] != (facts_.is_logsumexp[i] ? DataType::kFloat32 : signature.output))
      return Error(ErrorCode::kUnsupported, "result " + std::to_string(i) + " is " + std::string(name(call.types[i])) +
                                                "; kernels write a logsumexp as f32, other results like the output");
  signature.group = static_cast<int32_t>(call.key_heads > 0 ? call.heads / call.key_heads : 1);
  if (options_.exact_shape)
    signature.exact = ExactShape{static_cast<int32_t>(call.batch), static_cast<int32_t>(call.heads),
                                 static_cast<int32_t>(call.key_heads), static_cast<int32_t>(call.queries),
                                 static_cast<int32_t>(call.keys)};
  return signature;
}

Result<Planner::Kernel> Planner::kernel_on(Way way, const Call &call, Plan &plan) const {
  Kernel kernel;
  TENON_ASSIGN_OR_RETURN(kernel.device, device_for(way, call));
  plan.explanation.device = kernel.device->name();
  Target target = kernel.device->target();
  if (!options_.target.empty()) {
    TENON_ASSIGN_OR_RETURN(target, Target::parse(options_.target));
    TENON_TRY(kernel.device->can_execute(target));
  }
  TENON_ASSIGN_OR_RETURN(Signature signature, signature_of(call));
  const CompileRequest request{.graph = facts_.text, .signature = signature.text(), .target = target.text(),
                               .emit = "image", .options = options_.schedule};
  const KernelKey key({facts_.hash, request.signature, request.target, request.options});
  plan.explanation.target = request.target;
  plan.explanation.key = key.text();

  KernelCache &cache = options_.cache ? *options_.cache : KernelCache::process();
  const bool in_memory = cache.lookup(key) != nullptr;
  bool built = false;
  TENON_ASSIGN_OR_RETURN(kernel.cached, cache.lookup_or_compile(key, [&] {
    built = true;
    return compile_kernel(request);
  }));
  kernel.outcome = built ? CacheOutcome::kCompiled
                   : in_memory || kernel.cached->compile_milliseconds() > 0 ? CacheOutcome::kHit
                                                                            : CacheOutcome::kDisk;
  TENON_ASSIGN_OR_RETURN(kernel.loaded, kernel.cached->loaded_on(*kernel.device));
  return kernel;
}

Result<CompileRequest> Planner::request(std::span<const TensorReference> inputs, std::string target) const {
  TENON_ASSIGN_OR_RETURN(const Call call, understand({}, inputs));
  TENON_ASSIGN_OR_RETURN(const Signature signature, signature_of(call));
  if (target.empty())
    target = options_.target.empty() ? "host" : options_.target;
  TENON_ASSIGN_OR_RETURN(const Target parsed, Target::parse(target));
  return CompileRequest{.graph = facts_.text, .signature = signature.text(), .target = parsed.text(),
                        .emit = "image", .options = options_.schedule};
}

Result<std::vector<Shape>> Planner::result_shapes(std::span<const TensorReference> inputs) const {
  TENON_ASSIGN_OR_RETURN(const Call call, understand({}, inputs));
  std::vector<Shape> shapes;
  for (size_t i = 0; i < call.shapes.results.size(); ++i)
    shapes.push_back(result_shape_for_rank(call.shapes.results[i], facts_.is_logsumexp[i],
                                           inputs.empty() ? 4 : inputs[0]->rank()));
  return shapes;
}

Status Planner::fill(Plan &plan, const Call &call, const Kernel &kernel, bool outputs_given,
                     std::span<const TensorReference> outputs) const {
  const LaunchDescription &launch = kernel.loaded->description();
  if (launch.tensors.size() > kMaxTensorArguments || launch.scalars.size() > kMaxScalarArguments)
    return Error(ErrorCode::kInternal, "kernel " + kernel.loaded->kernel() + " wants more arguments than there are");
  KernelArguments &arguments = plan.arguments;
  std::memset(&arguments, 0, offsetof(KernelArguments, tensors));
  arguments.batch = static_cast<int32_t>(call.batch);
  arguments.heads = static_cast<int32_t>(call.heads);
  arguments.key_heads = static_cast<int32_t>(call.key_heads);
  arguments.query_length = static_cast<int32_t>(call.queries);
  arguments.key_length = static_cast<int32_t>(call.keys);

  for (size_t slot = 0; slot < launch.tensors.size(); ++slot) {
    const TensorSlot &wanted = launch.tensors[slot];
    const auto index = static_cast<size_t>(wanted.index);
    if (wanted.role == TensorRole::kOutput) {
      Tensor made;
      if (!outputs_given) {
        TENON_ASSIGN_OR_RETURN(made, stand_in(call.shapes.results[index], call.types[index], plan.location));
      }
      const Tensor &output = outputs_given ? *outputs[index] : made;
      if (facts_.is_logsumexp[index]) {
        // [batch, heads, queries] as [batch, heads, queries, 1]
        TENON_ASSIGN_OR_RETURN(Tensor column, output.unsqueeze(output.rank()));
        arguments.tensors[slot] = argument_of(column, false);
      } else {
        arguments.tensors[slot] = argument_of(output, false);
      }
      plan.data.push_back({wanted.role, static_cast<uint32_t>(index)});
      plan.filled.push_back(false);
      continue;
    }
    const InputFacts &input = facts_.inputs[index];
    Tensor tensor = call.inputs[index];
    const bool captured = input.source == InputFacts::Source::kCaptured;
    if (captured && !(tensor.device() == plan.location)) {
      TENON_ASSIGN_OR_RETURN(tensor, tensor.to(plan.location));
    }
    arguments.tensors[slot] = argument_of(tensor, input.table);
    plan.data.push_back({wanted.role, static_cast<uint32_t>(input.position)});
    plan.filled.push_back(captured);
    if (captured)
      plan.captured.push_back(std::move(tensor));
  }
  for (size_t slot = 0; slot < launch.scalars.size(); ++slot) {
    const int position = facts_.inputs[static_cast<size_t>(launch.scalars[slot])].position;
    plan.scalars.push_back({static_cast<int>(slot), position});
  }
  plan.argument_bytes = offsetof(KernelArguments, tensors) + launch.tensors.size() * sizeof(TensorArgument);
  return {};
}

Status Planner::check_place(const Call &call, DeviceLocation location) const {
  for (size_t i = 0; i < call.inputs.size(); ++i)
    if (facts_.inputs[i].source == InputFacts::Source::kCaller && !(call.inputs[i].device() == location))
      return Error::invalid_argument(facts_.inputs[i].name, "on " + place(call.inputs[i].device()),
                                     "on " + place(location) + ", which runs it (Tensor::to copies it there)");
  return {};
}

std::string Planner::describe(std::span<const TensorReference> inputs) const {
  std::string text;
  for (const InputFacts &input : facts_.inputs)
    if (input.source == InputFacts::Source::kCaller) {
      const Tensor &tensor = *inputs[static_cast<size_t>(input.position)];
      text += (text.empty() ? "" : ", ") + input.name + " " + std::string(name(tensor.dtype())) + " " +
              to_string(tensor.shape());
    }
  return text;
}

Result<std::unique_ptr<Plan>> Planner::plan(std::span<const TensorReference> outputs,
                                            std::span<const TensorReference> inputs) {
  TENON_ASSIGN_OR_RETURN(Call call, understand(outputs, inputs));
  auto plan = std::make_unique<Plan>();
  plan->result_shapes = call.shapes.results;
  plan->result_types = call.types;
  plan->shapes = describe(inputs);
  Explanation &explanation = plan->explanation;
  explanation.asked = options_.device;
  explanation.graph = facts_.text;
  for (const ScalarFacts &scalar : facts_.scalars)
    plan->scalars_without_default |= !scalar.initial;

  auto empty = [](const Shape &shape) { return std::ranges::find(shape, 0) != shape.end(); };
  const bool nothing = std::ranges::all_of(call.shapes.results, empty);
  const bool no_keys = call.shapes.scores && call.keys == 0;
  std::vector<Reason> reasons;
  for (Way way : ways_to_weigh(call)) {
    plan->way = explanation.executed_by = way;
    plan->location = {kind_of(way), call.location.kind == kind_of(way) ? call.location.ordinal : options_.ordinal};
    std::string why = options_.device == Way::kAuto ? "first way that can" : "named by the caller";
    if (way == Way::kEager || nothing || no_keys) {
      if (way != Way::kEager)
        if (Result<Device *> device = device_for(way, call); !device) {
          if (options_.device != Way::kAuto)
            return device.error();
          reasons.push_back({std::string(name(way)), device.error().message()});
          explanation.ways.push_back({way, false, device.error().message()});
          continue;
        }
      plan->kind = nothing ? Plan::Kind::kNothing : Plan::Kind::kEager;
      if (nothing)
        why += "; the results are empty, nothing is launched";
      else if (no_keys && way != Way::kEager)
        why += "; there are no keys, nothing is launched";
      if (way == Way::kEager)
        plan->location = call.location;
      explanation.ways.push_back({way, true, why});
      return plan;
    }
    Result<Kernel> kernel = kernel_on(way, call, *plan);
    if (kernel) {
      plan->kind = Plan::Kind::kKernel;
      plan->device = kernel->device;
      plan->location = {kind_of(way), kernel->device->ordinal()};
      TENON_TRY(check_place(call, plan->location));
      plan->kernel = kernel->loaded;
      TENON_TRY(fill(*plan, call, *kernel, !outputs.empty(), outputs));
      explanation.workspace_bytes = workspace_bytes(*plan);
      explanation.kernel = kernel->loaded->kernel();
      explanation.schedule = kernel->cached->image().schedule;
      explanation.cache = kernel->outcome;
      explanation.compile_milliseconds = kernel->cached->compile_milliseconds();
      explanation.ways.push_back({way, true, why});
      return plan;
    }
    reasons.push_back({std::string(name(way)), kernel.error().message()});
    for (const Reason &reason : kernel.error().reasons())
      reasons.push_back(reason);
    explanation.ways.push_back({way, false, kernel.error().message()});
    explanation.device = explanation.target = explanation.key = "";
    if (options_.device != Way::kAuto)
      return Error(kernel.error().code(), std::string(name(way)) + " was asked for and cannot run this: " +
                                              kernel.error().message())
          .with_reasons(std::move(reasons));
  }
  return Error(ErrorCode::kUnsupported, "no way can run this").with_reasons(std::move(reasons));
}

} // namespace tenon
