#include "bench/PeakLoops.h"

#include <array>
#include <immintrin.h>
#include <random>

namespace tenon::command {
namespace {

// Twelve independent chains hide the latency of four cycles on two ports.
constexpr int kChains = 12, kLanes = 16, kLanesAvx2 = 8;

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
#define TENON_EIGHT_REGISTERS "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7"
#define TENON_TWELVE_REGISTERS TENON_EIGHT_REGISTERS, "xmm8", "xmm9", "xmm10", "xmm11"

// Registers by name: each sum goes to 1, whatever it began with, and the compiler spills none of them.
[[gnu::target("avx512f"), gnu::noinline]] void fma_avx512(int64_t rounds) {
  const __m512 half = _mm512_set1_ps(0.5f);
  for (int64_t round = 0; round < rounds; ++round)
    asm volatile(TENON_TWELVE_CHAINS("vfmadd213ps", "zmm") : : "v"(half) : TENON_TWELVE_REGISTERS);
}

[[gnu::target("avx2,fma"), gnu::noinline]] void fma_avx2(int64_t rounds) {
  const __m256 half = _mm256_set1_ps(0.5f);
  for (int64_t round = 0; round < rounds; ++round)
    asm volatile(TENON_TWELVE_CHAINS("vfmadd213ps", "ymm") : : "x"(half) : TENON_TWELVE_REGISTERS);
}

[[gnu::target("avx512f,avx512bf16"), gnu::noinline]] void dot_bfloat16(int64_t rounds) {
  const __m512i ones = _mm512_set1_epi32(0x3f803f80);
  for (int64_t round = 0; round < rounds; ++round)
    asm volatile(TENON_TWELVE_CHAINS("vdpbf16ps", "zmm") : : "v"(ones) : TENON_TWELVE_REGISTERS);
}

// 2^x = p(x - round(x)) 2^round(x), p of degree 5, x held above -126: nine operations between a load and a store, as on
// a block of scores. Intrinsics of vreduceps and vscalefps read an undefined register, of which GCC warns.
constexpr int kBlock = 1024;

struct alignas(64) BlockOfScores {
  float scores[kBlock], powers[kBlock];
  BlockOfScores() {
    for (int i = 0; i < kBlock; ++i)
      scores[i] = -0.113f * static_cast<float>(i % 97);
  }
  // Both are anew each time, for all that the compiler knows.
  void renew() { asm volatile("" : : "r"(scores), "r"(powers) : "memory"); }
};

[[gnu::target("avx512f,avx512dq"), gnu::noinline]] void exponentials(int64_t rounds) {
  BlockOfScores block;
  const __m512 least = _mm512_set1_ps(-126), coefficient = _mm512_set1_ps(0.25f);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 4
    for (int i = 0; i < kBlock; i += kLanes) {
      __m512 clamped, fraction, power = coefficient;
      asm("vmaxps %1, %2, %0" : "=v"(clamped) : "v"(_mm512_load_ps(block.scores + i)), "v"(least));
      asm("vreduceps $0, %1, %0" : "=v"(fraction) : "v"(clamped));
      const __m512 whole = clamped - fraction;
      for (int degree = 0; degree < 5; ++degree)
        power = _mm512_fmadd_ps(power, fraction, coefficient);
      asm("vscalefps %1, %0, %0" : "+v"(power) : "v"(whole));
      _mm512_store_ps(block.powers + i, power);
    }
    block.renew();
  }
}

// The same without vreduceps and vscalefps: the whole part joins the exponent's bits.
[[gnu::target("avx2,fma"), gnu::noinline]] void exponentials_avx2(int64_t rounds) {
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC, kMantissaBits = 23;
  BlockOfScores block;
  const __m256 least = _mm256_set1_ps(-126), coefficient = _mm256_set1_ps(0.25f);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 4
    for (int i = 0; i < kBlock; i += kLanesAvx2) {
      const __m256 clamped = _mm256_max_ps(_mm256_load_ps(block.scores + i), least);
      const __m256 whole = _mm256_round_ps(clamped, kNearest), fraction = _mm256_sub_ps(clamped, whole);
      __m256 power = coefficient;
      for (int degree = 0; degree < 5; ++degree)
        power = _mm256_fmadd_ps(power, fraction, coefficient);
      const __m256i exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(whole), kMantissaBits);
      power = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(power), exponent));
      _mm256_store_ps(block.powers + i, power);
    }
    block.renew();
  }
}

// The states of the eight tile registers for palette 1, Intel SDM, LDTILECFG: 16 rows of 64 bytes each.
struct alignas(64) TileConfiguration {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
constexpr int kTileProducts = 4, kTileRows = 16, kTileColumns = 16, kTileDepth = 32;

/// A tile of bfloat16, 0.5 to 2 and of either sign: with zeros the processor runs faster than it ever does at work.
struct alignas(64) RandomTile {
  std::array<uint16_t, kTileRows * kTileDepth> elements;
  RandomTile() {
    std::mt19937 bits(1);
    for (uint16_t &element : elements)
      element = static_cast<uint16_t>((bits() & 0x80ff) | 0x3f00);
  }
};

// Two tiles by two: each operand is used twice, as kernels do.
[[gnu::noinline]] void tiles_bfloat16(int64_t rounds) {
  static const TileConfiguration configuration;
  static const RandomTile tile;
  constexpr int64_t kRowBytes = 64;
  asm volatile("ldtilecfg (%0)\n"
               "tilezero %%tmm0\n tilezero %%tmm1\n tilezero %%tmm2\n tilezero %%tmm3\n"
               "tileloadd (%1,%2,1), %%tmm4\n tileloadd (%1,%2,1), %%tmm5\n"
               "tileloadd (%1,%2,1), %%tmm6\n tileloadd (%1,%2,1), %%tmm7\n"
               :
               : "r"(&configuration), "r"(tile.elements.data()), "r"(kRowBytes)
               : "memory");
  for (int64_t round = 0; round < rounds; ++round)
    asm volatile("tdpbf16ps %tmm6, %tmm4, %tmm0\n tdpbf16ps %tmm7, %tmm4, %tmm1\n"
                 "tdpbf16ps %tmm6, %tmm5, %tmm2\n tdpbf16ps %tmm7, %tmm5, %tmm3\n");
  asm volatile("tilerelease");
}

} // namespace

constexpr double kMultiplyAdd = 2, kPair = 2;
const PeakLoop kFmaAvx2 = {fma_avx2, kMultiplyAdd *kChains *kLanesAvx2};
const PeakLoop kFmaAvx512 = {fma_avx512, kMultiplyAdd *kChains *kLanes};
const PeakLoop kDotBFloat16 = {dot_bfloat16, kMultiplyAdd *kPair *kChains *kLanes};
const PeakLoop kTilesBFloat16 = {tiles_bfloat16,
                                 kMultiplyAdd *kTileProducts *kTileRows *kTileColumns *kTileDepth};
const PeakLoop kExponentials = {exponentials, kBlock};
const PeakLoop kExponentialsAvx2 = {exponentials_avx2, kBlock};

[[gnu::target("avx512f"), gnu::noinline]] void read_avx512(const std::byte *data, int64_t bytes,
                                                           int64_t repeats) {
  for (int64_t repeat = 0; repeat < repeats; ++repeat)
    for (int64_t at = 0; at < bytes; at += 512)
      asm volatile("vmovaps (%0), %%zmm0\n vmovaps 64(%0), %%zmm1\n vmovaps 128(%0), %%zmm2\n"
                   "vmovaps 192(%0), %%zmm3\n vmovaps 256(%0), %%zmm4\n vmovaps 320(%0), %%zmm5\n"
                   "vmovaps 384(%0), %%zmm6\n vmovaps 448(%0), %%zmm7\n"
                   :
                   : "r"(data + at)
                   : TENON_EIGHT_REGISTERS);
}

[[gnu::target("avx2"), gnu::noinline]] void read_avx2(const std::byte *data, int64_t bytes,
                                                      int64_t repeats) {
  for (int64_t repeat = 0; repeat < repeats; ++repeat)
    for (int64_t at = 0; at < bytes; at += 256)
      asm volatile("vmovaps (%0), %%ymm0\n vmovaps 32(%0), %%ymm1\n vmovaps 64(%0), %%ymm2\n"
                   "vmovaps 96(%0), %%ymm3\n vmovaps 128(%0), %%ymm4\n vmovaps 160(%0), %%ymm5\n"
                   "vmovaps 192(%0), %%ymm6\n vmovaps 224(%0), %%ymm7\n"
                   :
                   : "r"(data + at)
                   : TENON_EIGHT_REGISTERS);
}

} // namespace tenon::command
