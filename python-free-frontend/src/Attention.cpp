#include "tenon/Attention.h"

#include "FunctionState.h"

#include <atomic>
#include <cmath>
#include <mutex>

namespace tenon {
namespace {

using GraphMask = AttentionGraphOptions::Mask;

std::vector<Value> attention_graph(const AttentionGraphOptions &options,
                                   std::span<const Value> inputs) {
  const Value &query = inputs[0], &key = inputs[1], &value = inputs[2];
  Value scores = matmul(query, transpose(key)) * scalar("scale");
  if (options.mask == GraphMask::kAdditive)
    scores = scores + inputs[3];
  if (options.mask == GraphMask::kBool)
    scores = where(inputs[3], scores, -inf);
  if (options.causal == CausalAlignment::kTopLeft)
    scores = where(query_index() >= key_index(), scores, -inf);
  if (options.causal == CausalAlignment::kBottomRight)
    scores = where(query_index() + (key_length() - query_length()) >= key_index(), scores, -inf);
  Value probabilities = softmax(scores);
  if (options.dropout)
    probabilities = dropout(probabilities, scalar("probability"));
  std::vector<Value> results{matmul(probabilities, value)};
  if (options.logsumexp)
    results.push_back(logsumexp(scores));
  return results;
}

// One function for each combination of options, made at its first use and kept as long as the
// process.
class AttentionTable {
public:
  static AttentionTable &process() {
    static AttentionTable *table = new AttentionTable;
    return *table;
  }

  Result<Function> find(const AttentionGraphOptions &options, Way way, int ordinal, bool tf32) {
    if (ordinal != 0)
      return attention_function(options, {.device = way, .ordinal = ordinal, .tf32 = tf32});
    size_t index = static_cast<size_t>(options.mask);
    index = index * 3 + static_cast<size_t>(static_cast<CausalAlignment>(options.causal));
    index = index * 2 + options.dropout;
    index = index * 2 + options.logsumexp;
    index = index * kWays + static_cast<size_t>(way);
    index = index * 2 + tf32;
    if (const Function *known = functions_[index].load(std::memory_order_acquire))
      return *known;
    std::lock_guard lock(mutex_);
    if (const Function *known = functions_[index].load(std::memory_order_acquire))
      return *known;
    TENON_ASSIGN_OR_RETURN(Function made, attention_function(options, {.device = way, .tf32 = tf32}));
    functions_[index].store(new Function(made), std::memory_order_release);
    return made;
  }

private:
  static constexpr size_t kWays = 5, kCombinations = 3 * 3 * 2 * 2 * kWays * 2;
  std::mutex mutex_;
  std::atomic<const Function *> functions_[kCombinations] = {};
};

int64_t dimension(const Tensor &tensor, int from_last) {
  return tensor.rank() < from_last ? 1 : tensor.size(-from_last);
}

Status check_tensor(const char *argument, const Tensor &tensor, const Tensor &query) {
  if (!tensor.defined())
    return Error::invalid_argument(argument, "no tensor", "a tensor");
  if (tensor.rank() < 2 || tensor.rank() > 4)
    return Error::shape_mismatch(
        argument, std::to_string(tensor.rank()) + " dimensions, " + to_string(tensor.shape()),
        "2 to 4 dimensions: [batch, heads, length, width], leading ones left out");
  if (!is_floating_point(tensor.dtype()))
    return Error::unsupported_type(argument, std::string(name(tensor.dtype())),
                                   "f32, f16, bf16 or f64");
  if (tensor.dtype() != query.dtype())
    return Error::unsupported_type(argument, std::string(name(tensor.dtype())),
                                   std::string(name(query.dtype())) +
                                       ", the element type of query");
  return {};
}

Error wrong_size(const char *argument, const char *what, int64_t was, std::string must) {
  return Error::shape_mismatch(argument, std::string(what) + " " + std::to_string(was),
                               std::move(must));
}

Status check_sizes(const Tensor &query, const Tensor &key, const Tensor &value, bool enable_gqa) {
  if (dimension(query, 1) == 0)
    return wrong_size("query", "width", 0, "at least 1");
  if (dimension(key, 1) != dimension(query, 1))
    return wrong_size("key", "width", dimension(key, 1),
                      std::to_string(dimension(query, 1)) + ", the width of query");
  if (dimension(value, 2) != dimension(key, 2))
    return wrong_size("value", "length", dimension(value, 2),
                      std::to_string(dimension(key, 2)) + ", the length of key");
  const int64_t batch = std::max(dimension(query, 4), dimension(key, 4)),
                heads = dimension(query, 3);
  const Tensor *const others[] = {&key, &value};
  for (const char *argument : {"key", "value"}) {
    const Tensor &tensor = *others[argument[0] == 'v'];
    const int64_t other_batch = dimension(tensor, 4), other_heads = dimension(tensor, 3);
    if (other_batch != batch && other_batch != 1 && batch != 1 && dimension(query, 4) != 1)
      return wrong_size(argument, "batch", other_batch,
                        "1 or " + std::to_string(batch) + ", the batch of query");
    if (other_heads == heads || other_heads == 1)
      continue;
    const bool divides = other_heads > 0 && heads % other_heads == 0;
    if (divides && !enable_gqa)
      return wrong_size(argument, "heads", other_heads,
                        std::to_string(heads) +
                            ", the heads of query; or set enable_gqa, so that " +
                            std::to_string(heads / other_heads) + " query heads share one");
    if (!divides)
      return wrong_size(argument, "heads", other_heads,
                        "a divisor of " + std::to_string(heads) + ", the heads of query");
  }
  return {};
}

Status check_mask(const Tensor &mask, const Tensor &query, const Tensor &key) {
  if (!mask.defined())
    return Error::invalid_argument("mask", "no tensor", "a tensor, or none given");
  if (mask.dtype() != DataType::kBool && !is_floating_point(mask.dtype()))
    return Error::unsupported_type("mask", std::string(name(mask.dtype())),
                                   "bool or a floating-point type");
  const Shape scores{std::max(dimension(query, 4), dimension(key, 4)), dimension(query, 3),
                     dimension(query, 2), dimension(key, 2)};
  bool fits = mask.rank() <= 4;
  for (int d = 1; fits && d <= mask.rank(); ++d)
    fits = mask.size(-d) == 1 || mask.size(-d) == scores[static_cast<size_t>(4 - d)];
  if (!fits)
    return Error::shape_mismatch("mask", to_string(mask.shape()),
                                 "a shape that broadcasts to " + to_string(scores) +
                                     ", [batch, heads, queries, keys]");
  return {};
}

Status check_numbers(const AttentionOptions &options) {
  if (!(options.dropout >= 0 && options.dropout <= 1))
    return Error::invalid_argument("dropout", std::to_string(options.dropout),
                                   "a number in [0, 1]");
  if (options.scale && !std::isfinite(static_cast<float>(*options.scale)))
    return Error::invalid_argument("scale", std::to_string(*options.scale),
                                   "a finite number that float32 holds");
  const CausalAlignment causal = options.causal;
  if (causal > CausalAlignment::kBottomRight)
    return Error::invalid_argument("causal", std::to_string(static_cast<int>(causal)),
                                   "a CausalAlignment");
  if (options.device > Way::kEager)
    return Error::invalid_argument("device", std::to_string(static_cast<int>(options.device)),
                                   "a Way");
  if (options.offset > 0xFFFFFFFFu)
    return Error::invalid_argument("offset", std::to_string(options.offset),
                                   "a number of at most 32 bits");
  return {};
}

} // namespace

Result<Function> attention_function(const AttentionGraphOptions &options,
                                    CompileOptions compile_options) {
  std::vector<ValueType> types(3, kRealTensor);
  compile_options.inputs = {"query", "key", "value"};
  if (options.mask != GraphMask::kNone) {
    types.push_back(options.mask == GraphMask::kBool ? kMaskTensor : kRealTensor);
    compile_options.inputs.push_back("mask");
  }
  auto body = [&](std::span<const Value> inputs) { return attention_graph(options, inputs); };
  return detail::compile_traced(types, body, std::move(compile_options));
}

Result<AttentionCall> attention_call(const Tensor &query, const Tensor &key, const Tensor &value,
                                     const AttentionOptions &options) {
  TENON_TRY(check_tensor("query", query, query));
  TENON_TRY(check_tensor("key", key, query));
  TENON_TRY(check_tensor("value", value, query));
  TENON_TRY(check_sizes(query, key, value, options.enable_gqa));
  TENON_TRY(check_numbers(options));
  AttentionGraphOptions graph{.causal = options.causal,
                              .dropout = options.dropout > 0,
                              .logsumexp = options.logsumexp != nullptr};
  AttentionCall call{.function = {}, .inputs = {query, key, value}, .launch = {}};
  if (options.mask) {
    TENON_TRY(check_mask(*options.mask, query, key));
    graph.mask = options.mask->dtype() == DataType::kBool ? GraphMask::kBool : GraphMask::kAdditive;
    call.inputs.emplace_back(*options.mask);
  }
  TENON_ASSIGN_OR_RETURN(call.function,
                         AttentionTable::process().find(graph, options.device, options.ordinal, options.tf32));
  call.launch.stream = options.stream;
  call.launch.seed = options.seed;
  call.launch.offset = options.offset;
  const double scale =
      options.scale ? *options.scale : 1 / std::sqrt(static_cast<double>(query.size(-1)));
  call.launch.scalars.add({"scale", scale});
  if (graph.dropout)
    call.launch.scalars.add({"probability", options.dropout});
  return call;
}

Result<Tensor> scaled_dot_product_attention(const Tensor &query, const Tensor &key,
                                            const Tensor &value, const AttentionOptions &options) {
  TENON_ASSIGN_OR_RETURN(const AttentionCall call, attention_call(query, key, value, options));
  TENON_ASSIGN_OR_RETURN(std::vector<Tensor> results, call.function.call(call.inputs, call.launch));
  if (options.logsumexp)
    *options.logsumexp = std::move(results[1]);
  return std::move(results[0]);
}

Status scaled_dot_product_attention_into(const Tensor &output, const Tensor &query,
                                         const Tensor &key, const Tensor &value,
                                         const AttentionOptions &options) {
  TENON_ASSIGN_OR_RETURN(const AttentionCall call, attention_call(query, key, value, options));
  const TensorReference outputs[] = {output, options.logsumexp ? *options.logsumexp : output};
  return call.function.launch(std::span(outputs, options.logsumexp ? 2 : 1), call.inputs,
                              call.launch);
}

} // namespace tenon
