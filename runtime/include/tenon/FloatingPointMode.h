/// What a thread computes by while Tenon computes on it, whatever its caller has set: results do not depend on that.
#pragma once

#include <xmmintrin.h>

namespace tenon {

enum class Subnormals : unsigned char { kKept, kFlushed };

/// Rounding to nearest, and no exception raised, until it is destroyed; then MXCSR is as it was. With kFlushed
/// subnormal results are flushed to zero, and operands read as zero.
class FloatingPointMode {
public:
  explicit FloatingPointMode(Subnormals subnormals) : saved_(_mm_getcsr()) {
    _mm_setcsr(kAllMasked | (subnormals == Subnormals::kFlushed ? kFlushResults | kFlushOperands : 0));
  }
  ~FloatingPointMode() { _mm_setcsr(saved_); }
  FloatingPointMode(const FloatingPointMode &) = delete;
  FloatingPointMode &operator=(const FloatingPointMode &) = delete;

private:
  static constexpr unsigned kFlushResults = 1u << 15, kFlushOperands = 1u << 6; // MXCSR.FTZ, .DAZ
  static constexpr unsigned kAllMasked = 0x3fu << 7;                           // with MXCSR.RC 0: to nearest
  unsigned saved_;
};

/// The float nearest to `value`. The compiler does not know that a conversion depends on MXCSR, and may move it.
inline float nearest_float(double value) {
  const FloatingPointMode mode(Subnormals::kKept);
  asm volatile("" : "+x"(value));
  float nearest = static_cast<float>(value);
  asm volatile("" : "+x"(nearest));
  return nearest;
}

} // namespace tenon
