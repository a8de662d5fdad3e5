#include "memory/DeviceMemory.h"
#include "execute/Warp.h"
#include <cstdio>
#include <cstring>
#include <sys/mman.h>

namespace tenon::emulator {
namespace {
constexpr uint64_t kAlignment = 256; // cuMemAlloc's
constexpr uint64_t kGap = 256;
constexpr uint64_t kPage = 4096;
constexpr size_t kRememberedFreed = 4096;

uint64_t align_up(uint64_t value, uint64_t alignment) { return (value + alignment - 1) / alignment * alignment; }

uint64_t reserve(uint64_t size, int protection) {
  void *at = mmap(nullptr, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at == MAP_FAILED ? 0 : reinterpret_cast<uint64_t>(at);
}
} // namespace

DeviceMemory::DeviceMemory(uint64_t capacity) : capacity_(capacity) {
  // Twice the capacity, so that addresses last; less where the system does not give that much address space.
  for (size_ = align_up(capacity * 2, kPage); size_ >= (uint64_t{64} << 20); size_ /= 2) {
    base_ = reserve(size_, PROT_NONE);
    uint64_t data = reserve(size_, PROT_READ | PROT_WRITE), shadow = reserve(size_, PROT_READ | PROT_WRITE);
    if (base_ && data && shadow) {
      data_delta_ = data - base_;
      shadow_delta_ = shadow - base_;
      next_ = base_ + kPage;
      return;
    }
    for (uint64_t at : {base_, data, shadow})
      if (at)
        munmap(reinterpret_cast<void *>(at), size_);
    base_ = 0;
  }
  size_ = 0;
}

DeviceMemory::~DeviceMemory() {
  if (!base_)
    return;
  for (uint64_t delta : {uint64_t{0}, data_delta_, shadow_delta_})
    munmap(reinterpret_cast<void *>(base_ + delta), size_);
}

uint64_t DeviceMemory::find_room(uint64_t size) {
  if (base_ + size_ - next_ >= size + kGap)
    return next_;
  uint64_t candidate = base_ + kPage; // addresses are used up: the first hole that is large enough
  for (const auto &[begin, allocation] : live_) {
    if (begin >= candidate + size + kGap)
      return candidate;
    candidate = align_up(begin + allocation.size + kGap, kAlignment);
  }
  return base_ + size_ - candidate >= size + kGap && candidate < base_ + size_ ? candidate : 0;
}

uint64_t DeviceMemory::allocate(uint64_t size, std::string name) {
  if (size == 0 || !base_ || size > capacity_ || used_ + size > capacity_)
    return 0;
  uint64_t at = find_room(size);
  if (!at)
    return 0;
  if (at == next_)
    next_ = align_up(at + size + kGap, kAlignment);
  used_ += size;
  freed_.erase(at);
  live_[at] = {at, size, std::move(name), false};
  std::memset(shadow(at), kNeverWritten, size < kPage ? size : 0);
  return at;
}

bool DeviceMemory::free(uint64_t address) {
  auto found = live_.find(address);
  if (found == live_.end())
    return false;
  uint64_t size = found->second.size;
  used_ -= size;
  std::memset(shadow(address), kNeverWritten, size < kPage ? size : 0);
  // Whole pages go back to the system: they read as zero, and never written, when used again.
  uint64_t first = align_up(address, kPage), last = (address + size) / kPage * kPage;
  for (uint64_t delta : {data_delta_, shadow_delta_}) {
    if (last > first)
      madvise(reinterpret_cast<void *>(first + delta), last - first, MADV_DONTNEED);
  }
  if (size >= kPage) {
    std::memset(shadow(address), kNeverWritten, first - address);
    std::memset(shadow(last), kNeverWritten, address + size - last);
  }
  if (freed_.size() >= kRememberedFreed)
    freed_.erase(freed_.begin());
  freed_[address] = std::move(found->second);
  live_.erase(found);
  return true;
}

const Allocation *DeviceMemory::find(uint64_t address, uint64_t bytes) const {
  auto above = live_.upper_bound(address);
  if (above == live_.begin())
    return nullptr;
  const Allocation &allocation = std::prev(above)->second;
  uint64_t into = address - allocation.begin;
  return into <= allocation.size && bytes <= allocation.size - into ? &allocation : nullptr;
}

bool DeviceMemory::was_freed(uint64_t address) const {
  auto above = freed_.upper_bound(address);
  return above != freed_.begin() && address - std::prev(above)->second.begin < std::prev(above)->second.size;
}

std::string DeviceMemory::describe(uint64_t address) const {
  char text[256];
  auto tell = [&](const Allocation &allocation, const char *state) {
    uint64_t into = address - allocation.begin;
    bool inside = into < allocation.size;
    std::snprintf(text, sizeof(text), "%llu bytes %s %s of %llu bytes at 0x%llx%s%s",
                  static_cast<unsigned long long>(inside ? into : into - allocation.size),
                  inside ? "into" : "behind the end of", state, static_cast<unsigned long long>(allocation.size),
                  static_cast<unsigned long long>(allocation.begin), allocation.name.empty() ? "" : ", variable ",
                  allocation.name.c_str());
    return std::string(text);
  };
  if (!contains(address))
    return "not an address of device memory";
  if (was_freed(address))
    return tell(std::prev(freed_.upper_bound(address))->second, "a freed allocation");
  auto above = live_.upper_bound(address);
  if (above != live_.begin()) {
    const Allocation &below = std::prev(above)->second;
    if (above == live_.end() || address - (below.begin + below.size) <= above->first - address ||
        address < below.begin + below.size)
      return tell(below, "the allocation");
  }
  if (above == live_.end())
    return "no allocation is near";
  std::snprintf(text, sizeof(text), "%llu bytes before the allocation of %llu bytes at 0x%llx",
                static_cast<unsigned long long>(above->first - address),
                static_cast<unsigned long long>(above->second.size), static_cast<unsigned long long>(above->first));
  return text;
}

} // namespace tenon::emulator
