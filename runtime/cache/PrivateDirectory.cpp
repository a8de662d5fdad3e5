#include "cache/PrivateDirectory.h"

#include "cache/RangeLock.h"
#include "device/Text.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

namespace tenon {
namespace {

constexpr const char *kSetAside = "set-aside";
constexpr size_t kKeptAside = 32;           // files of the folder above, reasons included
constexpr std::string_view kPart = ".part"; // how temporary names end
constexpr int64_t kYoungestDead = 10;       // seconds: a younger file may not have its lock yet
constexpr mode_t kOthersWrite = S_IWGRP | S_IWOTH;

// The XDG base directory specification: what is missing is made with mode 0700.
Result<void> make_folders(const std::string &path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST)
    return {};
  const size_t slash = path.find_last_of('/');
  if (errno != ENOENT || slash == std::string::npos || slash == 0)
    return file_error(path, "cannot be made", errno);
  TENON_TRY(make_folders(path.substr(0, slash)));
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST)
    return {};
  return file_error(path, "cannot be made", errno);
}

std::string octal(mode_t mode) {
  std::string text = "0";
  for (int shift = 6; shift >= 0; shift -= 3)
    text += static_cast<char>('0' + (mode >> shift & 7));
  return text;
}

Result<void> write_all(int file, std::span<const std::byte> bytes, const std::string &path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return file_error(path, "cannot be written", errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

Result<std::vector<std::byte>> read_all(int file, size_t size, const std::string &path) {
  std::vector<std::byte> bytes(size);
  size_t filled = 0;
  while (filled < size) {
    const ssize_t got = ::read(file, bytes.data() + filled, size - filled);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return file_error(path, "cannot be read", errno);
    if (got == 0)
      break; // it was cut while it was read; its checksum will say so
    filled += static_cast<size_t>(got);
  }
  bytes.resize(filled);
  return bytes;
}

// The whole file is locked while it is written: a lock that is free says that the writer died.
bool writer_died(int directory, const std::string &name, const struct stat &status) {
  if (std::abs(std::time(nullptr) - status.st_mtime) < kYoungestDead)
    return false;
  Descriptor file(::openat(directory, name.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  return file.opened() && try_lock_byte(file.number(), 0, LockKind::kExclusive);
}

} // namespace

Descriptor &Descriptor::operator=(Descriptor &&other) noexcept {
  std::swap(number_, other.number_);
  return *this;
}
Descriptor::~Descriptor() {
  if (number_ >= 0)
    ::close(number_);
}
int Descriptor::release() {
  return std::exchange(number_, -1);
}

Error file_error(const std::string &path, std::string_view what, int number) {
  return Error(number == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
               concat(path, ": ", what, ": ", strerrordesc_np(number)));
}

Result<std::shared_ptr<PrivateDirectory>> PrivateDirectory::open(const std::string &path,
                                                                 Ownership ownership) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
  Descriptor directory(::open(path.c_str(), kFlags));
  if (!directory.opened() && errno == ENOENT && ownership == Ownership::kOwn) {
    TENON_TRY(make_folders(path));
    directory = Descriptor(::open(path.c_str(), kFlags));
  }
  if (!directory.opened() && (errno == ELOOP || errno == ENOTDIR))
    return Error(ErrorCode::kUnsupported,
                 concat(path, ": is no directory, or a symbolic link, which is not followed"));
  if (!directory.opened())
    return file_error(path, "cannot be opened", errno);
  std::shared_ptr<PrivateDirectory> opened(
      new PrivateDirectory(path, ownership, std::move(directory)));
  TENON_TRY(opened->check());
  return opened;
}

Result<void> PrivateDirectory::check_owner(const struct stat &status,
                                           const std::string &path) const {
  const uid_t user = ::geteuid();
  if (status.st_uid != user && !(ownership_ == Ownership::kLower && status.st_uid == 0))
    return Error(ErrorCode::kUnsupported,
                 concat(path, ": belongs to user ", status.st_uid, ", not to user ", user,
                        "; kernels are code, so it is not used"));
  if (status.st_mode & kOthersWrite)
    return Error(ErrorCode::kUnsupported,
                 concat(path, ": others can write it (mode ", octal(status.st_mode),
                        "); kernels are code, so it is not used: chmod go-w it"));
  return {};
}

Result<void> PrivateDirectory::check() const {
  struct stat status = {};
  if (::fstat(descriptor(), &status) != 0)
    return file_error(path_, "cannot be read", errno);
  if (status.st_nlink == 0)
    return file_error(path_, "was removed", ENOENT);
  return check_owner(status, path_);
}

Result<PrivateDirectory::File> PrivateDirectory::read(const std::string &name, size_t most) const {
  const std::string path = path_ + "/" + name;
  // O_NONBLOCK: a pipe that was planted must not make anybody wait.
  Descriptor file(::openat(descriptor(), name.c_str(),
                           O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.opened() && errno == ELOOP)
    return Error(ErrorCode::kUnsupported, concat(path, ": is a symbolic link"));
  if (!file.opened())
    return file_error(path, "cannot be opened", errno);
  File result;
  if (::fstat(file.number(), &result.status) != 0)
    return file_error(path, "cannot be read", errno);
  if (!S_ISREG(result.status.st_mode))
    return Error(ErrorCode::kUnsupported, concat(path, ": is no regular file"));
  TENON_TRY(check_owner(result.status, path));
  if (ownership_ == Ownership::kOwn && result.status.st_nlink > 1)
    return Error(ErrorCode::kUnsupported,
                 concat(path, ": is a hard link: the file has ", result.status.st_nlink, " names"));
  const size_t size = std::min(static_cast<size_t>(result.status.st_size), most);
  TENON_ASSIGN_OR_RETURN(result.bytes, read_all(file.number(), size, path));
  result.descriptor = std::move(file);
  return result;
}

Result<void> PrivateDirectory::replace(const std::string &name,
                                       std::span<const std::byte> bytes) const {
  static std::atomic<unsigned> counter;
  const std::string path = path_ + "/" + name;
  const std::string temporary =
      concat(".", name, ".", ::getpid(), ".", counter.fetch_add(1), ".", std::time(nullptr), kPart);
  Descriptor file(::openat(descriptor(), temporary.c_str(),
                           O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.opened())
    return file_error(path, "cannot be made", errno);
  Result<void> done;
  if (!try_lock_byte(file.number(), 0, LockKind::kExclusive) && !no_locks(errno)) // writer_died
    done = file_error(path, "cannot be locked", errno);
  if (done)
    done = write_all(file.number(), bytes, path);
  if (done && ::fsync(file.number()) != 0)
    done = file_error(path, "cannot be synced", errno);
  // Network file systems and quotas may refuse only when the file is closed.
  Descriptor second(::dup(file.number()));
  if (done && (!second.opened() || ::close(second.release()) != 0))
    done = file_error(path, "cannot be written", errno);
  if (done && ::renameat(descriptor(), temporary.c_str(), descriptor(), name.c_str()) != 0)
    done = file_error(path, "cannot be renamed", errno);
  if (!done) {
    ::unlinkat(descriptor(), temporary.c_str(), 0);
    return done;
  }
  if (::fsync(descriptor()) != 0 && errno != EINVAL) // EINVAL: directories cannot be synced here
    return file_error(path_, "cannot be synced", errno);
  return {};
}

Result<void> PrivateDirectory::remove(const std::string &name) const {
  if (::unlinkat(descriptor(), name.c_str(), 0) != 0 && errno != ENOENT)
    return file_error(path_ + "/" + name, "cannot be removed", errno);
  return {};
}

Result<void> PrivateDirectory::set_aside(const std::string &name, const std::string &reason) const {
  static std::atomic<unsigned> counter;
  const std::string path = path_ + "/" + name;
  if (::mkdirat(descriptor(), kSetAside, 0700) != 0 && errno != EEXIST)
    return file_error(path, "cannot be set aside", errno);
  const std::string aside =
      concat(kSetAside, "/", name, ".", ::getpid(), ".", counter.fetch_add(1));
  if (::renameat(descriptor(), name.c_str(), descriptor(), aside.c_str()) != 0)
    return file_error(path, "cannot be set aside", errno);
  Descriptor note(::openat(descriptor(), (aside + ".reason").c_str(),
                           O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (note.opened()) // the reason is for people: without it nothing is lost
    static_cast<void>(write_all(note.number(), std::as_bytes(std::span(reason)), aside).ok());
  return {};
}

Result<std::vector<std::string>> PrivateDirectory::names(const char *folder) const {
  Descriptor file(::openat(descriptor(), folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  DIR *stream = file.opened() ? ::fdopendir(file.number()) : nullptr;
  if (!stream)
    return file_error(path_, "cannot be listed", errno);
  file.release(); // the stream closes it
  std::vector<std::string> names;
  errno = 0;
  while (const dirent *entry = ::readdir(stream))
    if (entry->d_type != DT_DIR)
      names.emplace_back(entry->d_name);
  const int number = errno;
  ::closedir(stream);
  if (number != 0)
    return file_error(path_, "cannot be listed", number);
  return names;
}

bool PrivateDirectory::status(const std::string &name, struct stat &status) const {
  return ::fstatat(descriptor(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
}

Result<void> PrivateDirectory::sweep() const {
  struct stat file = {};
  TENON_ASSIGN_OR_RETURN(const std::vector<std::string> all, names());
  for (const std::string &name : all)
    if (name.ends_with(kPart) && status(name, file) && writer_died(descriptor(), name, file))
      TENON_TRY(remove(name));
  const Result<std::vector<std::string>> set_aside = names(kSetAside);
  if (!set_aside)
    return set_aside.error().code() == ErrorCode::kNotFound ? Result<void>() : set_aside.error();
  std::vector<std::pair<time_t, std::string>> aside;
  for (const std::string &name : *set_aside)
    if (const std::string path = concat(kSetAside, "/", name); status(path, file))
      aside.emplace_back(file.st_mtime, path);
  std::ranges::sort(aside);
  for (size_t i = 0; i + kKeptAside < aside.size(); ++i)
    TENON_TRY(remove(aside[i].second));
  return {};
}

} // namespace tenon
