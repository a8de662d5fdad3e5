#include "tenon/KernelCache.h"

#include <algorithm>
#include <utility>

namespace tenon {

CachedKernel::CachedKernel(KernelKey key, KernelImage image, size_t bytes,
                           double compile_milliseconds, std::string choice, CacheNotes notes)
    : key_(std::move(key)), image_(std::move(image)), bytes_(bytes),
      compile_milliseconds_(compile_milliseconds), choice_(std::move(choice)),
      notes_(std::move(notes)) {}

CachedKernel::CachedKernel(KernelKey key, Error refusal)
    : key_(std::move(key)), refusal_(std::move(refusal)) {}

Result<std::shared_ptr<const LoadedKernel>> CachedKernel::loaded_on(Device &device) const {
  if (refusal_)
    return *refusal_;
  std::lock_guard lock(loading_);
  auto found = std::ranges::find(loaded_, &device, &OnDevice::device);
  if (found != loaded_.end())
    return found->kernel;
  TENON_ASSIGN_OR_RETURN(std::shared_ptr<const LoadedKernel> kernel, device.load(image_));
  loaded_.push_back({&device, kernel});
  return kernel;
}

KernelStore::~KernelStore() = default;
std::shared_ptr<void> KernelStore::claim(const KernelKey &, CacheNotes &) {
  return nullptr;
}

} // namespace tenon
