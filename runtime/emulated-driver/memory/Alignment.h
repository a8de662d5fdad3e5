// Sizes and addresses in whole units.
#pragma once
#include <cstdint>

namespace tenon::emulator {

/// The least multiple of `alignment`, which is not zero, that is not below `value`.
constexpr uint64_t align_up(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

} // namespace tenon::emulator
