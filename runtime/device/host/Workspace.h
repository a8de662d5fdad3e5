/// Scratch memory for host kernels: each thread keeps one area, and takes a larger one when it
/// must.
///
/// Areas come from a pool, so that `reserve` can put them there ahead for threads that do not run
/// yet, and a launch then allocates nothing. Addresses are multiples of 64 bytes, the width of a
/// vector.
#pragma once

#include "tenon/Result.h"

#include <cstddef>

namespace tenon::workspace {

/// The calling thread's own area of at least `bytes`, valid until its next call; null where the
/// memory is exhausted, and for 0 bytes.
void *of_thread(size_t bytes);

/// Sees to it that `threads` areas of at least `bytes` exist, in use or not. Errors: kOutOfMemory.
Result<void> reserve(size_t bytes, int threads);

/// An area for the length of one launch, shared by its blocks.
class Lease {
public:
  explicit Lease(size_t bytes);
  ~Lease();
  Lease(const Lease &) = delete;
  Lease &operator=(const Lease &) = delete;
  void *data() const { return data_; } ///< null where the memory is exhausted

private:
  void *data_;
  size_t bytes_ = 0;
};

} // namespace tenon::workspace
