#include "tenon/ShapeInference.h"

#include "graph/TypeRules.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace tenon {
namespace {

constexpr ValueShape kOnes{1, 1, 1, 1};
constexpr const char *kDimensionNames[4] = {"batch", "heads", "rows", "width"};
enum : size_t { kBatch, kHeads, kRows, kColumns };

/// Which input a size was taken from, and which of the input's four dimensions: errors name these.
struct Origin {
  int32_t input = -1;
  uint8_t dimension = 0;
};

struct Sized {
  ValueShape shape = kOnes;
  std::array<Origin, 4> origin{};
  bool without_columns = false; ///< a logsumexp: of rank 3 where it is a result
};

bool speaks_of_scores(Operation operation) {
  const OperationForm form = operation_info(operation).form;
  return form == OperationForm::kIndex || form == OperationForm::kLength;
}

bool is_row_reduction(Operation operation) {
  return operation == Operation::kSoftmax || operation == Operation::kLogsumexp;
}

/// One walk over the graph with a given score space. A walk that is not strict lets sizes disagree:
/// it only finds out what the score space is, and the strict walk that follows reports.
class ShapeWalk {
public:
  ShapeWalk(const Graph &graph, const std::vector<bool> &live, std::span<const Shape> inputs,
            std::optional<Sized> scores, bool strict)
      : graph_(graph), live_(live), inputs_(inputs), scores_(std::move(scores)), strict_(strict),
        values_(graph.nodes().size()) {}

  Result<std::vector<Sized>> run() {
    for (size_t i = 0; i < values_.size(); ++i) {
      const Node &node = graph_.nodes()[i];
      if ((live_[i] || node.operation == Operation::kInput) && !visit(node, values_[i]))
        return std::move(*error_);
    }
    return std::move(values_);
  }

private:
  const Sized &operand(const Node &node, size_t position) const {
    return values_[static_cast<size_t>(node.operands[position])];
  }

  bool fail(std::string argument, std::string actual, std::string expected) {
    error_ = Error::shape_mismatch(std::move(argument), std::move(actual), std::move(expected));
    return false;
  }

  bool visit(const Node &node, Sized &result) {
    switch (operation_info(node.operation).form) {
    case OperationForm::kInput:
      return input(node, result);
    case OperationForm::kConstant:
    case OperationForm::kLength:
      return true;
    case OperationForm::kIndex:
      return index(node.operation, result);
    case OperationForm::kLoad:
      return check_table(node) && broadcast(node, 1, result);
    case OperationForm::kTensorReal1:
      return one_tensor(node, result);
    case OperationForm::kTensorReal2:
      return matmul(node, result);
    case OperationForm::kDropout:
      result = operand(node, 0);
      return true;
    default:
      return broadcast(node, 0, result);
    }
  }

  bool input(const Node &node, Sized &result) {
    const Shape &sizes = inputs_[node.payload];
    const std::string &name = graph_.inputs()[node.payload].name;
    if (node.type.scalar && !sizes.empty())
      return fail(name, "a tensor of sizes " + to_string(sizes), "a scalar, a tensor of rank 0");
    if (sizes.size() > 4)
      return fail(name, std::to_string(sizes.size()) + " dimensions", "at most 4");
    for (const int64_t size : sizes)
      if (size < 0 || size > std::numeric_limits<int32_t>::max())
        return fail(name, "sizes " + to_string(sizes), "sizes from 0 to 2147483647");
    const size_t first = 4 - sizes.size();
    for (size_t d = 0; d < sizes.size(); ++d) {
      result.shape[first + d] = sizes[d];
      result.origin[first + d] = {static_cast<int32_t>(node.payload),
                                  static_cast<uint8_t>(first + d)};
    }
    return true;
  }

  bool index(Operation operation, Sized &result) {
    if (!scores_)
      return true; // of one element, until the score space is known
    const auto dimension =
        static_cast<size_t>(operation) - static_cast<size_t>(Operation::kBatchIndex);
    result.shape[dimension] = scores_->shape[dimension];
    result.origin[dimension] = scores_->origin[dimension];
    return true;
  }

  bool check_table(const Node &node) {
    const uint32_t table = graph_.node(node.operands[0]).payload;
    const Shape &sizes = inputs_[table];
    const size_t indices = node.operands.size() - 1;
    if (sizes.size() != indices)
      return fail(graph_.inputs()[table].name, "sizes " + to_string(sizes),
                  "a table of " + std::to_string(indices) +
                      (indices == 1 ? " dimension" : " dimensions") +
                      ", as many as attention.load has indices");
    if (std::ranges::find(sizes, 0) != sizes.end())
      return fail(graph_.inputs()[table].name, "sizes " + to_string(sizes),
                  "a table with elements to load");
    return true;
  }

  bool one_tensor(const Node &node, Sized &result) {
    result = operand(node, 0);
    result.without_columns = false;
    if (node.operation == Operation::kTranspose) {
      std::swap(result.shape[kRows], result.shape[kColumns]);
      std::swap(result.origin[kRows], result.origin[kColumns]);
    } else if (node.operation == Operation::kLogsumexp) {
      result.shape[kColumns] = 1;
      result.origin[kColumns] = {};
      result.without_columns = true;
    }
    return true;
  }

  /// Element-wise, over the operands from `first` on.
  bool broadcast(const Node &node, size_t first, Sized &result) {
    bool has_tensor = false;
    result.without_columns = true;
    for (size_t i = first; i < node.operands.size(); ++i) {
      if (graph_.type(node.operands[i]).scalar)
        continue;
      has_tensor = true;
      const Sized &value = operand(node, i);
      result.without_columns &= value.without_columns;
      for (size_t d = 0; d < 4; ++d)
        if (!join(node, i, value, d, result, d))
          return false;
    }
    result.without_columns &= has_tensor;
    return true;
  }

  /// Joins dimension `d` of an operand into dimension `into` of the result: a size of one gives
  /// way.
  bool join(const Node &node, size_t position, const Sized &value, size_t d, Sized &result,
            size_t into) {
    const int64_t size = value.shape[d];
    if (size == 1 || size == result.shape[into])
      return true;
    if (result.shape[into] == 1) {
      result.shape[into] = size;
      result.origin[into] = value.origin[d];
      return true;
    }
    return !strict_ || mismatch(node, position, value.origin[d], size, result.origin[into],
                                result.shape[into], true);
  }

  bool matmul(const Node &node, Sized &result) {
    const Sized &left = operand(node, 0), &right = operand(node, 1);
    result = left;
    result.without_columns = false;
    if (strict_ && left.shape[kColumns] != right.shape[kRows])
      return mismatch(node, 1, right.origin[kRows], right.shape[kRows], left.origin[kColumns],
                      left.shape[kColumns], false);
    if (!join(node, 1, right, kBatch, result, kBatch) || !check_heads(node, left, right))
      return false;
    result.shape[kColumns] = right.shape[kColumns];
    result.origin[kColumns] = right.origin[kColumns];
    return true;
  }

  bool check_heads(const Node &node, const Sized &left, const Sized &right) {
    const int64_t heads = left.shape[kHeads], shared = right.shape[kHeads];
    if (!strict_ || heads == shared || (shared != 0 && heads % shared == 0))
      return true;
    return fail(place(node, 1, right.origin[kHeads]),
                "heads " + std::to_string(shared) + whole(right.origin[kHeads]),
                "a divisor of " + std::to_string(heads) + ", the heads of " +
                    place(node, 0, left.origin[kHeads]));
  }

  /// Of two sizes that disagree the one is blamed that comes from the later input: query, key and
  /// value come before masks and tables.
  bool mismatch(const Node &node, size_t position, Origin one, int64_t one_size, Origin other,
                int64_t other_size, bool or_one) {
    if (one.input >= 0 && other.input > one.input) {
      std::swap(one, other);
      std::swap(one_size, other_size);
    }
    const std::string dimension = one.input < 0 ? "size" : kDimensionNames[one.dimension];
    std::string expected = std::to_string(other_size);
    if (or_one)
      expected = "1 or " + expected;
    if (other.input >= 0)
      expected += std::string(", the ") + kDimensionNames[other.dimension] + " of " +
                  place(node, position, other);
    return fail(place(node, position, one), dimension + " " + std::to_string(one_size) + whole(one),
                dimension + " " + expected);
  }

  /// The name of the input that a size comes from; else the operand that has it.
  std::string place(const Node &node, size_t position, Origin origin) const {
    if (origin.input >= 0)
      return graph_.inputs()[static_cast<size_t>(origin.input)].name;
    return "operand " + std::to_string(position) + " of attention." +
           std::string(operation_info(node.operation).mnemonic);
  }

  /// " in [2, 8, 100, 64]"
  std::string whole(Origin origin) const {
    return origin.input < 0 ? "" : " in " + to_string(inputs_[static_cast<size_t>(origin.input)]);
  }

  const Graph &graph_;
  const std::vector<bool> &live_;
  std::span<const Shape> inputs_;
  std::optional<Sized> scores_;
  bool strict_;
  std::vector<Sized> values_;
  std::optional<Error> error_;
};

struct FoundScores {
  std::optional<Sized> scores;
  std::optional<ValueShape> other; ///< of a second softmax that disagrees
};

FoundScores find_scores(const Graph &graph, const std::vector<bool> &live,
                        const std::vector<Sized> &values) {
  FoundScores found;
  for (size_t i = 0; i < live.size(); ++i) {
    if (!live[i] || !is_row_reduction(graph.nodes()[i].operation))
      continue;
    const Sized &operand = values[static_cast<size_t>(graph.nodes()[i].operands[0])];
    if (!found.scores)
      found.scores = operand;
    else if (found.scores->shape != operand.shape)
      found.other = operand.shape;
  }
  if (found.scores)
    return found;
  const auto elements = [](const Sized &value) {
    double product = 1; // sizes are below 2^31 each: no overflow
    for (const int64_t size : value.shape)
      product *= static_cast<double>(size);
    return product;
  };
  for (size_t i = 0; i < live.size(); ++i)
    if (live[i] && graph.nodes()[i].operation == Operation::kMatmul &&
        (!found.scores || elements(values[i]) > elements(*found.scores)))
      found.scores = values[i];
  return found;
}

/// The first live node that speaks of the score space.
const Node *find_speaker(const Graph &graph, const std::vector<bool> &live) {
  for (size_t i = 0; i < live.size(); ++i)
    if (live[i] && speaks_of_scores(graph.nodes()[i].operation))
      return &graph.nodes()[i];
  return nullptr;
}

GraphShapes collect(const Graph &graph, const std::vector<Sized> &values, FoundScores found) {
  GraphShapes shapes;
  for (const Sized &value : values)
    shapes.values.push_back(value.shape);
  for (const ValueId result : graph.results()) {
    const Sized &value = values[static_cast<size_t>(result)];
    shapes.results.emplace_back(value.shape.begin(),
                                value.shape.end() - (value.without_columns ? 1 : 0));
  }
  if (found.scores && !found.other)
    shapes.scores = found.scores->shape;
  return shapes;
}

} // namespace

Result<GraphShapes> infer_all_shapes(const Graph &graph, std::span<const Shape> inputs) {
  if (inputs.size() != graph.inputs().size())
    return Error::invalid_argument("inputs", std::to_string(inputs.size()),
                                   std::to_string(graph.inputs().size()) + ", those of the graph");
  const std::vector<bool> live = live_nodes(graph);
  std::optional<Sized> scores;
  if (const Node *speaker = find_speaker(graph, live)) {
    auto sketch = ShapeWalk(graph, live, inputs, std::nullopt, false).run();
    if (!sketch)
      return sketch.error();
    FoundScores found = find_scores(graph, live, *sketch);
    const std::string op_name =
        "attention." + std::string(operation_info(speaker->operation).mnemonic);
    if (!found.scores)
      return Error::shape_mismatch(op_name, "used in a graph without softmax, logsumexp and matmul",
                                   "used where there are scores that it can speak of");
    if (found.other)
      return Error::shape_mismatch(op_name,
                                   "used in a graph with scores of sizes " +
                                       to_string(found.scores->shape) + " and " +
                                       to_string(*found.other),
                                   "used where all softmax and logsumexp have scores of one size");
    scores = std::move(found.scores);
  }
  auto values = ShapeWalk(graph, live, inputs, scores, true).run();
  if (!values)
    return values.error();
  FoundScores found = scores ? FoundScores{scores, {}} : find_scores(graph, live, *values);
  return collect(graph, *values, std::move(found));
}

Result<GraphShapes> infer_all_shapes(const Graph &graph, std::span<const Tensor> inputs) {
  std::vector<Shape> sizes;
  for (const Tensor &input : inputs)
    sizes.emplace_back(input.shape().begin(), input.shape().end());
  return infer_all_shapes(graph, sizes);
}

Result<std::vector<Shape>> infer_shapes(const Graph &graph, std::span<const Tensor> inputs) {
  auto shapes = infer_all_shapes(graph, inputs);
  if (!shapes)
    return shapes.error();
  return std::move(shapes->results);
}

} // namespace tenon
