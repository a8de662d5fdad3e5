// What is done to a directory as a whole: listing, verifying, bounding, signing.
#include "cache/DiskStoreState.h"
#include "cache/EntryFile.h"
#include "cache/RangeLock.h"
#include "device/Text.h"
#include "tenon/Log.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <execution>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

namespace tenon {
namespace {

constexpr int64_t kSecondsADay = 24 * 60 * 60, kNanoseconds = 1'000'000'000; // a second
constexpr size_t kListedBytes = 4096; // of a file: the kernel's name and its key come first
constexpr size_t kBesideBytes = 64 << 10;

double milliseconds_in(const std::string &beside) {
  const auto object = nlohmann::json::parse(beside, nullptr, /*allow_exceptions=*/false);
  const auto found = object.is_object() ? object.find("compile_milliseconds") : object.end();
  return object.is_object() && found != object.end() && found->is_number() ? found->get<double>()
                                                                           : 0;
}

// From the first bytes where they suffice; a damaged entry is listed by its damage.
KernelCacheEntry summarise(const PrivateDirectory &in, const std::string &hash) {
  KernelCacheEntry line;
  line.hash = hash;
  Result<PrivateDirectory::File> file = in.read(entry_name(hash), kListedBytes);
  Result<KernelImage::Summary> summary =
      file ? KernelImage::parse_summary(file->bytes) : Result<KernelImage::Summary>(file.error());
  if (file && !summary && static_cast<size_t>(file->status.st_size) > kListedBytes)
    if (file = in.read(entry_name(hash)); file)
      summary = KernelImage::parse_summary(file->bytes);
  line.place = in.path();
  if (file) {
    line.bytes = static_cast<size_t>(file->status.st_size);
    line.last_used = file->status.st_mtime;
  }
  if (summary) {
    line.key = std::move(summary->key);
    line.kernel = std::move(summary->kernel);
  } else {
    line.refusal = summary.error().message();
  }
  return line;
}

std::string read_beside(const PrivateDirectory &in, const std::string &hash) {
  const Result<PrivateDirectory::File> file = in.read(provenance_name(hash), kBesideBytes);
  if (!file)
    return "{}";
  std::string text(reinterpret_cast<const char *>(file->bytes.data()), file->bytes.size());
  return nlohmann::json::accept(text) ? text : "{}";
}

} // namespace

Result<std::vector<DiskStore::State::Candidate>>
DiskStore::State::candidates(const PrivateDirectory &in) const {
  TENON_ASSIGN_OR_RETURN(const std::vector<std::string> names, in.names());
  std::vector<Candidate> found;
  struct stat status = {};
  for (const std::string &name : names)
    if (const std::string_view hash = hash_in(name); !hash.empty()) {
      if (in.status(name, status))
        found.push_back({std::string(hash), static_cast<uint64_t>(status.st_size),
                         status.st_mtim.tv_sec * kNanoseconds + status.st_mtim.tv_nsec});
      else if (errno != ENOENT) // another process may remove it meanwhile
        return file_error(in.path() + "/" + name, "cannot be read", errno);
    }
  return found;
}

Result<bool> DiskStore::State::remove(const PrivateDirectory &in, const Candidate &entry) const {
  TENON_ASSIGN_OR_RETURN(const bool used, in_use(in, entry.hash));
  if (used)
    return false;
  TENON_TRY(in.remove(entry_name(entry.hash)));
  TENON_TRY(in.remove(provenance_name(entry.hash)));
  log(LogEvent::kCache,
      [&] { return concat("evicted ", entry.hash, " from ", path, ", ", entry.bytes, " bytes"); });
  return true;
}

Result<std::vector<KernelCacheEntry>> DiskStore::list() {
  TENON_ASSIGN_OR_RETURN(const std::shared_ptr<PrivateDirectory> directory, state_->current());
  TENON_ASSIGN_OR_RETURN(std::vector<State::Candidate> entries, state_->candidates(*directory));
  std::ranges::sort(entries, {}, &State::Candidate::hash);
  std::vector<KernelCacheEntry> lines(entries.size());
  std::transform(std::execution::par, entries.begin(), entries.end(), lines.begin(),
                 [&](const State::Candidate &entry) {
                   KernelCacheEntry line = summarise(*directory, entry.hash);
                   line.compile_milliseconds = milliseconds_in(read_beside(*directory, entry.hash));
                   return line;
                 });
  return lines;
}

Result<uint64_t> DiskStore::evict(uint64_t bytes) {
  TENON_ASSIGN_OR_RETURN(const std::shared_ptr<PrivateDirectory> directory, state_->current());
  TENON_ASSIGN_OR_RETURN(std::vector<State::Candidate> entries, state_->candidates(*directory));
  std::ranges::sort(entries, {}, &State::Candidate::last_used);
  uint64_t kept = 0, gone = 0;
  for (const State::Candidate &entry : entries)
    kept += entry.bytes;
  for (const State::Candidate &entry : entries) {
    if (kept <= bytes)
      break;
    TENON_ASSIGN_OR_RETURN(const bool removed, state_->remove(*directory, entry));
    if (!removed)
      continue;
    kept -= entry.bytes;
    gone += entry.bytes;
  }
  std::lock_guard lock(state_->mutex);
  state_->bytes_kept = kept;
  return gone;
}

Result<uint64_t> DiskStore::prune(uint64_t max_bytes, uint32_t max_days) {
  TENON_ASSIGN_OR_RETURN(const std::shared_ptr<PrivateDirectory> directory, state_->current());
  TENON_TRY(directory->sweep());
  uint64_t gone = 0;
  if (max_days != 0) {
    TENON_ASSIGN_OR_RETURN(const std::vector<State::Candidate> entries,
                           state_->candidates(*directory));
    // A clock that was set back makes entries of the future, which are not old.
    const int64_t oldest = (std::time(nullptr) - max_days * kSecondsADay) * kNanoseconds;
    for (const State::Candidate &entry : entries)
      if (entry.last_used < oldest) {
        TENON_ASSIGN_OR_RETURN(const bool removed, state_->remove(*directory, entry));
        gone += removed ? entry.bytes : 0;
      }
  }
  TENON_ASSIGN_OR_RETURN(const uint64_t evicted, evict(max_bytes == 0 ? UINT64_MAX : max_bytes));
  return gone + evicted;
}

Result<uint64_t> DiskStore::clear() {
  TENON_ASSIGN_OR_RETURN(const std::shared_ptr<PrivateDirectory> directory, state_->current());
  TENON_ASSIGN_OR_RETURN(const std::vector<State::Candidate> entries,
                         state_->candidates(*directory));
  uint64_t gone = 0;
  for (const State::Candidate &entry : entries) {
    TENON_ASSIGN_OR_RETURN(const bool removed, state_->remove(*directory, entry));
    gone += removed;
  }
  TENON_TRY(directory->sweep());
  return gone;
}

Result<std::vector<DiskStore::Damage>> DiskStore::verify() {
  TENON_ASSIGN_OR_RETURN(const std::shared_ptr<PrivateDirectory> directory, state_->current());
  TENON_ASSIGN_OR_RETURN(std::vector<State::Candidate> entries, state_->candidates(*directory));
  std::ranges::sort(entries, {}, &State::Candidate::hash);
  std::vector<Damage> damages;
  for (const State::Candidate &entry : entries) {
    const std::string name = entry_name(entry.hash);
    const Result<PrivateDirectory::File> file = directory->read(name);
    const Result<KernelImage> image =
        file ? open_entry(file->bytes, state_->options.signers) : Result<KernelImage>(file.error());
    if (!image)
      damages.push_back({name, image.error().message()});
    else if (const std::string hash = KernelKey::hash_of(image->key); hash != entry.hash)
      damages.push_back({name, concat("it holds another key, that of ", hash)});
  }
  return damages;
}

Result<StoredKernel> DiskStore::show(const std::string &prefix) {
  TENON_ASSIGN_OR_RETURN(const std::shared_ptr<PrivateDirectory> directory, state_->current());
  TENON_ASSIGN_OR_RETURN(std::vector<State::Candidate> entries, state_->candidates(*directory));
  std::erase_if(entries, [&](const auto &entry) { return !entry.hash.starts_with(prefix); });
  if (entries.empty())
    return Error(ErrorCode::kNotFound,
                 concat("no entry in ", state_->path, " begins with ", prefix));
  if (entries.size() > 1)
    return Error(ErrorCode::kInvalidArgument,
                 concat(entries.size(), " entries in ", state_->path, " begin with ", prefix));
  TENON_ASSIGN_OR_RETURN(const PrivateDirectory::File file,
                         directory->read(entry_name(entries.front().hash)));
  TENON_ASSIGN_OR_RETURN(KernelImage image, open_entry(file.bytes, state_->options.signers));
  return StoredKernel{std::move(image), file.bytes.size(), state_->path};
}

std::string DiskStore::provenance(const std::string &hash) const {
  const Result<std::shared_ptr<PrivateDirectory>> directory = state_->current();
  return directory ? read_beside(**directory, hash) : "{}";
}

Result<uint64_t> DiskStore::sign(const std::string &key_file) {
  TENON_ASSIGN_OR_RETURN(const SigningKey key, SigningKey::read(key_file));
  TENON_ASSIGN_OR_RETURN(const std::shared_ptr<PrivateDirectory> directory, state_->current());
  TENON_ASSIGN_OR_RETURN(const std::vector<State::Candidate> entries,
                         state_->candidates(*directory));
  uint64_t count = 0;
  for (const State::Candidate &entry : entries) {
    const std::string name = entry_name(entry.hash);
    TENON_ASSIGN_OR_RETURN(const PrivateDirectory::File file, directory->read(name));
    if (is_signed_by(file.bytes, key.public_key()))
      continue;
    if (const Result<KernelImage> image = open_entry(file.bytes, {}); !image)
      return Error(image.error().code(), concat(name, ": ", image.error().message()));
    TENON_ASSIGN_OR_RETURN(const std::vector<std::byte> sealed, seal(image_in(file.bytes), key));
    TENON_TRY(directory->replace(name, sealed));
    ++count;
  }
  return count;
}

} // namespace tenon
