/// Shared objects opened by name while the program runs.
#pragma once

#include "tenon/Result.h"

#include <memory>
#include <string>
#include <vector>

namespace tenon {

/// A shared object opened with RTLD_NOW | RTLD_LOCAL: its symbols are seen by nobody else.
class Library {
public:
  /// Errors: kUnsupported, "<path> cannot be opened: <the loader's reason>".
  static Result<Library> open(const std::string &path);
  void *symbol(const char *name) const; ///< null where it exports none

  Library(Library &&other) noexcept;
  Library &operator=(Library &&) = delete;
  ~Library();
  /// Leaves it open until the process ends, as is due to a driver with threads of its own.
  void keep() { handle_ = nullptr; }

private:
  explicit Library(void *handle) : handle_(handle) {}
  void *handle_;
};

/// The first of `candidates`, relative to the folder of libtenon-runtime.so, that is a file; else
/// the first of them.
std::string beside_runtime(const std::vector<std::string> &candidates);

} // namespace tenon
