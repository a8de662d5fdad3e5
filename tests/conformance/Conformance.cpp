// Every case on every way: tests/conformance/README.md.
#include "Cases.h"
#include "EmulatorFindings.h"
#include "Reference.h"
#include "Ways.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tenon::conformance {
namespace {

// The call of a case: a traced function, or the one behind scaled_dot_product_attention.
Result<AttentionCall> make_call(const Case &c, const RunWay &way, const std::vector<Tensor> &inputs) {
  CompileOptions compile_options;
  compile_options.device = way.way;
  compile_options.target = way.target;
  compile_options.tf32 = c.tf32;
  if (!c.without.empty())
    compile_options.schedule = R"({"without": ")" + c.without + "\"}";
  if (c.traced) {
    AttentionCall call{{}, {inputs[0], inputs[1], inputs[2]}, c.launch};
    TENON_ASSIGN_OR_RETURN(call.function, c.traced(compile_options));
    return call;
  }
  AttentionGraphOptions options;
  options.mask = c.mask == Mask::kNone ? AttentionGraphOptions::Mask::kNone
                 : inputs[3].dtype() == DataType::kBool ? AttentionGraphOptions::Mask::kBool
                                                         : AttentionGraphOptions::Mask::kAdditive;
  options.causal = c.causal;
  options.dropout = c.dropout > 0;
  options.logsumexp = c.logsumexp;
  AttentionCall call{{}, {inputs.begin(), inputs.end()}, c.launch};
  TENON_ASSIGN_OR_RETURN(call.function, attention_function(options, compile_options));
  call.launch.scalars.add({"scale", c.scale.value_or(1 / std::sqrt(static_cast<double>(c.width)))});
  if (c.dropout > 0)
    call.launch.scalars.add({"probability", c.dropout});
  return call;
}

// The interpreter takes scalars as tensors of rank 0, captured tables as they are, in the graph's order.
std::vector<Tensor> oracle_inputs(const AttentionCall &call, const std::vector<Tensor> &inputs) {
  std::vector<Tensor> all;
  size_t next = 0;
  for (const GraphInput &input : call.function.graph().inputs()) {
    if (!input.type.scalar) {
      all.push_back(next < inputs.size() ? inputs[next++] : call.function.captured(input.name));
      continue;
    }
    double value = 0;
    for (int i = 0; i < call.launch.scalars.size(); ++i)
      if (call.launch.scalars[i].name == input.name)
        value = call.launch.scalars[i].value;
    DataType dtype = input.type.kind == ElementKind::kReal ? DataType::kFloat32 : DataType::kInt32;
    all.push_back(Tensor::full({}, value, dtype).value());
  }
  return all;
}

class Conformance : public testing::TestWithParam<std::tuple<RunWay, Case>> {};

TEST_P(Conformance, MatchesFloat64) {
  const auto &[way, c] = GetParam();
  if (!way.missing.empty())
    GTEST_SKIP() << way.name << " is not available: " << way.missing;
  if (!c.without.empty() && way.way != Way::kHost)
    GTEST_SKIP() << "what is left out makes the host's code fast";

  const EmulatorFindings findings;
  std::vector<Tensor> inputs = make_inputs(c);
  Result<AttentionCall> call = make_call(c, way, inputs);
  ASSERT_TRUE(call.ok()) << call.error().message();
  auto results = call->function.call(call->inputs, call->launch);
  ASSERT_TRUE(results.ok()) << results.error().message();
  EXPECT_EQ(findings.text(), "") << "the checkers of the emulated driver found something";

  Reference reference =
      make_reference(call->function.graph(), oracle_inputs(*call, inputs), c.launch.seed, c.launch.offset, c.dtype, c.tf32);
  EXPECT_EQ(compare((*results)[0], reference.output, reference.unfused_error, c.dtype), "");
  if (c.logsumexp) {
    // The log-sum-exp is float32 and unfused libraries do not compute it: a few units of its row of one.
    double few_units = c.inputs == Inputs::kLarge ? 4e-3 : 1e-5;
    double error = std::max(few_units, reference.unfused_logsumexp_error);
    EXPECT_EQ(compare((*results)[1], reference.logsumexp, error, DataType::kFloat32), "");
  }
  bool empty = c.batch == 0 || c.queries == 0 || c.keys == 0;
  if (!empty) {
    EXPECT_EQ(call->function.explain().executed_by, way.way);
  }
}

INSTANTIATE_TEST_SUITE_P(Every, Conformance, testing::Combine(testing::ValuesIn(ways()), testing::ValuesIn(cases())),
                         [](const auto &info) {
                           return std::get<0>(info.param).name + "_" + std::get<1>(info.param).name;
                         });

} // namespace
} // namespace tenon::conformance
