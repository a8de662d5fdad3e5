// The table of entries, errors by name, and the emulator's own entries: the report and the counters.
#include "driver/Driver.h"
#include "launch/Report.h"
#include <algorithm>
#include <cstring>

using namespace tenon::emulator;

// Declared under other names, since here only the addresses matter.
#define ENTRY(name) extern "C" void address_of_##name() __asm__(#name);
#include "driver/Entries.def"
#undef ENTRY

namespace {
struct Entry {
  std::string_view name;
  void (*address)();
};
constexpr Entry kEntries[] = {
#define ENTRY(name) {#name, &address_of_##name},
#include "driver/Entries.def"
#undef ENTRY
};

void *find_entry(const std::string &name) {
  for (const std::string &spelling : {name + "_v2", name})
    for (const Entry &entry : kEntries)
      if (entry.name == spelling)
        return reinterpret_cast<void *>(entry.address);
  return nullptr;
}

/// Copies a text into a caller's buffer, cut and ended by zero; returns the bytes that the whole text takes with its zero.
size_t give_text(const std::string &text, char *buffer, size_t room) {
  if (buffer && room) {
    size_t kept = std::min(text.size(), room - 1);
    std::memcpy(buffer, text.data(), kept);
    buffer[kept] = 0;
  }
  return text.size() + 1;
}
} // namespace

TENON_DRIVER_ENTRY Status cuGetErrorName(int status, const char **name) {
  if (!name)
    return kInvalidValue;
  *name = status_name(status);
  return *name ? kSuccess : kInvalidValue;
}

TENON_DRIVER_ENTRY Status cuGetErrorString(int status, const char **text) {
  if (!text)
    return kInvalidValue;
  *text = status_text(status);
  return *text ? kSuccess : kInvalidValue;
}

TENON_DRIVER_ENTRY Status cuGetProcAddress_v2(const char *name, void **address, int, uint64_t, int *found) {
  constexpr int kFound = 0, kSymbolNotFound = 1; // CUdriverProcAddressQueryResult
  if (!name || !address)
    return kInvalidValue;
  *address = find_entry(name);
  if (found)
    *found = *address ? kFound : kSymbolNotFound;
  return *address ? kSuccess : kNotFound;
}
TENON_DRIVER_ENTRY Status cuGetProcAddress(const char *name, void **address, int version, uint64_t flags) {
  return cuGetProcAddress_v2(name, address, version, flags, nullptr);
}

/// What the checkers found, one finding a line. Returns the bytes needed, the final zero included.
TENON_DRIVER_ENTRY size_t tenonEmulatorReport(char *buffer, size_t room) {
  return give_text(Report::instance().text(), buffer, room);
}
/// Forgets findings and counters.
TENON_DRIVER_ENTRY void tenonEmulatorClearReport() { Report::instance().clear(); }
/// Warp instructions executed, as JSON text. Returns the bytes needed, the final zero included.
TENON_DRIVER_ENTRY size_t tenonEmulatorCounters(char *buffer, size_t room) {
  return give_text(Report::instance().counters(), buffer, room);
}
