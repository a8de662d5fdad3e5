/// Helpers of the interpreter's tests: graphs of one operation, and results as vectors of doubles.
#pragma once

#include "tenon/Interpreter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace tenon::testing_support {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// The body of a graph, its arguments, and the type of its result.
inline Graph parse(const std::string &arguments, const std::string &body,
                   const std::string &result = "tensor<*xf32>") {
  auto graph =
      Graph::parse("func.func @attention(" + arguments + ") -> " + result + " {\n" + body + "\n}");
  EXPECT_TRUE(graph) << graph.error().message();
  return graph ? std::move(*graph) : Graph();
}

/// All elements in row-major order.
inline std::vector<double> elements(const Tensor &tensor) {
  std::vector<double> values;
  std::vector<int64_t> index(tensor.shape().size(), 0);
  for (int64_t i = 0; i < tensor.element_count(); ++i) {
    values.push_back(tensor.element_as_double(index));
    for (size_t d = index.size(); d-- > 0;) {
      if (++index[d] < tensor.shape()[d])
        break;
      index[d] = 0;
    }
  }
  return values;
}

inline std::vector<Tensor> evaluate(const Graph &graph, const std::vector<Tensor> &inputs,
                                    const InterpreterOptions &options = {}) {
  auto results = interpret(graph, inputs, options);
  EXPECT_TRUE(results) << results.error().message();
  return results ? std::move(*results) : std::vector<Tensor>();
}

inline std::vector<double> evaluate_one(const Graph &graph, const std::vector<Tensor> &inputs,
                                        const InterpreterOptions &options = {}) {
  const std::vector<Tensor> results = evaluate(graph, inputs, options);
  return results.empty() ? std::vector<double>() : elements(results[0]);
}

inline InterpreterOptions oracle() {
  return {.precision = Precision::kFloat64};
}

inline Tensor random(Shape shape, uint64_t seed, DataType dtype = DataType::kFloat32) {
  return Tensor::random(std::move(shape), dtype, seed).value();
}
inline Tensor floats(Shape shape, std::vector<float> values) {
  return Tensor::from_values<float>(std::move(shape), values).value();
}
inline Tensor doubles(Shape shape, std::vector<double> values) {
  return Tensor::from_values<double>(std::move(shape), values).value();
}
inline Tensor indices(Shape shape, std::vector<int32_t> values) {
  return Tensor::from_values<int32_t>(std::move(shape), values).value();
}
inline Tensor mask(Shape shape, const std::vector<int> &values) {
  Tensor tensor = Tensor::empty(std::move(shape), DataType::kBool).value();
  for (size_t i = 0; i < values.size(); ++i)
    tensor.data_as<bool>()[i] = values[i] != 0;
  return tensor;
}

/// Equal, NaN being equal to NaN; or within `tolerance` of it, relative to the larger of 1 and
/// |expected|.
inline void expect_close(const std::vector<double> &actual, const std::vector<double> &expected,
                         double tolerance, const std::string &what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  for (size_t i = 0; i < actual.size(); ++i) {
    if (actual[i] == expected[i] || (std::isnan(actual[i]) && std::isnan(expected[i])))
      continue;
    const double allowed = tolerance * std::max(1.0, std::abs(expected[i]));
    ASSERT_TRUE(std::isfinite(actual[i]) && std::abs(actual[i] - expected[i]) <= allowed)
        << what << ": element " << i << " is " << actual[i] << ", must be " << expected[i];
  }
}

} // namespace tenon::testing_support
