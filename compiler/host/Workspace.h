/// Static places in the calling thread's workspace, for the tiles of one block.
#pragma once

#include "llvm/ADT/DenseMap.h"

#include <cstdint>
#include <map>

namespace tenon::tile {

/// First fit, in whole cache lines. What is released is given out again.
class Workspace {
public:
  static constexpr int64_t kAlignment = 64;

  int64_t allocate(int64_t bytes);
  void release(int64_t offset);
  /// The largest extent so far.
  int64_t bytes() const { return bytes_; }

private:
  std::map<int64_t, int64_t> taken_; ///< offset -> bytes
  int64_t bytes_ = 0;
};

} // namespace tenon::tile
