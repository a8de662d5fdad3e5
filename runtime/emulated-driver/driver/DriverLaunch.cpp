// Launching kernels.
#include "driver/Work.h"
#include "launch/Launch.h"
#include <algorithm>
#include <cstring>

using namespace tenon::emulator;

namespace tenon::emulator {
namespace {
constexpr uint32_t kMostBlock[3] = {1024, 1024, 64};
constexpr uint32_t kMostGrid[3] = {2147483647, 65535, 65535};

/// A refusal by the driver is also told to the report: the code alone does not say what was wrong.
Status refuse(const FunctionObject &function, Status status, const std::string &why) {
  Finding finding;
  finding.kind = FindingKind::kGeometry;
  finding.kernel = function.kernel->name;
  finding.location = function.kernel->location;
  if (function.kernel->source)
    finding.ptx = function.kernel->source->line(finding.location.line);
  finding.detail = why;
  finding.text = "launch geometry: kernel '" + finding.kernel + "', ptx line " + std::to_string(finding.location.line) +
                 ": " + why;
  Report::instance().add(std::move(finding));
  return status;
}

std::string extents(const uint32_t *values) {
  return std::to_string(values[0]) + " x " + std::to_string(values[1]) + " x " + std::to_string(values[2]);
}

/// Blocks and threads against the card's limits and the kernel's launch bounds.
Status check_shape(const FunctionObject &function, const uint32_t *grid, const uint32_t *block) {
  for (int i = 0; i < 3; i++) {
    if (grid[i] == 0 || grid[i] > kMostGrid[i])
      return refuse(function, kInvalidValue,
                    "a grid of " + extents(grid) + " blocks is not within 2147483647 x 65535 x 65535");
    if (block[i] == 0 || block[i] > kMostBlock[i])
      return refuse(function, kInvalidValue, "a block of " + extents(block) + " threads is not within 1024 x 1024 x 64");
  }
  uint64_t threads = uint64_t{block[0]} * block[1] * block[2];
  if (threads > kThreadsPerBlock)
    return refuse(function, kInvalidValue, "a block of " + std::to_string(threads) + " threads; 1024 are allowed");
  const Kernel &kernel = *function.kernel;
  if (kernel.required_threads[0] && !std::equal(block, block + 3, kernel.required_threads))
    return refuse(function, kInvalidValue,
                  "a block of " + extents(block) + " threads; .reqntid says " + extents(kernel.required_threads));
  uint64_t most = uint64_t{kernel.max_threads[0]} * kernel.max_threads[1] * kernel.max_threads[2];
  if (most && threads > most)
    return refuse(function, kInvalidValue,
                  "a block of " + std::to_string(threads) + " threads; .maxntid allows " + std::to_string(most));
  return kSuccess;
}

/// Registers and shared memory of a block against what a multiprocessor has.
Status check_resources(const FunctionObject &function, const DeviceModel &model, const uint32_t *block,
                       uint32_t dynamic_shared) {
  uint64_t threads = (uint64_t{block[0]} * block[1] * block[2] + kThreadsPerWarp - 1) / kThreadsPerWarp * kThreadsPerWarp;
  if (function.registers * threads > kRegistersPerMultiprocessor)
    return refuse(function, kLaunchOutOfResources,
                  std::to_string(threads) + " threads of " + std::to_string(function.registers) +
                      " registers need more than the 65536 of a multiprocessor");
  uint64_t shared = function.program.static_shared + dynamic_shared;
  bool opted_in = shared <= kSharedPerBlock || function.max_dynamic_shared > kSharedPerBlock;
  if (opted_in && dynamic_shared <= static_cast<uint32_t>(function.max_dynamic_shared) &&
      shared <= static_cast<uint64_t>(model.shared_per_block_optin))
    return kSuccess;
  return refuse(function, kInvalidValue,
                std::to_string(dynamic_shared) + " bytes of dynamic shared memory with " +
                    std::to_string(function.program.static_shared) + " static; the function's limit is " +
                    std::to_string(function.max_dynamic_shared) + ", the device's " +
                    std::to_string(model.shared_per_block_optin) +
                    (opted_in || shared > static_cast<uint64_t>(model.shared_per_block_optin)
                         ? ""
                         : "; more than 49152 must be opted in to (cuFuncSetAttribute)"));
}

/// How many blocks the card holds at once.
uint64_t resident_blocks(const FunctionObject &function, const DeviceModel &model, const KernelWork &work) {
  int threads = static_cast<int>(work.block[0] * work.block[1] * work.block[2]);
  return static_cast<uint64_t>(active_blocks(function, model, threads, work.dynamic_shared)) *
         static_cast<uint64_t>(model.multiprocessors);
}

/// The blocks of a cooperative grid wait for each other, so all must be resident at once.
Status check_cooperative(const FunctionObject &function, const DeviceModel &model, const KernelWork &work) {
  uint64_t blocks = uint64_t{work.grid[0]} * work.grid[1] * work.grid[2];
  uint64_t resident = resident_blocks(function, model, work);
  if (blocks <= resident)
    return kSuccess;
  return refuse(function, kCooperativeLaunchTooLarge,
                "a cooperative grid of " + std::to_string(blocks) + " blocks; " + std::to_string(resident) +
                    " are resident at once");
}

Status packed_parameters(const FunctionObject &function, void *const *extra, std::vector<std::byte> &bytes) {
  const Kernel &kernel = *function.kernel;
  const void *buffer = nullptr;
  size_t size = 0;
  for (void *const *item = extra; *item != kLaunchParamEnd; item += 2) {
    if (*item == kLaunchParamBufferPointer)
      buffer = item[1];
    else if (*item == kLaunchParamBufferSize && item[1])
      size = *static_cast<size_t *>(item[1]);
    else
      return kInvalidValue;
  }
  if (size < kernel.parameter_bytes || (kernel.parameter_bytes && !buffer))
    return refuse(function, kInvalidValue,
                  "a buffer of " + std::to_string(size) + " bytes for parameters of " +
                      std::to_string(kernel.parameter_bytes));
  if (kernel.parameter_bytes)
    std::memcpy(bytes.data(), buffer, kernel.parameter_bytes);
  return kSuccess;
}

/// What %envreg1 and %envreg2 point to: cooperative groups count arrivals at grid barriers in its second word, from zero.
uint64_t grid_workspace(DeviceMemory *memory) {
  constexpr uint64_t kBytes = 64;
  uint64_t at = memory->allocate(kBytes, "the workspace of grid barriers");
  if (!at)
    return 0;
  std::memset(memory->data(at), 0, kBytes);
  std::memset(memory->shadow(at), kWritten, kBytes);
  return at;
}

Status status_of(LaunchFailure failure) {
  static constexpr Status kStatuses[] = {kSuccess, kIllegalAddress, kMisalignedAddress, kLaunchFailed, kLaunchTimeout, kAssert};
  return kStatuses[static_cast<size_t>(failure)];
}

} // namespace

Status gather_parameters(const FunctionObject &function, void *const *parameters, void *const *extra,
                         KernelWork &work) {
  constexpr size_t kSlack = 16; // a vector load may begin at the last parameter
  const Kernel &kernel = *function.kernel;
  work.bytes.assign(kernel.parameter_bytes + kSlack, std::byte{0});
  work.parameters.clear();
  if (extra && parameters)
    return kInvalidValue;
  if (extra)
    if (Status status = packed_parameters(function, extra, work.bytes))
      return status;
  if (!extra && !parameters && !kernel.parameters.empty())
    return kInvalidValue;
  for (size_t i = 0; i < kernel.parameters.size(); i++) {
    std::byte *at = work.bytes.data() + kernel.parameters[i].offset;
    work.parameters.push_back(at);
    if (extra)
      continue;
    if (!parameters[i])
      return kInvalidValue;
    std::memcpy(at, parameters[i], kernel.parameters[i].size);
  }
  return kSuccess;
}

Status check_kernel(Call &call, const KernelWork &work) {
  const DeviceModel &model = *call.driver.model;
  if (!call.context->functions.count(work.function))
    return kInvalidHandle;
  if (Status status = check_shape(*work.function, work.grid.data(), work.block.data()))
    return status;
  if (Status status = check_resources(*work.function, model, work.block.data(), work.dynamic_shared))
    return status;
  return work.cooperative ? check_cooperative(*work.function, model, work) : kSuccess;
}

Status run_kernel(Call &call, const KernelWork &work) {
  if (!call.context->functions.count(work.function)) // its module has gone since the graph was made
    return kInvalidHandle;
  LaunchRequest request;
  std::copy(work.grid.begin(), work.grid.end(), request.grid);
  std::copy(work.block.begin(), work.block.end(), request.block);
  request.kernel = work.function->kernel;
  request.program = &work.function->program;
  request.executor = &executor();
  request.memory = &call.context->memory;
  request.dynamic_shared = work.dynamic_shared;
  request.multiprocessors = static_cast<uint32_t>(call.driver.model->multiprocessors);
  request.parameters = work.bytes.data();
  request.cooperative = work.cooperative;
  request.resident_blocks = resident_blocks(*work.function, *call.driver.model, work);
  if (work.cooperative && work.function->program.reads(SpecialRegister::kGridWorkspaceLow)) {
    request.grid_workspace = grid_workspace(request.memory);
    if (!request.grid_workspace)
      return kOutOfMemory;
  }
  // As on a card, a fault is told by what comes after the launch.
  call.context->sticky = status_of(Launch(request).run());
  if (request.grid_workspace)
    request.memory->free(request.grid_workspace);
  return kSuccess;
}

namespace {
Status launch(FunctionObject *handle, const LaunchConfiguration &how, bool cooperative, void **parameters,
              void **extra) {
  TENON_BEGIN(Call::Needs::kContext);
  FunctionObject *function = call.function(handle);
  if (!function || !call.stream(how.stream))
    return kInvalidHandle;
  KernelWork work;
  work.function = function;
  std::copy(how.grid, how.grid + 3, work.grid.begin());
  std::copy(how.block, how.block + 3, work.block.begin());
  work.dynamic_shared = how.dynamic_shared;
  work.cooperative = cooperative;
  if (Status status = gather_parameters(*function, parameters, extra, work))
    return status;
  return submit(call, how.stream, std::move(work));
}
} // namespace
} // namespace tenon::emulator

TENON_DRIVER_ENTRY Status cuLaunchKernel(FunctionObject *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                         unsigned block_x, unsigned block_y, unsigned block_z, unsigned dynamic_shared,
                                         StreamObject *stream, void **parameters, void **extra) {
  LaunchConfiguration how{{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, dynamic_shared, stream, nullptr, 0};
  return launch(function, how, false, parameters, extra);
}
TENON_DRIVER_ENTRY Status cuLaunchCooperativeKernel(FunctionObject *function, unsigned grid_x, unsigned grid_y,
                                                    unsigned grid_z, unsigned block_x, unsigned block_y,
                                                    unsigned block_z, unsigned dynamic_shared, StreamObject *stream,
                                                    void **parameters) {
  LaunchConfiguration how{{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, dynamic_shared, stream, nullptr, 0};
  return launch(function, how, true, parameters, nullptr);
}
/// Attributes that say how to schedule change nothing; clusters of more than one block are not there.
TENON_DRIVER_ENTRY Status cuLaunchKernelEx(const LaunchConfiguration *how, FunctionObject *function, void **parameters,
                                           void **extra) {
  if (!how || (how->attribute_count && !how->attributes))
    return kInvalidValue;
  bool cooperative = false;
  for (unsigned i = 0; i < how->attribute_count; i++) {
    const LaunchAttribute &attribute = how->attributes[i];
    if (attribute.id < 0 || attribute.id >= kLaunchAttributes)
      return kInvalidValue;
    if (attribute.id == kLaunchCooperative)
      cooperative = attribute.cooperative != 0;
    bool cluster = attribute.id == kLaunchCluster &&
                   uint64_t{attribute.cluster[0]} * attribute.cluster[1] * attribute.cluster[2] != 1;
    if (cluster)
      return kNotSupported;
  }
  return launch(function, *how, cooperative, parameters, extra);
}
