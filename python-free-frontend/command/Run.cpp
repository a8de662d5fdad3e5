#include "Command.h"

#include "tenon/Graph.h"
#include "tenon/TensorFile.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>

namespace tenon::command {
namespace {

struct RunOptions {
  std::string graph;
  std::vector<std::string> inputs, scalars, outputs;
  uint64_t seed = 0, offset = 0;
  bool explain = false, json = false;
  Way device = Way::kAuto;
};

constexpr const char *kFooter =
    R"(The graph is a function in the attention dialect, as `tenon compile --emit graph` prints it. Inputs are named as
in the graph, or by a prefix that only one has.

Examples:
  tenon run graph.mlir --input q=q.npy --input k=k.npy --input v=v.npy --scalar scale=0.125 --output o.npy
  tenon run graph.mlir --input query=q.npy --input key=k.npy --input value=v.npy --output o.npy --output lse.npy)";

using Assignment = std::pair<std::string, std::string>;

Result<Assignment> split(const char *option, const std::string &text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    return Error::invalid_argument(option, "'" + text + "'", "NAME=VALUE");
  return Assignment{text.substr(0, equals), text.substr(equals + 1)};
}

/// The input of that name, or the only one whose name begins so.
Result<size_t> find_input(const Graph &graph, const char *option, const std::string &given,
                          bool scalar) {
  std::vector<size_t> matches;
  std::string names;
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    const GraphInput &input = graph.inputs()[i];
    if (input.type.scalar != scalar)
      continue;
    if (input.name == given)
      return i;
    names += (names.empty() ? "" : ", ") + input.name;
    if (input.name.starts_with(given))
      matches.push_back(i);
  }
  if (matches.size() == 1)
    return matches[0];
  return Error::invalid_argument(option, "'" + given + "'",
                                 (matches.empty() ? "one of " : "more of a name, to tell apart ") +
                                     (names.empty() ? "none: the graph has no such input" : names));
}

Result<std::vector<Tensor>> load_inputs(const Graph &graph, const RunOptions &options) {
  std::map<size_t, std::string> files;
  for (const std::string &text : options.inputs) {
    TENON_ASSIGN_OR_RETURN(const Assignment input, split("--input", text));
    TENON_ASSIGN_OR_RETURN(const size_t position, find_input(graph, "--input", input.first, false));
    if (!files.emplace(position, input.second).second)
      return Error::invalid_argument("--input", "'" + input.first + "' twice", "each input once");
  }
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    if (graph.inputs()[i].type.scalar)
      continue;
    if (!files.contains(i))
      return Error::invalid_argument("--input", "no " + graph.inputs()[i].name,
                                     graph.inputs()[i].name + "=FILE");
    TENON_ASSIGN_OR_RETURN(Tensor tensor, load_option("--input", files[i]));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

Result<void> load_scalars(const Graph &graph, const RunOptions &options, LaunchOptions &launch) {
  std::set<size_t> seen;
  for (const std::string &text : options.scalars) {
    TENON_ASSIGN_OR_RETURN(const Assignment scalar, split("--scalar", text));
    TENON_ASSIGN_OR_RETURN(const size_t position,
                           find_input(graph, "--scalar", scalar.first, true));
    size_t used = 0;
    double value = 0;
    try {
      value = std::stod(scalar.second, &used);
    } catch (const std::exception &) {
      used = 0;
    }
    if (used == 0 || used != scalar.second.size())
      return Error::invalid_argument("--scalar", "'" + text + "'", "NAME=NUMBER");
    if (!seen.insert(position).second)
      return Error::invalid_argument("--scalar", "'" + scalar.first + "' twice",
                                     "each scalar once");
    launch.scalars.add({graph.inputs()[position].name, value});
  }
  return {};
}

/// Before the work: a file for each result, of a format that can hold its elements.
Result<void> check_outputs(const Graph &graph, const std::vector<std::string> &outputs,
                           const std::vector<Tensor> &inputs) {
  if (outputs.size() > graph.results().size())
    return Error::invalid_argument("--output", std::to_string(outputs.size()) + " files",
                                   "at most " + std::to_string(graph.results().size()) +
                                       ", one for each result");
  for (size_t i = 0; i < outputs.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (same_file(outputs[i], outputs[j]))
        return Error::invalid_argument("--output", "one file twice",
                                       "another file for each result");
  const auto first = std::ranges::find_if(
      inputs, [](const Tensor &input) { return is_floating_point(input.dtype()); });
  for (size_t i = 0; i < outputs.size(); ++i) {
    const bool logsumexp = graph.node(graph.results()[i]).operation == Operation::kLogsumexp;
    TENON_TRY(check_output_option("--output", outputs[i],
                                  logsumexp || first == inputs.end() ? DataType::kFloat32
                                                                     : first->dtype()));
  }
  return {};
}

Result<void> run_graph(const RunOptions &options) {
  TENON_ASSIGN_OR_RETURN(const std::string text, read_text(options.graph));
  Result<Graph> graph = Graph::parse(text);
  if (!graph)
    return Error(graph.error().code(), options.graph + ":" + graph.error().message());
  TENON_ASSIGN_OR_RETURN(const std::vector<Tensor> tensors, load_inputs(*graph, options));
  LaunchOptions launch{.seed = options.seed, .offset = options.offset};
  TENON_TRY(load_scalars(*graph, options, launch));
  TENON_TRY(check_outputs(*graph, options.outputs, tensors));

  TENON_ASSIGN_OR_RETURN(const Function function,
                         Function::from_graph(*graph, {.device = options.device}));
  const std::vector<TensorReference> inputs(tensors.begin(), tensors.end());
  const int64_t begin = now_nanoseconds();
  TENON_ASSIGN_OR_RETURN(const std::vector<Tensor> results, function.call(inputs, launch));
  const double milliseconds = milliseconds_since(begin);
  for (size_t i = 0; i < options.outputs.size(); ++i)
    TENON_TRY(save_tensor(options.outputs[i], results[i]));

  const Explanation explanation = function.explain();
  if (options.json) {
    Json object = to_json(explanation);
    object["milliseconds"] = milliseconds;
    object["outputs"] = options.outputs;
    return print_json(object);
  }
  std::string report = options.explain ? explanation.text() : "";
  for (size_t i = 0; i < options.outputs.size(); ++i)
    report += label(options.outputs[i], 0) + ": " + std::string(name(results[i].dtype())) + " " +
              to_string(results[i].shape()) + ", executed by " +
              std::string(name(explanation.executed_by)) + "\n";
  return print(report);
}

} // namespace

void add_run(CLI::App &app, Action &action) {
  auto options = std::make_shared<RunOptions>();
  CLI::App *run =
      app.add_subcommand("run", "Runs a graph of the attention dialect on tensors in files");
  run->footer(kFooter);
  run->add_option("graph", options->graph, "file with the graph")->required()->type_name("FILE");
  run->add_option("--input", options->inputs, "a tensor of the graph")
      ->type_name("NAME=FILE")
      ->expected(1)
      ->take_all();
  run->add_option("--scalar", options->scalars, "a scalar of the graph")
      ->type_name("NAME=NUMBER")
      ->expected(1)
      ->take_all();
  run->add_option("--output", options->outputs, "for each result a file")
      ->required()
      ->type_name("FILE")
      ->expected(1)
      ->take_all();
  add_random_options(*run, options->seed, options->offset);
  add_device_option(*run, options->device);
  run->add_flag("--explain", options->explain, "says what was weighed and what ran");
  run->add_flag("--json", options->json, "one JSON object on stdout");
  run->callback([options, &action] { action = [options] { return run_graph(*options); }; });
}

} // namespace tenon::command
