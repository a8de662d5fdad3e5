/// A tier behind the memory, such as a directory on disk: looks up, publishes, lists, evicts.
///
/// Whatever comes from a store is code. A store hands over only images that `verify_entry` has
/// passed: whole, of this format, holding the key that was asked, signed where that is required.
#pragma once

#include "tenon/Api.h"
#include "tenon/KernelImage.h"
#include "tenon/KernelKey.h"
#include "tenon/Result.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tenon {

/// What went wrong on the way and was worked around: "entry 3f2a… set aside: the checksum …".
using CacheNotes = std::vector<std::string>;

/// A line of `tenon cache list`.
struct KernelCacheEntry {
  std::string key, hash, kernel;
  size_t bytes = 0;
  uint64_t hits = 0;
  double compile_milliseconds = 0;
  std::string refusal;   ///< "" for a kernel
  std::string place;     ///< of the store; "" for what is in memory
  int64_t last_used = 0; ///< seconds since 1970, by the clock of who used it; 0 in memory
};

/// A verified image, and where it came from.
struct StoredKernel {
  KernelImage image;
  size_t bytes = 0;
  std::string place; ///< "/home/me/.cache/tenon"
};

/// How a kernel was made: kept beside an entry, since it differs from build to build.
struct Provenance {
  double compile_milliseconds = 0;
  std::string details = "{}"; ///< a JSON object: {"registers": 128, …}
};

/// Every call may come from any thread.
class TENON_API KernelStore {
public:
  virtual ~KernelStore();
  /// nullopt where there is none. What is damaged or foreign is set aside, noted, and counts as
  /// none.
  virtual std::optional<StoredKernel> look_up(const KernelKey &key, CacheNotes &notes) = 0;
  /// Keeps the bytes of an image. An error (a full disk) is noted; the kernel is used all the same.
  virtual Result<void> publish(const KernelKey &key, std::span<const std::byte> image,
                               const Provenance &provenance) = 0;
  virtual Result<std::vector<KernelCacheEntry>> list() = 0;
  /// Removes the least recently used, but none that is in use, until no more than `bytes` are kept;
  /// returns how many bytes went.
  virtual Result<uint64_t> evict(uint64_t bytes) = 0;
  /// Called before compiling: waits until no other process compiles this kernel. The store is asked
  /// once more while the claim is held, and the claim ends with the object. The default claims
  /// nothing.
  virtual std::shared_ptr<void> claim(const KernelKey &key, CacheNotes &notes);
  /// For people: "/home/me/.cache/tenon".
  virtual std::string place() const = 0;
};

/// Who may sign entries: Ed25519 public keys of 32 bytes. Where there are any, an entry without a
/// signature by one of them is refused.
using PublicKey = std::vector<std::byte>;
using PublicKeys = std::vector<PublicKey>;

/// The image in the bytes of an entry, after everything about it was checked. Errors:
/// kCorruptFile where it is damaged, of another format, holds another key or a wrong signature;
/// kUnsupported where a signature is required and is missing or by somebody else.
TENON_API Result<KernelImage> verify_entry(std::span<const std::byte> bytes, const KernelKey &key,
                                           const PublicKeys &signers);

} // namespace tenon
