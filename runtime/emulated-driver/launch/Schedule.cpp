#include "launch/Schedule.h"
#include <algorithm>
#include <bit>
#include <charconv>

namespace tenon::emulator {
namespace {

/// A permutation of the numbers below 4^half_bits that the seed chooses: a Feistel network, whose rounds are undone one by one
/// whatever they add.
uint64_t permuted(uint64_t number, int half_bits, uint32_t seed) {
  constexpr uint64_t kRounds = 4;
  const uint64_t half = (uint64_t{1} << half_bits) - 1;
  uint64_t high = number >> half_bits, low = number & half;
  for (uint64_t round = 0; round < kRounds; round++) {
    const uint64_t key = Random::mixed((uint64_t{seed} << 2 | round) + Random::kStep);
    const uint64_t next = high ^ (Random::mixed(low ^ key) >> 32 & half);
    high = low;
    low = next;
  }
  return high << half_bits | low;
}

} // namespace

std::optional<Schedule> Schedule::parse(std::string_view text) {
  constexpr std::string_view kRandomSeed = "random:";
  if (text == "forward")
    return Schedule{};
  if (text == "reverse")
    return Schedule{Order::kReverse};
  if (text == "random")
    return Schedule{Order::kRandom};
  if (!text.starts_with(kRandomSeed))
    return std::nullopt;
  text.remove_prefix(kRandomSeed.size());
  Schedule schedule{Order::kRandom};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), schedule.seed);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(schedule) : std::nullopt;
}

uint64_t Schedule::block(uint64_t turn, uint64_t count) const {
  if (order == Order::kReverse)
    return count - 1 - turn;
  if (order == Order::kForward || count < 2)
    return turn;
  // The network permutes fewer than four times as many numbers; from those that are none of ours it is walked on.
  const int half_bits = (std::bit_width(count - 1) + 1) / 2;
  do
    turn = permuted(turn, half_bits, seed);
  while (turn >= count);
  return turn;
}

uint32_t Schedule::warp(uint32_t turn, uint32_t count, Random &random) const {
  return order == Order::kRandom ? random.below(count) : order == Order::kReverse ? count - 1 - turn : turn;
}

} // namespace tenon::emulator
