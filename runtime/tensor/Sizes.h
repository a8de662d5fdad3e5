/// Sizes, strides and arguments, checked.
#pragma once

#include "tenon/Tensor.h"

namespace tenon {

/// Dimensions of a tensor in a file: NumPy's own limit before version 2.
inline constexpr size_t kMostFileDimensions = 32;

/// The number of elements of `shape`. Errors: kInvalidArgument for a negative size, or where the
/// bytes do not fit 63 bits.
Result<int64_t> checked_count(std::span<const int64_t> shape, DataType dtype);

/// The bytes of so many elements. Errors: as checked_count.
Result<size_t> checked_bytes_of(std::span<const int64_t> shape, size_t element_bytes);

/// Row-major strides in elements.
std::vector<int64_t> contiguous_strides(std::span<const int64_t> shape);

/// The product modulo 2^64: strides beside dimensions of size 0 or 1, which are never used, may be
/// anything.
constexpr int64_t wrapping_multiply(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

Status require_defined(const Tensor &tensor, std::string_view argument);

/// Ends the program, which has a defect.
[[noreturn]] void misused(std::string_view what);

} // namespace tenon
