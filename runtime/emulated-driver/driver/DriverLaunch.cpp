// Launching kernels.
#include "driver/Driver.h"
#include "launch/Launch.h"
#include <algorithm>
#include <cstring>

using namespace tenon::emulator;

namespace {
constexpr uint32_t kMostThreads = 1024;
constexpr uint32_t kMostBlock[3] = {1024, 1024, 64};
constexpr uint32_t kMostGrid[3] = {2147483647, 65535, 65535};

/// A refusal by the driver is also told to the report: the code alone does not say what was wrong.
Status refuse(const FunctionObject &function, Status status, const std::string &why) {
  Finding finding;
  finding.kind = FindingKind::kGeometry;
  finding.kernel = function.kernel->name;
  finding.location = function.kernel->location;
  finding.text = "launch geometry: kernel '" + finding.kernel + "', ptx line " + std::to_string(finding.location.line) +
                 ": " + why;
  Report::instance().add(std::move(finding));
  return status;
}

std::string triple(const uint32_t *values) {
  return std::to_string(values[0]) + " x " + std::to_string(values[1]) + " x " + std::to_string(values[2]);
}

Status check_geometry(const FunctionObject &function, const DeviceModel &model, const uint32_t *grid,
                      const uint32_t *block, uint32_t dynamic_shared) {
  for (int i = 0; i < 3; i++) {
    if (grid[i] == 0 || grid[i] > kMostGrid[i])
      return refuse(function, kInvalidValue, "a grid of " + triple(grid) + " blocks is not within 2147483647 x 65535 x 65535");
    if (block[i] == 0 || block[i] > kMostBlock[i])
      return refuse(function, kInvalidValue, "a block of " + triple(block) + " threads is not within 1024 x 1024 x 64");
  }
  uint64_t threads = uint64_t{block[0]} * block[1] * block[2];
  if (threads > kMostThreads)
    return refuse(function, kInvalidValue, "a block of " + std::to_string(threads) + " threads; 1024 are allowed");
  const Kernel &kernel = *function.kernel;
  if (kernel.required_threads[0] && !std::equal(block, block + 3, kernel.required_threads))
    return refuse(function, kInvalidValue, "a block of " + triple(block) + " threads; .reqntid says " +
                                               triple(kernel.required_threads));
  uint64_t most = uint64_t{kernel.max_threads[0]} * kernel.max_threads[1] * kernel.max_threads[2];
  if (most && threads > most)
    return refuse(function, kInvalidValue,
                  "a block of " + std::to_string(threads) + " threads; .maxntid allows " + std::to_string(most));
  uint64_t shared = function.program.static_shared + dynamic_shared;
  if (dynamic_shared > static_cast<uint32_t>(function.max_dynamic_shared) ||
      shared > static_cast<uint64_t>(model.shared_per_block_optin))
    return refuse(function, kInvalidValue,
                  std::to_string(dynamic_shared) + " bytes of dynamic shared memory with " +
                      std::to_string(function.program.static_shared) + " static; the function's limit is " +
                      std::to_string(function.max_dynamic_shared) + ", the device's " +
                      std::to_string(model.shared_per_block_optin));
  if (shared > kSharedPerBlock && function.max_dynamic_shared <= kSharedPerBlock &&
      dynamic_shared + function.program.static_shared > kSharedPerBlock)
    return refuse(function, kInvalidValue, std::to_string(shared) +
                                               " bytes of shared memory without opting in to more than 49152");
  return kSuccess;
}

/// The bytes of all parameters, from an array of pointers or from the packed buffer of `extra`.
Status gather_parameters(const FunctionObject &function, void **parameters, void **extra, std::vector<std::byte> &bytes) {
  const Kernel &kernel = *function.kernel;
  bytes.assign(kernel.parameter_bytes + 16, std::byte{0});
  if (extra) {
    const void *buffer = nullptr;
    size_t size = 0;
    for (void **item = extra; *item != kLaunchParamEnd; item += 2) {
      if (*item == kLaunchParamBufferPointer)
        buffer = item[1];
      else if (*item == kLaunchParamBufferSize)
        size = *static_cast<size_t *>(item[1]);
      else
        return kInvalidValue;
    }
    if (parameters || size < kernel.parameter_bytes || (kernel.parameter_bytes && !buffer))
      return refuse(function, kInvalidValue, "a buffer of " + std::to_string(size) + " bytes for parameters of " +
                                                 std::to_string(kernel.parameter_bytes));
    if (kernel.parameter_bytes)
      std::memcpy(bytes.data(), buffer, kernel.parameter_bytes);
    return kSuccess;
  }
  if (!kernel.parameters.empty() && !parameters)
    return kInvalidValue;
  for (size_t i = 0; i < kernel.parameters.size(); i++) {
    if (!parameters[i])
      return kInvalidValue;
    std::memcpy(bytes.data() + kernel.parameters[i].offset, parameters[i], kernel.parameters[i].size);
  }
  return kSuccess;
}

Status status_of(LaunchFailure failure) {
  static constexpr Status kStatuses[] = {kSuccess, kIllegalAddress, kMisalignedAddress, kLaunchFailed, kLaunchTimeout};
  return kStatuses[static_cast<size_t>(failure)];
}

int occupancy(const FunctionObject &function, const DeviceModel &model, int threads, size_t dynamic_shared) {
  constexpr uint32_t kRegisters = 65536, kRegisterGranularity = 256; // a multiprocessor's; of a warp's allocation
  uint32_t warps = (static_cast<uint32_t>(threads) + 31) / 32;
  uint32_t registers = std::min(255u, function.program.register_count);
  uint32_t per_warp = (registers * 32 + kRegisterGranularity - 1) / kRegisterGranularity * kRegisterGranularity;
  uint64_t shared = function.program.static_shared + dynamic_shared + kReservedShared;
  int blocks = model.blocks_per_multiprocessor;
  blocks = std::min(blocks, model.threads_per_multiprocessor / static_cast<int>(warps * 32));
  blocks = std::min(blocks, static_cast<int>(kRegisters / std::max(1u, per_warp * warps)));
  return std::min(blocks, static_cast<int>(static_cast<uint64_t>(model.shared_per_multiprocessor) / shared));
}
} // namespace

TENON_DRIVER_ENTRY Status cuLaunchKernel(FunctionObject *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                         unsigned block_x, unsigned block_y, unsigned block_z, unsigned dynamic_shared,
                                         StreamObject *stream, void **parameters, void **extra) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!call.context->functions.count(function) || !call.owns(stream))
    return kInvalidHandle;
  LaunchRequest request;
  const uint32_t grid[3] = {grid_x, grid_y, grid_z}, block[3] = {block_x, block_y, block_z};
  if (Status status = check_geometry(*function, *call.driver.model, grid, block, dynamic_shared))
    return status;
  std::vector<std::byte> bytes;
  if (Status status = gather_parameters(*function, parameters, extra, bytes))
    return status;
  std::copy(grid, grid + 3, request.grid);
  std::copy(block, block + 3, request.block);
  request.kernel = function->kernel;
  request.program = &function->program;
  request.executor = &executor();
  request.memory = &call.context->memory;
  request.dynamic_shared = dynamic_shared;
  request.multiprocessors = static_cast<uint32_t>(call.driver.model->multiprocessors);
  request.parameters = bytes.data();
  // As on a card, a fault is told by what comes after the launch.
  call.context->sticky = status_of(Launch(request).run());
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, FunctionObject *function, int threads,
                                                                      size_t dynamic_shared) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!blocks || threads <= 0 || threads > static_cast<int>(kMostThreads))
    return kInvalidValue;
  if (!call.context->functions.count(function))
    return kInvalidHandle;
  *blocks = occupancy(*function, *call.driver.model, threads, dynamic_shared);
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, FunctionObject *function,
                                                                               int threads, size_t dynamic_shared,
                                                                               unsigned) {
  return cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function, threads, dynamic_shared);
}
