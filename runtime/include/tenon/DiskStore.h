/// Kernels in a directory: one self-describing file each, safe to share between processes.
///
///     DIR/3f2a….tenon-2        an entry: a kernel image (KernelImage.h), and a signature behind it
///     DIR/3f2a….json           when, where and how it was made; nothing depends on it
///     DIR/lock                 one byte a kernel: whose byte is locked, that kernel is being compiled
///     DIR/set-aside/           what was damaged, each with its reason; the last 32
///
/// The name is the hash of the key; the digit is the image's format, so that two versions of Tenon
/// share a directory. An entry's modification time is its last use. Entries are written to a
/// temporary name, synced and renamed; nothing depends on the directory's own path, so that it can
/// be copied, merged, mounted elsewhere.
///
/// The directory belongs to the user and nobody else may write it: checked at each look-up, as is
/// every entry (a regular file of the owner's, no symbolic link, no second name). A lower layer is
/// read alone, may belong to root, and is never changed.
#pragma once

#include "tenon/Api.h"
#include "tenon/CacheOptions.h"
#include "tenon/KernelStore.h"
#include "tenon/Result.h"

#include <memory>
#include <string>
#include <vector>

namespace tenon {

struct DiskStoreOptions {
  bool lower_layer = false; ///< read alone; may belong to root
  bool read_only = false;   ///< the user's own, read alone
  uint64_t max_bytes = 0;   ///< 0 for no limit
  uint32_t max_days = 0;    ///< since the last use; 0 for no limit
  PublicKeys signers = {};
  std::string signing_key = {}; ///< a file; "" for none
};

class TENON_API DiskStore final : public KernelStore {
public:
  /// Opens a directory; the user's own is made where it is missing. Errors: kIo; kUnsupported for a
  /// directory that others can write, or that is somebody else's, with the reason; a signing key
  /// that cannot be read.
  static Result<std::shared_ptr<DiskStore>> open(std::string directory, DiskStoreOptions options);
  ~DiskStore() override;

  std::optional<StoredKernel> look_up(const KernelKey &key, CacheNotes &notes) override;
  Result<void> publish(const KernelKey &key, std::span<const std::byte> image,
                       const Provenance &provenance) override;
  Result<std::vector<KernelCacheEntry>> list() override;
  Result<uint64_t> evict(uint64_t bytes) override;
  std::shared_ptr<void> claim(const KernelKey &key, CacheNotes &notes) override;
  std::string place() const override;

  /// Removes also what was not used for max_days, temporary files of processes that died, and what
  /// was set aside longest ago. Returns how many bytes went.
  Result<uint64_t> prune(uint64_t max_bytes, uint32_t max_days);
  /// Removes every entry that is not in use; returns how many went.
  Result<uint64_t> clear();
  /// What is wrong with each entry that is not as it must be.
  struct Damage {
    std::string name, reason;
  };
  Result<std::vector<Damage>> verify();
  /// The image of the entry whose hash begins with `prefix`. Errors: kNotFound; kInvalidArgument
  /// where several do.
  Result<StoredKernel> show(const std::string &prefix);
  /// What stands beside an entry: a JSON object; "{}" where nothing does.
  std::string provenance(const std::string &hash) const;
  /// Signs every entry that is not signed by this key. Returns how many were.
  Result<uint64_t> sign(const std::string &key_file);

private:
  struct State;
  explicit DiskStore(std::unique_ptr<State> state);
  Result<void> bound(const std::string &entry, uint64_t bytes);
  std::unique_ptr<State> state_;
};

/// A new pair of keys: `secret` (0600) to sign with, `secret`.public to give away. Errors:
/// kUnsupported without libsodium; kIo.
TENON_API Result<void> make_signing_key(const std::string &secret);
/// Errors: kNotFound, kCorruptFile.
TENON_API Result<PublicKey> read_public_key(const std::string &file);

} // namespace tenon
