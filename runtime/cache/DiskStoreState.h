/// What the files of DiskStore share.
#pragma once

#include "cache/PrivateDirectory.h"
#include "cache/Signing.h"
#include "tenon/DiskStore.h"

#include <atomic>
#include <bitset>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

/// The name of an entry without its ending, which is the hash of its key.
std::string entry_name(std::string_view hash);
std::string provenance_name(std::string_view hash);
/// "" for a name that is no entry's of this format.
std::string_view hash_in(std::string_view name);

/// Uses are marked by shared locks on slots of the lock file, 2^14 of them: a list of locks that
/// the system searches quickly. Two entries in one slot are in use together.
inline constexpr uint64_t kUseSlots = uint64_t{1} << 14;
uint64_t claim_byte(std::string_view hash);
uint64_t use_byte(std::string_view hash);

struct DiskStore::State {
  std::string path;
  DiskStoreOptions options;
  std::optional<SigningKey> signing_key;

  mutable std::mutex mutex; // of all below
  std::shared_ptr<PrivateDirectory> directory;
  Descriptor uses; // of the lock file, holding the marks of this store
  std::bitset<kUseSlots> marked;
  std::set<std::string, std::less<>> rejected; // that could not be set aside
  std::optional<uint64_t> bytes_kept;          // as far as this store knows

  bool writable() const { return !options.lower_layer && !options.read_only; }
  Ownership ownership() const { return options.lower_layer ? Ownership::kLower : Ownership::kOwn; }
  /// The directory, opened anew where it was removed. Errors: those of PrivateDirectory::open.
  Result<std::shared_ptr<PrivateDirectory>> current();
  /// errno says why it is not opened.
  Descriptor open_lock_file(const PrivateDirectory &in) const;
  /// Errors: kIo, but not where the directory is only to be read.
  Result<void> mark_use(const PrivateDirectory &in, std::string_view hash, int entry);
  /// Errors: kIo where it cannot be known.
  Result<bool> in_use(const PrivateDirectory &in, std::string_view hash) const;

  struct Candidate {
    std::string hash;
    uint64_t bytes = 0;
    int64_t last_used = 0; ///< in nanoseconds since 1970
  };
  Result<std::vector<Candidate>> candidates(const PrivateDirectory &in) const;
  /// Removes an entry and what stands beside it; false where it is in use. Errors: kIo.
  Result<bool> remove(const PrivateDirectory &in, const Candidate &entry) const;
};

} // namespace tenon
