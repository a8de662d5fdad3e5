#include "device/host/Workspace.h"

#include "device/Text.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <utility>
#include <vector>

namespace tenon::workspace {
namespace {

constexpr size_t kAlignment = 64, kSmallestArea = 4096;

struct Area {
  void *data = nullptr;
  size_t bytes = 0;
};

class Pool {
public:
  // The smallest free area that is large enough, else a new one, rounded up by an eighth at most.
  Area take(size_t bytes) {
    std::lock_guard lock(mutex_);
    auto best = free_.end();
    for (auto area = free_.begin(); area != free_.end(); ++area)
      if (area->bytes >= bytes && (best == free_.end() || area->bytes < best->bytes))
        best = area;
    if (best == free_.end())
      return make(bytes);
    Area area = *best;
    *best = free_.back();
    free_.pop_back();
    return area;
  }

  void give(Area area) {
    std::lock_guard lock(mutex_);
    free_.push_back(area); // within the capacity that make reserved
  }

  bool reserve(size_t bytes, int count) {
    std::lock_guard lock(mutex_);
    for (auto have = std::ranges::count_if(sizes_, [&](size_t size) { return size >= bytes; });
         have < count; ++have) {
      Area area = make(bytes);
      if (!area.data)
        return false;
      free_.push_back(area);
    }
    return true;
  }

private:
  // In place of one that is free and too small: needs that grow slowly would else leave an area each.
  Area make(size_t bytes) {
    if (bytes > (size_t{1} << 62))
      return {};
    if (const auto small = std::ranges::find_if(free_, [&](const Area &area) { return area.bytes < bytes; });
        small != free_.end()) {
      std::free(small->data);
      sizes_.erase(std::ranges::find(sizes_, small->bytes));
      *small = free_.back();
      free_.pop_back();
    }
    const size_t least = std::max(bytes, kSmallestArea), step = std::bit_floor(least) / 8;
    const size_t size = (least + step - 1) / step * step;
    void *data = std::aligned_alloc(kAlignment, size);
    if (!data)
      return {};
    sizes_.push_back(size);
    free_.reserve(sizes_.size());
    return {data, size};
  }

  std::mutex mutex_;
  std::vector<Area> free_;
  std::vector<size_t> sizes_; // of all areas that exist
};

// Never destroyed: threads give their areas back when they end, which may be after static
// destructors.
Pool &pool() {
  static Pool *instance = new Pool;
  return *instance;
}

struct ThreadArea {
  Area area;
  ~ThreadArea() {
    if (area.data)
      pool().give(area);
  }
};
thread_local ThreadArea thread_area;

[[gnu::noinline]] void *grow(size_t bytes) {
  if (Area old = std::exchange(thread_area.area, Area{}); old.data)
    pool().give(old);
  thread_area.area = pool().take(bytes);
  return thread_area.area.data;
}

} // namespace

void *of_thread(size_t bytes) {
  Area &area = thread_area.area;
  if (bytes <= area.bytes) [[likely]]
    return bytes == 0 ? nullptr : area.data;
  return grow(bytes);
}

Result<void> reserve(size_t bytes, int threads) {
  if (bytes > 0 && !pool().reserve(bytes, threads))
    return Error(ErrorCode::kOutOfMemory,
                 concat("workspace: ", threads, " areas of ", bytes, " bytes cannot be allocated"));
  return {};
}

Lease::Lease(size_t bytes) {
  Area area = bytes == 0 ? Area{} : pool().take(bytes);
  data_ = area.data;
  bytes_ = area.bytes;
}

Lease::~Lease() {
  if (data_)
    pool().give({data_, bytes_});
}

} // namespace tenon::workspace
