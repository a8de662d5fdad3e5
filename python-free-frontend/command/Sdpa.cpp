#include "Command.h"

#include "tenon/Attention.h"
#include "tenon/TensorFile.h"

#include <memory>
#include <optional>

namespace tenon::command {
namespace {

struct SdpaOptions {
  std::string query, key, value, mask, output, logsumexp, causal;
  std::optional<double> scale;
  double dropout = 0;
  uint64_t seed = 0, offset = 0;
  bool enable_gqa = false, tf32 = false, explain = false, json = false;
  Way device = Way::kAuto;
};

constexpr const char *kFooter =
    R"(Files are .npy, or .safetensors with one tensor. Shapes: query [batch, heads, queries, width], key and value
[batch, key heads, keys, …]; leading dimensions of one may be left out. A mask is bool (true takes part) or is
added to the scores, and broadcasts to [batch, heads, queries, keys].

Examples:
  tenon sdpa --query q.npy --key k.npy --value v.npy --causal --output o.npy
  tenon sdpa --query q.npy --key k.npy --value v.npy --mask m.npy --device host --json --output o.npy
  tenon sdpa --query q.npy --key k.npy --value v.npy --dropout 0.1 --seed 42 --output o.npy --logsumexp l.npy)";

CausalAlignment alignment_of(const std::string &causal) {
  if (causal == "bottom-right")
    return CausalAlignment::kBottomRight;
  return causal.empty() ? CausalAlignment::kNone : CausalAlignment::kTopLeft;
}

Result<void> report(const SdpaOptions &options, const Explanation &explanation,
                    const Tensor &output, double milliseconds) {
  if (options.json) {
    Json object = to_json(explanation);
    object.erase("graph");
    object["milliseconds"] = milliseconds;
    object["output"] = options.output;
    object["shape"] = output.shape();
    object["dtype"] = name(output.dtype());
    return print_json(object);
  }
  std::string text;
  if (options.explain)
    text += explanation.text();
  char time[64];
  std::snprintf(time, sizeof time, "%.2f ms", milliseconds);
  text += label(options.output, 0) + ": " + std::string(name(output.dtype())) + " " +
          to_string(output.shape()) + ", executed by " +
          std::string(name(explanation.executed_by)) +
          (explanation.kernel.empty()
               ? ""
               : " (" + explanation.kernel + ", " + std::string(name(explanation.cache)) + ")") +
          ", " + time + "\n";
  return print(text);
}

Result<void> check_outputs(const SdpaOptions &options, DataType dtype) {
  TENON_TRY(check_output_option("--output", options.output, dtype));
  if (options.logsumexp.empty())
    return {};
  if (same_file(options.logsumexp, options.output))
    return Error::invalid_argument("--logsumexp", options.logsumexp, "another file than --output");
  return check_output_option("--logsumexp", options.logsumexp, DataType::kFloat32);
}

Result<void> run_sdpa(const SdpaOptions &options) {
  TENON_ASSIGN_OR_RETURN(const Tensor query, load_option("--query", options.query));
  TENON_ASSIGN_OR_RETURN(const Tensor key, load_option("--key", options.key));
  TENON_ASSIGN_OR_RETURN(const Tensor value, load_option("--value", options.value));
  Tensor mask, logsumexp;
  if (!options.mask.empty()) {
    TENON_ASSIGN_OR_RETURN(mask, load_option("--mask", options.mask));
  }
  TENON_TRY(check_outputs(options, query.dtype()));

  const AttentionOptions attention{.mask = options.mask.empty() ? nullptr : &mask,
                                   .dropout = options.dropout,
                                   .causal = alignment_of(options.causal),
                                   .scale = options.scale,
                                   .enable_gqa = options.enable_gqa,
                                   .logsumexp = options.logsumexp.empty() ? nullptr : &logsumexp,
                                   .device = options.device,
                                   .seed = options.seed,
                                   .offset = options.offset,
                                   .tf32 = options.tf32};
  const int64_t begin = now_nanoseconds();
  TENON_ASSIGN_OR_RETURN(const AttentionCall call, attention_call(query, key, value, attention));
  TENON_ASSIGN_OR_RETURN(const std::vector<Tensor> results,
                         call.function.call(call.inputs, call.launch));
  const double milliseconds = milliseconds_since(begin);

  TENON_TRY(save_tensor(options.output, results[0]));
  if (!options.logsumexp.empty())
    TENON_TRY(save_tensor(options.logsumexp, results[1]));
  return report(options, call.function.explain(), results[0], milliseconds);
}

} // namespace

void add_sdpa(CLI::App &app, Action &action) {
  auto options = std::make_shared<SdpaOptions>();
  CLI::App *sdpa = app.add_subcommand("sdpa", "Scaled dot-product attention on tensors in files");
  sdpa->footer(kFooter);
  sdpa->add_option("--query", options->query, "[batch, heads, queries, width]")
      ->required()
      ->type_name("FILE");
  sdpa->add_option("--key", options->key, "[batch, key heads, keys, width]")
      ->required()
      ->type_name("FILE");
  sdpa->add_option("--value", options->value, "[batch, key heads, keys, value width]")
      ->required()
      ->type_name("FILE");
  sdpa->add_option("--output", options->output, "where the result goes")
      ->required()
      ->type_name("FILE");
  sdpa->add_option("--mask", options->mask, "bool, or a number added to the scores")
      ->type_name("FILE");
  add_causal_option(*sdpa, options->causal);
  sdpa->add_option("--scale", options->scale, "of the scores; by default 1/sqrt(width)");
  sdpa->add_flag("--enable-gqa", options->enable_gqa, "groups of query heads share one key head");
  sdpa->add_flag("--tf32", options->tf32,
                 "products of f32 by a GPU's tensor cores, their operands rounded to 11 bits");
  sdpa->add_option("--dropout", options->dropout, "probability, from 0 to 1");
  add_random_options(*sdpa, options->seed, options->offset);
  sdpa->add_option("--logsumexp", options->logsumexp, "writes [batch, heads, queries], float32")
      ->type_name("FILE");
  add_device_option(*sdpa, options->device);
  sdpa->add_flag("--explain", options->explain, "says what was weighed and what ran");
  sdpa->add_flag("--json", options->json, "one JSON object on stdout");
  sdpa->callback([options, &action] { action = [options] { return run_sdpa(*options); }; });
}

} // namespace tenon::command
