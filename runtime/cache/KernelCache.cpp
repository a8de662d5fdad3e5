#include "tenon/KernelCache.h"

#include "device/Text.h"
#include "tenon/Log.h"

#include <algorithm>
#include <future>
#include <new>
#include <shared_mutex>
#include <unordered_map>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tenon {
namespace {

using Kernel = std::shared_ptr<const CachedKernel>;

struct KeyHash {
  size_t operator()(const KernelKey &key) const { return key.hash_low(); }
};

// A refusal is the compiler's answer to this key and stays true; anything else may pass.
bool stays(const Error &error) {
  return error.code() == ErrorCode::kCompilation;
}

Result<CompileOutcome> run_builder(KernelBuilder build) {
  try {
    return build();
  } catch (const std::bad_alloc &) {
    return Error(ErrorCode::kOutOfMemory, "compiling a kernel: the memory is exhausted");
  } catch (const std::exception &exception) {
    return Error(ErrorCode::kInternal, concat("compiling a kernel: ", exception.what()));
  }
}

std::optional<KernelImage> look_up_in(KernelStore &store, const KernelKey &key, size_t &bytes) {
  auto found = store.look_up(key);
  if (!found) {
    log(LogEvent::kCache, [&] { return concat("store: ", found.error().message()); });
    return std::nullopt;
  }
  if (!*found)
    return std::nullopt;
  Result<KernelImage> image = KernelImage::parse(**found);
  if (image && image->key == key.text()) {
    bytes = (*found)->size();
    return std::move(*image);
  }
  log(LogEvent::kCache, [&] {
    return concat("store: entry ", key.hash(), " is not used: ",
                  image ? std::string("it holds another key") : image.error().message());
  });
  return std::nullopt;
}

} // namespace

KernelKey::KernelKey(const Parts &parts)
    : text_(concat("code generation ", kCodeGenerationVersion, "\ngraph ", parts.graph_hash,
                   "\ntarget ", parts.target, "\nsignature ", parts.signature, "\noptions ",
                   parts.options, "\n")),
      target_(parts.target) {
  XXH128_hash_t hash = XXH3_128bits(text_.data(), text_.size());
  high_ = hash.high64;
  low_ = hash.low64;
}

std::string KernelKey::hash() const {
  return hexadecimal(high_) + hexadecimal(low_);
}

CachedKernel::CachedKernel(KernelKey key, KernelImage image, size_t bytes,
                           double compile_milliseconds)
    : key_(std::move(key)), image_(std::move(image)), bytes_(bytes),
      compile_milliseconds_(compile_milliseconds) {}

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
std::shared_ptr<void> KernelStore::claim(const KernelKey &) {
  return nullptr;
}

struct KernelCache::State {
  using Flight = std::shared_future<Result<Kernel>>;

  mutable std::shared_mutex mutex;
  std::unordered_map<KernelKey, Kernel, KeyHash> entries;
  std::unordered_map<KernelKey, Flight, KeyHash> flights; // kernels that some thread is making now
  std::shared_ptr<KernelStore> store;

  Result<Kernel> make(const KernelKey &key, KernelBuilder build);
  Result<Kernel> compile(const KernelKey &key, KernelStore *store, KernelBuilder build);
};

// Without the lock: other kernels are looked up and made meanwhile.
Result<Kernel> KernelCache::State::make(const KernelKey &key, KernelBuilder build) {
  std::shared_ptr<KernelStore> behind = [&] {
    std::shared_lock lock(mutex);
    return store;
  }();
  if (!behind)
    return compile(key, nullptr, build);
  size_t bytes = 0;
  std::optional<KernelImage> image = look_up_in(*behind, key, bytes);
  std::shared_ptr<void> claim;
  if (!image) {
    claim = behind->claim(key);
    if (claim)
      image = look_up_in(*behind, key, bytes); // another process may just have made it
  }
  if (!image)
    return compile(key, behind.get(), build);
  log(LogEvent::kCache, [&] {
    return concat("found ", key.hash(), " ", image->kernel, " for ", key.target(),
                  " in the store, ", bytes, " bytes");
  });
  return Kernel(std::make_shared<CachedKernel>(key, std::move(*image), bytes, 0));
}

Result<Kernel> KernelCache::State::compile(const KernelKey &key, KernelStore *behind,
                                           KernelBuilder build) {
  Result<CompileOutcome> outcome = run_builder(build);
  Result<KernelImage> image = outcome ? KernelImage::parse(outcome->bytes) : outcome.error();
  if (!image) {
    log(LogEvent::kCache, [&] {
      return concat("refused ", key.hash(), " for ", key.target(), ": ", image.error().message());
    });
    if (stays(image.error()))
      return Kernel(std::make_shared<CachedKernel>(key, image.error()));
    return image.error();
  }
  image->key = key.text(); // what a store compares, so that no two keys share an entry
  std::vector<std::byte> bytes = image->serialize();
  if (behind)
    if (Status published = behind->publish(key, bytes, outcome->milliseconds); !published)
      log(LogEvent::kCache, [&] { return concat("store: ", published.error().message()); });
  log(LogEvent::kCache, [&] {
    return concat("compiled ", key.hash(), " ", image->kernel, " for ", key.target(), " in ",
                  milliseconds_text(outcome->milliseconds), " ms, ", bytes.size(), " bytes");
  });
  return Kernel(
      std::make_shared<CachedKernel>(key, std::move(*image), bytes.size(), outcome->milliseconds));
}

KernelCache::KernelCache() : state_(std::make_unique<State>()) {}
KernelCache::~KernelCache() = default;

KernelCache &KernelCache::process() {
  static KernelCache *cache = new KernelCache; // threads may use it while the process ends
  return *cache;
}

Kernel KernelCache::lookup(const KernelKey &key) const {
  std::shared_lock lock(state_->mutex);
  auto found = state_->entries.find(key);
  if (found == state_->entries.end())
    return nullptr;
  found->second->hits_.fetch_add(1, std::memory_order_relaxed);
  return found->second;
}

Result<Kernel> KernelCache::lookup_or_compile(const KernelKey &key, KernelBuilder build) {
  auto kernel_or_refusal = [](Kernel kernel) -> Result<Kernel> {
    if (kernel->refusal())
      return *kernel->refusal();
    return kernel;
  };
  if (Kernel kernel = lookup(key))
    return kernel_or_refusal(std::move(kernel));

  std::promise<Result<Kernel>> promise;
  State::Flight flight;
  bool mine = false;
  {
    std::lock_guard lock(state_->mutex);
    if (auto found = state_->entries.find(key); found != state_->entries.end())
      return kernel_or_refusal(found->second);
    auto [position, inserted] = state_->flights.try_emplace(key);
    mine = inserted;
    if (mine)
      position->second = promise.get_future().share();
    flight = position->second;
  }
  if (mine) {
    Result<Kernel> made = state_->make(key, build);
    {
      std::lock_guard lock(state_->mutex);
      if (made)
        state_->entries.insert_or_assign(key, *made);
      state_->flights.erase(key);
    }
    promise.set_value(std::move(made));
  }
  const Result<Kernel> &made = flight.get();
  return made ? kernel_or_refusal(*made) : made;
}

std::vector<KernelCacheEntry> KernelCache::list() const {
  std::vector<KernelCacheEntry> lines;
  std::shared_lock lock(state_->mutex);
  for (const auto &[key, kernel] : state_->entries)
    lines.push_back({key.text(), key.hash(), kernel->image().kernel, kernel->bytes(),
                     kernel->hits(), kernel->compile_milliseconds(),
                     kernel->refusal() ? kernel->refusal()->message() : std::string()});
  std::ranges::sort(lines, {}, &KernelCacheEntry::key);
  return lines;
}

void KernelCache::clear() {
  std::unordered_map<KernelKey, Kernel, KeyHash> gone; // destroyed without the lock
  std::lock_guard lock(state_->mutex);
  gone.swap(state_->entries);
}

void KernelCache::set_store(std::shared_ptr<KernelStore> store) {
  std::lock_guard lock(state_->mutex);
  state_->store = std::move(store);
}

std::shared_ptr<KernelStore> KernelCache::store() const {
  std::shared_lock lock(state_->mutex);
  return state_->store;
}

} // namespace tenon
