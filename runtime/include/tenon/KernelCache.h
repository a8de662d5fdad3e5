/// The kernels of this process: each compiled once, found again by everything that its code depends
/// on.
///
///     KernelKey key({graph.hash(), signature.text(), "sm_80", "{}"});
///     auto kernel = KernelCache::process().lookup_or_compile(key, [&] { return
///     compile_kernel(request); }); auto loaded = kernel.value()->loaded_on(device);
///
/// Threads that want one new kernel at the same time compile it once: the first builds, the others
/// wait and get what it got. A refusal of the compiler is kept like a kernel, since asking again
/// would get the same answer; other failures (no memory, no compiler library) are delivered to
/// those who waited, and the next call tries again. No lock is held while a builder or a kernel
/// runs.
#pragma once

#include "tenon/Api.h"
#include "tenon/Compiler.h"
#include "tenon/Device.h"
#include "tenon/FunctionRef.h"
#include "tenon/KernelImage.h"
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

/// All that the code of a kernel depends on. The text is the key; the hash only finds it.
class TENON_API KernelKey {
public:
  struct Parts {
    std::string graph_hash; ///< of the graph's canonical text
    std::string signature;  ///< Signature::text()
    std::string
        target; ///< with the figures that the schedule was made for, where not the named target's
    std::string options; ///< a JSON object
  };
  KernelKey() = default;
  /// Adds kCodeGenerationVersion to the parts.
  explicit KernelKey(const Parts &parts);

  /// One line for each part: "code generation 1\ngraph 3f2a…\ntarget sm_80\nsignature {…}\noptions
  /// {}\n".
  const std::string &text() const { return text_; }
  const std::string &target() const { return target_; }
  /// XXH3-128 of the text in 32 hexadecimal digits.
  std::string hash() const;
  uint64_t hash_high() const { return high_; }
  uint64_t hash_low() const { return low_; }
  bool operator==(const KernelKey &other) const {
    return low_ == other.low_ && high_ == other.high_ && text_ == other.text_;
  }

private:
  std::string text_, target_;
  uint64_t high_ = 0, low_ = 0;
};

/// One entry: a kernel's image and what is loaded of it, or why there is none.
class TENON_API CachedKernel {
public:
  CachedKernel(KernelKey key, KernelImage image, size_t bytes, double compile_milliseconds);
  CachedKernel(KernelKey key, Error refusal);

  const KernelKey &key() const { return key_; }
  const KernelImage &image() const { return image_; }
  const std::optional<Error> &refusal() const { return refusal_; }
  size_t bytes() const { return bytes_; }
  double compile_milliseconds() const {
    return compile_milliseconds_;
  } ///< 0 where it came from a store
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
  mutable std::atomic<uint64_t> hits_{0};
  mutable std::mutex loading_;
  mutable std::vector<OnDevice> loaded_;
};

/// A line of `tenon cache list`.
struct KernelCacheEntry {
  std::string key, hash, kernel;
  size_t bytes = 0;
  uint64_t hits = 0;
  double compile_milliseconds = 0;
  std::string refusal; ///< "" for a kernel
};

/// A tier behind the memory, such as a directory on disk. Every call may come from any thread.
class TENON_API KernelStore {
public:
  virtual ~KernelStore();
  /// The bytes of a kernel image; nullopt where there is none. An error is logged and counts as
  /// none.
  virtual Result<std::optional<std::vector<std::byte>>> look_up(const KernelKey &key) = 0;
  /// Keeps an image. An error (a full disk) is logged; the kernel is used all the same.
  virtual Result<void> publish(const KernelKey &key, std::span<const std::byte> image,
                               double compile_milliseconds) = 0;
  virtual Result<std::vector<KernelCacheEntry>> list() = 0;
  /// Removes the least recently used until no more than `bytes` are kept; returns how many bytes
  /// went.
  virtual Result<uint64_t> evict(uint64_t bytes) = 0;
  /// Called before compiling: waits until no other process compiles this kernel. The store is asked
  /// once more while the claim is held, and the claim ends with the object. The default claims
  /// nothing.
  virtual std::shared_ptr<void> claim(const KernelKey &key);
};

using KernelBuilder = FunctionRef<Result<CompileOutcome>()>;

class TENON_API KernelCache {
public:
  KernelCache();
  ~KernelCache();
  KernelCache(const KernelCache &) = delete;
  KernelCache &operator=(const KernelCache &) = delete;

  /// The cache that functions use unless they are given another.
  static KernelCache &process();

  /// What is in memory: a kernel or a refusal; null where neither. Takes a shared lock, allocates
  /// nothing.
  std::shared_ptr<const CachedKernel> lookup(const KernelKey &key) const;

  /// From memory, else from the store, else from `build`, whose bytes must be a kernel image.
  /// Errors: the builder's own; kCorruptFile where its bytes are no image.
  Result<std::shared_ptr<const CachedKernel>> lookup_or_compile(const KernelKey &key,
                                                                KernelBuilder build);

  std::vector<KernelCacheEntry> list() const;
  /// Forgets all entries; kernels in use stay alive with those who hold them.
  void clear();
  /// The tier behind; null for none.
  void set_store(std::shared_ptr<KernelStore> store);
  std::shared_ptr<KernelStore> store() const;

private:
  struct State;
  std::unique_ptr<State> state_;
};

} // namespace tenon
