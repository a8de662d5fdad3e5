#include "tenon/Files.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <new>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace tenon {
namespace {

constexpr int kPatience = 10; // seconds for the other end of a pipe to be opened

Error system_error(const std::string &path, std::string_view what, int number,
                   ErrorCode code = ErrorCode::kIo) {
  return Error(code, path + ": " + std::string(what) + ": " + std::strerror(number));
}

struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0)
      ::close(number);
  }
};

/// Memory of the machine: what has no size of its own is not read beyond half of it.
uint64_t half_of_memory() {
  return static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) / 2 *
         static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

/// With the effective rights of the process, as open() will judge.
bool may(const std::string &path, int access) {
  return ::faccessat(AT_FDCWD, path.c_str(), access, AT_EACCESS) == 0;
}

bool is_pipe(const std::string &path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode);
}

// Opening a pipe would wait for its other end for ever.
Status wait_for_writer(int descriptor, const std::string &path) {
  pollfd waited{descriptor, POLLIN, 0};
  if (::poll(&waited, 1, kPatience * 1000) == 0)
    return Error(ErrorCode::kIo, path + ": is a pipe that nobody writes to");
  ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) & ~O_NONBLOCK);
  return {};
}

int open_for_reader(const std::string &path) {
  const timespec pause{0, 20'000'000};
  for (int attempt = 0;; ++attempt) {
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor >= 0 || errno != ENXIO || attempt == kPatience * 50)
      return descriptor;
    ::nanosleep(&pause, nullptr);
  }
}

/// How many bytes there are, as far as the system knows; an error where there would be no end.
Result<size_t> size_of(int descriptor, const std::string &path) {
  struct stat status;
  if (::fstat(descriptor, &status) != 0)
    return system_error(path, "cannot read", errno);
  if (S_ISDIR(status.st_mode))
    return Error(ErrorCode::kIo, path + ": is a directory");
  if (S_ISBLK(status.st_mode) || (S_ISCHR(status.st_mode) && ::isatty(descriptor) == 0))
    return Error(ErrorCode::kIo, path + ": is a device, must be a file");
  return S_ISREG(status.st_mode) ? static_cast<size_t>(status.st_size) : 0;
}

/// Bytes read, 0 at the end.
Result<size_t> read_some(int descriptor, std::span<std::byte> bytes, const std::string &path) {
  ssize_t got;
  do
    got = ::read(descriptor, bytes.data(), bytes.size());
  while (got < 0 && errno == EINTR);
  if (got < 0)
    return system_error(path, "cannot read", errno);
  return static_cast<size_t>(got);
}

Status write_all(int descriptor, std::span<const std::byte> bytes, const std::string &path) {
  while (!bytes.empty()) {
    ssize_t written = ::write(descriptor, bytes.data(), std::min<size_t>(bytes.size(), 1u << 30));
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return system_error(path, "cannot write", errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

/// The folder of a path, with its last slash.
std::string folder_of(const std::string &path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? "./" : path.substr(0, slash + 1);
}

/// A name beside `path` that `take` could have: it returns -1 and EEXIST where somebody has it.
template <class Take> int take_name_beside(const std::string &path, std::string &name, Take take) {
  static std::atomic<unsigned> counter;
  int taken = -1;
  for (int attempt = 0; attempt < 1000 && taken < 0; ++attempt) {
    name = path + "." + std::to_string(::getpid()) + "-" + std::to_string(counter++) + ".part";
    taken = take(name.c_str());
    if (taken < 0 && errno != EEXIST)
      break;
  }
  return taken;
}

/// A new file beside another, which has no name until all of it is written, so that a killed process leaves nothing.
/// Where the file system knows no such files it has one from the start. The process's own creation mask applies.
class NewFile {
public:
  explicit NewFile(const std::string &path) : path_(path) {
    if (may("/proc/self/fd", X_OK))
      number_ = ::open(folder_of(path).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (number_ < 0)
      number_ = take_name_beside(path, name_, [](const char *name) {
        return ::open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      });
    if (number_ < 0)
      name_.clear();
  }
  ~NewFile() {
    if (number_ >= 0)
      ::close(number_);
    if (!name_.empty())
      ::unlink(name_.c_str());
  }
  NewFile(const NewFile &) = delete;
  NewFile &operator=(const NewFile &) = delete;

  int number() const { return number_; }
  /// Puts it in the place of the other. On an error the number in errno says why.
  bool replace() {
    const std::string link = "/proc/self/fd/" + std::to_string(number_);
    if (name_.empty() && take_name_beside(path_, name_, [&](const char *name) {
                           return ::linkat(AT_FDCWD, link.c_str(), AT_FDCWD, name,
                                           AT_SYMLINK_FOLLOW);
                         }) < 0) {
      name_.clear();
      return false;
    }
    // Network file systems and quotas may refuse only when it is closed.
    if (::close(std::exchange(number_, -1)) != 0 || ::rename(name_.c_str(), path_.c_str()) != 0)
      return false;
    name_.clear();
    return true;
  }

private:
  std::string path_, name_;
  int number_ = -1;
};

// Also where nothing is there yet.
std::string behind_links(const std::string &path) {
  std::error_code error;
  if (const std::filesystem::path there = std::filesystem::canonical(path, error); !error)
    return there.string();
  constexpr int kMostLinks = 40; // as the kernel's
  std::filesystem::path target = path;
  for (int links = 0; std::filesystem::is_symlink(target, error); ++links) {
    const std::filesystem::path next = std::filesystem::read_symlink(target, error);
    if (error || links == kMostLinks)
      return path;
    target = target.parent_path() / next;
  }
  return target.string();
}

// A device or a pipe.
Status write_in_place(const std::string &path, std::span<const std::span<const std::byte>> parts) {
  const bool pipe = is_pipe(path);
  Descriptor file{pipe ? open_for_reader(path) : ::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
  if (file.number < 0)
    return errno == ENXIO && pipe ? Error(ErrorCode::kIo, path + ": is a pipe that nobody reads")
                                  : system_error(path, "cannot open", errno);
  ::fcntl(file.number, F_SETFL, ::fcntl(file.number, F_GETFL) & ~O_NONBLOCK);
  for (auto part : parts)
    TENON_TRY(write_all(file.number, part, path));
  return {};
}

} // namespace

Result<std::vector<std::byte>> read_file(const std::string &path, uint64_t most) try {
  const bool pipe = is_pipe(path);
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | (pipe ? O_NONBLOCK : 0))};
  if (file.number < 0)
    return system_error(path, "cannot open", errno,
                        errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo);
  if (pipe)
    TENON_TRY(wait_for_writer(file.number, path));
  TENON_ASSIGN_OR_RETURN(const size_t size, size_of(file.number, path));
  if (size == 0)
    most = std::min(most, half_of_memory());
  std::vector<std::byte> bytes(std::min<uint64_t>(size, most));
  size_t filled = 0;
  // Pipes have no size, and a file may have grown: read on until the end says so.
  std::byte probe[4096];
  for (;;) {
    const bool beyond = filled == bytes.size();
    TENON_ASSIGN_OR_RETURN(
        const size_t got,
        read_some(file.number, beyond ? std::span(probe) : std::span(bytes).subspan(filled), path));
    if (got == 0)
      break;
    filled += got;
    if (filled > most)
      return Error(ErrorCode::kCorruptFile,
                   path + ": has more than " + std::to_string(most) + " bytes");
    if (beyond)
      bytes.insert(bytes.end(), probe, probe + got);
  }
  bytes.resize(filled);
  return bytes;
} catch (const std::bad_alloc &) {
  return Error(ErrorCode::kOutOfMemory, path + ": does not fit into memory");
}

Result<std::string> read_text(const std::string &path, uint64_t most) {
  TENON_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, read_file(path, most));
  return std::string(reinterpret_cast<const char *>(bytes.data()), bytes.size());
}

Status replace_file(const std::string &path, std::span<const std::span<const std::byte>> parts) {
  struct stat existing;
  const bool exists = ::stat(path.c_str(), &existing) == 0;
  if (exists && !S_ISREG(existing.st_mode))
    return S_ISDIR(existing.st_mode) ? Error(ErrorCode::kIo, path + ": is a directory")
                                     : write_in_place(path, parts);
  TENON_TRY(check_replaceable(path));
  const std::string target = behind_links(path);
  NewFile file(target);
  if (file.number() < 0)
    return system_error(path, "cannot create", errno);
  // Not the bits by which a program runs as somebody else: new contents have not earned them.
  if (exists && ::fchmod(file.number(), existing.st_mode & 0777) != 0)
    return system_error(path, "cannot keep its permissions", errno);
  for (auto part : parts)
    TENON_TRY(write_all(file.number(), part, path));
  return file.replace() ? Status() : system_error(path, "cannot write", errno);
}

Status replace_file(const std::string &path, std::string_view bytes) {
  const std::span<const std::byte> part = std::as_bytes(std::span(bytes));
  return replace_file(path, std::span(&part, 1));
}

Status check_replaceable(const std::string &path) {
  struct stat status;
  if (::stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode))
      return Error(ErrorCode::kIo, path + ": is a directory");
    if (!may(path, W_OK))
      return system_error(path, "cannot be written", errno);
    if (!S_ISREG(status.st_mode))
      return {};
  }
  const std::string folder = folder_of(behind_links(path));
  if (path.empty() || !may(folder, W_OK | X_OK))
    return system_error(path, "cannot write to " + folder, path.empty() ? ENOENT : errno);
  return {};
}

Error in_file(const std::string &path, const Error &error) {
  return Error(error.code(), path + ": " + error.message());
}

} // namespace tenon
