// Memory beyond plain allocation: pitched copies, memory that host and device share, pools, pointers.
#include "Emulator.h"
#include <numeric>
#include <sys/mman.h>

namespace tenon::emulator {
namespace {

/// Doubles 32 integers in place.
const std::string kDouble =
    ptx_header() + ".visible .entry kernel(.param .u64 at) { .reg .b32 %r<3>; .reg .b64 %d<3>;\n"
                   "ld.param.u64 %d0, [at]; mov.u32 %r0, %tid.x; mul.wide.u32 %d1, %r0, 4; add.u64 %d1, %d0, %d1;\n"
                   "ld.global.u32 %r1, [%d1]; add.u32 %r1, %r1, %r1; st.global.u32 [%d1], %r1; ret; }\n";

std::vector<uint32_t> counting(size_t count) {
  std::vector<uint32_t> values(count);
  std::iota(values.begin(), values.end(), 1);
  return values;
}

TEST(DriverMemory, PitchedRowsAreCopied) {
  Card card;
  DevicePointer at = 0;
  size_t pitch = 0;
  EXPECT_EQ(cuMemAllocPitch_v2(&at, &pitch, 20, 3, 5), kInvalidValue) << "elements are of 4, 8 or 16 bytes";
  ASSERT_EQ(cuMemAllocPitch_v2(&at, &pitch, 20, 3, 4), kSuccess);
  EXPECT_EQ(pitch, 512u);
  EXPECT_EQ(cuMemsetD2D32_v2(at, pitch, 9, 5, 3), kSuccess);
  auto rows = counting(12);
  Copy2D copy{};
  copy.source_type = kMemoryTypeHost;
  copy.source_host = rows.data();
  copy.source_pitch = 16;
  copy.target_type = kMemoryTypeDevice;
  copy.target_device = at;
  copy.target_pitch = pitch;
  copy.target_x = 4;
  copy.width = 16;
  copy.height = 3;
  EXPECT_EQ(cuMemcpy2D_v2(&copy), kSuccess);
  auto row = card.download<uint32_t>(at + 2 * pitch, 5);
  EXPECT_EQ(row, (std::vector<uint32_t>{9, 9, 10, 11, 12}));
  copy.source_pitch = 15;
  EXPECT_EQ(cuMemcpy2D_v2(&copy), kInvalidValue) << "rows longer than the pitch";
  copy.source_pitch = 16;
  copy.height = 4;
  EXPECT_EQ(cuMemcpy2D_v2(&copy), kInvalidValue) << "beyond the allocation";
  copy.target_type = kMemoryTypeArray;
  EXPECT_EQ(cuMemcpy2D_v2(&copy), kNotSupported);
}

TEST(DriverMemory, BoxesAreCopied) {
  Card card;
  auto box = counting(2 * 3 * 4); // planes of 3 rows of 4
  DevicePointer from = card.upload(box), to = card.allocate(2 * 2 * 2 * 4);
  Copy3D copy{};
  copy.source_type = copy.target_type = kMemoryTypeDevice;
  copy.source_device = from;
  copy.source_x = 4;
  copy.source_y = 1;
  copy.source_pitch = 16;
  copy.source_height = 3;
  copy.target_device = to;
  copy.target_pitch = 8;
  copy.target_height = 2;
  copy.width = 8;
  copy.height = 2;
  copy.depth = 2;
  EXPECT_EQ(cuMemcpy3D_v2(&copy), kSuccess);
  EXPECT_EQ(card.download<uint32_t>(to, 8), (std::vector<uint32_t>{6, 7, 10, 11, 18, 19, 22, 23}));
}

TEST(DriverMemory, ManagedMemoryIsSeenByBothSides) {
  Card card;
  auto *kernel = card.load(kDouble);
  DevicePointer at = 0;
  EXPECT_EQ(cuMemAllocManaged(&at, 128, 0), kInvalidValue);
  ASSERT_EQ(cuMemAllocManaged(&at, 128, 1), kSuccess);
  auto *host = reinterpret_cast<uint32_t *>(at);
  std::iota(host, host + 32, 1);
  EXPECT_EQ(card.launch(kernel, 1, 32, 0, at), kSuccess);
  EXPECT_EQ(host[31], 64u);
  unsigned managed = 0;
  EXPECT_EQ(cuPointerGetAttribute(&managed, kPointerIsManaged, at), kSuccess);
  EXPECT_EQ(managed, 1u);
  EXPECT_EQ(cuMemPrefetchAsync_v2(at, 128, {kPlaceDevice, 0}, 0, nullptr), kSuccess);
  EXPECT_EQ(cuMemPrefetchAsync_v2(at, 1000, {kPlaceDevice, 0}, 0, nullptr), kInvalidValue);
  EXPECT_EQ(card.launch(kernel, 1, 33, 0, at), kIllegalAddress) << "its end is checked as that of all memory";
}

TEST(DriverMemory, PageLockedMemoryIsSeenByBothSides) {
  Card card;
  auto *kernel = card.load(kDouble);
  void *memory = nullptr;
  ASSERT_EQ(cuMemHostAlloc(&memory, 128, 2), kSuccess);
  auto *host = static_cast<uint32_t *>(memory);
  std::iota(host, host + 32, 1);
  DevicePointer device = 0;
  EXPECT_EQ(cuMemHostGetDevicePointer_v2(&device, host + 16, 0), kSuccess);
  EXPECT_EQ(card.launch(kernel, 1, 16, 0, device), kSuccess);
  EXPECT_EQ(host[15], 16u);
  EXPECT_EQ(host[16], 34u);
  unsigned flags = 0;
  EXPECT_EQ(cuMemHostGetFlags(&flags, memory), kSuccess);
  EXPECT_EQ(flags, 2u);
  EXPECT_EQ(cuMemFreeHost(host + 1), kInvalidValue);
  EXPECT_EQ(cuMemFreeHost(memory), kSuccess);
}

TEST(DriverMemory, RegisteredMemoryStaysWhereItIs) {
  Card card;
  auto *kernel = card.load(kDouble);
  std::vector<uint32_t> all = counting(5000); // begins and ends within pages
  uint32_t *host = all.data() + 100;
  EXPECT_EQ(cuMemHostUnregister(host), kHostMemoryNotRegistered);
  EXPECT_EQ(cuMemHostRegister_v2(reinterpret_cast<void *>(0x1000), 100, 0), kInvalidValue) << "nothing is there";
  ASSERT_EQ(cuMemHostRegister_v2(host, 4000 * 4, 0), kSuccess);
  EXPECT_EQ(cuMemHostRegister_v2(host + 10, 4, 0), kHostMemoryAlreadyRegistered);
  EXPECT_EQ(all, counting(5000));
  DevicePointer device = 0;
  ASSERT_EQ(cuMemHostGetDevicePointer_v2(&device, host, 0), kSuccess);
  host[0] = 70; // written after it was registered
  EXPECT_EQ(card.launch(kernel, 1, 32, 0, device), kSuccess);
  EXPECT_EQ(host[0], 140u);
  EXPECT_EQ(host[31], 264u);
  EXPECT_EQ(host[32], 133u);
  EXPECT_EQ(cuMemHostUnregister(host), kSuccess);
  EXPECT_EQ(host[0], 140u);
  EXPECT_EQ(cuMemHostUnregister(host), kHostMemoryNotRegistered);
  EXPECT_EQ(card.launch(kernel, 1, 32, 0, device), kIllegalAddress);
}

TEST(DriverMemory, DeviceMemoryIsNotTakenForHostMemory) {
  Card card;
  DevicePointer at = card.allocate(64), other = card.allocate(64);
  EXPECT_EQ(cuMemcpyHtoD_v2(at, reinterpret_cast<void *>(other), 64), kInvalidValue);
  EXPECT_EQ(cuMemcpyDtoH_v2(reinterpret_cast<void *>(other), at, 64), kInvalidValue);
  uint32_t word = 7;
  EXPECT_EQ(cuMemcpyDtoD_v2(at, reinterpret_cast<DevicePointer>(&word), 4), kInvalidValue);
  EXPECT_EQ(cuMemcpy(at, reinterpret_cast<DevicePointer>(&word), 4), kSuccess) << "a unified address says what it is";
  EXPECT_EQ(card.download<uint32_t>(at, 1)[0], 7u);
}

TEST(DriverMemory, PoolsKeepCount) {
  Card card;
  PoolProperties properties{};
  PoolObject *pool = nullptr;
  EXPECT_EQ(cuMemPoolCreate(&pool, &properties), kInvalidValue);
  properties.allocation_type = 1;
  properties.location = {kPlaceDevice, 0};
  properties.most_bytes = 1 << 20;
  ASSERT_EQ(cuMemPoolCreate(&pool, &properties), kSuccess);
  DevicePointer at = 0, more = 0;
  ASSERT_EQ(cuMemAllocFromPoolAsync(&at, 1000000, pool, nullptr), kSuccess);
  EXPECT_EQ(cuMemAllocFromPoolAsync(&more, 1000000, pool, nullptr), kOutOfMemory);
  uint64_t used = 0, threshold = 1 << 16;
  EXPECT_EQ(cuMemPoolGetAttribute(pool, kPoolUsedCurrent, &used), kSuccess);
  EXPECT_EQ(used, 1000000u);
  EXPECT_EQ(cuMemPoolSetAttribute(pool, kPoolUsedCurrent, &threshold), kInvalidValue);
  EXPECT_EQ(cuMemPoolSetAttribute(pool, kPoolReleaseThreshold, &threshold), kSuccess);
  EXPECT_EQ(cuMemFreeAsync(at, nullptr), kSuccess);
  EXPECT_EQ(cuMemPoolGetAttribute(pool, kPoolUsedCurrent, &used), kSuccess);
  EXPECT_EQ(used, 0u);
  EXPECT_EQ(cuMemPoolGetAttribute(pool, kPoolUsedHigh, &used), kSuccess);
  EXPECT_EQ(used, 1000000u);
  EXPECT_EQ(cuMemPoolDestroy(pool), kSuccess);
  EXPECT_EQ(cuMemPoolDestroy(pool), kInvalidValue);
}

TEST(DriverMemory, AllContextsShareTheCard) {
  Card card;
  DevicePointer at = 0, other = 0;
  ASSERT_EQ(cuMemAlloc_v2(&at, size_t{60} << 30), kSuccess);
  ContextObject *second = nullptr;
  ASSERT_EQ(cuCtxCreate_v2(&second, 0, 0), kSuccess);
  EXPECT_EQ(cuMemAlloc_v2(&other, size_t{60} << 30), kOutOfMemory);
  EXPECT_EQ(cuMemAlloc_v2(&other, size_t{10} << 30), kSuccess);
  EXPECT_EQ(cuCtxDestroy_v2(second), kSuccess);
  EXPECT_EQ(cuMemFree_v2(at), kSuccess);
}

TEST(DriverMemory, StreamsWriteAndCompareValues) {
  Card card;
  DevicePointer at = card.upload(std::vector<uint32_t>{5, 0});
  EXPECT_EQ(cuStreamWriteValue32_v2(nullptr, at + 4, 8, 0), kSuccess);
  EXPECT_EQ(card.download<uint32_t>(at, 2)[1], 8u);
  EXPECT_EQ(cuStreamWriteValue64_v2(nullptr, at + 4, 8, 0), kInvalidValue) << "misaligned";
  EXPECT_EQ(cuStreamWaitValue32_v2(nullptr, at, 4, kWaitAtLeast), kSuccess);
  EXPECT_EQ(cuStreamWaitValue32_v2(nullptr, at, 5, kWaitEqual), kSuccess);
  EXPECT_EQ(cuStreamWaitValue32_v2(nullptr, at, 6, kWaitAtLeast), kNotSupported) << "nothing could bring it";
}

} // namespace
} // namespace tenon::emulator
