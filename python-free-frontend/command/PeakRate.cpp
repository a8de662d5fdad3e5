#include "PeakRate.h"

#include "Command.h"

#include "tenon/FunctionRef.h"
#include "tenon/Parallel.h"
#include "tenon/Target.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <immintrin.h>
#include <memory>
#include <unistd.h>
#include <vector>

namespace tenon::command {
namespace {

// Twelve independent chains hide the latency of four cycles on two ports.
constexpr int kChains = 12;
constexpr int64_t kRounds = 400'000;

#define TENON_CHAIN(instruction, registers, number) instruction " %0, %0, %%" registers #number "\n"
#define TENON_TWELVE_CHAINS(instruction, registers)                                                \
  TENON_CHAIN(instruction, registers, 0)                                                           \
  TENON_CHAIN(instruction, registers, 1)                                                           \
  TENON_CHAIN(instruction, registers, 2)                                                           \
  TENON_CHAIN(instruction, registers, 3)                                                           \
  TENON_CHAIN(instruction, registers, 4)                                                           \
  TENON_CHAIN(instruction, registers, 5)                                                           \
  TENON_CHAIN(instruction, registers, 6)                                                           \
  TENON_CHAIN(instruction, registers, 7)                                                           \
  TENON_CHAIN(instruction, registers, 8)                                                           \
  TENON_CHAIN(instruction, registers, 9)                                                           \
  TENON_CHAIN(instruction, registers, 10)                                                          \
  TENON_CHAIN(instruction, registers, 11)
#define TENON_TWELVE_REGISTERS                                                                     \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11"

// Registers by name: each sum goes to 1, whatever it began with, and the compiler spills none of them.
[[gnu::target("avx512f"), gnu::noinline]] void rounds_avx512(int64_t rounds) {
  const __m512 half = _mm512_set1_ps(0.5f);
  for (int64_t round = 0; round < rounds; ++round)
    asm volatile(TENON_TWELVE_CHAINS("vfmadd213ps", "zmm") : : "v"(half) : TENON_TWELVE_REGISTERS);
}

[[gnu::target("avx2,fma"), gnu::noinline]] void rounds_avx2(int64_t rounds) {
  const __m256 half = _mm256_set1_ps(0.5f);
  for (int64_t round = 0; round < rounds; ++round)
    asm volatile(TENON_TWELVE_CHAINS("vfmadd213ps", "ymm") : : "x"(half) : TENON_TWELVE_REGISTERS);
}

[[gnu::target("avx512f,avx512bf16"), gnu::noinline]] void rounds_bfloat16(int64_t rounds) {
  const __m512 ones = _mm512_castsi512_ps(_mm512_set1_epi32(0x3f803f80));
  for (int64_t round = 0; round < rounds; ++round)
    asm volatile(TENON_TWELVE_CHAINS("vdpbf16ps", "zmm") : : "v"(ones) : TENON_TWELVE_REGISTERS);
}

// 2^x = p(x - floor(x)) 2^floor(x), p of degree 5: compiler/host/MathFunctions.cpp. Values are of no interest.
[[gnu::target("avx512f,avx512dq"), gnu::noinline]] void rounds_exponential(int64_t rounds) {
  __m512 x[kChains];
  for (__m512 &each : x)
    each = _mm512_set1_ps(-1.5f);
  const __m512 c = _mm512_set1_ps(0.25f);
  for (int64_t round = 0; round < rounds; ++round)
    for (__m512 &each : x) {
      asm volatile("" : "+v"(each)); // another each time, for all the compiler knows
      const __m512 fraction = _mm512_reduce_ps(each, 1);
      __m512 power = c;
      for (int degree = 0; degree < 5; ++degree)
        power = _mm512_fmadd_ps(power, fraction, c);
      power = _mm512_scalef_ps(power, each);
      asm volatile("" : : "v"(power));
    }
}

using Body = FunctionRef<void(int64_t thread)>;

/// Seconds of the slowest thread, the best of five. All start together where all run at once; a bounded wait where
/// they do not.
double best_seconds(int threads, Body body) {
  double best = 0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    std::atomic<int> waiting{threads};
    std::vector<double> seconds(static_cast<size_t>(threads));
    parallel_for(threads, [&](int64_t thread) {
      waiting.fetch_sub(1);
      for (int spin = 0; spin < 100'000 && waiting.load() > 0; ++spin)
        _mm_pause();
      const int64_t begin = now_nanoseconds();
      body(thread);
      seconds[static_cast<size_t>(thread)] = 1e-9 * static_cast<double>(now_nanoseconds() - begin);
    });
    const double slowest = *std::ranges::max_element(seconds);
    best = best == 0 ? slowest : std::min(best, slowest);
  }
  return best;
}

double rate(int threads, double operations_of_round, void (*rounds)(int64_t), int64_t count) {
  const double seconds = best_seconds(threads, [&](int64_t) { rounds(count); });
  return threads * operations_of_round * static_cast<double>(count) / seconds / 1e9;
}

[[gnu::target("avx2"), gnu::noinline]] void read_all(const std::byte *data, int64_t bytes, int64_t repeats) {
  for (int64_t repeat = 0; repeat < repeats; ++repeat)
    for (int64_t at = 0; at < bytes; at += 256)
      asm volatile("vmovaps (%0), %%ymm0\n"
                   "vmovaps 32(%0), %%ymm1\n"
                   "vmovaps 64(%0), %%ymm2\n"
                   "vmovaps 96(%0), %%ymm3\n"
                   "vmovaps 128(%0), %%ymm4\n"
                   "vmovaps 160(%0), %%ymm5\n"
                   "vmovaps 192(%0), %%ymm6\n"
                   "vmovaps 224(%0), %%ymm7\n"
                   :
                   : "r"(data + at)
                   : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7");
}

/// Of an area of each thread's own, read over and over.
double read_rate_of(int threads, int64_t bytes_of_thread) {
  constexpr int64_t kAlignment = 4096, kLeastBytes = 16 << 20; // of one burst
  bytes_of_thread = std::max(bytes_of_thread / kAlignment * kAlignment, kAlignment);
  std::vector<std::unique_ptr<std::byte, decltype(&std::free)>> areas;
  for (int i = 0; i < threads; ++i) {
    void *area = std::aligned_alloc(kAlignment, static_cast<size_t>(bytes_of_thread));
    if (!area)
      return 0;
    std::memset(area, 1, static_cast<size_t>(bytes_of_thread));
    areas.emplace_back(static_cast<std::byte *>(area), &std::free);
  }
  const int64_t repeats = std::max<int64_t>(kLeastBytes / bytes_of_thread, 1);
  const double seconds = best_seconds(threads, [&](int64_t thread) {
    read_all(areas[static_cast<size_t>(thread)].get(), bytes_of_thread, repeats);
  });
  return threads * static_cast<double>(bytes_of_thread * repeats) / seconds / 1e9;
}

std::vector<HostPeaks::Read> measure_reads(int threads) {
  // Half of a cache of each thread's core; of the third level, which all share, a part; of memory twice that level.
  constexpr int64_t kMostOfMemory = 128 << 20;
  const int64_t first = sysconf(_SC_LEVEL1_DCACHE_SIZE), second = sysconf(_SC_LEVEL2_CACHE_SIZE),
                third = sysconf(_SC_LEVEL3_CACHE_SIZE);
  std::vector<HostPeaks::Read> reads;
  auto add = [&](const char *level, int64_t holds, int64_t bytes_of_thread) {
    if (bytes_of_thread > 0)
      reads.push_back({level, holds, read_rate_of(threads, bytes_of_thread)});
  };
  add("L1", first * threads, first / 2);
  add("L2", second * threads, second / 2);
  add("L3", third, std::min(third / 2 / threads, kMostOfMemory));
  add("memory", 0, std::min(std::max(2 * third, 4 * second), kMostOfMemory));
  return reads;
}

} // namespace

double measure_fma_peak() {
  const bool wide = host_features().avx512;
  if (!wide && !(host_features().avx2 && host_features().fma))
    return 0;
  return rate(parallel_concurrency(), 2.0 * kChains * (wide ? 16 : 8), wide ? rounds_avx512 : rounds_avx2, kRounds);
}

HostPeaks measure_host_peaks() {
  const int threads = parallel_concurrency();
  HostPeaks peaks;
  peaks.float32 = measure_fma_peak();
  if (host_features().avx512_bf16)
    peaks.bfloat16 = rate(threads, 4.0 * kChains * 16, rounds_bfloat16, kRounds);
  if (host_features().avx512)
    peaks.exponentials = rate(threads, kChains * 16, rounds_exponential, kRounds / 8);
  if (host_features().avx2)
    peaks.reads = measure_reads(threads);
  return peaks;
}

void HostPeaks::merge(const HostPeaks &other) {
  float32 = std::max(float32, other.float32);
  bfloat16 = std::max(bfloat16, other.bfloat16);
  exponentials = std::max(exponentials, other.exponentials);
  if (reads.empty())
    reads = other.reads;
  for (size_t i = 0; i < std::min(reads.size(), other.reads.size()); ++i)
    reads[i].gigabytes = std::max(reads[i].gigabytes, other.reads[i].gigabytes);
}

double HostPeaks::read_rate(double bytes) const {
  for (const Read &read : reads)
    if (read.bytes == 0 || bytes <= static_cast<double>(read.bytes))
      return read.gigabytes;
  return 0;
}

} // namespace tenon::command
