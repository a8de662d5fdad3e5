// What a launch costs beyond the kernel: the kernel is a single `ret`.
//
//     build/bin/benchmarks/launch_overhead
//
// The host's budget is 300 ns for a grid of one block, and no allocation.
#include "../runtime/device/TestKernels.h"
#include "tenon/KernelCache.h"
#include "tenon/Parallel.h"

#include <atomic>
#include <benchmark/benchmark.h>
#include <cstdlib>
#include <new>

namespace {
std::atomic<int64_t> allocations{0};
}

// Not inlined: the compiler would see malloc paired with delete.
[[gnu::noinline]] void *operator new(size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void *memory = std::malloc(size))
    return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void *memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void *memory, size_t) noexcept {
  std::free(memory);
}

namespace tenon {
namespace {

// Launches an empty kernel over `blocks` blocks, with a workspace for each thread.
void host_launch(benchmark::State &state) {
  Device &host = *Device::open(DeviceKind::kHost).value();
  LaunchPhase empty = testing::phase("do_nothing");
  empty.workspace = {0, 64 << 10};
  auto kernel = host.load(testing::image_of({empty})).value();
  KernelArguments arguments = testing::sizes(1, 1, static_cast<int32_t>(state.range(0)));
  host.prepare(*kernel, arguments, 0).value();
  host.launch(*kernel, arguments, 0).value();
  int64_t before = allocations;
  for (auto _ : state)
    host.launch(*kernel, arguments, 0).value();
  state.counters["allocations"] = benchmark::Counter(static_cast<double>(allocations - before) /
                                                     static_cast<double>(state.iterations()));
}
BENCHMARK(host_launch)->Arg(1)->Arg(2)->Arg(64)->Arg(4096)->ArgName("blocks");

void cache_hit(benchmark::State &state) {
  KernelCache cache;
  KernelKey key({"graph", "{}", "host:x86-64-v3", "{}"});
  cache
      .lookup_or_compile(
          key,
          [] {
            return Result<CompileOutcome>(CompileOutcome{testing::image_of({}).serialize(), 0});
          })
      .value();
  int64_t before = allocations;
  for (auto _ : state)
    benchmark::DoNotOptimize(cache.lookup(key));
  state.counters["allocations"] = static_cast<double>(allocations - before);
}
BENCHMARK(cache_hit);

void empty_parallel_for(benchmark::State &state) {
  for (auto _ : state)
    parallel_for(state.range(0), [](int64_t i) { benchmark::DoNotOptimize(i); });
}
BENCHMARK(empty_parallel_for)->Arg(2)->Arg(64)->ArgName("count");

} // namespace
} // namespace tenon

BENCHMARK_MAIN();
