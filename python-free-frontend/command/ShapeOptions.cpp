#include "ShapeOptions.h"

#include <algorithm>

namespace tenon::command {
namespace {

// Sizes and strides are all that is asked of it.
Result<Tensor> without_memory(Shape shape, DataType dtype, DeviceKind kind) {
  static constexpr uintptr_t kAlignedAddress = 4096;
  return Tensor::wrap(reinterpret_cast<void *>(kAlignedAddress), std::move(shape), {}, dtype,
                      {kind, 0});
}

} // namespace

void ShapeOptions::add_to(CLI::App &app) {
  const std::string group = "Shape";
  const CLI::Range sizes(int64_t{0}, int64_t{INT32_MAX});
  auto size = [&](const char *flag, int64_t &value, const char *text) {
    app.add_option(flag, value, text)->check(sizes)->group(group)->capture_default_str();
  };
  size("--batch", batch, "sequences");
  size("--heads", heads, "heads of the query");
  size("--kv-heads,--key-heads", key_heads,
       "heads of key and value; 0 for as many as the query has");
  size("--queries", queries, "rows of the query");
  size("--keys", keys, "rows of key and value");
  size("--head-dim", head_dim, "width of query and key");
  size("--value-dim", value_dim, "width of value; 0 for that of the key");
  app.add_option("--dtype", dtype, "f32, f16 or bf16")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}))
      ->group(group)
      ->capture_default_str();
  add_causal_option(app, causal);
  app.add_flag("--dropout", dropout, "with dropout, its probability a scalar of the launch")
      ->group(group);
  app.add_flag("--tf32", tf32,
               "products of f32 by a GPU's tensor cores, their operands rounded to 11 bits")
      ->group(group);
  app.add_option("--mask", mask, "with a mask: bool or additive")
      ->check(CLI::IsMember({"bool", "additive"}))
      ->group(group);
}

Result<void> ShapeOptions::complete() {
  if (key_heads == 0)
    key_heads = heads;
  if (value_dim == 0)
    value_dim = head_dim;
  if (head_dim < 1)
    return Error::invalid_argument("--head-dim", std::to_string(head_dim), "at least 1");
  if (key_heads > heads || (key_heads > 0 && heads % key_heads != 0))
    return Error::invalid_argument("--kv-heads", std::to_string(key_heads),
                                   "a divisor of " + std::to_string(heads) +
                                       ", the heads of the query");
  return {};
}

Result<void> ShapeOptions::refuse_formula(const std::string &where) const {
  const std::pair<const char *, bool> flags[] = {{"--causal", !causal.empty()},
                                                 {"--dropout", dropout},
                                                 {"--mask", !mask.empty()},
                                                 {"--logsumexp", logsumexp}};
  for (const auto &[flag, given] : flags)
    if (given)
      return Error::invalid_argument(flag, "given " + where,
                                     "left out: the graph says what is computed");
  return {};
}

AttentionGraphOptions ShapeOptions::graph() const {
  using Mask = AttentionGraphOptions::Mask;
  AttentionGraphOptions options;
  options.mask = mask.empty() ? Mask::kNone : mask == "bool" ? Mask::kBool : Mask::kAdditive;
  options.causal = causal.empty()             ? CausalAlignment::kNone
                   : causal == "bottom-right" ? CausalAlignment::kBottomRight
                                              : CausalAlignment::kTopLeft;
  options.dropout = dropout;
  options.logsumexp = logsumexp;
  return options;
}

Result<std::vector<Tensor>> ShapeOptions::tensors(DeviceKind kind) const {
  TENON_ASSIGN_OR_RETURN(const DataType type, parse_data_type(dtype));
  const std::pair<Shape, DataType> wanted[] = {
      {{batch, heads, queries, head_dim}, type},
      {{batch, key_heads, keys, head_dim}, type},
      {{batch, key_heads, keys, value_dim}, type},
      {{batch, 1, queries, keys}, mask == "bool" ? DataType::kBool : type}};
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < (mask.empty() ? 3 : 4); ++i) {
    TENON_ASSIGN_OR_RETURN(Tensor tensor, without_memory(wanted[i].first, wanted[i].second, kind));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

double ShapeOptions::pairs() const {
  double pairs = 0;
  const int64_t shift = causal == "bottom-right" ? keys - queries : 0;
  for (int64_t query = 0; query < queries; ++query)
    pairs += static_cast<double>(causal.empty() ? keys
                                                : std::clamp<int64_t>(query + shift + 1, 0, keys));
  return pairs * static_cast<double>(batch * heads);
}

double ShapeOptions::operations() const {
  return 2 * pairs() * static_cast<double>(head_dim + value_dim);
}

std::string ShapeOptions::short_text() const {
  std::string text = "(" + std::to_string(batch) + ", " + std::to_string(heads);
  if (key_heads != heads)
    text += "/" + std::to_string(key_heads);
  text += ", " + (queries == keys ? "" : std::to_string(queries) + " x ") + std::to_string(keys) + ", " +
          std::to_string(head_dim) + "), " + dtype;
  return text + (causal.empty() ? "" : ", causal");
}

std::string ShapeOptions::text() const {
  std::string text = "batch " + std::to_string(batch) + ", heads " + std::to_string(heads);
  if (key_heads != heads)
    text += "/" + std::to_string(key_heads);
  text += ", " + std::to_string(queries) + " x " + std::to_string(keys) + ", width " +
          std::to_string(head_dim);
  if (value_dim != head_dim)
    text += "/" + std::to_string(value_dim);
  return text + ", " + dtype + (causal.empty() ? "" : ", causal " + causal);
}

Result<std::vector<Tensor>> stand_ins(const Graph &graph, const ShapeOptions &shape) {
  TENON_ASSIGN_OR_RETURN(const std::vector<Tensor> main, shape.tensors(DeviceKind::kHost));
  TENON_ASSIGN_OR_RETURN(const DataType type, parse_data_type(shape.dtype));
  std::vector<Tensor> tensors;
  size_t real = 0;
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    const GraphInput &input = graph.inputs()[i];
    if (input.type.scalar)
      continue;
    Shape sizes{shape.batch, 1, shape.queries, shape.keys};
    for (const Node &node : graph.nodes())
      if (node.operation == Operation::kLoad && node.operands[0] == input.value)
        sizes.assign(node.operands.size() - 1, 1);
    const bool main_input = input.type.kind == ElementKind::kReal && real < 3 && sizes.size() == 4;
    const DataType kinds[] = {type, DataType::kInt32, DataType::kBool};
    Result<Tensor> tensor =
        main_input
            ? Result<Tensor>(main[real++])
            : without_memory(sizes, kinds[static_cast<size_t>(input.type.kind)], DeviceKind::kHost);
    if (!tensor)
      return tensor.error();
    tensors.push_back(std::move(*tensor));
  }
  return tensors;
}

} // namespace tenon::command
