#include "memory/DeviceMemory.h"
#include "execute/Warp.h"
#include "memory/Alignment.h"
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace tenon::emulator {
namespace {
constexpr uint64_t kAlignment = 256; // cuMemAlloc's
// Behind an allocation, so that what runs over its end by some rows meets nobody else's memory. Address space alone.
constexpr uint64_t kGap = 64 << 10;
constexpr uint64_t kPage = 4096;
constexpr size_t kRememberedFreed = 4096;
constexpr uint64_t kSharedBytes = uint64_t{64} << 30; // of host and device together; address space, not memory

uint64_t reserve(uint64_t size, int protection) {
  void *at = mmap(nullptr, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at == MAP_FAILED ? 0 : reinterpret_cast<uint64_t>(at);
}

/// Copies whole pages, which hold more than the program gave: what a sanitizer keeps between its objects too.
__attribute__((no_sanitize("address", "thread"))) void copy_pages(uint64_t to, uint64_t from, uint64_t bytes) {
  auto *target = reinterpret_cast<volatile uint64_t *>(to);
  auto *source = reinterpret_cast<const volatile uint64_t *>(from);
  for (uint64_t i = 0; i < bytes / sizeof(uint64_t); i++)
    target[i] = source[i];
}
} // namespace

DeviceMemory::DeviceMemory(uint64_t capacity) : capacity_(capacity) {
  // Twice the capacity, so that addresses last; less where the system does not give that much address space.
  for (size_ = align_up(capacity * 2, kPage); size_ >= (uint64_t{64} << 20); size_ /= 2) {
    shared_size_ = std::min(kSharedBytes, size_ / 2 / kPage * kPage);
    uint64_t whole = size_ + shared_size_;
    base_ = reserve(whole, PROT_NONE);
    uint64_t data = reserve(whole, PROT_READ | PROT_WRITE), shadow = reserve(whole, PROT_READ | PROT_WRITE);
    if (base_ && data && shadow) {
      data_delta_ = data - base_;
      shadow_delta_ = shadow - base_;
      next_ = base_ + kPage;
      reserve_records();
      return;
    }
    for (uint64_t at : {base_, data, shadow})
      if (at)
        munmap(reinterpret_cast<void *>(at), whole);
    base_ = 0;
  }
  size_ = shared_size_ = 0;
}

void DeviceMemory::reserve_records() {
  uint64_t writes = reserve(2 * (size_ + shared_size_), PROT_READ | PROT_WRITE), reads = reserve(2 * (size_ + shared_size_), PROT_READ | PROT_WRITE);
  if (writes && reads) {
    writes_delta_ = writes - 2 * base_;
    reads_delta_ = reads - 2 * base_;
    return;
  }
  for (uint64_t at : {writes, reads})
    if (at)
      munmap(reinterpret_cast<void *>(at), 2 * (size_ + shared_size_));
}

uint64_t DeviceMemory::number_blocks(uint64_t count) {
  static std::mutex mutex; // launches of several streams may begin together
  std::lock_guard lock(mutex);
  if (count >= access_record::kMostBlocks || !writes_delta_)
    return 0;
  if (next_block_ + count > access_record::kMostBlocks) {
    for (uint64_t delta : {writes_delta_, reads_delta_})
      madvise(reinterpret_cast<void *>(2 * base_ + delta), 2 * (size_ + shared_size_), MADV_DONTNEED);
    next_block_ = 1;
  }
  uint64_t first = next_block_;
  next_block_ += count;
  return first;
}

DeviceMemory::~DeviceMemory() {
  if (!base_)
    return;
  for (uint64_t delta : {writes_delta_, reads_delta_})
    if (delta)
      munmap(reinterpret_cast<void *>(2 * base_ + delta), 2 * (size_ + shared_size_));
  for (uint64_t delta : {uint64_t{0}, data_delta_, shadow_delta_})
    munmap(reinterpret_cast<void *>(base_ + delta), size_ + shared_size_);
  if (file_ >= 0)
    close(file_);
}

uint64_t DeviceMemory::find_room(uint64_t size) {
  if (base_ + size_ - next_ >= size + kGap)
    return next_;
  uint64_t candidate = base_ + kPage; // addresses are used up: the first hole that is large enough
  for (const auto &[begin, allocation] : live_) {
    if (begin >= base_ + size_ || begin >= candidate + size + kGap)
      break;
    candidate = align_up(begin + allocation.size + kGap, kAlignment);
  }
  return candidate < base_ + size_ && base_ + size_ - candidate >= size + kGap ? candidate : 0;
}

uint64_t DeviceMemory::find_shared_room(uint64_t size) const {
  uint64_t candidate = base_ + size_ + kPage;
  for (auto above = live_.lower_bound(candidate); above != live_.end(); ++above) {
    if (above->first >= candidate + size + kPage)
      break;
    candidate = align_up(above->first + above->second.size, kPage) + kPage;
  }
  uint64_t end = base_ + size_ + shared_size_;
  return candidate < end && end - candidate >= size + kPage ? candidate : 0;
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
  Allocation &made = live_[at] = {at, size, std::move(name)};
  made.id = ++last_id_;
  std::memset(shadow(at), kNeverWritten, size < kPage ? size : 0);
  return at;
}

bool DeviceMemory::open_shared_file() {
  if (file_ >= 0)
    return true;
  int file = memfd_create("emulated-card", MFD_CLOEXEC);
  if (file < 0)
    return false;
  void *at = reinterpret_cast<void *>(base_ + size_ + data_delta_);
  if (ftruncate(file, static_cast<off_t>(shared_size_)) ||
      mmap(at, shared_size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, file, 0) == MAP_FAILED) {
    close(file);
    return false;
  }
  file_ = file;
  return true;
}

/// Maps the pages of a shared device address at `at` too.
bool DeviceMemory::map_shared(uint64_t at, uint64_t pages_of, uint64_t size) {
  return mmap(reinterpret_cast<void *>(at), size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, file_,
              static_cast<off_t>(pages_of - base_ - size_)) != MAP_FAILED;
}

uint64_t DeviceMemory::allocate_shared(uint64_t size, MemoryKind kind, unsigned flags, std::string name) {
  if (size == 0 || !base_ || size > shared_size_ || !open_shared_file())
    return 0;
  uint64_t at = find_shared_room(align_up(size, kPage));
  if (!at || !map_shared(at, at, align_up(size, kPage)))
    return 0;
  freed_.erase(at);
  live_[at] = {at, size, std::move(name), kind, at, flags, nullptr, ++last_id_, false, false};
  std::memset(shadow(at), kWritten, size); // what the host writes is not seen
  return at;
}

uint64_t DeviceMemory::register_host(void *memory, uint64_t size, unsigned flags) {
  auto host = reinterpret_cast<uint64_t>(memory);
  uint64_t first = host / kPage * kPage, pages = align_up(host + size, kPage) - first;
  bool mapped = msync(reinterpret_cast<void *>(first), pages, MS_ASYNC) == 0;
  if (size == 0 || !base_ || size > shared_size_ || !mapped || !open_shared_file())
    return 0;
  uint64_t at = find_shared_room(pages);
  if (!at)
    return 0;
  copy_pages(at + data_delta_, first, pages);
  if (!map_shared(first, at, pages))
    return 0;
  uint64_t begin = at + (host - first);
  freed_.erase(begin);
  live_[begin] = {begin, size, {}, MemoryKind::kRegistered, host, flags, nullptr, ++last_id_, false, false};
  std::memset(shadow(begin), kWritten, size);
  return begin;
}

/// Whole pages go back to the system: they read as zero, and never written, when used again.
void DeviceMemory::give_back(uint64_t address, uint64_t size) {
  std::memset(shadow(address), kNeverWritten, size < kPage ? size : 0);
  uint64_t first = align_up(address, kPage), last = (address + size) / kPage * kPage;
  for (uint64_t delta : {data_delta_, shadow_delta_})
    if (last > first)
      madvise(reinterpret_cast<void *>(first + delta), last - first, MADV_DONTNEED);
  for (uint64_t delta : {writes_delta_, reads_delta_})
    if (last > first && delta)
      madvise(reinterpret_cast<void *>(2 * first + delta), 2 * (last - first), MADV_DONTNEED);
  if (size >= kPage) {
    std::memset(shadow(address), kNeverWritten, first - address);
    std::memset(shadow(last), kNeverWritten, address + size - last);
  }
}

void DeviceMemory::give_back_shared(const Allocation &allocation) {
  uint64_t first = allocation.begin / kPage * kPage,
           pages = align_up(allocation.begin + allocation.size, kPage) - first;
  std::memset(shadow(allocation.begin), kNeverWritten, allocation.size);
  if (allocation.kind == MemoryKind::kRegistered) { // the program keeps its bytes, in memory of its own again
    uint64_t host = allocation.host / kPage * kPage;
    void *at = reinterpret_cast<void *>(host);
    if (mmap(at, pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
      copy_pages(host, first + data_delta_, pages);
  } else {
    mmap(reinterpret_cast<void *>(first), pages, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
         0);
  }
  fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(first - base_ - size_),
            static_cast<off_t>(pages));
}

bool DeviceMemory::free(uint64_t address) {
  auto found = live_.find(address);
  if (found == live_.end())
    return false;
  if (found->second.host_visible()) {
    give_back_shared(found->second);
  } else {
    used_ -= found->second.size;
    give_back(address, found->second.size);
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

Allocation *DeviceMemory::find(uint64_t address, uint64_t bytes) {
  return const_cast<Allocation *>(std::as_const(*this).find(address, bytes));
}

const Allocation *DeviceMemory::find_registered(uint64_t host, uint64_t bytes) const {
  for (auto each = live_.lower_bound(base_ + size_); each != live_.end(); ++each) {
    const Allocation &allocation = each->second;
    uint64_t into = host - allocation.host;
    if (allocation.kind == MemoryKind::kRegistered && into < allocation.size && bytes <= allocation.size - into)
      return &allocation;
  }
  return nullptr;
}

bool DeviceMemory::was_freed(uint64_t address) const {
  auto above = freed_.upper_bound(address);
  return above != freed_.begin() && address - std::prev(above)->second.begin < std::prev(above)->second.size;
}

namespace {
std::string tell(const Allocation &allocation, uint64_t address, const char *state) {
  char text[256];
  const uint64_t end = allocation.begin + allocation.size;
  const bool inside = address >= allocation.begin && address < end;
  std::snprintf(text, sizeof(text), "%llu bytes %s %s of %llu bytes at 0x%llx%s%s",
                static_cast<unsigned long long>(inside                       ? address - allocation.begin
                                                : address < allocation.begin ? allocation.begin - address
                                                                             : address - end),
                inside                       ? "into"
                : address < allocation.begin ? "before"
                                             : "behind the end of",
                state, static_cast<unsigned long long>(allocation.size), static_cast<unsigned long long>(allocation.begin),
                allocation.name.empty() ? "" : ", variable ", allocation.name.c_str());
  return text;
}
} // namespace

std::string DeviceMemory::describe_constant(uint64_t address) const {
  const Allocation *nearest = nullptr;
  auto distance = [&](const Allocation &variable) {
    return address < variable.begin ? variable.begin - address : address - std::min(address, variable.begin + variable.size);
  };
  for (const auto &[begin, allocation] : live_)
    if (allocation.constant && (!nearest || distance(allocation) < distance(*nearest)))
      nearest = &allocation;
  const Allocation *there = find(address, 1);
  return (nearest ? tell(*nearest, address, "the constant variable") : "there is no constant variable") +
         (there && !there->constant ? "; " + tell(*there, address, "the allocation") : "");
}

std::string DeviceMemory::describe(uint64_t address) const {
  if (!contains(address))
    return "not an address of device memory";
  if (was_freed(address))
    return tell(std::prev(freed_.upper_bound(address))->second, address, "a freed allocation");
  auto above = live_.upper_bound(address);
  if (above != live_.begin()) {
    const Allocation &below = std::prev(above)->second;
    if (above == live_.end() || address - (below.begin + below.size) <= above->first - address ||
        address < below.begin + below.size)
      return tell(below, address, "the allocation");
  }
  if (above == live_.end())
    return "no allocation is near";
  return tell(above->second, address, "the allocation");
}

} // namespace tenon::emulator
