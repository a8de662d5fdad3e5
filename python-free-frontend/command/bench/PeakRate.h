/// What this machine can do at most, on all threads: measured, beside what it then does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace tenon::command {

/// 10^9 operations a second, a fused multiply-add being two: AVX-512, else AVX2; 0 without either.
double measure_fma_peak();

/// Rates in 10^9 a second; 0 where the processor has no such instruction.
struct HostPeaks {
  double float32 = 0;      ///< fused multiply-adds, of the widest vectors
  double float32_avx2 = 0; ///< the same on 256 bits
  double bfloat16 = 0;     ///< vdpbf16ps
  double bfloat16_amx = 0; ///< tdpbf16ps on random numbers
  double exponentials = 0; ///< powers of two in float32, on 256 bits where there is no AVX-512
  double exponentials_avx2 = 0; ///< the same on 256 bits

  struct Read {
    std::string level;    ///< "L1", "L2", "L3", "memory"
    int64_t bytes;        ///< that the level holds, of all threads; of memory 0
    double gigabytes = 0; ///< a second
  };
  std::vector<Read> reads; ///< ascending

  /// Each figure the better of both.
  void merge(const HostPeaks &other);
  /// Gigabytes a second from the lowest level that holds so many bytes.
  double read_rate(double bytes) const;
  /// Of the instruction that multiplies bfloat16 fastest: tiles, pairs, or float32 after widening.
  double best_bfloat16() const;
};

/// Measures again and again, on memory that it takes once.
class HostPeakMeter {
public:
  HostPeakMeter();
  /// Of one short burst each: some 100 ms in all.
  HostPeaks measure();

private:
  struct Level {
    std::string name;
    int64_t holds, bytes_of_thread;
  };
  using Area = std::unique_ptr<std::byte, decltype(&std::free)>;
  int threads_;
  std::vector<Level> levels_;
  std::vector<Area> areas_; ///< one a thread, as large as the last level's
};

} // namespace tenon::command
