#include "PeakRate.h"

#include "Command.h"

#include "tenon/Parallel.h"
#include "tenon/Target.h"

#include <algorithm>
#include <atomic>
#include <immintrin.h>
#include <vector>

namespace tenon::command {
namespace {

// Twelve independent chains hide the latency of four cycles on two ports.
constexpr int kChains = 12;
constexpr int64_t kRounds = 400'000;

[[gnu::target("avx512f"), gnu::noinline]] float rounds_avx512(int64_t rounds) {
  __m512 sums[kChains];
  for (int i = 0; i < kChains; ++i)
    sums[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512 a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(1e-3f);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) {
      sums[i] = _mm512_fmadd_ps(sums[i], a, b);
      asm volatile("" : "+v"(sums[i])); // keeps the chains apart and in registers
    }
  }
  for (int i = 1; i < kChains; ++i)
    sums[0] = _mm512_add_ps(sums[0], sums[i]);
  return _mm512_cvtss_f32(sums[0]);
}

[[gnu::target("avx2,fma"), gnu::noinline]] float rounds_avx2(int64_t rounds) {
  __m256 sums[kChains];
  for (int i = 0; i < kChains; ++i)
    sums[i] = _mm256_set1_ps(static_cast<float>(i));
  const __m256 a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(1e-3f);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) {
      sums[i] = _mm256_fmadd_ps(sums[i], a, b);
      asm volatile("" : "+x"(sums[i]));
    }
  }
  for (int i = 1; i < kChains; ++i)
    sums[0] = _mm256_add_ps(sums[0], sums[i]);
  return _mm256_cvtss_f32(sums[0]);
}

} // namespace

double measure_fma_peak() {
  const bool wide = host_features().avx512;
  if (!wide && !(host_features().avx2 && host_features().fma))
    return 0;
  const int threads = parallel_concurrency();
  const double operations = 2.0 * kChains * (wide ? 16 : 8) * kRounds;
  double best = 0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    std::atomic<int> waiting{threads};
    std::vector<double> rates(static_cast<size_t>(threads));
    parallel_for(threads, [&](int64_t thread) {
      // All start together where all run at once; a bounded wait where they do not.
      waiting.fetch_sub(1);
      for (int spin = 0; spin < 100'000 && waiting.load() > 0; ++spin)
        _mm_pause();
      const int64_t begin = now_nanoseconds();
      volatile float sink = wide ? rounds_avx512(kRounds) : rounds_avx2(kRounds);
      (void)sink;
      rates[static_cast<size_t>(thread)] =
          operations / static_cast<double>(now_nanoseconds() - begin);
    });
    double sum = 0;
    for (double rate : rates)
      sum += rate;
    best = std::max(best, sum);
  }
  return best;
}

} // namespace tenon::command
