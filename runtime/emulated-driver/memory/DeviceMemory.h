// The memory of the emulated card. Device addresses lie in a reserved range that the host cannot touch, as on a real
// card; the bytes, and one shadow byte for each, lie elsewhere at fixed distances.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace tenon::emulator {

struct Allocation {
  uint64_t begin = 0;
  uint64_t size = 0;
  std::string name; // of a module's variable; empty for what the program allocated
  bool host = false;
};

class DeviceMemory {
public:
  explicit DeviceMemory(uint64_t capacity);
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory &) = delete;
  DeviceMemory &operator=(const DeviceMemory &) = delete;

  /// Address of `size` fresh bytes aligned to 256, or 0 where there is no room. Between allocations lies a gap that
  /// belongs to none, and addresses are not used again while others are left, so that stray accesses show.
  uint64_t allocate(uint64_t size, std::string name = {});
  /// False if the address is not the start of a live allocation.
  bool free(uint64_t address);

  /// The live allocation that holds [address, address + bytes), or nullptr.
  const Allocation *find(uint64_t address, uint64_t bytes) const;
  /// The allocation, live or freed, at or below the address, for findings.
  std::string describe(uint64_t address) const;
  bool was_freed(uint64_t address) const;

  std::byte *data(uint64_t address) const { return reinterpret_cast<std::byte *>(address + data_delta_); }
  uint8_t *shadow(uint64_t address) const { return reinterpret_cast<uint8_t *>(address + shadow_delta_); }
  uint64_t data_delta() const { return data_delta_; }
  uint64_t shadow_delta() const { return shadow_delta_; }
  uint64_t capacity() const { return capacity_; }
  uint64_t used() const { return used_; }
  bool contains(uint64_t address) const { return address - base_ < size_; }

private:
  uint64_t find_room(uint64_t size);

  uint64_t capacity_ = 0;
  uint64_t size_ = 0; // of each of the three ranges
  uint64_t base_ = 0;
  uint64_t data_delta_ = 0;
  uint64_t shadow_delta_ = 0;
  uint64_t next_ = 0;
  uint64_t used_ = 0;
  std::map<uint64_t, Allocation> live_;
  std::map<uint64_t, Allocation> freed_; // the latest to have stood at an address
};

} // namespace tenon::emulator
