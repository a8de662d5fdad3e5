// A launch captured in a CUDA graph: replayed, it takes the dropout offset that lies in device
// memory then.
#include "EmptyKernel.h"

#include "tenon/Compiler.h"

#include <cmath>
#include <cstdlib>
#include <dlfcn.h>
#include <gtest/gtest.h>

namespace tenon {
namespace {

using test::largest_difference;
using test::random;

/// The few entries of the driver that a program calls to capture and replay, of the library that
/// the device uses.
struct Driver {
  void *library;
  explicit Driver(DeviceKind kind)
      : library(dlopen(kind == DeviceKind::kCuda ? "libcuda.so.1" : TENON_EMULATED_DRIVER_LIBRARY,
                       RTLD_NOW)) {}
  template <class... Arguments> int operator()(const char *name, Arguments... arguments) const {
    auto *entry = reinterpret_cast<int (*)(Arguments...)>(dlsym(library, name));
    return entry ? entry(arguments...) : -1;
  }
};

class CapturedGraph : public ::testing::TestWithParam<DeviceKind> {
protected:
  void SetUp() override {
    if (Result<Device *> device = Device::open(GetParam()); !device)
      GTEST_SKIP() << device.error().message();
    if (Result<void> compiler = compiler_available(); !compiler)
      GTEST_SKIP() << compiler.error().message();
    void *context = nullptr;
    ASSERT_EQ(driver_("cuDevicePrimaryCtxRetain", &context, 0), 0);
    ASSERT_EQ(driver_("cuCtxSetCurrent", context), 0);
    ASSERT_EQ(driver_("cuStreamCreate", &stream_, 1u), 0);
  }
  Way way() const { return GetParam() == DeviceKind::kCuda ? Way::kCuda : Way::kEmulator; }
  DeviceLocation location() const { return {GetParam(), 0}; }
  Tensor upload(const Tensor &tensor) const { return tensor.to(location()).value(); }

  /// Records one launch.
  void capture(const Function &attend, const Tensor &output,
               std::initializer_list<TensorReference> inputs, const LaunchOptions &options) {
    ASSERT_TRUE(attend.prepare(inputs, options).ok());
    constexpr int kThreadLocal = 1; // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    void *graph = nullptr;
    ASSERT_EQ(driver_("cuStreamBeginCapture_v2", stream_, kThreadLocal), 0);
    const Status launched = attend.launch({output}, inputs, options);
    ASSERT_EQ(driver_("cuStreamEndCapture", stream_, &graph), 0);
    ASSERT_TRUE(launched.ok()) << launched.error().message();
    ASSERT_EQ(driver_("cuGraphInstantiateWithFlags", &executable_, graph, uint64_t{0}), 0);
  }
  /// Overwrites what lies on the device.
  void write(const Tensor &on_device, const void *bytes, size_t count) const {
    const auto at = reinterpret_cast<unsigned long long>(on_device.data());
    ASSERT_EQ(driver_("cuMemcpyHtoD_v2", at, bytes, count), 0);
  }
  void replay() const {
    ASSERT_EQ(driver_("cuGraphLaunch", executable_, stream_), 0);
    ASSERT_EQ(driver_("cuStreamSynchronize", stream_), 0);
  }

  Driver driver_{GetParam()};
  void *stream_ = nullptr, *executable_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(Kinds, CapturedGraph,
                         ::testing::Values(DeviceKind::kCuda, DeviceKind::kEmulator),
                         [](const auto &info) { return std::string(name(info.param)); });

TEST_P(CapturedGraph, AReplayWithANewOffsetDrawsANewMask) {
  const Tensor query = random({1, 2, 40, 64}, 1, DataType::kFloat16),
               key = random({1, 2, 50, 64}, 2, DataType::kFloat16),
               value = random({1, 2, 50, 64}, 3, DataType::kFloat16);
  auto body = [](Value q, Value k, Value v) {
    return matmul(dropout(softmax(matmul(q, transpose(k)) * 0.125), 0.5), v);
  };
  const Function attend = compile(body, {.device = way()}).value();
  const Function eager = compile(body, {.device = Way::kEager}).value();
  const Tensor q = upload(query), k = upload(key), v = upload(value);
  const Tensor output = Tensor::empty({1, 2, 40, 64}, DataType::kFloat16, location()).value();
  const Tensor offset = upload(Tensor::from_values<int64_t>({1}, {5}).value());
  capture(attend, output, {q, k, v},
          {.stream = stream_, .seed = 42, .offset_pointer = offset.data_as<const uint64_t>()});

  Tensor before;
  for (const int64_t number : {5, 6}) {
    write(offset, &number, sizeof number);
    replay();
    const Tensor result = output.to(DeviceLocation{}).value();
    const Tensor expected =
        eager.call({query, key, value}, {.seed = 42, .offset = static_cast<uint64_t>(number)})
            .value()
            .front();
    EXPECT_LT(largest_difference(result, expected), 4e-3) << "offset " << number;
    if (before.defined())
      EXPECT_GT(largest_difference(result, before), 0.05) << "another mask";
    before = result;
  }
}

/// Few queries and many keys: chunks of the keys leave their outputs in the workspace, a second
/// kernel combines them.
TEST_P(CapturedGraph, AReplayRunsBothPhases) {
  const Tensor query = random({1, 8, 1, 64}, 1, DataType::kFloat16),
               value = random({1, 2, 1500, 64}, 3, DataType::kFloat16);
  auto body = [](Value q, Value k, Value v) {
    return matmul(softmax(matmul(q, transpose(k)) * 0.125), v);
  };
  const Function attend = compile(body, {.device = way()}).value();
  const Function eager = compile(body, {.device = Way::kEager}).value();
  const Tensor q = upload(query), v = upload(value),
               k = upload(random({1, 2, 1500, 64}, 2, DataType::kFloat16));
  const Tensor output = Tensor::empty({1, 8, 1, 64}, DataType::kFloat16, location()).value();
  const TensorReference inputs[] = {q, k, v};
  EXPECT_GT(attend.workspace(inputs).value(), 0u) << "one phase would need none";
  capture(attend, output, {q, k, v}, {.stream = stream_});

  Tensor before;
  for (const uint64_t seed : {2, 5}) {
    const Tensor key = random({1, 2, 1500, 64}, seed, DataType::kFloat16);
    write(k, key.data(), 2 * 1500 * 64 * 2);
    replay();
    const Tensor result = output.to(DeviceLocation{}).value();
    const Tensor expected = eager.call({query, key, value}).value().front();
    EXPECT_LT(largest_difference(result, expected), 2e-3);
    if (before.defined())
      EXPECT_GT(largest_difference(result, before), 0.02) << "other keys";
    before = result;
  }
}

} // namespace
} // namespace tenon
