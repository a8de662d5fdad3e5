// The ONNX project's node tests of its Attention operator, as graphs, on every way: what they store is held to
// the meaning of the graph in float64, and so is what a way computes.
// https://onnx.ai/onnx/operators/onnx__Attention.html
#include "Checkout.h"
#include "OnnxCase.h"
#include "Reference.h"
#include "Ways.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace tenon::conformance {
namespace {

std::filesystem::path folder_of_cases() {
  const char *data = std::getenv("TENON_TEST_DATA");
  return std::filesystem::path(data && *data ? data : TENON_SOURCE_DIR "/../shared/data") / "onnx-attention";
}

std::vector<std::string> names_of_cases() {
  std::vector<std::string> names;
  std::error_code missing;
  for (const auto &entry : std::filesystem::directory_iterator(folder_of_cases(), missing))
    names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

// [batch, length, heads · width] as [batch, heads, length, width]; of rank 4 it is so already.
Tensor by_heads(const Tensor &tensor, double heads) {
  if (tensor.rank() != 3)
    return tensor;
  auto count = static_cast<int64_t>(heads);
  Tensor split = tensor.reshape({tensor.size(0), tensor.size(1), count, tensor.size(2) / count}).value();
  return split.transpose(1, 2).value();
}

Tensor behind(const Tensor &past, const Tensor &now) {
  if (!past.defined())
    return now;
  const int64_t before = past.size(2), length = before + now.size(2);
  Tensor all = Tensor::empty({now.size(0), now.size(1), length, now.size(3)}, now.dtype()).value();
  EXPECT_TRUE(all.slice(2, 0, before).value().copy_from(past).ok());
  EXPECT_TRUE(all.slice(2, before, length).value().copy_from(now).ok());
  return all;
}

// Keys beyond the mask's last column do not take part.
Tensor widened(const Tensor &mask, int64_t keys) {
  const int64_t columns = mask.defined() ? mask.size(-1) : keys;
  if (columns == keys || columns == 1)
    return mask;
  Shape shape = mask.shape();
  shape.back() = keys;
  Tensor wide = Tensor::full(shape, mask.dtype() == DataType::kBool ? 0 : -INFINITY, mask.dtype()).value();
  EXPECT_TRUE(wide.slice(mask.rank() - 1, 0, columns).value().copy_from(mask).ok());
  return wide;
}

// The operator's inputs as a call takes them.
struct Operands {
  std::vector<Tensor> inputs; // query, key, value, mask
  Tensor lengths;             // of the keys of each batch that are no padding
  int64_t past = 0;

  explicit Operands(const OnnxCase &c) {
    const double heads = c.number("q_num_heads", 0), key_heads = c.number("kv_num_heads", heads);
    const Tensor past_key = c.input("past_key");
    past = past_key.defined() ? past_key.size(2) : 0;
    inputs = {by_heads(c.input("Q"), heads), behind(past_key, by_heads(c.input("K"), key_heads)),
              behind(c.input("past_value"), by_heads(c.input("V"), key_heads))};
    if (const Tensor mask = widened(c.input("attn_mask"), inputs[1].size(2)); mask.defined())
      inputs.push_back(mask);
    if (const Tensor given = c.input("nonpad_kv_seqlen"); given.defined())
      lengths = given.to(DataType::kInt32).value();
  }
};

// Which of the operator's steps its fourth output shows.
enum ScoreOutput { kProducts, kCapped, kMasked, kProbabilities, kNone };

std::vector<Value> graph_of(const OnnxCase &c, const Operands &operands, ScoreOutput shown, const Value &query,
                            const Value &key, const Value &value, const Value *mask) {
  const double scale = c.number("scale", 1 / std::sqrt(static_cast<double>(operands.inputs[0].size(-1))));
  const double cap = c.number("softcap", 0);
  Value steps[4];
  steps[kProducts] = matmul(query, transpose(key)) * scale;
  steps[kCapped] = cap > 0 ? cap * tanh(steps[kProducts] / cap) : steps[kProducts];
  Value scores = steps[kCapped];
  if (mask)
    scores = operands.inputs[3].dtype() == DataType::kBool ? where(*mask, scores, -inf) : scores + *mask;
  Value last = query_index() + static_cast<int32_t>(operands.past); // key that a query sees
  if (operands.lengths.defined()) {
    const Value length = load(operands.lengths, batch_index());
    scores = where(key_index() < length, scores, -inf);
    last = query_index() + (length - query_length());
  }
  if (c.number("is_causal", 0) != 0)
    scores = where(key_index() <= last, scores, -inf);
  steps[kMasked] = scores;
  steps[kProbabilities] = softmax(scores);
  std::vector<Value> results{matmul(steps[kProbabilities], value)};
  if (shown != kNone)
    results.push_back(steps[shown]);
  return results;
}

Result<Function> function_of(const OnnxCase &c, const Operands &operands, ScoreOutput shown, CompileOptions options) {
  if (operands.inputs.size() == 3)
    return compile([&](Value q, Value k, Value v) { return graph_of(c, operands, shown, q, k, v, nullptr); },
                   std::move(options));
  if (operands.inputs[3].dtype() == DataType::kBool)
    return compile([&](Value q, Value k, Value v, tenon::Mask m) { return graph_of(c, operands, shown, q, k, v, &m); },
                   std::move(options));
  return compile([&](Value q, Value k, Value v, Value m) { return graph_of(c, operands, shown, q, k, v, &m); },
                 std::move(options));
}

class OnnxAttention : public testing::TestWithParam<std::tuple<RunWay, std::string>> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(OnnxAttention);

TEST(OnnxAttention, CasesAreThere) {
  if (names_of_cases().empty())
    GTEST_SKIP() << "no cases at " << folder_of_cases() << "; set TENON_TEST_DATA";
  EXPECT_GE(names_of_cases().size(), 76u);
}

TEST_P(OnnxAttention, HasTheOperatorsMeaning) {
  const auto &[way, name] = GetParam();
  if (!way.missing.empty())
    GTEST_SKIP() << way.name << " is not available: " << way.missing;
  const Result<OnnxCase> c = read_onnx_case(folder_of_cases() / name);
  ASSERT_TRUE(c.ok()) << c.error().message();
  if (!c->others.empty())
    GTEST_SKIP() << "the attribute " << c->others[0] << " is a graph of ONNX's own operators";
  const Operands operands(*c);
  const DataType dtype = operands.inputs[0].dtype();
  if (dtype == DataType::kFloat64 && way.way != Way::kEager)
    GTEST_SKIP() << "kernels take f32, f16 and bf16; this is f64";

  // Scores in memory are what a fused kernel does without: the interpreter alone shows them.
  const bool shows = way.way == Way::kEager && c->outputs.contains("qk_matmul_output");
  const auto shown = shows ? static_cast<ScoreOutput>(c->number("qk_matmul_output_mode", 0)) : kNone;
  const Result<Function> function = function_of(*c, operands, shown, {.device = way.way, .target = way.target});
  ASSERT_TRUE(function.ok()) << function.error().message();
  const std::vector<TensorReference> inputs(operands.inputs.begin(), operands.inputs.end());
  const Result<std::vector<Tensor>> results = function->call(inputs);
  ASSERT_TRUE(results.ok()) << results.error().message();

  std::vector<Tensor> all = operands.inputs;
  for (size_t i = all.size(); i < function->graph().inputs().size(); ++i)
    all.push_back(function->captured(function->graph().inputs()[i].name));
  const DataType rounded = dtype == DataType::kFloat64 ? DataType::kFloat32 : dtype;
  const Reference reference = make_reference(function->graph(), all, 0, 0, rounded);
  const Tensor stored = by_heads(c->outputs.at("Y"), c->number("q_num_heads", 0));
  EXPECT_EQ(compare(stored, reference.output, reference.unfused_error, rounded), "") << "what ONNX stores";
  EXPECT_EQ(compare((*results)[0], reference.output, reference.unfused_error, rounded), "");
  if (shows) {
    EXPECT_EQ(compare(c->outputs.at("qk_matmul_output"), (*results)[1].to(DataType::kFloat64).value(),
                      reference.unfused_error, rounded), "");
  }
  EXPECT_EQ(function->explain().executed_by, way.way);
}

INSTANTIATE_TEST_SUITE_P(Every, OnnxAttention,
                         testing::Combine(testing::ValuesIn(ways()), testing::ValuesIn(names_of_cases())),
                         [](const auto &info) {
                           return std::get<0>(info.param).name + "_" + std::get<1>(info.param);
                         });

} // namespace
} // namespace tenon::conformance
