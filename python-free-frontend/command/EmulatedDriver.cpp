#include "EmulatedDriver.h"

#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>

namespace tenon::command {
namespace {

std::string library_path() {
  if (const char *given = std::getenv("TENON_EMULATED_DRIVER"); given && *given)
    return given;
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  return (program.parent_path().parent_path() / "lib/tenon/emulated/libcuda.so.1").string();
}

} // namespace

Result<EmulatedDriver> EmulatedDriver::open() {
  const std::string path = library_path();
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return Error(ErrorCode::kUnsupported,
                 std::string("the emulated driver cannot be opened: ") + dlerror());
  EmulatedDriver driver;
  struct Symbol {
    const char *name;
    void **pointer;
  };
#define TENON_SYMBOL(member, symbol, ...) {symbol, reinterpret_cast<void **>(&driver.member)},
  const Symbol symbols[] = {TENON_EMULATED_FUNCTIONS(TENON_SYMBOL)};
#undef TENON_SYMBOL
  for (const Symbol &symbol : symbols)
    if (!(*symbol.pointer = dlsym(library, symbol.name)))
      return Error(ErrorCode::kUnsupported, path + " exports no " + symbol.name);
  return driver;
}

Result<void> EmulatedDriver::check(const char *call, int status) const {
  if (status == 0)
    return {};
  const char *name = nullptr, *text = nullptr;
  if (error_name(status, &name) != 0 || !name)
    name = "unknown error";
  if (error_string(status, &text) != 0 || !text)
    text = "no description";
  return Error(ErrorCode::kDevice, std::string(call) + ": " + name + " (" + text + ")");
}

} // namespace tenon::command
