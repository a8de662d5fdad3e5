/// Sizes and strides, checked.
#pragma once

#include "tenon/Tensor.h"

namespace tenon {

/// The number of elements of `shape`. Errors: kInvalidArgument for a negative size, or where the bytes
/// do not fit 63 bits.
Result<int64_t> checked_count(std::span<const int64_t> shape, DataType dtype);

/// Row-major strides in elements.
std::vector<int64_t> contiguous_strides(std::span<const int64_t> shape);

} // namespace tenon
