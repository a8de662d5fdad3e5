/// What launches have in common on all devices: grids and workspaces for given sizes, errors, log
/// lines.
#pragma once

#include "tenon/Device.h"

namespace tenon {

/// Indexed by Dimension.
struct LaunchSizes {
  int64_t of[6];
  explicit LaunchSizes(const KernelArguments &arguments)
      : of{1,
           arguments.batch,
           arguments.heads,
           arguments.key_heads,
           arguments.query_length,
           arguments.key_length} {}
};

/// Whether the sizes give a grid; false for a negative size or more than 2^62 blocks.
inline bool compute_grid(const LaunchPhase &phase, const LaunchSizes &sizes, GridSize &grid) {
  int64_t *extents[3] = {&grid.x, &grid.y, &grid.z};
  for (int axis = 0; axis < 3; ++axis) {
    const GridExtent &rule = phase.grid[axis];
    int64_t size = sizes.of[static_cast<int>(rule.dimension)];
    if (size < 0)
      return false;
    *extents[axis] = (size + rule.divisor - 1) / rule.divisor;
  }
  int64_t blocks = 0;
  return !__builtin_mul_overflow(grid.x * grid.y, grid.z, &blocks) && blocks <= int64_t{1} << 62;
}

/// The error for sizes that compute_grid refused.
Error grid_error(const LaunchPhase &phase, const KernelArguments &arguments);

/// Bytes that all blocks of a launch share: the largest of its phases' needs. False where 64 bits
/// are too few or the grid is refused.
bool shared_workspace(const LaunchDescription &launch, const LaunchSizes &sizes, uint64_t &bytes);

/// The error for a kernel that was loaded on another device.
Error wrong_device(const LoadedKernel &kernel, const Device &device);

/// "attention_f16_d64 phase combine on cuda:0, 4 × 16 × 2 blocks of 128 threads, stream 0x55d0".
std::string launch_line(const LoadedKernel &kernel, const LaunchPhase &phase, const GridSize &grid,
                        StreamHandle stream);

} // namespace tenon
