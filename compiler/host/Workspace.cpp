#include "compiler/host/Workspace.h"

#include "llvm/Support/MathExtras.h"

#include <algorithm>

namespace tenon::tile {

int64_t Workspace::allocate(int64_t bytes) {
  bytes = llvm::alignTo(bytes, kAlignment);
  int64_t offset = 0;
  for (auto [start, size] : taken_) {
    if (start - offset >= bytes)
      break;
    offset = start + size;
  }
  taken_[offset] = bytes;
  bytes_ = std::max(bytes_, offset + bytes);
  return offset;
}

void Workspace::release(int64_t offset) {
  taken_.erase(offset);
}

} // namespace tenon::tile
