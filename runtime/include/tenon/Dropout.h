/// Dropout as a function of (seed, offset, batch, head, query, key), and of nothing else.
///
/// The generator is Philox 4x32-10: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random
/// numbers: as easy as 1, 2, 3", SC 2011. One call gives the 16-bit numbers of eight keys: those
/// that one thread of an m16n8 matrix fragment holds over 32 keys, so that no tiling needs to draw
/// twice.
///
///     key words      (seed low, seed high)
///     counter words  (query, 4 * (key / 32) + (key % 8) / 2, batch * heads + head, offset)
///     number         2 * ((key % 32) / 8) + key % 2, of the eight, little-endian, in the 128 bits
///
/// A probability is dropped where its number is below the threshold, p * 65536 rounded; what is
/// kept is scaled by 1 / (1 - p). With p = 0 all is kept, with p = 1 all is dropped and the result
/// is zero.
#pragma once

#include "tenon/Api.h"
#include "tenon/Result.h"
#include "tenon/Tensor.h"

#include <array>
#include <cstdint>

namespace tenon {

inline constexpr int kPhiloxRounds = 10;
inline constexpr uint32_t kPhiloxMultiplier0 = 0xD2511F53u;
inline constexpr uint32_t kPhiloxMultiplier1 = 0xCD9E8D57u;
inline constexpr uint32_t kPhiloxWeyl0 = 0x9E3779B9u; // golden ratio
inline constexpr uint32_t kPhiloxWeyl1 = 0xBB67AE85u; // sqrt(3) - 1

/// Numbers from 0 to one below this are drawn.
inline constexpr uint32_t kDropoutNumbers = 65536;
/// The offset is one counter word.
inline constexpr uint64_t kMaxDropoutOffset = 0xFFFFFFFFu;

constexpr std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> counter,
                                                std::array<uint32_t, 2> key) {
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const uint64_t product0 = uint64_t{kPhiloxMultiplier0} * counter[0];
    const uint64_t product1 = uint64_t{kPhiloxMultiplier1} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key = {key[0] + kPhiloxWeyl0, key[1] + kPhiloxWeyl1};
  }
  return counter;
}

/// The 128 bits that hold the number of `key`. `head` is batch * heads + head.
constexpr std::array<uint32_t, 4> dropout_bits(uint64_t seed, uint32_t offset, uint32_t head,
                                               uint32_t query, uint32_t key) {
  return philox4x32_10({query, 4 * (key / 32) + (key % 8) / 2, head, offset},
                       {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
}

/// Which of the eight 16-bit numbers of `bits` belongs to `key`.
constexpr uint16_t dropout_number(const std::array<uint32_t, 4> &bits, uint32_t key) {
  return static_cast<uint16_t>(bits[(key % 32) / 8] >> (16 * (key % 2)));
}

/// `head` is batch * heads + head.
constexpr uint16_t dropout_number(uint64_t seed, uint32_t offset, uint32_t head, uint32_t query,
                                  uint32_t key) {
  return dropout_number(dropout_bits(seed, offset, head, query, key), key);
}

/// The numbers of keys 32 * block … 32 * block + 31, by four calls of the generator.
constexpr std::array<uint16_t, 32> dropout_numbers(uint64_t seed, uint32_t offset, uint32_t head,
                                                   uint32_t query, uint32_t block) {
  std::array<uint16_t, 32> numbers{};
  for (uint32_t pair = 0; pair < 8; pair += 2) {
    const std::array<uint32_t, 4> bits = dropout_bits(seed, offset, head, query, 32 * block + pair);
    for (uint32_t key = pair; key < 32; key += 8) {
      numbers[key] = dropout_number(bits, key);
      numbers[key + 1] = dropout_number(bits, key + 1);
    }
  }
  return numbers;
}

/// p * 65536 rounded to the nearest, halves up: 0 … 65536. `probability` must lie in [0, 1].
constexpr uint32_t dropout_threshold(float probability) {
  return static_cast<uint32_t>(static_cast<double>(probability) * kDropoutNumbers + 0.5);
}

/// true where kept: [batch, heads, queries, keys], on the host.
/// Errors: a probability outside [0, 1], an offset beyond 32 bits, a size below zero or beyond 32
/// bits.
TENON_API Result<Tensor> dropout_mask(uint64_t seed, uint64_t offset, int64_t batch, int64_t heads,
                                      int64_t queries, int64_t keys, float probability);

} // namespace tenon
