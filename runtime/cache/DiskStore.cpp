#include "tenon/DiskStore.h"

#include "cache/DiskStoreState.h"
#include "cache/EntryFile.h"
#include "cache/RangeLock.h"
#include "device/Text.h"
#include "tenon/Log.h"
#include "tenon/Version.h"

#include <cerrno>
#include <ctime>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace tenon {
namespace {

const std::string kEnding = ".tenon-" + std::to_string(KernelImage::kFormatVersion);
constexpr std::string_view kBeside = ".json";
constexpr size_t kHashDigits = 32;
constexpr std::chrono::minutes kLongestWait(5); // for a process that stopped while it compiled
constexpr uint64_t kFirstUseByte = uint64_t{1} << 62;

// The low half of a hash in hexadecimal digits.
uint64_t low_half(std::string_view hash) {
  uint64_t number = 0;
  for (char digit : hash.substr(kHashDigits / 2))
    number = number << 4 | static_cast<uint64_t>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
  return number;
}

std::string now_text() {
  const time_t now = std::time(nullptr);
  struct tm parts = {};
  char text[32] = {};
  ::gmtime_r(&now, &parts);
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string beside_text(const Provenance &provenance) {
  char host[256] = {};
  ::gethostname(host, sizeof host - 1);
  nlohmann::ordered_json object = {{"when", now_text()},
                                   {"where", host},
                                   {"by", concat("tenon ", version())},
                                   {"compile_milliseconds", provenance.compile_milliseconds}};
  const auto details = nlohmann::ordered_json::parse(provenance.details, nullptr, false);
  if (details.is_object())
    object.update(details);
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

bool only_for_reading(int number) {
  return number == EROFS || number == EACCES || number == EPERM;
}

// Holds one byte of the lock file until it is closed; a child of fork holds nothing.
class Claim {
public:
  explicit Claim(Descriptor file) : file_(std::move(file)), process_(::getpid()) {
    close_in_children(file_.number());
  }
  ~Claim() {
    if (::getpid() != process_) {
      file_.release();
      return;
    }
    keep_no_longer(file_.number());
  }
  Claim(const Claim &) = delete;
  Claim &operator=(const Claim &) = delete;

private:
  Descriptor file_;
  pid_t process_;
};

} // namespace

std::string entry_name(std::string_view hash) {
  return concat(hash, kEnding);
}
std::string provenance_name(std::string_view hash) {
  return concat(hash, kBeside);
}
std::string_view hash_in(std::string_view name) {
  const std::string_view hash = name.substr(0, kHashDigits);
  const bool entry = name.size() == kHashDigits + kEnding.size() && name.ends_with(kEnding) &&
                     hash.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  return entry ? hash : std::string_view();
}
uint64_t claim_byte(std::string_view hash) {
  return low_half(hash) % kFirstUseByte;
}
uint64_t use_byte(std::string_view hash) {
  return kFirstUseByte + low_half(hash) % kUseSlots;
}

Result<std::shared_ptr<PrivateDirectory>> DiskStore::State::current() {
  std::lock_guard lock(mutex);
  const Result<void> checked = directory->check();
  if (!checked && checked.error().code() != ErrorCode::kNotFound)
    return checked.error();
  if (checked)
    return directory;
  TENON_ASSIGN_OR_RETURN(directory, PrivateDirectory::open(path, ownership()));
  uses = Descriptor();
  marked.reset();
  bytes_kept.reset();
  return directory;
}

Descriptor DiskStore::State::open_lock_file(const PrivateDirectory &in) const {
  return Descriptor(
      ::openat(in.descriptor(), "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
}

Result<void> DiskStore::State::mark_use(const PrivateDirectory &in, std::string_view hash,
                                        int entry) {
  const uint64_t byte = use_byte(hash);
  std::lock_guard lock(mutex);
  if (!writable() || &in != directory.get())
    return {};
  const std::string name = path + "/" + entry_name(hash);
  if (entry >= 0 && ::futimens(entry, nullptr) != 0 && !only_for_reading(errno))
    return file_error(name, "its last use cannot be kept", errno);
  if (marked[byte - kFirstUseByte])
    return {};
  if (!uses.opened()) {
    uses = open_lock_file(in);
    if (!uses.opened() && only_for_reading(errno))
      return {};
    if (!uses.opened())
      return file_error(path + "/lock", "cannot be opened", errno);
  }
  marked[byte - kFirstUseByte] = try_lock_byte(uses.number(), byte, LockKind::kShared);
  if (!marked[byte - kFirstUseByte] && errno != EAGAIN && errno != EACCES)
    return file_error(name, "cannot be marked as in use", errno);
  return {};
}

Result<bool> DiskStore::State::in_use(const PrivateDirectory &in, std::string_view hash) const {
  const Descriptor file = open_lock_file(in);
  if (!file.opened())
    return file_error(path + "/lock", "cannot be opened", errno);
  if (try_lock_byte(file.number(), use_byte(hash), LockKind::kExclusive) || no_locks(errno))
    return false; // without locks: readers hold the bytes in memory all the same
  if (errno == EAGAIN || errno == EACCES)
    return true;
  return file_error(path + "/lock", "cannot be locked", errno);
}

DiskStore::DiskStore(std::unique_ptr<State> state) : state_(std::move(state)) {}
DiskStore::~DiskStore() = default;

Result<std::shared_ptr<DiskStore>> DiskStore::open(std::string directory,
                                                   DiskStoreOptions options) {
  while (directory.size() > 1 && directory.ends_with('/'))
    directory.pop_back();
  auto state = std::make_unique<State>();
  state->path = std::move(directory);
  state->options = std::move(options);
  if (!state->options.signing_key.empty()) {
    TENON_ASSIGN_OR_RETURN(state->signing_key, SigningKey::read(state->options.signing_key));
  }
  TENON_ASSIGN_OR_RETURN(state->directory, PrivateDirectory::open(state->path, state->ownership()));
  return std::shared_ptr<DiskStore>(new DiskStore(std::move(state)));
}

std::string DiskStore::place() const {
  return state_->path;
}

std::optional<StoredKernel> DiskStore::look_up(const KernelKey &key, CacheNotes &notes) {
  const std::string hash = key.hash(), name = entry_name(hash);
  const Result<std::shared_ptr<PrivateDirectory>> directory = state_->current();
  if (!directory) {
    notes.push_back(directory.error().message());
    return std::nullopt;
  }
  {
    std::lock_guard lock(state_->mutex);
    if (state_->rejected.contains(name))
      return std::nullopt;
  }
  Result<PrivateDirectory::File> file = (*directory)->read(name);
  if (!file && file.error().code() == ErrorCode::kNotFound)
    return std::nullopt;
  if (!file && file.error().code() == ErrorCode::kIo) {
    notes.push_back(file.error().message());
    return std::nullopt;
  }
  Result<KernelImage> image = file ? verify_entry(file->bytes, key, state_->options.signers)
                                   : Result<KernelImage>(file.error());
  if (image) {
    const Result<void> marked = state_->mark_use(**directory, hash, file->descriptor.number());
    if (!marked)
      notes.push_back(marked.error().message());
    return StoredKernel{std::move(*image), file->bytes.size(), state_->path};
  }
  std::string note =
      concat("entry ", hash, " in ", state_->path, " is not used: ", image.error().message());
  // What only lacks a signature serves others, who require none.
  const bool whole = file && image.error().code() == ErrorCode::kUnsupported;
  const Result<void> aside =
      state_->writable() && !whole
          ? (*directory)->set_aside(name, image.error().message())
          : Result<void>(
                Error(ErrorCode::kIo, whole ? "others may use it" : "this layer is read alone"));
  note +=
      aside ? "; it was set aside" : concat("; it stays where it is: ", aside.error().message());
  if (!aside) {
    std::lock_guard lock(state_->mutex);
    state_->rejected.insert(name);
  }
  notes.push_back(std::move(note));
  return std::nullopt;
}

Result<void> DiskStore::publish(const KernelKey &key, std::span<const std::byte> image,
                                const Provenance &provenance) {
  const std::string hash = key.hash();
  if (!state_->writable())
    return Error(ErrorCode::kUnsupported, concat(state_->path, ": this layer is read alone"));
  if (!state_->options.signers.empty() && !state_->signing_key)
    return Error(ErrorCode::kUnsupported,
                 concat(state_->path, ": a signature is required and there is no key to sign with; "
                                      "the kernel is kept in memory alone"));
  std::vector<std::byte> sealed;
  if (state_->signing_key) {
    TENON_ASSIGN_OR_RETURN(sealed, seal(image, *state_->signing_key));
    image = sealed;
  }
  TENON_ASSIGN_OR_RETURN(const std::shared_ptr<PrivateDirectory> directory, state_->current());
  TENON_TRY(directory->replace(entry_name(hash), image));
  const std::string beside = beside_text(provenance);
  TENON_TRY(directory->replace(provenance_name(hash), std::as_bytes(std::span(beside))));
  TENON_TRY(state_->mark_use(*directory, hash, /*entry=*/-1));
  return bound(entry_name(hash), image.size());
}

// The first time, and whenever more is kept than may be.
Result<void> DiskStore::bound(const std::string &entry, uint64_t bytes) {
  bool full = false;
  {
    std::lock_guard lock(state_->mutex);
    state_->rejected.erase(entry);
    if (state_->bytes_kept)
      *state_->bytes_kept += bytes;
    full = !state_->bytes_kept ||
           (state_->options.max_bytes != 0 && *state_->bytes_kept > state_->options.max_bytes);
  }
  if (!full)
    return {};
  const Result<uint64_t> pruned = prune(state_->options.max_bytes, state_->options.max_days);
  return pruned ? Result<void>() : pruned.error();
}

std::shared_ptr<void> DiskStore::claim(const KernelKey &key, CacheNotes &notes) {
  if (!state_->writable())
    return nullptr;
  const Result<std::shared_ptr<PrivateDirectory>> directory = state_->current();
  if (!directory) {
    notes.push_back(directory.error().message());
    return nullptr;
  }
  Descriptor file = state_->open_lock_file(**directory);
  if (!file.opened()) {
    notes.push_back(file_error(state_->path + "/lock", "cannot be opened", errno).message());
    return nullptr;
  }
  const uint64_t byte = claim_byte(key.hash());
  const LockWait wait = lock_byte(file.number(), byte, kLongestWait);
  if (wait == LockWait::kLocked)
    return std::make_shared<Claim>(std::move(file));
  notes.push_back(concat(state_->path, "/lock: ",
                         wait == LockWait::kTimedOut ? "another process holds it for minutes"
                                                     : "the file system gives no locks",
                         "; several processes may compile one kernel"));
  return nullptr;
}

} // namespace tenon
