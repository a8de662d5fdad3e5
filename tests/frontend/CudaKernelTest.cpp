// Kernels in CUDA C++: compiled by NVRTC, kept by the cache, launched on the GPU or the emulator.
#include "tenon/Tenon.h"

#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tenon {
namespace {

using ::testing::HasSubstr;

constexpr const char *kScale = R"(
extern "C" __global__ void scale(float *values, float factor, int count) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count)
    values[i] *= factor;
}
template <class T> __global__ void fill(T *values, T value) { values[threadIdx.x] = value; }
)";

class CudaKernelTest : public ::testing::TestWithParam<DeviceKind> {
protected:
  void SetUp() override {
    Result<Device *> opened = Device::open(GetParam());
    if (!opened)
      GTEST_SKIP() << opened.error().message();
    Result<CudaKernel> compiled = cuda_kernel(kScale, "scale", options());
    if (!compiled && compiled.error().code() == ErrorCode::kUnsupported)
      GTEST_SKIP() << compiled.error().message();
    ASSERT_TRUE(compiled) << compiled.error().message();
    scale_ = *compiled;
  }
  DeviceLocation location() const { return {GetParam(), 0}; }
  CudaKernelOptions options() { return {.device = location(), .cache = &cache_}; }
  Tensor upload(const Tensor &tensor) const { return tensor.to(location()).value(); }

  KernelCache cache_;
  CudaKernel scale_;
};

INSTANTIATE_TEST_SUITE_P(Kinds, CudaKernelTest,
                         ::testing::Values(DeviceKind::kCuda, DeviceKind::kEmulator),
                         [](const auto &info) { return std::string(name(info.param)); });

TEST_P(CudaKernelTest, RunsOnTensorsAndNumbers) {
  const Tensor values = upload(Tensor::full({1000}, 3).value());
  ASSERT_TRUE(scale_.launch({.blocks = {4}, .threads = {256}}, {values, 2.0f, 999}).ok());
  const Tensor back = values.to(DeviceLocation{}).value();
  EXPECT_EQ(back.data_as<float>()[998], 6);
  EXPECT_EQ(back.data_as<float>()[999], 3);
}

TEST_P(CudaKernelTest, AnInstanceOfATemplateIsTaken) {
  const CudaKernel fill = cuda_kernel(kScale, "fill<double>", options()).value();
  const Tensor values = upload(Tensor::zeros({32}, DataType::kFloat64).value());
  ASSERT_TRUE(fill.launch({.threads = {32}}, {values, 0.1}).ok());
  EXPECT_EQ(values.to(DeviceLocation{}).value().data_as<double>()[31], 0.1);
}

TEST_P(CudaKernelTest, IsCompiledOnce) {
  const CudaKernel again = cuda_kernel(kScale, "scale", options()).value();
  EXPECT_EQ(&again.cached(), &scale_.cached());
  EXPECT_EQ(cache_.list().size(), 1u);
  EXPECT_THAT(again.ptx(), HasSubstr(".entry scale("));
  CudaKernelOptions other = options();
  other.options = {"-DSOMETHING"};
  EXPECT_NE(&cuda_kernel(kScale, "scale", other)->cached(), &scale_.cached());
}

TEST_P(CudaKernelTest, WhatDoesNotCompileGivesTheLog) {
  Result<CudaKernel> wrong =
      cuda_kernel("extern \"C\" __global__ void k() { undeclared = 1; }", "k", options());
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code(), ErrorCode::kCompilation);
  EXPECT_THAT(wrong.error().message(), HasSubstr("identifier \"undeclared\" is undefined"));
  EXPECT_THAT(wrong.error().message(), HasSubstr("k.cu(1)"));
  Result<CudaKernel> missing = cuda_kernel(kScale, "no_such_kernel", options());
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message(), HasSubstr("no_such_kernel"));
}

TEST_P(CudaKernelTest, ArgumentsThatDoNotFitAreNamed) {
  const Tensor values = upload(Tensor::zeros({8}).value());
  auto message = [](const Status &status) { return status.ok() ? "" : status.error().message(); };
  EXPECT_EQ(message(scale_.launch({}, {values, 2.0f})),
            "arguments: was 2, must be 3, as the kernel has parameters");
  EXPECT_EQ(message(scale_.launch({}, {values, 2.0, 8})),
            "argument 1: was a number of 8 bytes, must be of 4 bytes, as the kernel's parameter");
  EXPECT_THAT(message(scale_.launch({}, {Tensor::zeros({8}).value(), 2.0f, 8})),
              HasSubstr("argument 0: was a tensor on host, must be on "));
  EXPECT_THAT(message(scale_.launch({.threads = {2048}}, {values, 2.0f, 8})),
              HasSubstr("CUDA_ERROR_INVALID_VALUE"));
  EXPECT_EQ(message(CudaKernel().launch({}, {})), "this CudaKernel holds no kernel");
}

TEST_P(CudaKernelTest, PagedRowsComeBackAsTheyWere) {
  struct Case {
    DataType dtype;
    int64_t width; // words of 16, 8, 4, 2 and 1 bytes
  };
  for (Case each : {Case{DataType::kFloat16, 64},
                    {DataType::kFloat32, 6},
                    {DataType::kFloat32, 3},
                    {DataType::kBFloat16, 5},
                    {DataType::kBool, 7}}) {
    const PagedKeyValue paged = PagedKeyValue::open(each.dtype, each.width, location()).value();
    constexpr int64_t kSequences = 2, kHeads = 3, kPageRows = 4, kPages = 7, kRows = 9;
    const Tensor pages =
        upload(Tensor::zeros({kPages, kHeads, kPageRows, each.width}, each.dtype).value());
    const Tensor table =
        upload(Tensor::from_values<int32_t>({kSequences, 3}, {6, 1, 3, 0, 5, 2}).value());
    const Tensor fresh = Tensor::random({kSequences, kHeads, 5, each.width}, each.dtype, 7).value();
    const Tensor positions = upload(Tensor::from_values<int32_t>({kSequences}, {3, 0}).value());
    ASSERT_TRUE(paged.append(pages, upload(fresh), table, positions).ok());
    const Tensor rows =
        upload(Tensor::full({kSequences, kHeads, kRows, each.width}, 1, each.dtype).value());
    const Tensor lengths = upload(Tensor::from_values<int32_t>({kSequences}, {8, 5}).value());
    ASSERT_TRUE(paged.gather(rows, pages, table, lengths).ok());
    const Tensor back = rows.to(DeviceLocation{}).value();
    for (int64_t s = 0; s < kSequences; ++s)
      for (int64_t row = 0; row < kRows; ++row)
        for (int64_t x = 0; x < each.width; ++x) {
          const int64_t source = row - (s == 0 ? 3 : 0); // nothing was written before the position
          const bool there = source >= 0 && source < 5;
          EXPECT_EQ(back.element_as_double(std::array<int64_t, 4>{s, 2, row, x}),
                    there ? fresh.element_as_double(std::array<int64_t, 4>{s, 2, source, x}) : 0);
        }
    EXPECT_FALSE(paged.gather(rows, pages, table, table).ok());
  }
}

TEST(CudaKernel, TheHostRunsNone) {
  Result<CudaKernel> refused = cuda_kernel(kScale, "scale", {.device = DeviceLocation{}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kUnsupported);
}

TEST(CudaKernelDeathTest, WithoutNvrtcTheReasonIsGiven) {
  GTEST_FLAG_SET(death_test_style,
                 "threadsafe"); // a process of its own, where no NVRTC is open yet
  auto check = [] {
    setenv("TENON_NVRTC", "/nowhere/libnvrtc.so", 1);
    Result<CudaKernel> refused =
        cuda_kernel(kScale, "scale", {.device = DeviceLocation{DeviceKind::kEmulator, 0}});
    std::fprintf(stderr, "%s\n", refused ? "compiled" : refused.error().message().c_str());
    std::exit(refused ? 1 : 0);
  };
  EXPECT_EXIT(check(), ::testing::ExitedWithCode(0),
              "CUDA C.. needs NVRTC.*/nowhere/libnvrtc.so cannot be opened");
}

} // namespace
} // namespace tenon
