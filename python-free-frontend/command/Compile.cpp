#include "Ptxas.h"
#include "ScheduleOptions.h"
#include "ShapeOptions.h"

#include "tenon/Compiler.h"
#include "tenon/KernelCache.h"
#include "tenon/KernelImage.h"
#include "tenon/Signature.h"
#include "tenon/Target.h"

#include <memory>
#include <set>
#include <unistd.h>

namespace tenon::command {
namespace {

struct CompileCommand {
  std::string graph, target = "host", emit = "image", output;
  ShapeOptions shape;
  ScheduleOptions schedule;
  bool json = false;
};

constexpr const char *kFooter =
    R"(Stages: graph (what is compiled), attention (after fusion), tile (after scheduling), nvvm (of a GPU, MLIR's llvm and
nvvm dialects), llvm (LLVM IR), ptx and cubin (of a GPU, the latter by ptxas), asm (of the host), image (what a cache keeps).
An image serves any number of queries; few have code of their own, so that the other stages show that for --queries.

Examples:
  tenon compile --batch 4 --heads 16 --queries 1024 --keys 1024 --head-dim 64 --dtype f16 --causal --target sm_80 --emit ptx
  tenon compile --head-dim 128 --dtype bf16 --target host --emit asm -o kernel.s
  tenon compile graph.mlir --head-dim 64 --target sm_90a --emit cubin -o kernel.cubin --json)";

Result<Function> function_of(const CompileCommand &command) {
  CompileOptions options{.tf32 = command.shape.tf32};
  TENON_ASSIGN_OR_RETURN(options.schedule, command.schedule.text());
  if (command.graph.empty())
    return attention_function(command.shape.graph(), options);
  TENON_ASSIGN_OR_RETURN(const std::string text, read_text(command.graph));
  const Result<Graph> graph = Graph::parse(text);
  if (!graph)
    return Error(graph.error().code(), command.graph + ":" + graph.error().message());
  return Function::from_graph(*graph, options);
}

std::string text_of(const std::vector<std::byte> &bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

Result<CompileOutcome> compile_once(const CompileRequest &request) {
  TENON_ASSIGN_OR_RETURN(CompileOutcome outcome, compile_kernel(request));
  const KernelKey key({KernelKey::hash_of(request.graph), request.signature, request.target,
                       request.options, request.graph});
  log_compiled(key, request.emit, outcome.milliseconds, outcome.bytes.size());
  return outcome;
}

Result<std::string> emit(CompileRequest request, std::string stage) {
  request.emit = std::move(stage);
  TENON_ASSIGN_OR_RETURN(const CompileOutcome outcome, compile_once(request));
  return text_of(outcome.bytes);
}

struct Product {
  std::string bytes;
  std::optional<Assembled> assembled;
};

Result<Product> produce(const CompileCommand &command, const CompileRequest &request, bool is_gpu) {
  Product product;
  if (command.emit == "graph") {
    product.bytes = request.graph;
    return product;
  }
  const bool needs_ptxas = command.emit == "cubin" || (is_gpu && command.json && find_ptxas());
  std::string ptx;
  if (needs_ptxas || command.emit == "ptx") {
    TENON_ASSIGN_OR_RETURN(ptx, emit(request, "ptx"));
  }
  if (needs_ptxas) {
    TENON_ASSIGN_OR_RETURN(product.assembled, assemble(ptx, request.target));
  }
  if (command.emit == "cubin")
    product.bytes = product.assembled->cubin;
  else if (command.emit == "ptx")
    product.bytes = std::move(ptx);
  else {
    TENON_ASSIGN_OR_RETURN(product.bytes, emit(request, command.emit));
  }
  return product;
}

/// An image holds code for any number of queries; a stage on the way shows that of as many as the shape has.
CompileRequest stage_request(const CompileCommand &command, CompileRequest request) {
  Result<Signature> signature = Signature::parse(request.signature);
  if (command.emit == "image" || !signature)
    return request;
  signature->queries = command.shape.queries <= kFewQueries ? QueryLengths::kFew : QueryLengths::kMany;
  request.signature = signature->text();
  return request;
}

/// kernel, target, what the schedule says (tile_queries, …), and what ptxas says.
Result<Json> describe(const CompileCommand &command, const CompileRequest &request,
                      const Product &product) {
  Json object = {
      {"target", request.target}, {"emit", command.emit}, {"bytes", product.bytes.size()}};
  if (!command.output.empty())
    object["output"] = command.output;
  TENON_ASSIGN_OR_RETURN(const CompileOutcome outcome, compile_once(request));
  TENON_ASSIGN_OR_RETURN(const KernelImage image, KernelImage::parse(outcome.bytes));
  object["kernel"] = image.kernel;
  const Json schedule = Json::parse(image.schedule_for(command.shape.queries), nullptr, false);
  if (schedule.is_object())
    object.update(schedule);
  const LaunchPhase &phase = image.launch.phases.front();
  if (!object.contains("threads"))
    object["threads"] = phase.threads;
  if (!object.contains("shared_bytes"))
    object["shared_bytes"] = phase.shared_bytes;
  object["phases"] = image.launch.phases.size();
  object["compile_milliseconds"] = outcome.milliseconds;
  if (product.assembled) {
    object["registers"] = product.assembled->registers;
    object["spill_store_bytes"] = product.assembled->spill_store_bytes;
    object["spill_load_bytes"] = product.assembled->spill_load_bytes;
  }
  if (command.output.empty() && command.emit != "image" && command.emit != "cubin")
    object["text"] = product.bytes;
  return object;
}

// Not every stage is on the way of every target.
Result<void> check_stage(const CompileCommand &command, bool is_gpu) {
  const std::set<std::string> of_gpu = {"nvvm", "ptx", "cubin"}, of_host = {"asm"};
  if (!(is_gpu ? of_host : of_gpu).contains(command.emit))
    return {};
  return Error::invalid_argument(
      "--emit", command.emit + " for " + command.target,
      is_gpu ? "graph, attention, tile, nvvm, llvm, ptx, cubin or image; asm is a stage of --target host"
             : "graph, attention, tile, llvm, asm or image; " + command.emit +
                   " is a stage of a GPU: --target sm_80");
}

Result<void> run_compile(CompileCommand command) {
  TENON_TRY(command.shape.complete());
  if (!command.graph.empty())
    TENON_TRY(command.shape.refuse_formula("beside " + command.graph));
  if (command.shape.heads == 0)
    return Error::invalid_argument("--heads", "0", "at least 1, for there to be a kernel");
  TENON_ASSIGN_OR_RETURN(const Target target, Target::parse(command.target));
  const bool is_gpu = target.kind == TargetKind::kCuda;
  TENON_TRY(check_stage(command, is_gpu));
  if (command.output == "-")
    command.output.clear();
  if (!command.output.empty())
    TENON_TRY(check_replaceable(command.output));
  const bool binary = command.emit == "image" || command.emit == "cubin";
  if (binary && command.output.empty() && !command.json && isatty(STDOUT_FILENO))
    return Error::invalid_argument("--output", "stdout, which is a terminal",
                                   "a file for " + command.emit);

  TENON_ASSIGN_OR_RETURN(const Function function, function_of(command));
  TENON_ASSIGN_OR_RETURN(const std::vector<Tensor> tensors,
                         stand_ins(function.graph(), command.shape));
  const std::vector<TensorReference> inputs(tensors.begin(), tensors.end());
  TENON_ASSIGN_OR_RETURN(const CompileRequest request, function.request(inputs, command.target));
  TENON_ASSIGN_OR_RETURN(const Product product, produce(command, stage_request(command, request), is_gpu));
  Json description;
  if (command.json) {
    TENON_ASSIGN_OR_RETURN(description, describe(command, request, product));
  }
  if (!command.output.empty())
    TENON_TRY(replace_file(command.output, product.bytes));
  if (command.json)
    return print_json(description);
  return command.output.empty() ? print(product.bytes) : Result<void>();
}

} // namespace

void add_compile(CLI::App &app, Action &action) {
  auto options = std::make_shared<CompileCommand>();
  CLI::App *compile =
      app.add_subcommand("compile", "Compiles a kernel for any target, and shows any stage of it");
  compile->footer(kFooter);
  compile
      ->add_option("graph", options->graph, "file with a graph; without it, attention of the flags")
      ->type_name("FILE");
  options->shape.add_to(*compile);
  compile->add_flag("--logsumexp", options->shape.logsumexp, "with the logsumexp as second result");
  compile->add_option("--target", options->target, "host, host:x86-64-v3 …, sm_80 … (see --help)")
      ->capture_default_str();
  compile->add_option("--emit", options->emit, "the stage")
      ->check(CLI::IsMember(
          {"graph", "attention", "tile", "nvvm", "llvm", "ptx", "cubin", "asm", "image"}))
      ->capture_default_str();
  compile->add_option("-o,--output", options->output, "instead of stdout, which - means too")
      ->type_name("FILE");
  options->schedule.add_to(*compile);
  compile->add_flag("--json", options->json,
                    "kernel, schedule, times, registers and spills on stdout");
  compile->callback([options, &action] { action = [options] { return run_compile(*options); }; });
}

} // namespace tenon::command
