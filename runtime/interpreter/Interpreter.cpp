#include "tenon/Interpreter.h"

#include "graph/TypeRules.h"
#include "interpreter/MaskedScores.h"
#include "interpreter/Value.h"
#include "tenon/FloatingPointMode.h"

#include <algorithm>
#include <string>

namespace tenon {
namespace {

using namespace interpreter;

struct Entry {
  Operation operation;
  EvaluateFunction evaluate;
};

/// What is not here is element-wise.
template <typename Real>
constexpr Entry kEvaluations[] = {
    {Operation::kInput, input<Real>},         {Operation::kConstant, constant<Real>},
    {Operation::kBatchIndex, index<Real>},    {Operation::kHeadIndex, index<Real>},
    {Operation::kQueryIndex, index<Real>},    {Operation::kKeyIndex, index<Real>},
    {Operation::kQueryLength, length<Real>},  {Operation::kKeyLength, length<Real>},
    {Operation::kLoad, load<Real>},           {Operation::kMatmul, matmul<Real>},
    {Operation::kTranspose, transpose<Real>}, {Operation::kSoftmax, softmax<Real>},
    {Operation::kLogsumexp, logsumexp<Real>}, {Operation::kDropout, dropout<Real>},
};

template <typename Real> EvaluateFunction find_evaluation(Operation operation) {
  const auto *found = std::ranges::find(kEvaluations<Real>, operation, &Entry::operation);
  return found == std::end(kEvaluations<Real>) ? elementwise<Real> : found->evaluate;
}

/// For every node, the last one that reads it: after that its memory is given back.
std::vector<ValueId> last_readers(const Graph &graph, const std::vector<bool> &live) {
  std::vector<ValueId> last(live.size(), -1);
  for (size_t i = 0; i < live.size(); ++i)
    for (const ValueId operand : graph.nodes()[i].operands)
      if (live[i])
        last[static_cast<size_t>(operand)] = static_cast<ValueId>(i);
  for (const ValueId result : graph.results())
    last[static_cast<size_t>(result)] = static_cast<ValueId>(live.size());
  return last;
}

template <typename Real> Result<std::vector<Tensor>> run(const Evaluation &evaluation) {
  const Graph &graph = evaluation.graph;
  const std::vector<bool> live = live_nodes(graph);
  const std::vector<ValueId> last = last_readers(graph, live);
  std::vector<Value> values(live.size());
  for (size_t i = 0; i < live.size(); ++i) {
    const Node &node = graph.nodes()[i];
    if (!live[i])
      continue;
    std::vector<Value> operands;
    for (const ValueId operand : node.operands) {
      Value &value = values[static_cast<size_t>(operand)];
      operands.push_back(value);
      if (last[static_cast<size_t>(operand)] == static_cast<ValueId>(i))
        value.storage.reset(); // operands hold it until the node is evaluated
    }
    auto value = find_evaluation<Real>(node.operation)(evaluation, node, operands,
                                                       evaluation.shapes.values[i]);
    if (!value)
      return value.error();
    values[i] = std::move(*value);
  }

  const InterpreterOptions &options = evaluation.options;
  const DataType real = options.output.value_or(
      options.precision == Precision::kFloat64 ? DataType::kFloat64 : DataType::kFloat32);
  std::vector<Tensor> results;
  for (size_t r = 0; r < graph.results().size(); ++r) {
    const ValueId result = graph.results()[r];
    auto tensor = to_tensor<Real>(values[static_cast<size_t>(result)], graph.type(result).kind,
                                  evaluation.shapes.results[r], real);
    if (!tensor)
      return tensor.error();
    results.push_back(std::move(*tensor));
  }
  return results;
}

Status check_options(const InterpreterOptions &options) {
  if (options.output && !is_floating_point(*options.output))
    return Error::unsupported_type("output", std::string(name(*options.output)),
                                   "f32, f16, bf16 or f64");
  for (const auto &length : {options.query_length, options.key_length})
    if (length.value_or(0) < 0)
      return Error::invalid_argument("length", std::to_string(*length), "0 or more");
  return {};
}

} // namespace

Result<std::vector<Tensor>> interpret(const Graph &graph, std::span<const Tensor> inputs,
                                      const InterpreterOptions &options) {
  const FloatingPointMode mode(Subnormals::kKept);
  TENON_TRY(graph.verify());
  TENON_TRY(check_options(options));
  for (size_t i = 0; i < std::min(inputs.size(), graph.inputs().size()); ++i)
    if (!inputs[i].defined())
      return Error::invalid_argument(graph.inputs()[i].name, "no tensor", "a tensor");
  TENON_ASSIGN_OR_RETURN(const Graph kept, with_masks_kept(graph));
  TENON_ASSIGN_OR_RETURN(const GraphShapes shapes, infer_all_shapes(kept, inputs));
  const Evaluation evaluation{kept, shapes, inputs, options};
  return options.precision == Precision::kFloat64 ? run<double>(evaluation)
                                                  : run<float>(evaluation);
}

} // namespace tenon
