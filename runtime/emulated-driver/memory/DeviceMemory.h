// The memory of the emulated card. Device addresses lie in a reserved range that the host cannot touch, as on a real
// card; the bytes, and one shadow byte for each, lie elsewhere at fixed distances.
//
// Behind the card's own memory follows a range for what host and device share: managed, page-locked and registered
// memory. Its bytes are pages that are mapped a second time: at the device address itself, so that one pointer serves
// both, or, for registered memory, at the place where the program had it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace tenon::emulator {

enum class MemoryKind : uint8_t { kDevice, kManaged, kPageLocked, kRegistered };

struct Allocation {
  uint64_t begin = 0;
  uint64_t size = 0;
  std::string name; // of a module's variable; empty for what the program allocated
  MemoryKind kind = MemoryKind::kDevice;
  uint64_t host = 0;         // where the host finds it; 0 where it cannot
  unsigned flags = 0;        // of cuMemHostAlloc and cuMemHostRegister
  void *pool = nullptr;      // PoolObject of a stream-ordered allocation
  uint64_t id = 0;           // CU_POINTER_ATTRIBUTE_BUFFER_ID
  bool synchronises = false; // CU_POINTER_ATTRIBUTE_SYNC_MEMOPS
  bool constant = false;     // a module's .const variable

  bool host_visible() const { return kind != MemoryKind::kDevice; }
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
  /// The same of memory that the host reaches at the same address; it reads as zero. It is not the card's, and not
  /// counted.
  uint64_t allocate_shared(uint64_t size, MemoryKind kind, unsigned flags, std::string name = {});
  /// Lets the device see host memory, in whole pages; its bytes stay, and no other thread may write to them meanwhile.
  /// Returns the device address, or 0 where there is no such memory.
  uint64_t register_host(void *memory, uint64_t size, unsigned flags);
  /// False if the address is not the start of a live allocation.
  bool free(uint64_t address);

  /// The live allocation that holds [address, address + bytes), or nullptr.
  const Allocation *find(uint64_t address, uint64_t bytes) const;
  Allocation *find(uint64_t address, uint64_t bytes);
  /// The live registration that holds this host address, or nullptr.
  const Allocation *find_registered(uint64_t host, uint64_t bytes) const;
  /// The allocation, live or freed, at or below the address, for findings.
  std::string describe(uint64_t address) const;
  /// The nearest variable of constant memory, for findings.
  std::string describe_constant(uint64_t address) const;
  bool was_freed(uint64_t address) const;

  std::byte *data(uint64_t address) const { return reinterpret_cast<std::byte *>(address + data_delta_); }
  uint8_t *shadow(uint64_t address) const { return reinterpret_cast<uint8_t *>(address + shadow_delta_); }
  uint64_t data_delta() const { return data_delta_; }
  uint64_t shadow_delta() const { return shadow_delta_; }
  /// Who touched each word of four bytes last is kept at twice its address plus this (execute/Warp.h, AccessRecords);
  /// 0 where the system has no room for that.
  uint64_t writes_delta() const { return writes_delta_; }
  uint64_t reads_delta() const { return reads_delta_; }
  /// The first of `count` numbers for the blocks of a launch, so that records of earlier launches are told apart.
  /// 0 where there are too many.
  uint64_t number_blocks(uint64_t count);
  uint64_t capacity() const { return capacity_; }
  uint64_t used() const { return used_; }
  bool contains(uint64_t address) const { return address - base_ < size_ + shared_size_; }
  const std::map<uint64_t, Allocation> &live() const { return live_; }

private:
  uint64_t find_room(uint64_t size);
  uint64_t find_shared_room(uint64_t size) const;
  bool open_shared_file();
  bool map_shared(uint64_t at, uint64_t pages_of, uint64_t size);
  void give_back(uint64_t address, uint64_t size);
  void give_back_shared(const Allocation &allocation);
  void reserve_records();

  uint64_t capacity_ = 0;
  uint64_t size_ = 0; // of the card's part of each of the three ranges
  uint64_t shared_size_ = 0;
  uint64_t base_ = 0;
  uint64_t data_delta_ = 0;
  uint64_t shadow_delta_ = 0;
  uint64_t writes_delta_ = 0;
  uint64_t reads_delta_ = 0;
  uint64_t next_block_ = 1;
  uint64_t next_ = 0;
  uint64_t used_ = 0;
  uint64_t last_id_ = 0;
  int file_ = -1; // of the shared part's bytes
  std::map<uint64_t, Allocation> live_;
  std::map<uint64_t, Allocation> freed_; // the latest to have stood at an address
};

} // namespace tenon::emulator
