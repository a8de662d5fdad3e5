/// The functions of the CUDA driver that Tenon calls, found by name in a library opened while it
/// runs.
///
/// Types and numbers are those of cuda.h (CUDA 12 and 13 have the same binary interface for all of
/// them), so that building Tenon needs no CUDA toolkit. `cuda` opens NVIDIA's driver, `emulator`
/// Tenon's own.
#pragma once

#include "tenon/Result.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace tenon::cuda {

using DriverStatus = int; ///< CUresult; 0 is success
using DeviceOrdinal = int;
using DevicePointer = unsigned long long;
using Context = struct ContextOpaque *;
using Module = struct ModuleOpaque *;
using Function = struct FunctionOpaque *;
using Stream = struct StreamOpaque *;

// CUdevice_attribute
inline constexpr int kMaxThreadsPerBlock = 1, kMaxSharedMemoryPerBlock = 8, kClockKilohertz = 13,
                     kMultiprocessors = 16, kMemoryClockKilohertz = 36, kMemoryBusBits = 37,
                     kCapabilityMajor = 75, kCapabilityMinor = 76,
                     kMaxSharedMemoryPerBlockOptin = 97;
// CUfunction_attribute
inline constexpr int kFunctionMaxDynamicShared = 8;
// CUjit_option
inline constexpr int kJitErrorLogBuffer = 5, kJitErrorLogBufferBytes = 6;
// CUresult
inline constexpr DriverStatus kSuccess = 0, kStatusOutOfMemory = 2;

// name of the member, symbol exported by the library, type of the function
#define TENON_DRIVER_FUNCTIONS(X)                                                                  \
  X(init, "cuInit", DriverStatus(unsigned))                                                        \
  X(driver_version, "cuDriverGetVersion", DriverStatus(int *))                                     \
  X(device_count, "cuDeviceGetCount", DriverStatus(int *))                                         \
  X(device_get, "cuDeviceGet", DriverStatus(DeviceOrdinal *, int))                                 \
  X(device_name, "cuDeviceGetName", DriverStatus(char *, int, DeviceOrdinal))                      \
  X(device_attribute, "cuDeviceGetAttribute", DriverStatus(int *, int, DeviceOrdinal))             \
  X(primary_context_retain, "cuDevicePrimaryCtxRetain", DriverStatus(Context *, DeviceOrdinal))    \
  X(context_current, "cuCtxGetCurrent", DriverStatus(Context *))                                   \
  X(context_push, "cuCtxPushCurrent_v2", DriverStatus(Context))                                    \
  X(context_pop, "cuCtxPopCurrent_v2", DriverStatus(Context *))                                    \
  X(memory_allocate, "cuMemAlloc_v2", DriverStatus(DevicePointer *, size_t))                       \
  X(memory_free, "cuMemFree_v2", DriverStatus(DevicePointer))                                      \
  X(copy_to_device, "cuMemcpyHtoDAsync_v2",                                                        \
    DriverStatus(DevicePointer, const void *, size_t, Stream))                                     \
  X(copy_to_host, "cuMemcpyDtoHAsync_v2", DriverStatus(void *, DevicePointer, size_t, Stream))     \
  X(copy_on_device, "cuMemcpyDtoDAsync_v2",                                                        \
    DriverStatus(DevicePointer, DevicePointer, size_t, Stream))                                    \
  X(stream_synchronise, "cuStreamSynchronize", DriverStatus(Stream))                               \
  X(module_load, "cuModuleLoadDataEx",                                                             \
    DriverStatus(Module *, const void *, unsigned, int *, void **))                                \
  X(module_unload, "cuModuleUnload", DriverStatus(Module))                                         \
  X(module_function, "cuModuleGetFunction", DriverStatus(Function *, Module, const char *))        \
  X(function_set_attribute, "cuFuncSetAttribute", DriverStatus(Function, int, int))                \
  X(launch_kernel, "cuLaunchKernel",                                                               \
    DriverStatus(Function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,   \
                 Stream, void **, void **))                                                        \
  X(error_name, "cuGetErrorName", DriverStatus(DriverStatus, const char **))                       \
  X(error_string, "cuGetErrorString", DriverStatus(DriverStatus, const char **))

// Those that a library may lack.
#define TENON_DRIVER_OPTIONAL_FUNCTIONS(X)                                                         \
  X(stream_is_capturing, "cuStreamIsCapturing", DriverStatus(Stream, int *))                       \
  X(emulator_report, "tenonEmulatorReport", size_t(char *, size_t))

struct DriverTable {
#define TENON_MEMBER(member, symbol, type) std::add_pointer_t<type> member = nullptr;
  TENON_DRIVER_FUNCTIONS(TENON_MEMBER)
  TENON_DRIVER_OPTIONAL_FUNCTIONS(TENON_MEMBER)
#undef TENON_MEMBER

  /// Opens the library, fills the table and calls cuInit. The library stays open. Errors:
  /// kUnsupported: cannot be opened, exports no such symbol, or finds no device.
  static Result<DriverTable> open(const std::string &path);

  /// "cuMemAlloc: CUDA_ERROR_INVALID_VALUE (invalid argument)"
  Error error(const char *call, DriverStatus status) const;
  /// The same for what a kernel may have caused: followed by what the emulator found, if it is one.
  Error kernel_error(const char *call, DriverStatus status) const;
};

/// What each kind opens: "libcuda.so.1", or the emulated driver, which TENON_EMULATED_DRIVER may
/// name.
std::string nvidia_driver_library();
std::string emulated_driver_library();

} // namespace tenon::cuda
