// A fault of a kernel ends the context for good, on a GPU as on the emulator: hence a program of
// its own, and the emulator alone.
#include "TestKernels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tenon {
namespace {

using ::testing::HasSubstr;
using testing::image_of;
using testing::phase;

TEST(EmulatorDevice, AFaultIsReportedInWords) {
  Result<Device *> device = Device::open(DeviceKind::kEmulator);
  if (!device)
    GTEST_SKIP() << device.error().message();
  auto kernel = (*device)->load(image_of({phase("out_of_bounds")})).value();
  KernelArguments arguments = testing::sizes(1, 1, 1);
  arguments.tensors[0].data = (*device)->allocate(16).value();
  Result<void> launched = (*device)->launch(*kernel, arguments, 0);
  Result<void> ended = launched ? (*device)->synchronise(0) : launched;
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code(), ErrorCode::kDevice);
  EXPECT_THAT(ended.error().message(), HasSubstr("\n")) << "the emulator's report is missing";
}

} // namespace
} // namespace tenon
