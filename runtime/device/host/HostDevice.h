/// The processor that the program runs on, as a device: code in anonymous memory, blocks over
/// threads.
#pragma once

#include "tenon/Device.h"

namespace tenon {

class HostDevice final : public Device {
public:
  /// Errors: kUnsupported below x86-64-v3.
  static Result<std::unique_ptr<Device>> open();
  explicit HostDevice(Target target);

  Result<void> can_execute(const Target &target) const override;
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
};

} // namespace tenon
