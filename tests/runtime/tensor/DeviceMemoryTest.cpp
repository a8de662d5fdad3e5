#include "Support.h"

#include <cstring>
#include <map>

namespace tenon {
namespace {

using test::counting;
using test::expect_error;
using test::values;
using testing::ElementsAre;

// A device whose memory is the host's, with a book of what is allocated, which can be told to fail.
class RecordingMemory final : public DeviceMemory {
public:
  Result<void *> allocate(size_t bytes, int ordinal) override {
    if (full)
      return Error(ErrorCode::kOutOfMemory, "the device is full");
    void *memory = std::malloc(bytes ? bytes : 1);
    live[memory] = ordinal;
    return memory;
  }
  void free(void *memory, int ordinal) override {
    EXPECT_EQ(live.at(memory), ordinal);
    live.erase(memory);
    std::free(memory);
  }
  Status copy_to_device(void *device, const void *host, size_t bytes, int) override {
    if (broken)
      return Error(ErrorCode::kDevice, "the bus is down");
    std::memcpy(device, host, bytes);
    return {};
  }
  Status copy_to_host(void *host, const void *device, size_t bytes, int) override {
    if (broken)
      return Error(ErrorCode::kDevice, "the bus is down");
    std::memcpy(host, device, bytes);
    return {};
  }
  std::map<void *, int> live;
  bool full = false, broken = false;
};

class DeviceMemoryTest : public testing::Test {
protected:
  void SetUp() override { register_device_memory(DeviceKind::kEmulator, &memory); }
  void TearDown() override {
    register_device_memory(DeviceKind::kEmulator, nullptr);
    EXPECT_TRUE(memory.live.empty());
  }
  RecordingMemory memory;
  DeviceLocation location{DeviceKind::kEmulator, 1};
};

TEST_F(DeviceMemoryTest, TensorsTravelThereAndBack) {
  Tensor there = counting({2, 3}).to(location).value();
  EXPECT_EQ(there.device(), location);
  EXPECT_FALSE(there.on_host());
  EXPECT_EQ(memory.live.size(), 1u);
  EXPECT_THAT(values(there.to(DeviceLocation{}).value()), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_EQ(there.to(location)->storage(), there.storage());
}

TEST_F(DeviceMemoryTest, StridedTensorsArriveDense) {
  Tensor there = counting({2, 3}).transpose(0, 1)->to(location).value();
  EXPECT_TRUE(there.is_contiguous());
  EXPECT_THAT(values(there.to(DeviceLocation{}).value()), ElementsAre(0, 3, 1, 4, 2, 5));
}

TEST_F(DeviceMemoryTest, DevicesExchangeThroughTheHost) {
  Tensor there = counting({2}).to(location).value();
  Tensor other = there.to(DeviceLocation{DeviceKind::kEmulator, 2}).value();
  EXPECT_EQ(memory.live.at(other.data()), 2);
  EXPECT_THAT(values(other.to(DeviceLocation{}).value()), ElementsAre(0, 1));
}

TEST_F(DeviceMemoryTest, EmptyTensorsTravelToo) {
  EXPECT_EQ(Tensor::empty({0, 3})->to(location)->shape(), (Shape{0, 3}));
}

TEST_F(DeviceMemoryTest, WhatOnlyTheHostCanDoIsRefused) {
  Tensor there = counting({2, 3}).to(location).value();
  expect_error(there.clone(), ErrorCode::kUnsupported, "to(DeviceLocation{}) first");
  expect_error(there.to(DataType::kFloat16), ErrorCode::kUnsupported, "host");
  expect_error(there.transpose(0, 1)->contiguous(), ErrorCode::kUnsupported, "host");
  expect_error(there.copy_from(counting({2, 3})), ErrorCode::kUnsupported, "host");
  EXPECT_DEATH((void)there.slice(0, 0, 1)->slice(1, 0, 1)->item(), "emulator tensor");
}

TEST_F(DeviceMemoryTest, FailuresOfTheDeviceAreErrors) {
  Tensor there = counting({2}).to(location).value();
  memory.broken = true;
  expect_error(there.to(DeviceLocation{}), ErrorCode::kDevice, "bus");
  expect_error(counting({2}).to(location), ErrorCode::kDevice, "bus");
  memory.full = true;
  expect_error(Tensor::empty({2}, DataType::kFloat32, location), ErrorCode::kOutOfMemory, "full");
}

TEST(DeviceMemory, DevicesThatNobodyRegisteredAreErrors) {
  register_device_memory(DeviceKind::kEmulator, nullptr); // else it is opened when it is needed
  expect_error(counting({2}).to(DeviceLocation{DeviceKind::kEmulator, 0}), ErrorCode::kDevice,
               "emulator has not been opened");
}

} // namespace
} // namespace tenon
