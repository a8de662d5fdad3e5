#include "tensor/FileAccess.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <sys/stat.h>
#include <unistd.h>

namespace tenon {
namespace {

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

} // namespace

Result<std::vector<std::byte>> read_file(const std::string &path) try {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.number < 0)
    return system_error(path, "cannot open", errno,
                        errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo);
  struct stat status;
  if (::fstat(file.number, &status) != 0)
    return system_error(path, "cannot read", errno);
  if (S_ISDIR(status.st_mode))
    return Error(ErrorCode::kIo, path + ": is a directory");
  std::vector<std::byte> bytes(S_ISREG(status.st_mode) ? static_cast<size_t>(status.st_size) : 0);
  size_t filled = 0;
  for (;;) {
    if (filled == bytes.size()) {
      // Pipes have no size, and a file may have grown: read on until the end says so.
      std::byte probe[4096];
      ssize_t got = ::read(file.number, probe, sizeof probe);
      if (got < 0 && errno == EINTR)
        continue;
      if (got < 0)
        return system_error(path, "cannot read", errno);
      if (got == 0)
        return bytes;
      bytes.insert(bytes.end(), probe, probe + got);
      filled = bytes.size();
      continue;
    }
    ssize_t got = ::read(file.number, bytes.data() + filled, bytes.size() - filled);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return system_error(path, "cannot read", errno);
    if (got == 0) {
      bytes.resize(filled);
      return bytes;
    }
    filled += static_cast<size_t>(got);
  }
} catch (const std::bad_alloc &) {
  return Error(ErrorCode::kOutOfMemory, path + ": does not fit into memory");
}

Status replace_file(const std::string &path, std::span<const std::span<const std::byte>> parts) {
  struct stat existing;
  if (::stat(path.c_str(), &existing) == 0 && !S_ISREG(existing.st_mode)) {
    if (S_ISDIR(existing.st_mode))
      return Error(ErrorCode::kIo, path + ": is a directory");
    // A device such as /dev/null or a pipe is written, never replaced.
    Descriptor file{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
    if (file.number < 0)
      return system_error(path, "cannot open", errno);
    for (auto part : parts)
      TENON_TRY(write_all(file.number, part, path));
    return {};
  }
  std::string temporary;
  Descriptor file{create_beside(path, temporary)};
  if (file.number < 0)
    return system_error(path, "cannot create", errno);
  Status status;
  for (auto part : parts)
    if (status.ok())
      status = write_all(file.number, part, path);
  // Network file systems and quotas may refuse only now.
  if (::close(std::exchange(file.number, -1)) != 0 && status.ok())
    status = system_error(path, "cannot write", errno);
  if (status.ok() && ::rename(temporary.c_str(), path.c_str()) != 0)
    status = system_error(path, "cannot rename", errno);
  if (!status.ok())
    ::unlink(temporary.c_str());
  return status;
}

Error in_file(const std::string &path, const Error &error) {
  return Error(error.code(), path + ": " + error.message());
}

} // namespace tenon
