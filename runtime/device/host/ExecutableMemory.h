/// Machine code in memory of its own, never writable and executable at the same time.
#pragma once

#include "tenon/Result.h"

#include <cstddef>
#include <span>

namespace tenon {

class ExecutableMemory {
public:
  /// Copies `code` to fresh pages and makes them executable. Errors: kOutOfMemory; kUnsupported
  /// where the operating system allows no new executable memory.
  static Result<ExecutableMemory> make(std::span<const std::byte> code);

  ExecutableMemory(ExecutableMemory &&other) noexcept;
  ExecutableMemory &operator=(ExecutableMemory &&) = delete;
  ~ExecutableMemory();

  const std::byte *data() const { return data_; }

private:
  ExecutableMemory(std::byte *data, size_t size) : data_(data), size_(size) {}
  std::byte *data_;
  size_t size_;
};

} // namespace tenon
