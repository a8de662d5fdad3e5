/// What a KernelCache holds, and how a kernel comes into it (KernelSearch.cpp).
#pragma once

#include "tenon/KernelCache.h"

#include <future>
#include <shared_mutex>
#include <unordered_map>

namespace tenon {

using Kernel = std::shared_ptr<const CachedKernel>;

struct KeyHash {
  size_t operator()(const KernelKey &key) const { return key.hash_low(); }
};

struct KernelCache::State {
  using Flight = std::shared_future<Result<Kernel>>;
  using Store = std::shared_ptr<KernelStore>;

  mutable std::shared_mutex mutex;
  std::unordered_map<KernelKey, Kernel, KeyHash> entries;
  std::unordered_map<KernelKey, Flight, KeyHash> flights; // kernels that some thread is making now
  Store store;
  std::vector<Store> layers;
  CacheOptions options;
  CacheSettings settings;
  std::vector<std::string> program_layers;
  std::optional<Error> wrong_settings;
  CacheNotes notes;

  void note(const CacheNotes &more);
};

/// One kernel on its way into the memory, without the lock: others are looked up and made meanwhile.
class KernelCache::Search {
public:
  Search(State &state, const KernelKey &key, std::span<const std::string> other_targets);

  /// From a tier, else compiled. Errors: those of the builder; kCacheMiss where nothing may be compiled.
  Result<Kernel> make(KernelBuilder build);

private:
  Result<Kernel> find_or_compile(KernelBuilder build);
  Kernel exact();
  Kernel substitute(KernelStore &store);
  Result<Kernel> last_resort(Error otherwise);
  Kernel from(KernelStore &store, const KernelKey &key);
  Error miss() const;
  std::string graph_of(const KernelCacheEntry &entry) const;
  Result<Kernel> compile(KernelBuilder build);

  State &state_;
  const KernelKey &key_;
  std::span<const std::string> other_targets_;
  State::Store store_;
  std::vector<State::Store> layers_;
  CachePolicy policy_ = CachePolicy::kCompile;
  std::string record_;
  CacheNotes notes_;
};

} // namespace tenon
