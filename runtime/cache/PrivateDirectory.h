/// A directory of the user's own, reached through one descriptor: files in it are read whole,
/// replaced at once, and set aside; no symbolic link is followed.
#pragma once

#include "tenon/Result.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <vector>

namespace tenon {

/// Whose a directory and its files must be.
enum class Ownership : uint8_t {
  kOwn,   ///< this user's; made where it is missing
  kLower, ///< this user's or root's; files may have several names, as in the layers of containers
};

/// A descriptor, closed with the object.
class Descriptor {
public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor &&other) noexcept : number_(other.release()) {}
  Descriptor &operator=(Descriptor &&other) noexcept;
  ~Descriptor();
  int number() const { return number_; }
  bool opened() const { return number_ >= 0; }
  int release();

private:
  int number_;
};

/// "/home/me/.cache/tenon/3f2a….tenon-2: cannot be written: No space left on device". kNotFound for
/// ENOENT, else kIo.
Error file_error(const std::string &path, std::string_view what, int number);

class PrivateDirectory {
public:
  /// Errors: kNotFound, kIo; kUnsupported where others can write it or it is not the owner's.
  static Result<std::shared_ptr<PrivateDirectory>> open(const std::string &path,
                                                        Ownership ownership);

  const std::string &path() const { return path_; }
  int descriptor() const { return directory_.number(); }
  /// Errors as open: permissions may have changed since, and the directory may be gone (kNotFound).
  Result<void> check() const;

  struct File {
    std::vector<std::byte> bytes;
    struct stat status = {};
    Descriptor descriptor;
  };
  /// A regular file of the owner's that nobody else can write; at most `most` bytes of it. Errors:
  /// kNotFound; kIo where the system refuses; kUnsupported for what is no such file.
  Result<File> read(const std::string &name, size_t most = SIZE_MAX) const;
  /// Whole or not at all, also after a crash. Errors: kIo.
  Result<void> replace(const std::string &name, std::span<const std::byte> bytes) const;
  Result<void> remove(const std::string &name) const;
  /// Moves a file into set-aside/, with the reason beside it. Errors: kIo.
  Result<void> set_aside(const std::string &name, const std::string &reason) const;
  /// Every name in it (or in a folder of it) but those of folders. Errors: kIo.
  Result<std::vector<std::string>> names(const char *folder = ".") const;
  /// The size and times of a file, whatever it is; false where there is none.
  bool status(const std::string &name, struct stat &status) const;
  /// Removes the temporary files of processes that died, and what was set aside longest ago.
  Result<void> sweep() const;

private:
  PrivateDirectory(std::string path, Ownership ownership, Descriptor directory)
      : path_(std::move(path)), ownership_(ownership), directory_(std::move(directory)) {}
  Result<void> check_owner(const struct stat &status, const std::string &path) const;

  std::string path_;
  Ownership ownership_;
  Descriptor directory_;
};

} // namespace tenon
