// How many blocks of a kernel a multiprocessor holds.
#include "driver/Driver.h"
#include <algorithm>

using namespace tenon::emulator;

namespace tenon::emulator {
namespace {
using SharedOfBlock = size_t (*)(int threads); // CUoccupancyB2DSize

Status largest_block(int *grid, int *block, FunctionObject *handle, SharedOfBlock shared_of, size_t shared, int limit) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!grid || !block || limit < 0)
    return kInvalidValue;
  FunctionObject *function = call.function(handle);
  if (!function)
    return kInvalidHandle;
  const DeviceModel &model = *call.driver.model;
  int most = function_attribute(*function, model, kFunctionMaxThreadsPerBlock), best = 0;
  if (limit)
    most = std::min(most, limit);
  *grid = *block = 0;
  // The largest block of those that fill a multiprocessor best, in whole warps but for the limit itself.
  for (int threads = most; threads > 0; threads = (threads - 1) / kThreadsPerWarp * kThreadsPerWarp) {
    size_t dynamic = shared_of ? shared_of(threads) : shared;
    int blocks = active_blocks(*function, model, threads, dynamic);
    if (blocks * threads <= best)
      continue;
    best = blocks * threads;
    *block = threads;
    *grid = blocks * model.multiprocessors;
  }
  return kSuccess;
}
} // namespace

int active_blocks(const FunctionObject &function, const DeviceModel &model, int threads, size_t dynamic_shared) {
  constexpr uint32_t kRegisterGranularity = 256; // of a warp's allocation
  constexpr uint64_t kSharedGranularity = 128;
  auto warps = static_cast<uint32_t>((threads + kThreadsPerWarp - 1) / kThreadsPerWarp);
  uint32_t per_warp =
      (function.registers * kThreadsPerWarp + kRegisterGranularity - 1) / kRegisterGranularity * kRegisterGranularity;
  uint64_t shared = function.program.static_shared + dynamic_shared;
  if (shared > static_cast<uint64_t>(model.shared_per_block_optin))
    return 0;
  shared = (shared + kReservedShared + kSharedGranularity - 1) / kSharedGranularity * kSharedGranularity;
  int blocks = model.blocks_per_multiprocessor;
  blocks = std::min(blocks, model.threads_per_multiprocessor / static_cast<int>(warps * kThreadsPerWarp));
  blocks = std::min(blocks, static_cast<int>(kRegistersPerMultiprocessor / std::max(1u, per_warp * warps)));
  return std::min(blocks, static_cast<int>(static_cast<uint64_t>(model.shared_per_multiprocessor) / shared));
}
} // namespace tenon::emulator

TENON_DRIVER_ENTRY Status cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, FunctionObject *handle,
                                                                               int threads, size_t dynamic_shared,
                                                                               unsigned flags) {
  constexpr unsigned kNoCachingOverride = 1;
  TENON_BEGIN(Call::Needs::kContext);
  if (!blocks || threads <= 0 || threads > kThreadsPerBlock || (flags & ~kNoCachingOverride))
    return kInvalidValue;
  FunctionObject *function = call.function(handle);
  if (!function)
    return kInvalidHandle;
  *blocks = active_blocks(*function, *call.driver.model, threads, dynamic_shared);
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, FunctionObject *function,
                                                                      int threads, size_t dynamic_shared) {
  return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, threads, dynamic_shared, 0);
}

TENON_DRIVER_ENTRY Status cuOccupancyMaxPotentialBlockSizeWithFlags(int *grid, int *block, FunctionObject *function,
                                                                    SharedOfBlock shared_of, size_t shared, int limit,
                                                                    unsigned flags) {
  return flags > 1 ? kInvalidValue : largest_block(grid, block, function, shared_of, shared, limit);
}
TENON_DRIVER_ENTRY Status cuOccupancyMaxPotentialBlockSize(int *grid, int *block, FunctionObject *function,
                                                           SharedOfBlock shared_of, size_t shared, int limit) {
  return largest_block(grid, block, function, shared_of, shared, limit);
}

/// What is left of a multiprocessor's shared memory for each of so many blocks.
TENON_DRIVER_ENTRY Status cuOccupancyAvailableDynamicSMemPerBlock(size_t *bytes, FunctionObject *handle, int blocks,
                                                                  int threads) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!bytes || blocks <= 0 || threads <= 0 || threads > kThreadsPerBlock)
    return kInvalidValue;
  FunctionObject *function = call.function(handle);
  if (!function)
    return kInvalidHandle;
  const DeviceModel &model = *call.driver.model;
  if (active_blocks(*function, model, threads, 0) < blocks)
    return kInvalidValue;
  constexpr int kGranularity = 128;
  int share = model.shared_per_multiprocessor / blocks / kGranularity * kGranularity - kReservedShared;
  share = std::min(share, model.shared_per_block_optin) - static_cast<int>(function->program.static_shared);
  *bytes = static_cast<size_t>(std::max(share, 0));
  return kSuccess;
}
