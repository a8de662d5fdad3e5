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

// Registers by name: each sum goes to 1, whatever it began with, and the compiler spills none of them.
[[gnu::target("avx512f"), gnu::noinline]] void rounds_avx512(int64_t rounds) {
  const __m512 half = _mm512_set1_ps(0.5f);
  for (int64_t round = 0; round < rounds; ++round)
    asm volatile("vfmadd213ps %0, %0, %%zmm0\n"
                 "vfmadd213ps %0, %0, %%zmm1\n"
                 "vfmadd213ps %0, %0, %%zmm2\n"
                 "vfmadd213ps %0, %0, %%zmm3\n"
                 "vfmadd213ps %0, %0, %%zmm4\n"
                 "vfmadd213ps %0, %0, %%zmm5\n"
                 "vfmadd213ps %0, %0, %%zmm6\n"
                 "vfmadd213ps %0, %0, %%zmm7\n"
                 "vfmadd213ps %0, %0, %%zmm8\n"
                 "vfmadd213ps %0, %0, %%zmm9\n"
                 "vfmadd213ps %0, %0, %%zmm10\n"
                 "vfmadd213ps %0, %0, %%zmm11\n"
                 :
                 : "v"(half)
                 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11");
}

[[gnu::target("avx2,fma"), gnu::noinline]] void rounds_avx2(int64_t rounds) {
  const __m256 half = _mm256_set1_ps(0.5f);
  for (int64_t round = 0; round < rounds; ++round)
    asm volatile("vfmadd213ps %0, %0, %%ymm0\n"
                 "vfmadd213ps %0, %0, %%ymm1\n"
                 "vfmadd213ps %0, %0, %%ymm2\n"
                 "vfmadd213ps %0, %0, %%ymm3\n"
                 "vfmadd213ps %0, %0, %%ymm4\n"
                 "vfmadd213ps %0, %0, %%ymm5\n"
                 "vfmadd213ps %0, %0, %%ymm6\n"
                 "vfmadd213ps %0, %0, %%ymm7\n"
                 "vfmadd213ps %0, %0, %%ymm8\n"
                 "vfmadd213ps %0, %0, %%ymm9\n"
                 "vfmadd213ps %0, %0, %%ymm10\n"
                 "vfmadd213ps %0, %0, %%ymm11\n"
                 :
                 : "x"(half)
                 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11");
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
      wide ? rounds_avx512(kRounds) : rounds_avx2(kRounds);
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
