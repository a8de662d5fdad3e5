#include "tenon/Files.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <memory>
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

// A new file beside `path`; the system applies the process's own creation mask.
int create_beside(const std::string &path, std::string &name) {
  static std::atomic<unsigned> counter;
  for (int attempt = 0; attempt < 1000; ++attempt) {
    name = path + "." + std::to_string(::getpid()) + "-" + std::to_string(counter++) + ".part";
    int descriptor = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0 || errno != EEXIST)
      return descriptor;
  }
  return -1;
}

std::string behind_links(const std::string &path) {
  const std::unique_ptr<char, decltype(&std::free)> resolved(::realpath(path.c_str(), nullptr),
                                                             &std::free);
  return resolved ? resolved.get() : path;
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
  if (::stat(path.c_str(), &existing) == 0 && !S_ISREG(existing.st_mode))
    return S_ISDIR(existing.st_mode) ? Error(ErrorCode::kIo, path + ": is a directory")
                                     : write_in_place(path, parts);
  const std::string target = behind_links(path);
  std::string temporary;
  Descriptor file{create_beside(target, temporary)};
  if (file.number < 0)
    return system_error(path, "cannot create", errno);
  Status status;
  for (auto part : parts)
    if (status.ok())
      status = write_all(file.number, part, path);
  // Network file systems and quotas may refuse only now.
  if (::close(std::exchange(file.number, -1)) != 0 && status.ok())
    status = system_error(path, "cannot write", errno);
  if (status.ok() && ::rename(temporary.c_str(), target.c_str()) != 0)
    status = system_error(path, "cannot rename", errno);
  if (!status.ok())
    ::unlink(temporary.c_str());
  return status;
}

Status replace_file(const std::string &path, std::string_view bytes) {
  const std::span<const std::byte> part = std::as_bytes(std::span(bytes));
  return replace_file(path, std::span(&part, 1));
}

Status check_replaceable(const std::string &path) {
  struct stat status;
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    if (S_ISDIR(status.st_mode))
      return Error(ErrorCode::kIo, path + ": is a directory");
    return ::access(path.c_str(), W_OK) == 0 ? Status()
                                             : system_error(path, "cannot be written", errno);
  }
  const std::string target = behind_links(path);
  const size_t slash = target.rfind('/');
  const std::string folder = slash == target.npos ? "." : target.substr(0, slash + 1);
  if (path.empty() || ::access(folder.c_str(), W_OK | X_OK) != 0)
    return system_error(path, "cannot write to " + folder, path.empty() ? ENOENT : errno);
  return {};
}

Error in_file(const std::string &path, const Error &error) {
  return Error(error.code(), path + ": " + error.message());
}

} // namespace tenon
