/// The shapes that `tenon bench` runs where none is asked for.
#pragma once

#include "ShapeOptions.h"

#include <cstdint>
#include <vector>

namespace tenon::command {

/// As many queries as keys, values as wide as keys, a key head for each query head.
ShapeOptions square_shape(int64_t batch, int64_t heads, int64_t length, int64_t width,
                          const char *dtype, bool causal);
/// Of `tenon bench` alone.
std::vector<ShapeOptions> default_shapes();
/// Of `--suite lengths`, divided by `shorter`: heads of width 64.
std::vector<ShapeOptions> length_shapes(int64_t shorter);
/// Of `--suite gpu`: 16,384 rows of 2,048 columns in all, as in FlashAttention's own tables.
std::vector<ShapeOptions> gpu_shapes(int64_t shorter);

} // namespace tenon::command
