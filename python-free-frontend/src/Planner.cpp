#include "Plan.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace tenon {
namespace {

constexpr DeviceKind kKinds[] = {DeviceKind::kHost, DeviceKind::kHost, DeviceKind::kCuda,
                                 DeviceKind::kEmulator, DeviceKind::kHost};
DeviceKind kind_of(Way way) {
  return kKinds[static_cast<size_t>(way)];
}

/// Right-aligned in four dimensions, as a kernel sees it; a table's dimensions are its leading
/// ones.
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

uint64_t workspace_bytes(const Plan &plan) {
  const LaunchDescription &launch = plan.kernel->description();
  const Result<uint64_t> bytes = plan.way == Way::kHost ? host_workspace_of(launch, plan.arguments)
                                                        : workspace_of(launch, plan.arguments);
  return bytes ? *bytes : 0;
}

/// Whether a kernel was refused, or could not be made, for what CompileOptions::schedule says.
bool is_of_options(const Error &error) {
  return error.code() == ErrorCode::kInternal || error.argument() == "options" ||
         std::ranges::any_of(error.reasons(), [](const Reason &reason) { return reason.what == "options"; });
}

} // namespace

Result<Tensor> stand_in(Shape shape, DataType type, DeviceLocation location) {
  static constexpr uintptr_t kAlignedAddress = 4096; // never read or written
  return Tensor::wrap(reinterpret_cast<void *>(kAlignedAddress), std::move(shape), {}, type,
                      location);
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
    return Error(ErrorCode::kUnsupported, "the inputs lie on " + text_of(call.location));
  const int ordinal =
      chosen_freely || call.location.kind == kind ? call.location.ordinal : options_.ordinal;
  return Device::open(kind, ordinal);
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
  TENON_ASSIGN_OR_RETURN(Signature signature, signature_of(call, target));
  const CompileRequest request{.graph = facts_.kernel_text,
                               .signature = signature.text(),
                               .target = target.text(),
                               .emit = "image",
                               .options = options_.schedule};
  const KernelKey key({facts_.kernel_hash, request.signature, request.target, request.options,
                       request.graph});
  plan.explanation.target = request.target;
  plan.explanation.key = key.text();

  KernelCache &cache = options_.cache ? *options_.cache : KernelCache::process();
  const bool in_memory = cache.lookup(key) != nullptr;
  bool built = false;
  std::vector<std::string> others; // a target that was named is the one that runs
  if (options_.target.empty() && !in_memory)
    others = kernel.device->executable_targets();
  std::erase(others, request.target);
  auto build = [&] {
    built = true;
    return compile_kernel(request);
  };
  TENON_ASSIGN_OR_RETURN(kernel.cached, cache.lookup_or_compile(key, build, others));
  kernel.outcome = built ? CacheOutcome::kCompiled
                   : in_memory || kernel.cached->compile_milliseconds() > 0 ? CacheOutcome::kHit
                                                                            : CacheOutcome::kDisk;
  TENON_ASSIGN_OR_RETURN(kernel.loaded, kernel.cached->loaded_on(*kernel.device));
  return kernel;
}

Result<CompileRequest> Planner::request(std::span<const TensorReference> inputs,
                                        std::string target) const {
  TENON_ASSIGN_OR_RETURN(const Call call, understand({}, inputs));
  if (target.empty())
    target = options_.target.empty() ? "host" : options_.target;
  TENON_ASSIGN_OR_RETURN(const Target parsed, Target::parse(target));
  TENON_ASSIGN_OR_RETURN(const Signature signature, signature_of(call, parsed));
  return CompileRequest{.graph = facts_.kernel_text,
                        .signature = signature.text(),
                        .target = parsed.text(),
                        .emit = "image",
                        .options = options_.schedule};
}

Result<std::vector<Shape>> Planner::result_shapes(std::span<const TensorReference> inputs) const {
  TENON_ASSIGN_OR_RETURN(const Call call, understand({}, inputs));
  std::vector<Shape> shapes;
  for (size_t i = 0; i < call.shapes.results.size(); ++i)
    shapes.push_back(result_shape_for_rank(call.shapes.results[i], facts_.is_logsumexp[i],
                                           inputs.empty() ? 4 : inputs[0]->rank()));
  return shapes;
}

Status Planner::fill(Plan &plan, const Call &call, const Kernel &kernel,
                     std::span<const TensorReference> outputs) const {
  const bool outputs_given = !outputs.empty();
  const LaunchDescription &launch = kernel.loaded->description();
  if (launch.tensors.size() > kMaxTensorArguments || launch.scalars.size() > kMaxScalarArguments)
    return Error(ErrorCode::kInternal,
                 "kernel " + kernel.loaded->kernel() + " wants more arguments than there are");
  KernelArguments &arguments = plan.arguments;
  std::memset(&arguments, 0, offsetof(KernelArguments, tensors));
  arguments.batch = static_cast<int32_t>(call.batch);
  arguments.heads = static_cast<int32_t>(call.heads);
  arguments.key_heads = static_cast<int32_t>(call.key_heads);
  arguments.query_length = static_cast<int32_t>(call.queries);
  arguments.key_length = static_cast<int32_t>(call.keys);

  for (size_t slot = 0; slot < launch.tensors.size(); ++slot) {
    const TensorSlot &wanted = launch.tensors[slot];
    if (wanted.role == TensorRole::kWorkspace) { // the device fills it in
      plan.data.push_back({wanted.role, 0});
      plan.filled.push_back(true);
      continue;
    }
    const auto index = static_cast<size_t>(wanted.index);
    if (wanted.role == TensorRole::kOutput) {
      Tensor made;
      if (!outputs_given) {
        TENON_ASSIGN_OR_RETURN(
            made, stand_in(call.shapes.results[index], call.types[index], plan.location));
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
  plan.argument_bytes =
      offsetof(KernelArguments, tensors) + launch.tensors.size() * sizeof(TensorArgument);
  return {};
}

/// What `way` does with the call, written into the plan; or why it does nothing.
Status Planner::decide(Way way, const Call &call, Plan &plan,
                       std::span<const TensorReference> outputs) const {
  auto empty = [](const Shape &shape) { return std::ranges::find(shape, 0) != shape.end(); };
  Explanation &explanation = plan.explanation;
  const bool nothing = std::ranges::all_of(call.shapes.results, empty);
  const bool no_keys = call.shapes.scores && call.keys == 0;
  std::string why = options_.device == Way::kAuto ? "first way that can" : "named by the caller";
  plan.way = way;
  plan.location = call.location;
  if (way != Way::kEager) {
    TENON_ASSIGN_OR_RETURN(const Device *device, device_for(way, call));
    plan.location = {kind_of(way), device->ordinal()};
    TENON_TRY(check_place(call, plan.location));
  }
  if (way == Way::kEager || nothing || no_keys) {
    plan.kind = nothing ? Plan::Kind::kNothing : Plan::Kind::kEager;
    if (nothing)
      why += "; the results are empty, nothing is launched";
    else if (way != Way::kEager)
      why += "; there are no keys, nothing is launched";
  } else {
    TENON_ASSIGN_OR_RETURN(const Kernel kernel, kernel_on(way, call, plan));
    plan.kind = Plan::Kind::kKernel;
    if (way == Way::kHost && options_.target.empty())
      if (const std::string why_not = choose_host_level(host_features()).why_not; !why_not.empty())
        why += "; " + why_not;
    plan.device = kernel.device;
    plan.kernel = kernel.loaded;
    TENON_TRY(fill(plan, call, kernel, outputs));
    explanation.workspace_bytes = workspace_bytes(plan);
    explanation.kernel = kernel.loaded->kernel();
    explanation.schedule = kernel.cached->image().schedule_for(call.queries);
    explanation.cache = kernel.outcome;
    explanation.cache_choice = kernel.cached->choice();
    explanation.cache_notes = kernel.cached->notes();
    explanation.compile_milliseconds = kernel.cached->compile_milliseconds();
  }
  explanation.executed_by = way;
  explanation.ways.push_back({way, true, why});
  return {};
}

Result<std::unique_ptr<Plan>> Planner::plan(std::span<const TensorReference> outputs,
                                            std::span<const TensorReference> inputs) {
  TENON_ASSIGN_OR_RETURN(const Call call, understand(outputs, inputs));
  auto plan = std::make_unique<Plan>();
  plan->result_shapes = call.shapes.results;
  plan->result_types = call.types;
  plan->shapes = describe(inputs);
  Explanation &explanation = plan->explanation;
  explanation.asked = options_.device;
  explanation.graph = facts_.text;

  std::vector<Reason> reasons;
  bool refused = false; // for a schedule by hand
  for (Way way : ways_to_weigh(call)) {
    if (way == Way::kEager && refused && options_.schedule != CompileOptions().schedule)
      return Error(ErrorCode::kCompilation, "no kernel can run this with the schedule " + options_.schedule)
          .with_reasons(std::move(reasons));
    const Status decided = decide(way, call, *plan, outputs);
    if (decided)
      return plan;
    const Error &error = decided.error();
    reasons.push_back({std::string(name(way)), error.message()});
    reasons.insert(reasons.end(), error.reasons().begin(), error.reasons().end());
    explanation.ways.push_back({way, false, error.message()});
    explanation.device = explanation.target = explanation.key = "";
    refused |= is_of_options(error);
    if (options_.device == Way::kAuto && error.code() != ErrorCode::kCacheMiss)
      continue;
    if (!error.argument().empty()) // the caller's mistake, not the device's refusal
      return error;
    return Error(error.code(),
                 std::string(name(way)) + " was asked for and cannot run this: " + error.message())
        .with_reasons(std::move(reasons));
  }
  return Error(ErrorCode::kUnsupported, "no way can run this").with_reasons(std::move(reasons));
}

} // namespace tenon
