/// A node test of the ONNX project, as files: one `Attention` node with its attributes, inputs and outputs.
///
/// The files are protocol buffers; this reads the few fields of ModelProto, NodeProto, AttributeProto and
/// TensorProto that such a test has. https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
#pragma once

#include "tenon/Tensor.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace tenon::conformance {

struct OnnxCase {
  std::string op;                          ///< "Attention"
  std::map<std::string, double> numbers;   ///< attributes that are numbers
  std::vector<std::string> others;         ///< names of the other attributes
  std::map<std::string, Tensor> inputs, outputs; ///< by their names in the node's definition

  double number(const std::string &attribute, double otherwise) const {
    auto found = numbers.find(attribute);
    return found == numbers.end() ? otherwise : found->second;
  }
  /// Undefined where the node has none.
  Tensor input(const std::string &name) const {
    auto found = inputs.find(name);
    return found == inputs.end() ? Tensor() : found->second;
  }
};

/// Of a folder with model.onnx and test_data_set_0. Errors: files that are missing, or not as expected.
Result<OnnxCase> read_onnx_case(const std::filesystem::path &folder);

} // namespace tenon::conformance
