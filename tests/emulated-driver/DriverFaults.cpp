// What is wrong gets the driver's own code, and the process goes on.
#include "Emulator.h"
#include <thread>

namespace tenon::emulator {
namespace {

const std::string kEmpty = ptx_header() + ".visible .entry kernel() { ret; }\n";

TEST(DriverFaults, AFaultOfAKernelStaysUntilItsContextGoes) {
  {
    Card card;
    auto *kernel =
        card.load(ptx_header() + ".visible .entry kernel(.param .u64 at) { .reg .b64 %d; .reg .b32 %r;\n"
                                 "ld.param.u64 %d, [at]; ld.global.u32 %r, [%d]; st.global.u32 [%d], %r; ret; }\n");
    DevicePointer at = card.allocate(4);
    EXPECT_EQ(cuMemFree_v2(at), kSuccess);
    void *parameters[] = {&at};
    EXPECT_EQ(cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, nullptr, parameters, nullptr), kSuccess) << "told later";
    EXPECT_EQ(cuCtxSynchronize(), kIllegalAddress);
    EXPECT_EQ(cuMemAlloc_v2(&at, 4), kIllegalAddress);
    EXPECT_EQ(cuStreamSynchronize(nullptr), kIllegalAddress);
    ModuleObject *module = nullptr;
    EXPECT_EQ(cuModuleLoadData(&module, kEmpty.c_str()), kIllegalAddress);
  }
  Card fresh;
  EXPECT_EQ(fresh.launch(fresh.load(kEmpty), 1, 1, 0), kSuccess);
}

TEST(DriverFaults, WrongGeometryIsRefusedAndTold) {
  Card card;
  auto *kernel = card.load(kEmpty);
  struct Shape {
    unsigned grid[3], block[3];
  };
  for (Shape shape : {Shape{{0, 1, 1}, {1, 1, 1}},
                      {{1, 65536, 1}, {1, 1, 1}},
                      {{1, 1, 1}, {1025, 1, 1}},
                      {{1, 1, 1}, {1, 1, 65}},
                      {{1, 1, 1}, {32, 32, 2}},
                      {{1, 1, 1}, {1, 0, 1}}})
    EXPECT_EQ(cuLaunchKernel(kernel, shape.grid[0], shape.grid[1], shape.grid[2], shape.block[0], shape.block[1],
                             shape.block[2], 0, nullptr, nullptr, nullptr),
              kInvalidValue);
  EXPECT_EQ(Card::findings().size(), 6u) << "each says what was wrong";
  EXPECT_EQ(card.launch(kernel, 1, 32, 0), kSuccess) << "a refusal is not sticky";
}

TEST(DriverFaults, SharedMemoryHasTheCardsLimits) {
  struct Limit {
    const char *card;
    unsigned optin;
  };
  for (Limit limit : {Limit{"a100", 163 * 1024}, {"h100", 227 * 1024}, {"rtx4090", 99 * 1024}, {"b200", 227 * 1024}}) {
    Card card(limit.card);
    auto *kernel = card.load(kEmpty);
    EXPECT_EQ(card.launch(kernel, 1, 32, 48 * 1024), kSuccess);
    EXPECT_EQ(card.launch(kernel, 1, 32, 48 * 1024 + 1), kInvalidValue) << "without opting in";
    EXPECT_EQ(cuFuncSetAttribute(kernel, kFunctionMaxDynamicShared, static_cast<int>(limit.optin + 1)), kInvalidValue);
    EXPECT_EQ(cuFuncSetAttribute(kernel, kFunctionMaxDynamicShared, static_cast<int>(limit.optin)), kSuccess);
    EXPECT_EQ(card.launch(kernel, 1, 32, limit.optin), kSuccess);
    EXPECT_EQ(card.launch(kernel, 1, 32, limit.optin + 1), kInvalidValue);
  }
}

TEST(DriverFaults, TooManyRegistersForABlock) {
  Card card;
  std::string text =
      ptx_header() +
      ".visible .entry kernel(.param .u64 at) { .reg .b32 %r<100>; .reg .b64 %d;\nld.param.u64 %d, [at];\n";
  for (int i = 0; i < 100; i++)
    text += "ld.volatile.global.u32 %r" + std::to_string(i) + ", [%d];\n";
  for (int i = 0; i < 100; i++)
    text += "st.volatile.global.u32 [%d], %r" + std::to_string(i) + ";\n";
  auto *kernel = card.load(text + "ret; }\n");
  int registers = 0, threads = 0;
  EXPECT_EQ(cuFuncGetAttribute(&registers, kFunctionRegisters, kernel), kSuccess);
  EXPECT_GE(registers, 96);
  EXPECT_EQ(cuFuncGetAttribute(&threads, kFunctionMaxThreadsPerBlock, kernel), kSuccess);
  DevicePointer at = card.upload(std::vector<uint32_t>{1});
  EXPECT_EQ(card.launch(kernel, 1, 1024, 0, at), kLaunchOutOfResources);
  EXPECT_EQ(card.launch(kernel, 1, static_cast<unsigned>(threads), 0, at), kSuccess);
}

TEST(DriverFaults, MemoryEndsWithTheCard) {
  Card card("rtx4090");
  DevicePointer at = 0;
  EXPECT_EQ(cuMemAlloc_v2(&at, size_t{25} << 30), kOutOfMemory);
  EXPECT_EQ(cuMemAlloc_v2(&at, ~size_t{0}), kOutOfMemory);
  size_t pitch = 0;
  EXPECT_EQ(cuMemAllocPitch_v2(&at, &pitch, size_t{1} << 40, size_t{1} << 40, 4), kOutOfMemory);
  EXPECT_EQ(cuMemAlloc_v2(&at, size_t{20} << 30), kSuccess);
  EXPECT_EQ(cuMemsetD8_v2(at + (size_t{20} << 30) - 4, 1, 5), kInvalidValue);
}

TEST(DriverFaults, WrongPtxGivesALog) {
  Card card;
  ModuleObject *module = nullptr;
  std::string log = card.refusal(ptx_header() + ".visible .entry kernel() {\n  frobnicate.b32 %r1, %r2;\n}\n", &module);
  EXPECT_EQ(card.status, kInvalidPtx);
  EXPECT_NE(log.find("line 5"), std::string::npos) << log;
  EXPECT_EQ(module, nullptr);
  card.refusal(".version 99.9\n.target sm_80\n.address_size 64\n" + kEmpty.substr(kEmpty.find(".visible")));
  EXPECT_EQ(card.status, kUnsupportedPtxVersion);
  EXPECT_EQ(card.launch(card.load(kEmpty), 1, 1, 0), kSuccess);
}

TEST(DriverFaults, CooperativeGridsMustFit) {
  Card card;
  auto *kernel = card.load(kEmpty);
  EXPECT_EQ(cuLaunchCooperativeKernel(kernel, 108 * 32 + 1, 1, 1, 32, 1, 1, 0, nullptr, nullptr),
            kCooperativeLaunchTooLarge);
  EXPECT_EQ(cuLaunchCooperativeKernel(kernel, 16, 1, 1, 32, 1, 1, 0, nullptr, nullptr), kSuccess);
  LaunchAttribute attribute{};
  attribute.id = kLaunchCluster;
  attribute.cluster[0] = 2, attribute.cluster[1] = attribute.cluster[2] = 1;
  LaunchConfiguration how{{2, 1, 1}, {32, 1, 1}, 0, nullptr, &attribute, 1};
  EXPECT_EQ(cuLaunchKernelEx(&how, kernel, nullptr, nullptr), kNotSupported);
  attribute.cluster[0] = 1;
  EXPECT_EQ(cuLaunchKernelEx(&how, kernel, nullptr, nullptr), kSuccess);
  attribute.id = 77;
  EXPECT_EQ(cuLaunchKernelEx(&how, kernel, nullptr, nullptr), kInvalidValue);
}

/// Threads have a current context each, and launch beside each other.
TEST(DriverFaults, ThreadsHaveTheirOwnContexts) {
  Card card;
  auto work = [](uint32_t number) {
    ContextObject *mine = nullptr, *current = nullptr;
    EXPECT_EQ(cuCtxGetCurrent(&current), kSuccess);
    EXPECT_EQ(current, nullptr) << "a new thread has none";
    ASSERT_EQ(cuCtxCreate_v2(&mine, 0, 0), kSuccess);
    DevicePointer at = 0;
    for (uint32_t i = 0; i < 20; i++) {
      ASSERT_EQ(cuMemAlloc_v2(&at, 4), kSuccess);
      ASSERT_EQ(cuMemsetD32_v2(at, number + i, 1), kSuccess);
      uint32_t back = 0;
      ASSERT_EQ(cuMemcpyDtoH_v2(&back, at, 4), kSuccess);
      ASSERT_EQ(back, number + i);
      ASSERT_EQ(cuMemFree_v2(at), kSuccess);
    }
    EXPECT_EQ(cuCtxDestroy_v2(mine), kSuccess);
  };
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 4; i++)
    threads.emplace_back(work, 1000 * i);
  for (std::thread &thread : threads)
    thread.join();
}

/// Every block waits until all have come: they run at once, though the host has fewer cores.
TEST(DriverFaults, BlocksOfACooperativeGridWaitForEachOther) {
  Card card;
  auto *kernel = card.load(ptx_header() +
                           ".visible .entry kernel(.param .u64 at, .param .u32 blocks) {\n"
                           ".reg .b32 %r<3>; .reg .b64 %d; .reg .pred %p; ld.param.u64 %d, [at];\n"
                           "ld.param.u32 %r0, [blocks]; atom.global.add.u32 %r1, [%d], 1;\n"
                           "wait: ld.volatile.global.u32 %r2, [%d]; setp.lt.u32 %p, %r2, %r0; @%p bra wait; ret; }\n");
  unsigned blocks = 40;
  DevicePointer at = card.upload(std::vector<uint32_t>{0});
  void *parameters[] = {&at, &blocks};
  EXPECT_EQ(cuLaunchCooperativeKernel(kernel, blocks, 1, 1, 1, 1, 1, 0, nullptr, parameters), kSuccess);
  EXPECT_EQ(card.download<uint32_t>(at, 1)[0], blocks);
}

TEST(DriverFaults, OccupancyFollowsTheCard) {
  Card card;
  auto *kernel = card.load(kEmpty);
  int grid = 0, block = 0;
  EXPECT_EQ(cuOccupancyMaxPotentialBlockSize(&grid, &block, kernel, nullptr, 0, 0), kSuccess);
  EXPECT_EQ(block, 1024);
  EXPECT_EQ(grid, 2 * 108);
  EXPECT_EQ(cuOccupancyMaxPotentialBlockSize(
                &grid, &block, kernel, [](int threads) { return size_t(threads) * 160; }, 0, 0),
            kSuccess);
  EXPECT_EQ(block * 160 <= 163 * 1024, true);
  EXPECT_EQ(cuOccupancyMaxPotentialBlockSize(nullptr, &block, kernel, nullptr, 0, 0), kInvalidValue);
  size_t bytes = 0;
  EXPECT_EQ(cuOccupancyAvailableDynamicSMemPerBlock(&bytes, kernel, 2, 128), kSuccess);
  EXPECT_EQ(bytes, 81u * 1024);
  int blocks = 0;
  EXPECT_EQ(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, 128, bytes), kSuccess);
  EXPECT_EQ(blocks, 2);
}

} // namespace
} // namespace tenon::emulator
