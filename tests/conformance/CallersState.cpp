// What a call must not take from the state of the threads that run it, nor leave in it: rounding and subnormals of MXCSR,
// the tile registers of AMX.
#include "Ways.h"

#include "tenon/KernelCache.h"
#include "tenon/Parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cpuid.h>
#include <cstring>
#include <pmmintrin.h>
#include <thread>

namespace tenon::conformance {
namespace {

class CallersState : public testing::TestWithParam<RunWay> {
protected:
  void SetUp() override {
    if (!GetParam().missing.empty())
      GTEST_SKIP() << GetParam().name << " is not available: " << GetParam().missing;
  }
};

// Compiled and called with whatever its caller's MXCSR says: rounding down, up or to zero, subnormals flushed.
TEST_P(CallersState, DoesNotReachTheBits) {
  const Tensor q = Tensor::random({1, 2, 40, 32}, DataType::kFloat32, 1).value(),
               k = Tensor::random({1, 2, 50, 32}, DataType::kFloat32, 2).value();
  auto attend = [&] {
    KernelCache cache;
    Result<Function> function = compile(
        [](Value query, Value key, Value value) {
          Value scores = tanh(matmul(query, transpose(key)) * scalar("scale", 1) / 3) * 0.7;
          return matmul(softmax(scores + (key_index() - query_index()) * 0.1), value);
        },
        {.device = GetParam().way, .target = GetParam().target, .cache = &cache});
    LaunchOptions launch;
    launch.scalars.add({"scale", 0.3});
    const Tensor output = function->call({q, k, k}, launch).value()[0].contiguous().value();
    const auto *first = output.data_as<float>();
    return std::vector<float>(first, first + output.element_count());
  };
  const std::vector<float> usual = attend();
  const unsigned before = _mm_getcsr();
  for (const unsigned bits : {unsigned{_MM_ROUND_DOWN}, unsigned{_MM_ROUND_UP}, unsigned{_MM_ROUND_TOWARD_ZERO},
                              unsigned{_MM_FLUSH_ZERO_ON} | _MM_DENORMALS_ZERO_ON}) {
    _mm_setcsr(before | bits);
    const std::vector<float> there = attend();
    _mm_setcsr(before);
    EXPECT_EQ(std::memcmp(there.data(), usual.data(), usual.size() * sizeof(float)), 0) << std::hex << bits;
  }
}

// Which parts of the extended state are in use, Intel SDM, XGETBV with ECX = 1; those of AMX are its bits 17 and 18.
bool knows_states_in_use() {
  constexpr unsigned kExtendedStates = 13, kXgetbvOfOne = 1u << 2;
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(kExtendedStates, 1, &a, &b, &c, &d) != 0 && (a & kXgetbvOfOne) != 0;
}
bool tiles_in_use() {
  constexpr unsigned kTileConfiguration = 1u << 17, kTileData = 1u << 18;
  unsigned low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
  return (low & (kTileConfiguration | kTileData)) != 0;
}

// A thread that left tile registers in use would have the system save 8 KiB at each switch, and keep the processor from
// its deeper states of rest.
TEST_P(CallersState, HasNoTilesAfterwards) {
  if (GetParam().target != "host:x86-64-v4+amx")
    GTEST_SKIP() << "only code for tile units has them";
  if (!knows_states_in_use())
    GTEST_SKIP() << "this processor does not tell which states are in use";
  std::atomic<int> blocks{0}, left{0};
  set_parallel_for([&](int64_t count, FunctionRef<void(int64_t)> body) {
    std::vector<std::jthread> workers;
    for (int64_t first = 0; first < 3; ++first)
      workers.emplace_back([&, first] {
        for (int64_t i = first; i < count; i += 3, ++blocks) {
          body(i);
          left += tiles_in_use();
        }
      });
  }, 3);
  struct Case {
    int64_t queries, keys;
    bool causal;
  };
  for (auto [queries, keys, causal] :
       {Case{300, 700, true}, {1100, 1100, false}, {40, 70, false}, {3, 2000, false}, {20, 20, false}}) {
    const Function function =
        attention_function({.causal = causal}, {.device = Way::kHost, .target = GetParam().target}).value();
    LaunchOptions launch;
    launch.scalars.add({"scale", 0.125});
    auto random = [&](int64_t rows, uint64_t seed) {
      return Tensor::random({1, 4, rows, 64}, DataType::kBFloat16, seed).value();
    };
    EXPECT_TRUE(function.call({random(queries, 1), random(keys, 2), random(keys, 3)}, launch).ok());
    EXPECT_FALSE(tiles_in_use()) << "of the caller, which does small launches itself";
  }
  set_parallel_for({});
  EXPECT_GT(blocks, 0);
  EXPECT_EQ(left, 0) << "of " << blocks << " blocks";
}

INSTANTIATE_TEST_SUITE_P(Every, CallersState, testing::ValuesIn(ways()), [](const auto &info) { return info.param.name; });

} // namespace
} // namespace tenon::conformance
