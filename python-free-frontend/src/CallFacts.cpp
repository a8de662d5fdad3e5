// What a call means before any device is asked: its tensors checked, its sizes, its signature.
#include "Plan.h"

#include <algorithm>
#include <iterator>

namespace tenon {

std::string text_of(DeviceLocation location) {
  const std::string text(name(location.kind));
  return location.kind == DeviceKind::kHost ? text : text + ":" + std::to_string(location.ordinal);
}

namespace {

/// What kernels hold in registers; wider heads are a matter for the interpreter.
constexpr int64_t kMaxWidth = 256;

/// Kernels count rows in 32 bits, and a block goes beyond the last one: a bound that leaves room
/// for any block.
constexpr int64_t kMaxLength = int64_t{1} << 30;

/// Blocks along the second and third dimension of a GPU's grid, which are heads and sequences.
constexpr int64_t kMaxGrid = 65535;

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

/// A view of its last two dimensions exchanged.
Result<Tensor> transposed(Tensor tensor) {
  while (tensor.rank() < 2) {
    TENON_ASSIGN_OR_RETURN(tensor, tensor.unsqueeze(0));
  }
  return tensor.transpose(-2, -1);
}

/// A mask or a bias is read element by element: of its layout only whether keys are adjacent
/// counts, so that no length changes the code.
Layout layout_of_elementwise(const Tensor &tensor, int64_t keys) {
  const bool adjacent = tensor.rank() > 0 && tensor.shape().back() == keys &&
                        (keys == 1 || tensor.strides().back() == 1);
  return adjacent ? Layout::kRows : Layout::kStrided;
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
      return Error::shape_mismatch(input.name, std::to_string(tensor.rank()) + " dimensions",
                                   "at most 4");
    if (!fits_kind(tensor.dtype(), input.type.kind))
      return Error::unsupported_type(input.name, std::string(name(tensor.dtype())),
                                     kTypesOfKind[static_cast<size_t>(input.type.kind)]);
    if (!(tensor.device() == inputs[0]->device()))
      return Error::invalid_argument(input.name, "on " + text_of(tensor.device()),
                                     "on " + text_of(inputs[0]->device()) +
                                         ", where the first input lies");
  }
  return {};
}

Status Planner::check_outputs(std::span<const TensorReference> outputs, const Call &call) const {
  if (outputs.empty())
    return {};
  if (outputs.size() != call.shapes.results.size())
    return Error::invalid_argument("outputs", std::to_string(outputs.size()) + " tensors",
                                   std::to_string(call.shapes.results.size()) +
                                       ", one for each result");
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Tensor &output = *outputs[i];
    const std::string argument = i == 0                   ? "output"
                                 : facts_.is_logsumexp[i] ? "logsumexp"
                                                          : "output " + std::to_string(i);
    if (!output.defined())
      return Error::invalid_argument(argument, "no tensor", "a tensor");
    if (output.is_read_only())
      return Error::invalid_argument(argument, "read-only memory", "memory that may be written");
    const Shape &expected = call.shapes.results[i];
    Shape given = output.shape();
    while (given.size() < expected.size())
      given.insert(given.begin(), 1);
    if (given != expected)
      return Error::shape_mismatch(
          argument, to_string(output.shape()),
          to_string(result_shape_for_rank(expected, facts_.is_logsumexp[i],
                                          output.rank() + facts_.is_logsumexp[i])));
    if (!is_floating_point(output.dtype()))
      return Error::unsupported_type(argument, std::string(name(output.dtype())),
                                     "f32, f16, bf16 or f64");
    for (int d = 0; d < output.rank(); ++d)
      if (output.strides()[static_cast<size_t>(d)] == 0 && output.size(d) > 1)
        return Error::invalid_argument(argument, "a broadcast view",
                                       "memory of its own for each element");
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
    if (input.transposed) {
      TENON_ASSIGN_OR_RETURN(tensor, transposed(tensor));
    }
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
      call.key_heads =
          std::max(call.key_heads, call.shapes.values[static_cast<size_t>(node.operands[1])][1]);
  return call;
}

Status Planner::check_place(const Call &call, DeviceLocation location) const {
  for (size_t i = 0; i < call.inputs.size(); ++i)
    if (facts_.inputs[i].source == InputFacts::Source::kCaller &&
        !(call.inputs[i].device() == location))
      return Error::invalid_argument(
          facts_.inputs[i].name, "on " + text_of(call.inputs[i].device()),
          "on " + text_of(location) + ", which runs it (Tensor::to copies it there)");
  return {};
}

Result<Signature> Planner::signature_of(const Call &call, const Target &target) const {
  for (const auto &[what, length] : {std::pair("queries", call.queries), {"keys", call.keys}})
    if (length > kMaxLength)
      return Error(ErrorCode::kUnsupported, "there are " + std::to_string(length) + " " + what +
                                                "; kernels count at most " +
                                                std::to_string(kMaxLength));
  const bool gpu = target.kind == TargetKind::kCuda;
  for (const auto &[what, count] : {std::pair("sequences", call.batch), {"heads", call.heads}})
    if (gpu && count > kMaxGrid)
      return Error(ErrorCode::kUnsupported, "there are " + std::to_string(count) + " " + what +
                                                "; a grid of a GPU holds at most " +
                                                std::to_string(kMaxGrid));
  Signature signature;
  for (size_t i = 0; i < facts_.inputs.size(); ++i) {
    const InputFacts &input = facts_.inputs[i];
    InputSignature described{.name = input.name};
    if (input.type.scalar) {
      described.dtype =
          input.type.kind == ElementKind::kIndex ? DataType::kInt32 : DataType::kFloat32;
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
                                                  " wide; kernels hold at most " +
                                                  std::to_string(kMaxWidth));
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
                                                  " heads and values " + std::to_string(heads) +
                                                  ", or the reverse");
    }
  if (call.strided_output)
    return Error(ErrorCode::kUnsupported,
                 "the elements of an output row are not adjacent, as kernels write them");
  signature.output = call.types.front();
  if (signature.output == DataType::kFloat64)
    return Error(ErrorCode::kUnsupported, "the output is f64; kernels write f32, f16 and bf16");
  for (size_t i = 1; i < call.types.size(); ++i)
    if (call.types[i] != (facts_.is_logsumexp[i] ? DataType::kFloat32 : signature.output))
      return Error(ErrorCode::kUnsupported,
                   "result " + std::to_string(i) + " is " + std::string(name(call.types[i])) +
                       "; kernels write a logsumexp as f32, other results like the output");
  signature.group = static_cast<int32_t>(call.key_heads > 0 ? call.heads / call.key_heads : 1);
  signature.tf32 = gpu && options_.tf32 &&
                   std::ranges::any_of(signature.inputs, [](const InputSignature &input) {
                     return input.width > 0 && input.dtype == DataType::kFloat32;
                   });
  if (options_.exact_shape)
    signature.exact =
        ExactShape{static_cast<int32_t>(call.batch), static_cast<int32_t>(call.heads),
                   static_cast<int32_t>(call.key_heads), static_cast<int32_t>(call.queries),
                   static_cast<int32_t>(call.keys)};
  return signature;
}

std::string Planner::describe(std::span<const TensorReference> inputs) const {
  std::string text;
  for (const InputFacts &input : facts_.inputs)
    if (input.source == InputFacts::Source::kCaller) {
      const Tensor &tensor = *inputs[static_cast<size_t>(input.position)];
      text += (text.empty() ? "" : ", ") + input.name + " " + std::string(name(tensor.dtype())) +
              " " + to_string(tensor.shape());
    }
  return text;
}

} // namespace tenon
