#include "Reference.h"

#include "tenon/Interpreter.h"

#include <bit>
#include <cmath>
#include <sstream>

namespace tenon::conformance {
namespace {

// Half the distance between 1 and the next number.
double unit_roundoff(DataType dtype) {
  return dtype == DataType::kFloat32 ? 0x1p-24 : dtype == DataType::kFloat16 ? 0x1p-11 : 0x1p-8;
}

double rounded(double value, DataType dtype) {
  double element = 0;
  store_from_double(&element, dtype, value);
  return load_as_double(&element, dtype);
}

// To 10 bits of fraction, ties away from zero: cvt.rna.tf32.f32.
Tensor rounded_to_tf32(const Tensor &tensor) {
  Tensor result = tensor.contiguous().value().to(DataType::kFloat32).value().clone().value();
  for (int64_t i = 0; i < result.element_count(); ++i) {
    float &element = result.data_as<float>()[i];
    if (std::isfinite(element))
      element = std::bit_cast<float>((std::bit_cast<uint32_t>(element) + 0x1000u) & ~0x1fffu);
  }
  return result;
}

ValueId operand_of(const Graph &graph, Operation operation) {
  for (const Node &node : graph.nodes())
    if (node.operation == operation)
      return node.operands.front();
  return -1;
}

// What a library without fusion computes: scores, probabilities and output each rounded to the element type.
Result<Tensor> unfused(const Graph &graph, std::vector<Tensor> inputs, const InterpreterOptions &options, DataType dtype, bool tf32) {
  for (size_t i = 0; i < (tf32 ? 3 : 0); ++i)
    inputs[i] = rounded_to_tf32(inputs[i]);
  Graph scores_graph = graph;
  TENON_TRY(scores_graph.set_results({operand_of(graph, Operation::kSoftmax)}));
  TENON_ASSIGN_OR_RETURN(auto scores, interpret(scores_graph, inputs, options));
  // The rest of the graph is the same function of the scores: probabilities by softmax, dropout, product.
  Graph rest;
  TENON_ASSIGN_OR_RETURN(ValueId score, rest.add_input("scores", kRealTensor));
  TENON_ASSIGN_OR_RETURN(ValueId probabilities, rest.add(Operation::kSoftmax, {score}));
  std::vector<Tensor> rest_inputs = {scores[0].to(dtype).value()};
  for (const Node &node : graph.nodes())
    if (node.operation == Operation::kDropout) {
      const Node &probability = graph.node(node.operands[1]);
      ValueId scalar = -1;
      if (probability.operation == Operation::kConstant) {
        scalar = rest.constant(probability.real());
      } else {
        TENON_ASSIGN_OR_RETURN(scalar, rest.add_input("probability", kRealScalar));
        rest_inputs.push_back(inputs[probability.payload]);
      }
      TENON_ASSIGN_OR_RETURN(probabilities, rest.add(Operation::kDropout, {probabilities, scalar}));
    }
  TENON_TRY(rest.set_results({probabilities}));
  TENON_ASSIGN_OR_RETURN(auto weights, interpret(rest, rest_inputs, options));
  Graph product;
  TENON_ASSIGN_OR_RETURN(ValueId left, product.add_input("weights", kRealTensor));
  TENON_ASSIGN_OR_RETURN(ValueId right, product.add_input("value", kRealTensor));
  TENON_ASSIGN_OR_RETURN(ValueId output, product.add(Operation::kMatmul, {left, right}));
  TENON_TRY(product.set_results({output}));
  Tensor low = tf32 ? rounded_to_tf32(weights[0]) : weights[0].to(dtype).value();
  TENON_ASSIGN_OR_RETURN(auto results, interpret(product, std::vector<Tensor>{low, inputs[2]}, options));
  return results[0].to(dtype);
}

template <class Visit> void for_each_row(const Tensor &tensor, Visit visit) {
  int64_t columns = tensor.rank() ? tensor.size(-1) : 1;
  for (int64_t row = 0; columns && row < tensor.element_count() / columns; ++row)
    visit(row * columns, columns);
}

double element(const Tensor &tensor, int64_t i) {
  return load_as_double(tensor.data_as<char>() + i * static_cast<int64_t>(size_in_bytes(tensor.dtype())), tensor.dtype());
}

double largest_error(const Tensor &computed, const Tensor &exact) {
  double largest = 0;
  for (int64_t i = 0; i < computed.element_count(); ++i) {
    double error = std::fabs(element(computed, i) - element(exact, i));
    if (std::isfinite(error))
      largest = std::max(largest, error);
  }
  return largest;
}

} // namespace

Reference make_reference(const Graph &graph, const std::vector<Tensor> &inputs, uint64_t seed, uint64_t offset, DataType dtype,
                         bool tf32) {
  InterpreterOptions options;
  options.precision = Precision::kFloat64;
  options.seed = seed, options.offset = offset;
  std::vector<Tensor> results = interpret(graph, inputs, options).value();
  Reference reference{results[0], results.size() > 1 ? results[1] : Tensor(), 0};
  options.precision = Precision::kFloat32;
  reference.unfused_error = largest_error(unfused(graph, inputs, options, dtype, tf32).value(), reference.output);
  if (tf32 && results.size() > 1) {
    std::vector<Tensor> rounded_inputs = inputs;
    for (size_t i = 0; i < 3; ++i)
      rounded_inputs[i] = rounded_to_tf32(inputs[i]);
    Tensor logsumexp = interpret(graph, rounded_inputs, options).value()[1];
    reference.unfused_logsumexp_error = largest_error(logsumexp, reference.logsumexp);
  }
  return reference;
}

std::string compare(const Tensor &actual, const Tensor &expected, double unfused_error, DataType dtype) {
  std::ostringstream report;
  if (actual.shape() != expected.shape())
    return "shape " + to_string(actual.shape()) + ", must be " + to_string(expected.shape());
  Tensor dense = actual.contiguous().value();
  double worst = 0;
  for_each_row(expected, [&](int64_t first, int64_t columns) {
    double largest = 0;
    for (int64_t i = first; i < first + columns; ++i)
      if (std::isfinite(element(expected, i)))
        largest = std::max(largest, std::fabs(element(expected, i)));
    double allowed = 2 * unfused_error + 4 * unit_roundoff(dtype) * largest;
    for (int64_t i = first; i < first + columns; ++i) {
      double is = element(dense, i), must = rounded(element(expected, i), DataType::kFloat64);
      bool same = std::isnan(must) ? std::isnan(is) : is == must || std::fabs(is - must) <= allowed;
      double distance = std::isfinite(is - must) ? std::fabs(is - must) - allowed : INFINITY;
      if (same || distance <= worst)
        continue;
      worst = distance;
      report.str("");
      report << "element " << i << " of shape " << to_string(expected.shape()) << " is " << is << ", must be "
             << must << " within " << allowed;
    }
  });
  return report.str();
}

} // namespace tenon::conformance
