/// A device allocates, copies, loads, launches and synchronises: few verbs, the same for every
/// device.
///
///     Device *device = Device::open(DeviceKind::kCuda, 0).value();
///     auto kernel = device->load(image).value();
///     KernelArguments arguments = …;
///     device->prepare(*kernel, arguments, stream);     // whatever a launch would allocate
///     device->launch(*kernel, arguments, stream);      // returns before the kernel ends, on a GPU
///     device->synchronise(stream);
///
/// `cuda` is NVIDIA's driver, opened by name when asked for; `emulator` is the same device on
/// Tenon's emulated driver; `host` is the processor that the program runs on. Devices live as long
/// as the process and may be used from all threads. CUDA devices work in the primary context of
/// their ordinal, so that pointers and streams of the runtime API and of other libraries may be
/// passed.
///
/// **Errors of a kernel** come late on a GPU: `launch` reports what is wrong with the launch, and
/// an error while the kernel runs (kDevice) is reported by `synchronise` or by a later call on that
/// device. After a fault the driver refuses everything in that context. The host's launches are
/// synchronous.
#pragma once

#include "tenon/Api.h"
#include "tenon/KernelImage.h"
#include "tenon/Result.h"
#include "tenon/Target.h"
#include "tenon/Tensor.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

/// A CUstream or cudaStream_t as a number, 0 for the default stream. The host has none and ignores
/// it.
using StreamHandle = uintptr_t;

/// Where the two sides of a copy lie; a host pointer is any memory of the process.
enum class CopyDirection : uint8_t { kHostToDevice, kDeviceToHost, kDeviceToDevice };

class Device;

/// Code in the form in which a device runs it. Unloaded when the last holder lets go; a holder
/// keeps it until the launches that use it have ended.
class TENON_API LoadedKernel {
public:
  virtual ~LoadedKernel();
  const Device &device() const { return device_; }
  const std::string &kernel() const { return kernel_; }
  const LaunchDescription &description() const { return description_; }
  /// The section that was taken: "sm_90 (cubin)", "sm_80 (PTX)", "host:x86-64-v4".
  const std::string &section() const { return section_; }

protected:
  LoadedKernel(const Device &device, std::string kernel, LaunchDescription description,
               std::string section);

private:
  const Device &device_;
  std::string kernel_, section_;
  LaunchDescription description_;
};

/// What a GPU does at best, in 10^9 a second: multiprocessors · clock · operations a clock, by the
/// driver's figures and, for the last, NVIDIA's white papers. Zero where they are not known.
struct DeviceRates {
  double tensor_half = 0;  ///< operations on the tensor cores, f16 and bf16, float32 sums, dense
  double float32 = 0;      ///< operations, two an FMA
  double exponentials = 0; ///< ex2.approx
  double memory = 0;       ///< bytes
};

class TENON_API Device {
public:
  virtual ~Device();
  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;

  DeviceKind kind() const { return kind_; }
  int ordinal() const { return ordinal_; }
  const std::string &name() const { return name_; } ///< "NVIDIA H200", or the processor's brand
  const Target &target() const { return target_; }  ///< the best target that it executes

  /// Whether code for `target` runs here: kUnsupported says why not.
  virtual Result<void> can_execute(const Target &target) const = 0;

  /// Of a GPU; all zero for the host, whose rates are measured (tenon bench).
  virtual DeviceRates rates() const;

  /// The names of all targets whose code runs here, the best first.
  std::vector<std::string> executable_targets() const;

  /// Memory of the device aligned to 256 bytes (host: 64); null for 0 bytes. Errors: kOutOfMemory.
  virtual Result<void *> allocate(size_t bytes) = 0;
  /// Gives back what allocate returned; null is allowed. Waits for the device, as cuMemFree does.
  virtual Result<void> free(void *memory) = 0;
  /// Copies in the order of `stream`. Where one side is pageable host memory, returns after the
  /// copy.
  virtual Result<void> copy(void *to, const void *from, size_t bytes, CopyDirection direction,
                            StreamHandle stream) = 0;

  /// Makes an image executable. Errors: kUnsupported where it holds no section that runs here,
  /// naming those it holds; kDevice with the driver's log where the driver refuses it.
  virtual Result<std::shared_ptr<const LoadedKernel>> load(const KernelImage &image) = 0;

  /// Allocates what launches of these sizes need, so that `launch` allocates nothing, and can be
  /// captured in a CUDA graph. Of `arguments` only the sizes are read.
  virtual Result<void> prepare(const LoadedKernel &kernel, const KernelArguments &arguments,
                               StreamHandle stream) = 0;
  /// Runs the phases that these lengths have, in order. Sets arguments.workspace on a GPU, and on the
  /// host where there are several of them: an area that all blocks share, as large as WorkspaceRule says for a GPU.
  /// Errors: kInvalidArgument for negative sizes; kUnsupported for a grid beyond the device's
  /// limits; kDevice for what the driver reports.
  virtual Result<void> launch(const LoadedKernel &kernel, KernelArguments &arguments,
                              StreamHandle stream) = 0;
  /// Waits for all work on the stream, and reports what went wrong in it.
  virtual Result<void> synchronise(StreamHandle stream) = 0;

  /// Errors: kUnsupported where the device is not there, with the reason that list_devices gives;
  /// kInvalidArgument for an ordinal out of range.
  static Result<Device *> open(DeviceKind kind, int ordinal = 0);

protected:
  Device(DeviceKind kind, int ordinal, std::string name, Target target);

private:
  DeviceKind kind_;
  int ordinal_;
  std::string name_;
  Target target_;
};

/// A line of `tenon devices`.
struct DeviceStatus {
  DeviceKind kind;
  int ordinal = 0;
  bool available = false;
  std::string name;   ///< "NVIDIA H200"; "" where not available
  std::string target; ///< "sm_90a", "host:x86-64-v4+amx"
  std::string reason; ///< why it is not available: "libcuda.so.1 cannot be opened: …"; or why no better target is taken
};

/// Every way to run a kernel, those that are not available included: at least one line each for
/// host, cuda and emulator.
TENON_API std::vector<DeviceStatus> list_devices();

/// Whether a launch of these sizes has the phase.
TENON_API bool runs(const LaunchPhase &phase, const KernelArguments &arguments);

/// The blocks of a phase for these sizes. Errors: kInvalidArgument for a negative size, naming it.
struct GridSize {
  int64_t x = 1, y = 1, z = 1;
  int64_t blocks() const { return x * y * z; }
};
TENON_API Result<GridSize> grid_of(const LaunchPhase &phase, const KernelArguments &arguments);

/// Bytes that the phases of a launch share: what each block of the largest phase needs, and the workspace
/// tensors. Errors as those of grid_of.
TENON_API Result<uint64_t> workspace_of(const LaunchDescription &launch,
                                        const KernelArguments &arguments);
/// What is prepared for launches on the host: an area for each thread of the arena and for one from outside, and one, no
/// smaller, that phases share. Launches that share more than 1.75 MiB are done in parts, of one head at least, one after the other.
TENON_API Result<uint64_t> host_workspace_of(const LaunchDescription &launch,
                                             const KernelArguments &arguments);

} // namespace tenon
