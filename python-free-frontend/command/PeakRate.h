/// What this machine can do at most, on all threads: measured, beside what it then does.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tenon::command {

/// 10^9 operations a second, a fused multiply-add being two: AVX-512, else AVX2; 0 without either.
double measure_fma_peak();

struct HostPeaks {
  double float32 = 0;      ///< GFLOP/s of fused multiply-adds
  double bfloat16 = 0;     ///< GFLOP/s of vdpbf16ps; 0 where the processor has none
  double exponentials = 0; ///< 10^9 powers of two a second, in float32, as kernels form them; 0 without AVX-512

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
};

/// Of one short burst each: some 50 ms in all.
HostPeaks measure_host_peaks();

} // namespace tenon::command
