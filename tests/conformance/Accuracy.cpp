// How far the host's results are from float64 on the same rounded inputs, N(0, 1), in figures instead of by comparison with
// an unfused computation: what hand-written kernels of the same kinds showed is the bound, for each target.
#include "Reference.h"
#include "Ways.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace tenon::conformance {
namespace {

constexpr int64_t kHeads = 4;

struct Error {
  double rms;   ///< root mean square of errors over that of the results
  double worst; ///< of the greatest element of its row
};
struct Bound {
  DataType dtype;
  Error many, one; ///< 256 queries on 1,024 keys of width 64; one, of heads that share 2,048 keys of width 128
};
// float16 has float32's products and its own rounding; probabilities and results of bfloat16 are rounded, and where that is
// faster made in fixed point.
constexpr Bound kBounds[] = {{DataType::kFloat32, {7e-7, 2.2e-6}, {2.9e-7, 1e-6}},
                             {DataType::kFloat16, {2.2e-4, 4.9e-4}, {2.2e-4, 4.9e-4}},
                             {DataType::kBFloat16, {2.5e-3, 6.9e-3}, {1.7e-3, 4.9e-3}}};

void PrintTo(const Bound &bound, std::ostream *out) { *out << name(bound.dtype); }

class Accuracy : public testing::TestWithParam<std::tuple<RunWay, Bound>> {
protected:
  void SetUp() override {
    if (!way().missing.empty())
      GTEST_SKIP() << way().name << " is not available: " << way().missing;
  }
  const RunWay &way() const { return std::get<0>(GetParam()); }
  const Bound &bound() const { return std::get<1>(GetParam()); }

  void expect(const Error &error, int64_t queries, int64_t keys, int64_t key_heads, int64_t width, bool causal) const {
    auto random = [&](int64_t heads, int64_t rows, uint64_t seed) {
      return Tensor::random({1, heads, rows, width}, bound().dtype, seed).value();
    };
    const double scale = 1 / std::sqrt(static_cast<double>(width));
    std::vector<Tensor> inputs = {random(kHeads, queries, 1), random(key_heads, keys, 2), random(key_heads, keys, 3)};
    const Function attend = attention_function({.causal = causal}, {.device = way().way, .target = way().target}).value();
    LaunchOptions launch;
    launch.scalars.add({"scale", scale});
    const Tensor result = attend.call({inputs[0], inputs[1], inputs[2]}, launch).value()[0];
    inputs.push_back(Tensor::full({}, scale, DataType::kFloat32).value());
    const Tensor exact = make_reference(attend.graph(), inputs, 0, 0, bound().dtype).output;
    const auto size = static_cast<int64_t>(size_in_bytes(bound().dtype));
    double squares = 0, errors = 0, worst = 0;
    for (int64_t row = 0; row < kHeads * queries; ++row) {
      double greatest = 0, most = 0;
      for (int64_t i = row * width; i < (row + 1) * width; ++i) {
        const double right = exact.data_as<double>()[i],
                     off = load_as_double(result.data_as<std::byte>() + i * size, bound().dtype) - right;
        squares += right * right, errors += off * off;
        greatest = std::max(greatest, std::abs(right)), most = std::max(most, std::abs(off));
      }
      worst = std::max(worst, most / greatest);
    }
    EXPECT_LE(std::sqrt(errors / squares), error.rms) << (causal ? "causal" : "full");
    EXPECT_LE(worst, error.worst) << (causal ? "causal" : "full");
  }
};

TEST_P(Accuracy, IsThatOfHandWrittenKernels) {
  for (bool causal : {false, true})
    expect(bound().many, 256, 1024, kHeads, 64, causal);
}

// Where vdpbf16ps takes them its probabilities are rounded too, as those of many queries are; elsewhere they are not.
TEST_P(Accuracy, OfOneQueryIsThatOfHandWrittenKernels) {
  const bool rounds = bound().dtype == DataType::kBFloat16 && way().target == "host:x86-64-v4+bf16";
  expect(rounds ? bound().many : bound().one, 1, 2048, 1, 128, /*causal=*/false);
}

INSTANTIATE_TEST_SUITE_P(Host, Accuracy, testing::Combine(testing::ValuesIn(host_ways()), testing::ValuesIn(kBounds)),
                         [](const auto &info) {
                           return std::get<0>(info.param).name + "_" + std::string(name(std::get<1>(info.param).dtype));
                         });

} // namespace
} // namespace tenon::conformance
