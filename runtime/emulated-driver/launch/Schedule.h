// In which order blocks start and the warps of a block take turns (TENON_EMULATOR_SCHEDULE): a right kernel does not care.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace tenon::emulator {

/// Numbers that look random: SplitMix64.
class Random {
public:
  explicit Random(uint64_t seed = 0) : state_(seed) {}
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>((mixed(state_ += kStep) >> 32) * bound >> 32); }
  static uint64_t mixed(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
  }
  static constexpr uint64_t kStep = 0x9e3779b97f4a7c15u;

private:
  uint64_t state_;
};

struct Schedule {
  enum class Order : uint8_t { kForward, kReverse, kRandom };
  Order order = Order::kForward;
  uint32_t seed = 1;

  /// "forward", "reverse", "random", "random:SEED"; nothing for any other text.
  static std::optional<Schedule> parse(std::string_view text);
  bool is_random() const { return order == Order::kRandom; }
  /// The number of the block that starts as the `turn`th of `count`: each comes once.
  uint64_t block(uint64_t turn, uint64_t count) const;
  /// The warp of `count` that gets the `turn`th turn of a round; at random each turn draws anew.
  uint32_t warp(uint32_t turn, uint32_t count, Random &random) const;
  /// What decides about the turns of a block's warps, another thing for each block and seed.
  Random random_of(uint64_t block) const { return Random(Random::mixed(block + Random::kStep) ^ Random::mixed(seed)); }
};

} // namespace tenon::emulator
