/// A GPU through the CUDA driver, NVIDIA's or Tenon's emulated one.
#pragma once

#include "device/cuda/DriverTable.h"
#include "tenon/Device.h"

#include <shared_mutex>
#include <unordered_map>
#include <vector>

namespace tenon {
struct CudaLaunch;
}

namespace tenon::cuda {

/// Workspaces by stream. An area is never freed while the process lives, since a CUDA graph that
/// was captured may write to it; doubling bounds what is lost to growth by the size of the last
/// area.
class StreamWorkspaces {
public:
  /// The stream's area, or 0 where it is smaller than `bytes`.
  DevicePointer find(StreamHandle stream, uint64_t bytes) const;
  void insert(StreamHandle stream, DevicePointer area, uint64_t bytes);

private:
  struct Area {
    DevicePointer data = 0;
    uint64_t bytes = 0;
  };
  static uint64_t key_of(StreamHandle stream);
  mutable std::shared_mutex mutex_;
  std::unordered_map<uint64_t, Area> areas_;
};

class CudaDevice final : public Device {
public:
  /// Errors: kInvalidArgument for an ordinal out of range; kUnsupported for a GPU that is too old.
  static Result<std::unique_ptr<Device>> open(DeviceKind kind, int ordinal,
                                              const DriverTable &driver);

  Result<void> can_execute(const Target &target) const override;
  DeviceRates rates() const override { return properties_.rates; }
  Result<void *> allocate(size_t bytes) override;
  Result<void> free(void *memory) override;
  Result<void> copy(void *to, const void *from, size_t bytes, CopyDirection direction,
                    StreamHandle stream) override;
  Result<std::shared_ptr<const LoadedKernel>> load(const KernelImage &image) override;
  Result<void> prepare(const LoadedKernel &kernel, const KernelArguments &arguments,
                       StreamHandle stream) override;
  Result<void> launch(const LoadedKernel &kernel, KernelArguments &arguments,
                      StreamHandle stream) override;
  Result<void> synchronise(StreamHandle stream) override;

  struct Properties {
    int compute_capability = 0;
    int max_threads = 0;          ///< a block
    int default_shared_bytes = 0; ///< dynamic shared memory a block without asking
    int max_shared_bytes = 0;     ///< and with
    DeviceRates rates;
  };
  const Properties &properties() const { return properties_; }
  /// Launches the first entry of a kernel that takes parameters of its own (tenon::CudaKernel).
  Result<void> launch_function(const LoadedKernel &kernel, const CudaLaunch &how,
                               void **parameters) const;

private:
  CudaDevice(DeviceKind kind, int ordinal, std::string name, Target target,
             const DriverTable &driver, Context context, Properties properties);

  const ImageSection *choose_section(const KernelImage &image) const;
  Result<Module> load_module(const KernelImage &image, const ImageSection &section) const;
  Result<Function> find_function(Module module, const LaunchPhase &phase) const;
  Result<void> check_grid(const LoadedKernel &kernel, const LaunchPhase &phase,
                          const GridSize &grid) const;
  /// The stream's workspace for a launch of these sizes, grown where it must be.
  Result<DevicePointer> workspace(const LoadedKernel &kernel, const KernelArguments &arguments,
                                  StreamHandle stream);

  const DriverTable &driver_;
  Context context_;
  Properties properties_;
  StreamWorkspaces workspaces_;
};

} // namespace tenon::cuda
