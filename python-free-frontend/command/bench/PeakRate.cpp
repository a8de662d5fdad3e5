#include "bench/PeakRate.h"

#include "Command.h"
#include "bench/PeakLoops.h"

#include "tenon/FunctionRef.h"
#include "tenon/Parallel.h"
#include "tenon/Target.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cctype>
#include <cstring>
#include <fstream>
#include <immintrin.h>

namespace tenon::command {
namespace {

using Body = FunctionRef<void(int64_t thread)>;

// Many and short, so that some fall between what else the machine does.
constexpr int kBursts = 15, kBurstsOfMemory = 3;

/// Seconds of the slowest thread, the best of these bursts. All start together where all run at once; a bounded wait
/// where they do not.
double best_seconds(int threads, int bursts, Body body) {
  double best = 0;
  for (int repeat = 0; repeat < bursts; ++repeat) {
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

double rate(int threads, const PeakLoop &loop, int64_t rounds) {
  const double seconds = best_seconds(threads, kBursts, [&](int64_t) { loop.run(rounds); });
  return threads * loop.operations * static_cast<double>(rounds) / seconds / 1e9;
}

// Half a millisecond or so.
constexpr int64_t kRounds = 150'000, kRoundsOfTiles = 20'000, kRoundsOfExponentials = 4000;
// Where the system gives large pages to large areas, these begin where one can.
constexpr int64_t kHugePage = 2 << 20;

struct Cache {
  int64_t bytes = 0, threads = 1; ///< that share it
};

/// As Linux describes the first processor's. sysconf(3) counts third levels of other cores in.
Cache data_cache(int level) {
  for (int index = 0; index < 8; ++index) {
    const std::string folder =
        "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
    const auto word = [&](const char *name) {
      std::string text;
      std::ifstream(folder + name) >> text;
      return text;
    };
    if (word("level") != std::to_string(level) || word("type") == "Instruction")
      continue;
    int64_t threads = 0; // bits of a mask in hexadecimal digits, between commas
    for (char digit : word("shared_cpu_map"))
      if (std::isxdigit(static_cast<unsigned char>(digit)))
        threads +=
            std::popcount(static_cast<unsigned>(std::stoi(std::string(1, digit), nullptr, 16)));
    constexpr int64_t kKibibyte = 1024; // "32768K"
    return {std::atoll(word("size").c_str()) * kKibibyte, std::max<int64_t>(threads, 1)};
  }
  return {};
}

} // namespace

double measure_fma_peak() {
  const HostFeatures &features = host_features();
  if (!features.avx512 && !(features.avx2 && features.fma))
    return 0;
  return rate(parallel_concurrency(), features.avx512 ? kFmaAvx512 : kFmaAvx2, kRounds);
}

HostPeakMeter::HostPeakMeter() : threads_(parallel_concurrency()) {
  if (!host_features().avx2)
    return;
  // Of each cache half; of memory so many times the last that hardly any of it stays there.
  constexpr int64_t kMostOfMemory = 256 << 20, kLeastOfMemory = 32 << 20, kStep = 4096;
  std::vector<Level> levels;
  int64_t most = 0; // that all caches of one level hold
  for (int level : {1, 2, 3}) {
    const Cache cache = data_cache(level);
    const int64_t sharers = std::min<int64_t>(cache.threads, threads_);
    levels.push_back(
        {"L" + std::to_string(level), cache.bytes * threads_ / sharers, cache.bytes / 2 / sharers});
    most = std::max(most, levels.back().holds);
  }
  levels.push_back({"memory", 0, std::clamp(8 * most / threads_, kLeastOfMemory, kMostOfMemory)});
  for (Level level : levels)
    if (level.bytes_of_thread = level.bytes_of_thread / kStep * kStep; level.bytes_of_thread > 0)
      levels_.push_back(level);
  const auto bytes =
      static_cast<size_t>((levels_.back().bytes_of_thread + kHugePage - 1) / kHugePage * kHugePage);
  for (int i = 0; i < threads_; ++i)
    areas_.emplace_back(static_cast<std::byte *>(std::aligned_alloc(kHugePage, bytes)), &std::free);
  if (std::ranges::any_of(areas_, [](const Area &area) { return !area; })) {
    levels_.clear();
    return;
  }
  parallel_for(threads_, [&](int64_t thread) {
    std::memset(areas_[static_cast<size_t>(thread)].get(), 1, bytes);
  });
}

HostPeaks HostPeakMeter::measure() {
  constexpr int64_t kLeastBytes =
      64 << 20; // of one burst: so many passes that a cache has taken what it can hold
  const HostFeatures &features = host_features();
  HostPeaks peaks;
  peaks.float32 = measure_fma_peak();
  if (features.avx2 && features.fma) {
    peaks.float32_avx2 = rate(threads_, kFmaAvx2, kRounds);
    peaks.exponentials_avx2 = rate(threads_, kExponentialsAvx2, kRoundsOfExponentials);
  }
  if (features.avx512_bf16)
    peaks.bfloat16 = rate(threads_, kDotBFloat16, kRounds);
  if (features.amx)
    peaks.bfloat16_amx = rate(threads_, kTilesBFloat16, kRoundsOfTiles);
  peaks.exponentials =
      features.avx512 ? rate(threads_, kExponentials, kRoundsOfExponentials) : peaks.exponentials_avx2;
  const auto read = features.avx512 ? read_avx512 : read_avx2;
  for (const Level &level : levels_) {
    const int64_t bytes = level.bytes_of_thread,
                  repeats = std::max<int64_t>(kLeastBytes / bytes, 1);
    const double seconds =
        best_seconds(threads_, level.holds == 0 ? kBurstsOfMemory : kBursts, [&](int64_t thread) {
          read(areas_[static_cast<size_t>(thread)].get(), bytes, repeats);
        });
    peaks.reads.push_back(
        {level.name, level.holds, threads_ * static_cast<double>(bytes * repeats) / seconds / 1e9});
  }
  return peaks;
}

void HostPeaks::merge(const HostPeaks &other) {
  for (double HostPeaks::*figure :
       {&HostPeaks::float32, &HostPeaks::float32_avx2, &HostPeaks::bfloat16,
        &HostPeaks::bfloat16_amx, &HostPeaks::exponentials, &HostPeaks::exponentials_avx2})
    this->*figure = std::max(this->*figure, other.*figure);
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

double HostPeaks::best_bfloat16() const {
  return std::max({bfloat16_amx, bfloat16, float32});
}

} // namespace tenon::command
