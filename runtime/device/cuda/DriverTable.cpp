#include "device/cuda/DriverTable.h"

#include "device/Library.h"
#include "device/Text.h"

#include <cstdlib>

namespace tenon::cuda {
namespace {

struct Symbol {
  const char *name;
  void **pointer;
  bool required;
};

} // namespace

Result<DriverTable> DriverTable::open(const std::string &path) {
  Result<Library> library = Library::open(path);
  if (!library)
    return library.error();
  DriverTable table;
#define TENON_REQUIRED(member, symbol, type)                                                       \
  {symbol, reinterpret_cast<void **>(&table.member), true},
#define TENON_OPTIONAL(member, symbol, type)                                                       \
  {symbol, reinterpret_cast<void **>(&table.member), false},
  const Symbol symbols[] = {TENON_DRIVER_FUNCTIONS(TENON_REQUIRED)
                                TENON_DRIVER_OPTIONAL_FUNCTIONS(TENON_OPTIONAL)};
#undef TENON_REQUIRED
#undef TENON_OPTIONAL
  for (const Symbol &symbol : symbols) {
    *symbol.pointer = library->symbol(symbol.name);
    if (!*symbol.pointer && symbol.required)
      return Error(ErrorCode::kUnsupported, concat(path, " exports no ", symbol.name));
  }
  if (DriverStatus status = table.init(0); status != kSuccess)
    return Error(ErrorCode::kUnsupported,
                 concat(path, ": ", table.error("cuInit", status).message()));
  library->keep();
  return table;
}

Error DriverTable::error(const char *call, DriverStatus status) const {
  const char *name = nullptr, *text = nullptr;
  if (error_name(status, &name) != kSuccess || !name)
    name = "unknown error";
  if (error_string(status, &text) != kSuccess || !text)
    text = "no description";
  return Error(status == kStatusOutOfMemory ? ErrorCode::kOutOfMemory : ErrorCode::kDevice,
               concat(call, ": ", name, " (", text, ")"));
}

Error DriverTable::kernel_error(const char *call, DriverStatus status) const {
  Error plain = error(call, status);
  size_t size = emulator_report ? emulator_report(nullptr, 0) : 0; // with the final zero
  if (size <= 1)
    return plain;
  std::string report(size, '\0');
  emulator_report(report.data(), size);
  return Error(plain.code(), concat(plain.message(), "\n", report.c_str()));
}

std::string nvidia_driver_library() {
  return "libcuda.so.1";
}

std::string emulated_driver_library() {
  if (const char *given = std::getenv("TENON_EMULATED_DRIVER"); given && *given)
    return given;
  return beside_runtime({"tenon/emulated/libcuda.so.1", "../lib/tenon/emulated/libcuda.so.1"});
}

} // namespace tenon::cuda
