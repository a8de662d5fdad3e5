#include "ScheduleOptions.h"
#include "ShapeOptions.h"

#include <memory>

namespace tenon::command {
namespace {

struct ExplainCommand {
  ShapeOptions shape;
  ScheduleOptions schedule;
  Way device = Way::kAuto;
  std::string target;
  bool json = false, graph = false;
};

constexpr const char *kFooter = R"(Compiles what a call of this shape would, and runs nothing.

Examples:
  tenon explain --batch 2 --heads 8 --queries 1024 --keys 1024 --head-dim 64 --causal
  tenon explain --head-dim 512 --json
  tenon explain --head-dim 64 --dtype f16 --device emulator --graph
  tenon explain --head-dim 64 --dtype bf16 --device host --target host:x86-64-v3)";

Result<void> run_explain(ExplainCommand command) {
  TENON_TRY(command.shape.complete());
  CompileOptions options{.device = command.device, .target = command.target, .tf32 = command.shape.tf32};
  TENON_ASSIGN_OR_RETURN(options.schedule, command.schedule.text());
  TENON_ASSIGN_OR_RETURN(const Function function,
                         attention_function(command.shape.graph(), options));
  const DeviceKind kind = command.device == Way::kCuda       ? DeviceKind::kCuda
                          : command.device == Way::kEmulator ? DeviceKind::kEmulator
                                                             : DeviceKind::kHost;
  if (kind != DeviceKind::kHost)
    if (const Result<Device *> device = Device::open(kind); !device)
      return device.error();
  TENON_ASSIGN_OR_RETURN(const std::vector<Tensor> tensors, command.shape.tensors(kind));
  const std::vector<TensorReference> inputs(tensors.begin(), tensors.end());
  TENON_ASSIGN_OR_RETURN(const Explanation explanation, function.explain(inputs));
  if (command.json)
    return print_json(to_json(explanation));
  return print(command.shape.text() + "\n" + explanation.text() +
               (command.graph ? explanation.graph : ""));
}

} // namespace

void add_explain(CLI::App &app, Action &action) {
  auto options = std::make_shared<ExplainCommand>();
  CLI::App *explain =
      app.add_subcommand("explain", "What would run for a shape, and why nothing else");
  explain->footer(kFooter);
  options->shape.add_to(*explain);
  explain->add_flag("--logsumexp", options->shape.logsumexp, "with the logsumexp as second result");
  options->schedule.add_to(*explain);
  add_device_option(*explain, options->device);
  add_target_option(*explain, options->target);
  explain->add_flag("--graph", options->graph, "prints the graph too");
  explain->add_flag("--json", options->json, "one JSON object on stdout");
  explain->callback([options, &action] { action = [options] { return run_explain(*options); }; });
}

} // namespace tenon::command
