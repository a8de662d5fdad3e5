// Targets, threads and the log.
#include "tenon/Device.h"
#include "tenon/Log.h"
#include "tenon/Parallel.h"
#include "tenon/Target.h"

#include <atomic>
#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace tenon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Target, EveryNameParsesToItself) {
  for (const std::string &name : target_names()) {
    Result<Target> target = Target::parse(name);
    ASSERT_TRUE(target) << target.error().message();
    EXPECT_EQ(target->text(), name == "host" ? host_target() : name);
  }
}

TEST(Target, AHostMayNameItsCaches) {
  const Target usual = Target::parse("host:x86-64-v4").value();
  EXPECT_EQ(usual.caches, (HostCaches{32, 1024}));
  const Target other = Target::parse("host:x86-64-v4:l1=48K:l2=2048K").value();
  EXPECT_EQ(other.caches, (HostCaches{48, 2048}));
  EXPECT_EQ(other.text(), "host:x86-64-v4:l1=48K:l2=2048K");
  EXPECT_EQ(other.name(), usual.text());
  EXPECT_NE(other, usual);
  EXPECT_EQ(can_execute(other).ok(), can_execute(usual).ok());
  EXPECT_EQ(Target::parse("host:x86-64-v4:l1=32K:l2=1024K").value(), usual);
  EXPECT_EQ(Target::parse("host:x86-64-v4:l2=512K").value().text(), "host:x86-64-v4:l2=512K");
  for (const char *wrong : {"host:x86-64-v4:", "host:x86-64-v4:l1=", "host:x86-64-v4:l1=0K", "host:x86-64-v4:l1=-1K",
                            "host:x86-64-v4:l1=48", "host:x86-64-v4:l1=9999999K", "host:x86-64-v4:l2=1K:l1=1K",
                            "host:x86-64-v4:l1=48K:", "host:l1=48K", "sm_80:l1=48K"})
    EXPECT_FALSE(Target::parse(wrong)) << wrong;
}

TEST(Target, ThisHostHasTheCachesThatTheSystemTells) {
  if (host_target().empty())
    GTEST_SKIP() << "below x86-64-v3";
  const Target host = Target::parse("host").value();
  const long first = sysconf(_SC_LEVEL1_DCACHE_SIZE), second = sysconf(_SC_LEVEL2_CACHE_SIZE);
  EXPECT_TRUE(first <= 0 || host.caches.first_level <= first / 1024); // of the least of its processors
  EXPECT_TRUE(second <= 0 || host.caches.second_level <= second / 1024);
  EXPECT_GT(host.caches.first_level, 0);
  EXPECT_GT(host.caches.second_level, 0);
  EXPECT_EQ(Target::parse(host.text()).value(), host);
}

TEST(Target, UnknownNamesListTheValidOnes) {
  for (const char *name :
       {"", "sm_", "sm_8", "sm_800", "host:", "HOST", "host:x86-64-v5", "sm_80 "}) {
    Result<Target> target = Target::parse(name);
    ASSERT_FALSE(target) << name;
    EXPECT_EQ(target.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(target.error().message(), HasSubstr("host:x86-64-v4+amx"));
    EXPECT_THAT(target.error().message(), HasSubstr("sm_90a"));
  }
}

TEST(Target, AProcessorExecutesItsLevelAndThoseBefore) {
  const HostFeatures &features = host_features();
  for (const char *name :
       {"host:x86-64-v3", "host:x86-64-v4", "host:x86-64-v4+bf16", "host:x86-64-v4+amx"}) {
    Target target = Target::parse(name).value();
    Result<void> executes = can_execute(target);
    EXPECT_EQ(executes.ok(), target.level <= features.level) << name;
    if (!executes) {
      EXPECT_THAT(executes.error().message(), HasSubstr("it lacks"));
    }
  }
  EXPECT_FALSE(can_execute(Target::parse("sm_80").value()));
  EXPECT_EQ(features.amx, features.amx_refusal.empty());
}

TEST(Target, WhatAProcessorDoesSlowlyOrMayNotDoIsNotChosen) {
  HostFeatures zen;
  zen.avx512 = zen.avx512_bf16 = true, zen.level = HostLevel::kV4Bf16;
  EXPECT_EQ(choose_host_level(zen).level, HostLevel::kV4Bf16);
  EXPECT_EQ(choose_host_level(zen).why_not, "");
  HostFeatures xeon;
  xeon.avx512 = xeon.avx512_bf16 = xeon.slow_bf16_dot = xeon.has_amx = xeon.amx = true, xeon.level = HostLevel::kV4Amx;
  EXPECT_EQ(choose_host_level(xeon).level, HostLevel::kV4Amx);
  EXPECT_EQ(choose_host_level(xeon).why_not, "");
  xeon.amx = false, xeon.level = HostLevel::kV4Bf16;
  xeon.amx_refusal = "the operating system does not save AMX tiles (XCR0)";
  EXPECT_EQ(choose_host_level(xeon).level, HostLevel::kV4);
  EXPECT_THAT(choose_host_level(xeon).why_not, HasSubstr("tile units are left alone: " + xeon.amx_refusal));
  EXPECT_THAT(choose_host_level(xeon).why_not, HasSubstr("half the rate"));
}

TEST(Target, EmulatedTilesRunWhereTheirVectorsDoAndAreNeverChosen) {
  Target emulated = Target::parse("host:x86-64-v4+amx-emulated").value();
  EXPECT_EQ(can_execute(emulated).ok(), host_features().avx512_bf16 && host_features().avx512_vbmi);
  EXPECT_NE(Target::parse("host").value(), emulated);
  const std::vector<std::string> targets = Device::open(DeviceKind::kHost).value()->executable_targets();
  EXPECT_THAT(targets, ::testing::Not(::testing::Contains(emulated.text())));
  EXPECT_EQ(targets.front(), host_target());
}

TEST(Target, FeaturesAgreeWithTheCompilersProbe) {
  EXPECT_EQ(host_features().avx2, __builtin_cpu_supports("avx2") != 0);
  EXPECT_EQ(host_features().fma, __builtin_cpu_supports("fma") != 0);
  EXPECT_EQ(host_features().avx512, __builtin_cpu_supports("x86-64-v4") != 0);
  EXPECT_EQ(host_features().avx512_bf16, __builtin_cpu_supports("avx512bf16") != 0);
}

TEST(Target, AGpuGetsItsOwnCodeWhereThereIsSuch) {
  EXPECT_EQ(best_gpu_target(80)->text(), "sm_80");
  EXPECT_EQ(best_gpu_target(88)->text(), "sm_87");
  EXPECT_EQ(best_gpu_target(90)->text(), "sm_90a");
  EXPECT_EQ(best_gpu_target(121)->text(), "sm_120");
  EXPECT_FALSE(best_gpu_target(75));
}

TEST(Parallel, CallsEachIndexOnce) {
  for (int64_t count : {0, 1, 2, 7, 1000}) {
    std::vector<std::atomic<int>> calls(static_cast<size_t>(count));
    parallel_for(count, [&](int64_t i) { ++calls[static_cast<size_t>(i)]; });
    for (const std::atomic<int> &each : calls)
      EXPECT_EQ(each, 1);
  }
}

TEST(Parallel, KeepsToTheCallersArena) {
  tbb::task_arena single(1);
  std::vector<std::thread::id> threads(100);
  single.execute([&] {
    EXPECT_EQ(parallel_concurrency(), 1);
    parallel_for(100,
                 [&](int64_t i) { threads[static_cast<size_t>(i)] = std::this_thread::get_id(); });
  });
  EXPECT_THAT(threads, ::testing::Each(threads.front()));
}

TEST(Parallel, KeepsToTheProgramsLimit) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "under the thread sanitizer each parallel_for has threads of its own";
#endif
  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, 1);
  std::vector<std::thread::id> threads(100);
  parallel_for(100, [&](int64_t i) { threads[static_cast<size_t>(i)] = std::this_thread::get_id(); });
  EXPECT_THAT(threads, ::testing::Each(std::this_thread::get_id()));
}

// Whoever is free takes the next index: one that takes as long as all the others together holds none of them up.
TEST(Parallel, BalancesWhatTakesLongerThanTheRest) {
  if (parallel_concurrency() < 2)
    GTEST_SKIP() << "one thread is all there is";
  constexpr int64_t kCount = 64;
  std::atomic<int64_t> done{0};
  bool others_ended = false;
  parallel_for(kCount, [&](int64_t i) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (i == 0 && done < kCount - 1 && std::chrono::steady_clock::now() < end)
      std::this_thread::yield();
    if (i == 0)
      others_ended = done == kCount - 1;
    ++done;
  });
  EXPECT_TRUE(others_ended);
}

TEST(Parallel, StartsIndicesInAscendingOrder) {
  tbb::task_arena single(1);
  std::vector<int64_t> order;
  single.execute([&] { parallel_for(50, [&](int64_t i) { order.push_back(i); }); });
  std::vector<int64_t> ascending(50);
  std::iota(ascending.begin(), ascending.end(), 0);
  EXPECT_EQ(order, ascending);
}

TEST(Parallel, AHostProgramMayReplaceIt) {
  std::vector<int64_t> asked;
  set_parallel_for(
      [&](int64_t count, FunctionRef<void(int64_t)> body) {
        asked.push_back(count);
        for (int64_t i = count; i-- > 0;)
          body(i);
      },
      3);
  std::vector<int64_t> order;
  parallel_for(4, [&](int64_t i) { order.push_back(i); });
  EXPECT_EQ(parallel_concurrency(), 3);
  set_parallel_for({});
  parallel_for(4, [](int64_t) {});
  EXPECT_THAT(asked, ElementsAre(4));
  EXPECT_THAT(order, ElementsAre(3, 2, 1, 0));
}

struct Silent {
  ~Silent() { set_log_sink({}, 0); }
};

TEST(Log, SendsTheChosenEventsToASink) {
  Silent silent;
  std::vector<std::string> lines;
  set_log_sink(
      [&](LogEvent event, std::string_view line) {
        lines.push_back(std::string(name(event)) + "|" + std::string(line));
      },
      parse_log_events("cache,launch"));
  log(LogEvent::kCache, [] { return "one"; });
  log(LogEvent::kPass, [] { return ADD_FAILURE() << "built for an event that is off", "two"; });
  log(LogEvent::kLaunch, [] { return std::string("three"); });
  EXPECT_THAT(lines, ElementsAre("cache|one", "launch|three"));
}

TEST(Log, NamesOfEvents) {
  EXPECT_EQ(parse_log_events(""), 0u);
  EXPECT_EQ(parse_log_events("all"), kAllLogEvents);
  EXPECT_EQ(parse_log_events("cache"), 1u);
  std::vector<std::string> unknown;
  EXPECT_EQ(parse_log_events("pass,launch,nonsense,,", &unknown), 6u);
  EXPECT_THAT(unknown, ElementsAre("nonsense"));
}

TEST(Log, PrintsOneLineToStandardErrorAndNothingUnlessAsked) {
  Silent silent;
  set_log_sink({}, kAllLogEvents);
  ::testing::internal::CaptureStderr();
  log(LogEvent::kCache, [] { return "a line"; });
  set_log_sink({}, 0);
  log(LogEvent::kCache, [] { return "not this one"; });
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "tenon: cache: a line\n");
}

TEST(Log, ASinkThatLogsDoesNotDeadlock) {
  Silent silent;
  int calls = 0;
  set_log_sink([&](LogEvent, std::string_view) {
    ++calls;
    log(LogEvent::kCache, [] { return "again"; });
  });
  log(LogEvent::kCache, [] { return "once"; });
  EXPECT_EQ(calls, 1);
}

} // namespace
} // namespace tenon
