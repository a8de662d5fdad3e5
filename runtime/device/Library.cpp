#include "device/Library.h"

#include "device/Text.h"

#include <dlfcn.h>
#include <filesystem>
#include <system_error>
#include <utility>

namespace tenon {
namespace {

std::filesystem::path runtime_folder() {
  Dl_info info = {};
  if (!dladdr(reinterpret_cast<const void *>(&beside_runtime), &info) || !info.dli_fname)
    return {};
  std::error_code ignored;
  std::filesystem::path real = std::filesystem::canonical(info.dli_fname, ignored);
  return ignored ? std::filesystem::path(info.dli_fname).parent_path() : real.parent_path();
}

} // namespace

Result<Library> Library::open(const std::string &path) {
  if (void *handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL))
    return Library(handle);
  const char *text = dlerror();
  std::string_view reason = text ? text : "no reason given";
  if (reason.starts_with(path + ": ")) // the loader names the library that it could not find
    reason.remove_prefix(path.size() + 2);
  return Error(ErrorCode::kUnsupported, concat(path, " cannot be opened: ", reason));
}

Library::Library(Library &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

Library::~Library() {
  if (handle_)
    dlclose(handle_);
}

void *Library::symbol(const char *name) const {
  return dlsym(handle_, name);
}

std::string beside_runtime(const std::vector<std::string> &candidates) {
  std::filesystem::path folder = runtime_folder();
  for (const std::string &candidate : candidates) {
    std::error_code ignored;
    if (std::filesystem::is_regular_file(folder / candidate, ignored))
      return (folder / candidate).lexically_normal().string();
  }
  return (folder / candidates.front()).lexically_normal().string();
}

} // namespace tenon
