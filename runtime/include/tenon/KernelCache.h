/// The kernels of this process: each compiled once, found again by everything that its code depends
/// on; behind them the tiers that CacheOptions.h names.
///
///     KernelKey key({graph.hash(), signature.text(), "sm_80", "{}", graph.text()});
///     auto kernel = KernelCache::process().lookup_or_compile(key, [&] { return compile_kernel(request); });
///     auto loaded = kernel.value()->loaded_on(device);
///
/// Threads that want one new kernel at the same time compile it once: the first builds, the others
/// wait and get what it got. A refusal of the compiler is kept like a kernel, since asking again
/// would get the same answer; it is kept in memory alone, so that each process asks anew and the
/// next compiler, which may refuse less, is asked. Other failures (no memory, no compiler library)
/// are delivered to those who waited, and the next call tries again. No lock is held while a
/// builder or a kernel runs.
///
/// **Look-up.** The exact target in the own directory, then in each lower layer; then, in the lower
/// layers, which somebody built for this program, the best that the device executes; then the
/// compiler. Where nothing can be compiled (no compiler, or the policy is must_hit) the best in the
/// own directory too. `CachedKernel::choice` says which it was.
#pragma once

#include "tenon/Api.h"
#include "tenon/CacheOptions.h"
#include "tenon/Compiler.h"
#include "tenon/Device.h"
#include "tenon/FunctionRef.h"
#include "tenon/KernelImage.h"
#include "tenon/KernelKey.h"
#include "tenon/KernelStore.h"
#include "tenon/Result.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tenon {

/// One entry: a kernel's image and what is loaded of it, or why there is none.
class TENON_API CachedKernel {
public:
  CachedKernel(KernelKey key, KernelImage image, size_t bytes, double compile_milliseconds,
               std::string choice = {}, CacheNotes notes = {});
  CachedKernel(KernelKey key, Error refusal);

  const KernelKey &key() const { return key_; }
  const KernelImage &image() const { return image_; }
  const std::optional<Error> &refusal() const { return refusal_; }
  size_t bytes() const { return bytes_; }
  double compile_milliseconds() const {
    return compile_milliseconds_;
  } ///< 0 where it came from a store
  /// Where it came from and why that one: "compiled", "host:x86-64-v4 from /home/me/.cache/tenon".
  const std::string &choice() const { return choice_; }
  /// What was worked around to get it.
  const CacheNotes &notes() const { return notes_; }
  uint64_t hits() const { return hits_.load(std::memory_order_relaxed); }

  /// The kernel on a device: loaded at the first call for that device, by one thread.
  Result<std::shared_ptr<const LoadedKernel>> loaded_on(Device &device) const;

private:
  friend class KernelCache;
  struct OnDevice {
    Device *device;
    std::shared_ptr<const LoadedKernel> kernel;
  };

  KernelKey key_;
  KernelImage image_;
  std::optional<Error> refusal_;
  size_t bytes_ = 0;
  double compile_milliseconds_ = 0;
  std::string choice_;
  CacheNotes notes_;
  mutable std::atomic<uint64_t> hits_{0};
  mutable std::mutex loading_;
  mutable std::vector<OnDevice> loaded_;
};

using KernelBuilder = FunctionRef<Result<CompileOutcome>()>;

class TENON_API KernelCache {
public:
  KernelCache();
  ~KernelCache();
  KernelCache(const KernelCache &) = delete;
  KernelCache &operator=(const KernelCache &) = delete;

  /// The cache that functions use unless they are given another. It begins with the settings of the
  /// environment; where these are wrong, every look-up says so.
  static KernelCache &process();

  /// What is in memory: a kernel or a refusal; null where neither. Takes a shared lock, allocates
  /// nothing.
  std::shared_ptr<const CachedKernel> lookup(const KernelKey &key) const;

  /// From memory, else from the tiers behind, else from `build`, whose bytes must be a kernel
  /// image. `other_targets` are those whose code the device executes too, the best first. Errors:
  /// the builder's own; kCorruptFile where its bytes are no image; kCacheMiss where nothing may be
  /// compiled.
  Result<std::shared_ptr<const CachedKernel>>
  lookup_or_compile(const KernelKey &key, KernelBuilder build,
                    std::span<const std::string> other_targets = {});

  std::vector<KernelCacheEntry> list() const;
  /// Forgets all entries; kernels in use stay alive with those who hold them.
  void clear();
  /// Opens the tiers that the settings name. A directory that cannot be used is noted, and the rest
  /// goes on without it. Errors: settings that mean nothing; a public key that cannot be read.
  Status configure(const CacheOptions &options);
  CacheSettings settings() const;
  /// One more lower layer, behind those of the settings; it stays when these change. Errors: those
  /// of configure.
  Status add_layer(const std::string &directory);
  /// The tier that is read and written; null for none.
  void set_store(std::shared_ptr<KernelStore> store);
  std::shared_ptr<KernelStore> store() const;
  /// Tiers that are read alone, searched in this order behind the store.
  void set_layers(std::vector<std::shared_ptr<KernelStore>> layers);
  std::vector<std::shared_ptr<KernelStore>> layers() const;
  void set_policy(CachePolicy policy);
  /// What was worked around since the process began, each once.
  CacheNotes notes() const;

private:
  struct State;
  class Search;
  std::unique_ptr<State> state_;
};

/// TENON_LOG=cache's line of a compilation, for those who compile without a cache too. `what` is the
/// kernel's name, or the stage that was asked for.
TENON_API void log_compiled(const KernelKey &key, std::string_view what, double milliseconds,
                            size_t bytes);

/// Adds the folder of that name beside the program's file to the process's cache: what the CMake
/// function tenon_add_kernels calls before main. What is wrong with it is noted.
TENON_API bool add_kernels_beside_program(const char *folder);

} // namespace tenon
