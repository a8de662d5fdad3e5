// Manifests of kernels: read without a crash, and whatever is read lies in its bounds.
#include "Manifest.h"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const tenon::Result<tenon::command::Manifest> manifest =
      tenon::command::parse_manifest({reinterpret_cast<const char *>(data), size});
  if (!manifest)
    return manifest.error().message().empty() ? (__builtin_trap(), 0) : 0;
  if (manifest->kernels.empty())
    __builtin_trap();
  for (const tenon::command::ManifestKernel &kernel : manifest->kernels) {
    const auto &shape = kernel.shape;
    if (shape ? shape->head_dim < 1 || shape->heads < 1 : kernel.signature.empty())
      __builtin_trap();
  }
  return 0;
}
