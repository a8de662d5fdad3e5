// What is the host's own: threads, workspaces, the order of blocks, the processor's control
// register.
#include "TestKernels.h"
#include "tenon/Parallel.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>
#include <thread>
#include <xmmintrin.h>

namespace tenon {
namespace {

using testing::image_of;
using testing::phase;

Device &host() {
  return *Device::open(DeviceKind::kHost).value();
}

// One thread, in the order of the indices.
struct InOrder {
  InOrder() {
    set_parallel_for([](int64_t count, FunctionRef<void(int64_t)> body) {
      for (int64_t i = 0; i < count; ++i)
        body(i);
    });
  }
  ~InOrder() { set_parallel_for({}); }
};

TEST(HostDevice, SetsTheFloatingPointModeWhileAKernelRunsAndRestoresIt) {
  constexpr unsigned kFlushes = 0x8040, kMasks = 0x1f80, kFlags = 0x3f;
  auto kernel = host().load(image_of({phase("read_control")})).value();
  for (unsigned rounding : {_MM_ROUND_NEAREST, _MM_ROUND_DOWN, _MM_ROUND_TOWARD_ZERO}) {
    const unsigned usual = _mm_getcsr();
    _MM_SET_ROUNDING_MODE(rounding);
    const unsigned before = _mm_getcsr();
    unsigned during = 0;
    KernelArguments arguments = testing::sizes(1, 1, 1);
    arguments.tensors[0].data = &during;
    const bool launched = host().launch(*kernel, arguments, 0).ok();
    const unsigned after = _mm_getcsr();
    _mm_setcsr(usual);
    ASSERT_TRUE(launched);
    EXPECT_EQ(during & ~kFlags, kFlushes | kMasks) << rounding;
    EXPECT_EQ(after, before) << rounding;
  }
}

// Each worker's own, whatever it was: the threads belong to the program.
TEST(HostDevice, RestoresTheFloatingPointModeOfEachWorker) {
  constexpr int32_t kBlocks = 64;
  std::atomic<int> kept{0};
  set_parallel_for([&](int64_t count, FunctionRef<void(int64_t)> body) {
    std::vector<std::jthread> workers;
    for (const unsigned rounding : {_MM_ROUND_DOWN, _MM_ROUND_UP, _MM_ROUND_TOWARD_ZERO})
      workers.emplace_back([&, rounding, first = std::ssize(workers)] {
        _MM_SET_ROUNDING_MODE(rounding);
        const unsigned before = _mm_getcsr();
        for (int64_t i = first; i < count; i += 3) {
          body(i);
          kept += _mm_getcsr() == before;
        }
      });
  });
  auto kernel = host().load(image_of({phase("count_block")})).value();
  std::vector<int32_t> counts(kBlocks, 0);
  KernelArguments arguments = testing::sizes(1, 1, kBlocks);
  arguments.tensors[0].data = counts.data();
  const bool launched = host().launch(*kernel, arguments, 0).ok();
  set_parallel_for({});
  ASSERT_TRUE(launched);
  EXPECT_EQ(kept, kBlocks);
}

TEST(HostDevice, LongestBlocksOfACausalMaskStartFirst) {
  InOrder in_order;
  auto kernel = host().load(image_of({phase("take_ticket")})).value();
  std::vector<int32_t> tickets(5);
  int32_t next = 0;
  KernelArguments arguments = testing::sizes(1, 1, /*query_length=*/5);
  arguments.tensors[0].data = tickets.data();
  arguments.tensors[1].data = &next;
  ASSERT_TRUE(host().launch(*kernel, arguments, 0));
  EXPECT_EQ(tickets, (std::vector<int32_t>{4, 3, 2, 1, 0}));
}

// Other threads would wake up later than it ends; not where its blocks are many, which take time of their own.
TEST(HostDevice, ASmallLaunchStaysOnItsThread) {
  auto kernel = host().load(image_of({phase("count_block")})).value();
  struct Case {
    int32_t heads, keys;
    bool small;
  };
  for (auto [heads, keys, small] : {Case{12, 16, true}, Case{12, 4096, false}, Case{17, 1, false}}) {
    int64_t handed_over = 0;
    set_parallel_for([&](int64_t count, FunctionRef<void(int64_t)> body) {
      for (int64_t i = 0; i < count; ++i, ++handed_over)
        body(i);
    });
    KernelArguments arguments = testing::sizes(1, heads, 1);
    arguments.key_length = keys;
    arguments.tensors[0].sizes[3] = 64;
    std::vector<int32_t> counts(static_cast<size_t>(heads), 0);
    arguments.tensors[0].data = counts.data();
    arguments.tensors[0].strides[0] = 1;
    ASSERT_TRUE(host().launch(*kernel, arguments, 0));
    set_parallel_for({});
    EXPECT_EQ(handed_over, small ? 0 : heads);
    EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), 0), heads);
  }
}

TEST(HostDevice, EveryAxisMayBeTheOneOfQueries) {
  for (int axis = 0; axis < 3; ++axis) {
    LaunchPhase turned = phase("count_block");
    std::swap(turned.grid[0], turned.grid[axis]);
    auto kernel = host().load(image_of({turned})).value();
    KernelArguments arguments = testing::sizes(2, 3, 4);
    std::vector<int32_t> counts(4 * 4 * 4, 0);
    arguments.tensors[0].data = counts.data();
    arguments.tensors[0].strides[0] = 4;
    arguments.tensors[0].strides[1] = 16;
    ASSERT_TRUE(host().launch(*kernel, arguments, 0));
    EXPECT_EQ(std::ranges::count(counts, 1), 24);
    EXPECT_EQ(std::ranges::count(counts, 0), 40);
  }
}

TEST(HostDevice, WorkspacesBelongToOneThreadAndAreAligned) {
  LaunchPhase shows = phase("show_workspace");
  shows.workspace = {10, 100'000};
  auto kernel = host().load(image_of({shows})).value();
  std::vector<uintptr_t> seen[2];
  auto run = [&](int who) {
    seen[who].assign(1, 0);
    KernelArguments arguments = testing::sizes(1, 1, 1);
    arguments.tensors[0].data = seen[who].data();
    for (int i = 0; i < 3; ++i) {
      uintptr_t before = seen[who][0];
      ASSERT_TRUE(host().launch(*kernel, arguments, 0));
      EXPECT_TRUE(i == 0 || seen[who][0] == before) << "the second launch allocated";
    }
  };
  run(0);
  std::thread([&] { run(1); }).join();
  EXPECT_NE(seen[0][0], seen[1][0]);
  EXPECT_EQ(seen[0][0] % 64, 0u);
  EXPECT_EQ(seen[1][0] % 64, 0u);
}

TEST(HostDevice, PreparedWorkspacesAreTheOnesUsed) {
  LaunchPhase shows = phase("show_workspace");
  shows.workspace = {0, 3'000'000};
  auto kernel = host().load(image_of({shows})).value();
  std::vector<uintptr_t> seen(64);
  KernelArguments arguments = testing::sizes(1, 1, 64);
  arguments.tensors[0].data = seen.data();
  ASSERT_TRUE(host().prepare(*kernel, arguments, 0));
  ASSERT_TRUE(host().launch(*kernel, arguments, 0));
  std::ranges::sort(seen);
  auto distinct = std::ranges::unique(seen);
  EXPECT_LE(64 - static_cast<int>(distinct.size()), parallel_concurrency() + 1);
}

// Pages lie at the node of who touches them first: not of who prepares.
TEST(HostDevice, PreparedWorkspacesAreNotTouched) {
  constexpr int64_t kBytes = int64_t{32} << 20, kPage = 4096;
  const auto resident = [] {
    int64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages >> pages;
    return pages * kPage;
  };
  LaunchPhase shows = phase("show_workspace");
  shows.workspace = {0, uint64_t{kBytes}};
  auto kernel = host().load(image_of({shows})).value();
  const int64_t before = resident();
  ASSERT_GT(before, 0);
  ASSERT_TRUE(host().prepare(*kernel, testing::sizes(1, 1, 1), 0));
  EXPECT_LT(resident() - before, kBytes / 2);
}

// An area for each thread and one more caller, of the largest phase that runs; what phases share where several do.
TEST(HostDevice, SaysWhatItPrepares) {
  LaunchPhase small = phase("fill_workspace"), large = phase("double_workspace"), longer = phase("count_block");
  small.workspace = {40, 0}, large.workspace = {60, 40}, longer.workspace = {5000, 0};
  small.when.queries = large.when.queries = {0, 2};
  longer.when.queries.least = 3;
  LaunchDescription launch = image_of({small, large, longer}).launch;
  const auto threads = static_cast<uint64_t>(parallel_concurrency()) + 1;
  const KernelArguments two = testing::sizes(1, 1, 2), three = testing::sizes(1, 1, 3);
  launch.workspace_tensors = {{{{}, {}, {}}, 1000, small.when}};
  EXPECT_EQ(host_workspace_of(launch, two).value(), threads * 100 + workspace_of(launch, two).value());
  EXPECT_EQ(host_workspace_of(launch, three).value(), threads * 5000);
}

TEST(HostDevice, LaunchesFromManyThreadsDoNotMeet) {
  auto kernel = host().load(image_of({phase("count_block")})).value();
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      std::vector<int32_t> counts(6 * 5, 0);
      KernelArguments arguments = testing::sizes(1, 5, 6);
      arguments.tensors[0].data = counts.data();
      arguments.tensors[0].strides[0] = 6;
      for (int round = 0; round < 50; ++round)
        ASSERT_TRUE(host().launch(*kernel, arguments, 0));
      right += std::ranges::count(counts, 50) == 30;
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(right, 8);
}

// Callers work themselves, beside the workers that all share: no more threads than that.
TEST(HostDevice, ManyCallersAtOnceDoNotOversubscribe) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "under the thread sanitizer each parallel_for has threads of its own";
#endif
  const auto threads_now = [] {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return std::distance(begin(tasks), end(tasks));
  };
  constexpr int kCallers = 16, kLaunches = 100, kQueries = 64;
  auto kernel = host().load(image_of({phase("count_block")})).value();
  parallel_for(64, [](int64_t) { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }); // all workers have begun
  const auto before = threads_now();
  std::atomic<int64_t> most{0}, right{0};
  {
    std::vector<std::jthread> callers;
    for (int i = 0; i < kCallers; ++i)
      callers.emplace_back([&] {
        std::vector<int32_t> counts(kQueries, 0);
        KernelArguments arguments = testing::sizes(1, 1, kQueries);
        arguments.tensors[0].data = counts.data();
        arguments.tensors[0].strides[0] = kQueries;
        for (int launch = 0; launch < kLaunches; ++launch) {
          ASSERT_TRUE(host().launch(*kernel, arguments, 0));
          for (int64_t now = threads_now(), known = most; now > known && !most.compare_exchange_weak(known, now);)
            ;
        }
        right += std::ranges::count(counts, kLaunches);
      });
  }
  EXPECT_EQ(right, kCallers * kQueries);
  EXPECT_GT(most, before); // callers were seen
  EXPECT_LE(most, before + kCallers + parallel_concurrency() - 1); // a worker may have slept until now
}

TEST(HostDevice, TakesTheSectionThatTheProcessorExecutes) {
  KernelImage image = image_of({phase("do_nothing")});
  image.sections = {testing::ptx_section(), testing::machine_code_section(host_target())};
  EXPECT_EQ(host().load(image).value()->section(), host_target());
}

TEST(HostDevice, AnEntryOutsideTheCodeIsRefused) {
  LaunchPhase outside = phase("count_block");
  outside.code_offset = sizeof testing::kMachineCode;
  EXPECT_FALSE(host().load(image_of({outside})));
}

TEST(HostDevice, AWorkspaceTooLargeIsAnError) {
  LaunchPhase huge = phase("show_workspace");
  huge.workspace = {0, uint64_t{1} << 55};
  auto kernel = host().load(image_of({huge})).value();
  uintptr_t seen = 0;
  KernelArguments arguments = testing::sizes(1, 1, 1);
  arguments.tensors[0].data = &seen;
  EXPECT_EQ(host().launch(*kernel, arguments, 0).error().code(), ErrorCode::kOutOfMemory);
  EXPECT_EQ(host().prepare(*kernel, arguments, 0).error().code(), ErrorCode::kOutOfMemory);
}

} // namespace
} // namespace tenon
