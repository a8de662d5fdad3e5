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

class CapturedGraph : public ::testing::TestWithParam<DeviceKind> {};
INSTANTIATE_TEST_SUITE_P(Kinds, CapturedGraph,
                         ::testing::Values(DeviceKind::kCuda, DeviceKind::kEmulator),
                         [](const auto &info) { return std::string(name(info.param)); });

TEST_P(CapturedGraph, AReplayWithANewOffsetDrawsANewMask) {
  if (Result<Device *> device = Device::open(GetParam()); !device)
    GTEST_SKIP() << device.error().message();
  if (Result<void> compiler = compiler_available(); !compiler)
    GTEST_SKIP() << compiler.error().message();
  const DeviceLocation location{GetParam(), 0};
  const Tensor query = random({1, 2, 40, 64}, 1, DataType::kFloat16),
               key = random({1, 2, 50, 64}, 2, DataType::kFloat16),
               value = random({1, 2, 50, 64}, 3, DataType::kFloat16);
  auto body = [](Value q, Value k, Value v) {
    return matmul(dropout(softmax(matmul(q, transpose(k)) * 0.125), 0.5), v);
  };
  const Function attend =
      compile(body, {.device = GetParam() == DeviceKind::kCuda ? Way::kCuda : Way::kEmulator})
          .value();
  const Function eager = compile(body, {.device = Way::kEager}).value();
  const Tensor q = query.to(location).value(), k = key.to(location).value(),
               v = value.to(location).value();
  const Tensor output = Tensor::empty({1, 2, 40, 64}, DataType::kFloat16, location).value();
  const Tensor offset = Tensor::from_values<int64_t>({1}, {5}).value().to(location).value();

  const Driver driver(GetParam());
  void *context = nullptr, *stream = nullptr, *graph = nullptr, *executable = nullptr;
  ASSERT_EQ(driver("cuDevicePrimaryCtxRetain", &context, 0), 0);
  ASSERT_EQ(driver("cuCtxSetCurrent", context), 0);
  ASSERT_EQ(driver("cuStreamCreate", &stream, 1u), 0);
  const LaunchOptions options{
      .stream = stream, .seed = 42, .offset_pointer = offset.data_as<const uint64_t>()};
  ASSERT_TRUE(attend.prepare({q, k, v}, options).ok());
  constexpr int kThreadLocal = 1; // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
  ASSERT_EQ(driver("cuStreamBeginCapture_v2", stream, kThreadLocal), 0);
  const Status launched = attend.launch({output}, {q, k, v}, options);
  ASSERT_EQ(driver("cuStreamEndCapture", stream, &graph), 0);
  ASSERT_TRUE(launched.ok()) << launched.error().message();
  ASSERT_EQ(driver("cuGraphInstantiateWithFlags", &executable, graph, uint64_t{0}), 0);

  Tensor before;
  for (const int64_t number : {5, 6}) {
    ASSERT_EQ(driver("cuMemcpyHtoD_v2", reinterpret_cast<unsigned long long>(offset.data()),
                     &number, sizeof number),
              0);
    ASSERT_EQ(driver("cuGraphLaunch", executable, stream), 0);
    ASSERT_EQ(driver("cuStreamSynchronize", stream), 0);
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

} // namespace
} // namespace tenon
