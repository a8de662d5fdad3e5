/// What launches have in common on all devices: grids and workspaces for given sizes, errors, log
/// lines.
#pragma once

#include "tenon/Device.h"

#include <algorithm>

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

/// What GridExtent says, or false for a negative size or more than 2^62.
inline bool compute_extent(const GridExtent &rule, const LaunchSizes &sizes, int64_t &extent) {
  int64_t size = sizes.of[static_cast<int>(rule.dimension)];
  int64_t times = sizes.of[static_cast<int>(rule.times)];
  if (size < 0 || times < 0)
    return false;
  // Sizes have 31 bits, multipliers 32: no sum or product below leaves 64 but the last.
  int64_t first = (size * rule.multiplier + rule.divisor - 1) / rule.divisor;
  int64_t second = (times + rule.times_divisor - 1) / rule.times_divisor;
  if (rule.times == Dimension::kKeyLength)
    second = std::max<int64_t>(second, 1); // no keys are one chunk: its blocks write that nothing was seen
  if (rule.most_times != 0 && second > rule.most_times) {
    const int64_t together = (second + rule.most_times - 1) / rule.most_times;
    second = (second + together - 1) / together;
  }
  return !__builtin_mul_overflow(first, second, &extent) && extent <= int64_t{1} << 62;
}

/// Whether a launch of these sizes has a part.
inline bool holds(const LaunchCondition &when, const LaunchSizes &sizes) {
  auto within = [&](const LengthRange &range, Dimension dimension) {
    int64_t size = sizes.of[static_cast<int>(dimension)];
    return size < 0 || (size >= range.least && size <= range.most); // for the grid to refuse
  };
  return within(when.queries, Dimension::kQueryLength) && within(when.keys, Dimension::kKeyLength);
}

/// Whether the sizes give a grid; false for a negative size or more than 2^62 blocks.
inline bool compute_grid(const LaunchPhase &phase, const LaunchSizes &sizes, GridSize &grid) {
  int64_t *extents[3] = {&grid.x, &grid.y, &grid.z};
  for (int axis = 0; axis < 3; ++axis)
    if (!compute_extent(phase.grid[axis], sizes, *extents[axis]))
      return false;
  int64_t plane = 0, blocks = 0;
  return !__builtin_mul_overflow(grid.x, grid.y, &plane) &&
         !__builtin_mul_overflow(plane, grid.z, &blocks) && blocks <= int64_t{1} << 62;
}

/// The error for sizes that compute_grid refused.
Error grid_error(const LaunchPhase &phase, const KernelArguments &arguments);

/// Bytes that all blocks of a launch share: the largest of its phases' needs, and behind it the workspace
/// tensors. False where 64 bits are too few or the grid is refused.
bool shared_workspace(const LaunchDescription &launch, const LaunchSizes &sizes, uint64_t &bytes);

/// Fills the slots of workspace tensors: they lie in an area of the size that shared_workspace gave.
void place_workspace_tensors(const LaunchDescription &launch, const LaunchSizes &sizes, void *area,
                             KernelArguments &arguments);

/// What phases hand on on the host is bounded, whatever the threads, so that what was prepared is enough: a launch of more
/// does a part of its batches, or of the heads of one, after the other.
inline constexpr uint64_t kMostSharedBytes = 7 << 18; // 1.75 MiB: with what float32 takes itself some 2 MB of a lone thread
struct LaunchParts {
  explicit LaunchParts(const LaunchSizes &of_all) : sizes(of_all) {}
  int64_t y = 1, z = 1;         ///< of the grid of a part
  int64_t all_y = 1, all_z = 1; ///< of the whole
  LaunchSizes sizes;            ///< of a part: what its phases hand on
  uint64_t bytes = 0;           ///< that this takes
  bool is_split() const { return y != all_y || z != all_z; }
};
/// False where 64 bits are too few or the grid is refused.
bool compute_parts(const LaunchDescription &launch, LaunchParts &parts);

/// The error for a kernel that was loaded on another device.
Error wrong_device(const LoadedKernel &kernel, const Device &device);

/// "attention_f16_d64 phase combine on cuda:0, 4 × 16 × 2 blocks of 128 threads, stream 0x55d0".
std::string launch_line(const LoadedKernel &kernel, const LaunchPhase &phase, const GridSize &grid,
                        StreamHandle stream);

} // namespace tenon
