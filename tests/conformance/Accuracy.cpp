// How far the host's results are from float64 on the same rounded inputs, N(0, 1), in figures instead of by comparison with
// an unfused computation: what hand-written kernels of the same kinds showed is the bound, for each target.
#include "Reference.h"
#include "Ways.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace tenon::conformance {
namespace {

constexpr int64_t kHeads = 4, kQueries = 256, kKeys = 1024, kWidth = 64;

struct Bound {
  DataType dtype;
  double rms;   ///< root mean square of errors over that of the results
  double worst; ///< of the greatest element of its row
};
// float16 has float32's products and its own rounding; probabilities and results of bfloat16 are rounded, and where that is
// faster made in fixed point.
constexpr Bound kBounds[] = {{DataType::kFloat32, 7e-7, 2.2e-6},
                             {DataType::kFloat16, 2.2e-4, 4.9e-4},
                             {DataType::kBFloat16, 2.5e-3, 6.9e-3}};

void PrintTo(const Bound &bound, std::ostream *out) { *out << name(bound.dtype); }

class Accuracy : public testing::TestWithParam<std::tuple<RunWay, Bound>> {};

TEST_P(Accuracy, IsThatOfHandWrittenKernels) {
  const auto &[way, bound] = GetParam();
  if (!way.missing.empty())
    GTEST_SKIP() << way.name << " is not available: " << way.missing;
  auto random = [&, dtype = bound.dtype](int64_t rows, uint64_t seed) {
    return Tensor::random({1, kHeads, rows, kWidth}, dtype, seed).value();
  };
  const std::vector<Tensor> inputs = {random(kQueries, 1), random(kKeys, 2), random(kKeys, 3)};
  for (bool causal : {false, true}) {
    const Function attend = attention_function({.causal = causal}, {.device = way.way, .target = way.target}).value();
    LaunchOptions launch;
    launch.scalars.add({"scale", 1 / std::sqrt(static_cast<double>(kWidth))});
    const Tensor result = attend.call({inputs[0], inputs[1], inputs[2]}, launch).value()[0];
    std::vector<Tensor> all = inputs;
    all.push_back(Tensor::full({}, 1 / std::sqrt(static_cast<double>(kWidth)), DataType::kFloat32).value());
    const Tensor exact = make_reference(attend.graph(), all, 0, 0, bound.dtype).output;
    const auto size = static_cast<int64_t>(size_in_bytes(bound.dtype));
    double squares = 0, errors = 0, worst = 0;
    for (int64_t row = 0; row < kHeads * kQueries; ++row) {
      double greatest = 0, error = 0;
      for (int64_t i = row * kWidth; i < (row + 1) * kWidth; ++i) {
        const double right = exact.data_as<double>()[i],
                     off = load_as_double(result.data_as<std::byte>() + i * size, bound.dtype) - right;
        squares += right * right, errors += off * off;
        greatest = std::max(greatest, std::abs(right)), error = std::max(error, std::abs(off));
      }
      worst = std::max(worst, error / greatest);
    }
    EXPECT_LE(std::sqrt(errors / squares), bound.rms) << (causal ? "causal" : "full");
    EXPECT_LE(worst, bound.worst) << (causal ? "causal" : "full");
  }
}

INSTANTIATE_TEST_SUITE_P(Host, Accuracy, testing::Combine(testing::ValuesIn(host_ways()), testing::ValuesIn(kBounds)),
                         [](const auto &info) {
                           return std::get<0>(info.param).name + "_" + std::string(name(std::get<1>(info.param).dtype));
                         });

} // namespace
} // namespace tenon::conformance
