/// The loops whose rates are a machine's peaks: independent chains of one instruction, registers by name. Values are
/// of no interest; none grows beyond its format, so that no operation meets infinity or a denormal.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenon::command {

struct PeakLoop {
  void (*run)(int64_t rounds);
  double operations; ///< of one round; a fused multiply-add is two
};

extern const PeakLoop kFmaAvx2;       ///< vfmadd213ps on 256 bits: needs AVX2 and FMA
extern const PeakLoop kFmaAvx512;     ///< vfmadd213ps on 512 bits
extern const PeakLoop kDotBFloat16;   ///< vdpbf16ps on 512 bits: needs AVX512_BF16
extern const PeakLoop kTilesBFloat16; ///< tdpbf16ps on random numbers: needs leave to use AMX
extern const PeakLoop
    kExponentials; ///< 2^x of scores in memory, any x <= 0, to float32's precision: needs AVX-512 F and DQ
extern const PeakLoop kExponentialsAvx2; ///< the same on 256 bits, x >= -124: needs AVX2 and FMA

/// Reads memory, a multiple of 512 bytes aligned to 64, so many times over, 64 bytes at a time or 32.
void read_avx512(const std::byte *data, int64_t bytes, int64_t repeats);
void read_avx2(const std::byte *data, int64_t bytes, int64_t repeats);

} // namespace tenon::command
