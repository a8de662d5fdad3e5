// What GPUs and the emulator have of their own: choice of a section, limits, errors of the driver.
#include "TestKernels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tenon {
namespace {

using ::testing::HasSubstr;
using testing::image_of;
using testing::phase;

class GpuTest : public ::testing::TestWithParam<DeviceKind> {
protected:
  void SetUp() override {
    Result<Device *> opened = Device::open(GetParam());
    if (!opened)
      GTEST_SKIP() << opened.error().message();
    device_ = *opened;
  }
  Device *device_ = nullptr;
};

INSTANTIATE_TEST_SUITE_P(Kinds, GpuTest,
                         ::testing::Values(DeviceKind::kCuda, DeviceKind::kEmulator),
                         [](const auto &info) { return std::string(name(info.param)); });

// An A100's data sheet: 312 TFLOP/s of half precision, 19.5 of single, 2,039 GB/s.
TEST_P(GpuTest, RatesAreThoseOfTheDataSheet) {
  const DeviceRates rates = device_->rates();
  if (device_->name().starts_with("NVIDIA A100-SXM4-80GB")) {
    EXPECT_NEAR(rates.tensor_half, 312e3, 1e3);
    EXPECT_NEAR(rates.float32, 19.5e3, 0.1e3);
    EXPECT_NEAR(rates.memory, 2039, 10);
  }
  EXPECT_GT(rates.memory, 0);
  EXPECT_EQ(Device::open(DeviceKind::kHost).value()->rates().memory, 0);
}

TEST_P(GpuTest, PtxOfAnOlderChipIsTaken) {
  KernelImage image = image_of({phase("count_block")});
  image.sections = {testing::ptx_section("sm_80")};
  EXPECT_EQ(device_->load(image).value()->section(), "sm_80 (PTX)");
}

TEST_P(GpuTest, CodeOfANewerChipIsRefused) {
  KernelImage image = image_of({phase("count_block")});
  image.sections = {testing::ptx_section("sm_120a")};
  auto kernel = device_->load(image);
  if (device_->target().text() == "sm_120a")
    GTEST_SKIP() << "this is the newest chip";
  ASSERT_FALSE(kernel);
  EXPECT_THAT(kernel.error().message(), HasSubstr("sm_120a"));
}

TEST_P(GpuTest, PtxThatIsNoneIsRefusedWithTheDriversLog) {
  KernelImage image = image_of({phase("count_block")});
  image.sections = {testing::ptx_section("sm_80", ".version 8.0\n.target sm_80\nnonsense\n")};
  auto kernel = device_->load(image);
  ASSERT_FALSE(kernel);
  EXPECT_EQ(kernel.error().code(), ErrorCode::kDevice);
  EXPECT_THAT(kernel.error().message(), HasSubstr("cuModuleLoadDataEx"));
}

TEST_P(GpuTest, AMissingEntryIsNamed) {
  auto kernel = device_->load(image_of({phase("no_such_entry")}));
  ASSERT_FALSE(kernel);
  EXPECT_THAT(kernel.error().message(), HasSubstr("no_such_entry"));
}

TEST_P(GpuTest, TooManyBlocksAreRefused) {
  auto kernel = device_->load(image_of({phase("count_block")})).value();
  KernelArguments arguments = testing::sizes(/*batch=*/65536, 1, 1);
  Result<void> refused = device_->launch(*kernel, arguments, 0);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("65536 blocks along z; a GPU allows 65535"));
}

TEST_P(GpuTest, TooMuchSharedMemoryIsRefused) {
  LaunchPhase greedy = phase("count_block");
  greedy.shared_bytes = 1 << 20;
  auto kernel = device_->load(image_of({greedy}));
  ASSERT_FALSE(kernel);
  EXPECT_THAT(kernel.error().message(), HasSubstr("1048576 bytes of shared memory"));
}

TEST_P(GpuTest, MoreSharedMemoryThanByDefaultMayBeAskedFor) {
  LaunchPhase large = phase("count_block");
  large.shared_bytes = 64 << 10;
  auto kernel = device_->load(image_of({large}));
  ASSERT_TRUE(kernel) << kernel.error().message();
}

} // namespace
} // namespace tenon
