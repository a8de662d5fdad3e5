// The table of entries, errors by name, and the emulator's own entries: the report, the counters, the table itself.
#include "driver/Driver.h"
#include "launch/Report.h"
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>

using namespace tenon::emulator;

// Declared under other names, since here only the addresses matter.
#define DECLARE(name) extern "C" void address_of_##name() __asm__(#name);
#define ENTRY_GROUP(name)
#define ENTRY(name, asked, since) DECLARE(name)
#define UNCOVERED(name, asked, since) DECLARE(name)
#define PER_THREAD(name, suffix) DECLARE(name##suffix)
#define UNCOVERED_PER_THREAD(name, suffix) DECLARE(name##suffix)
#include "driver/Entries.def"
#include "driver/PerThread.def"
#include "driver/Uncovered.def"
#undef ENTRY_GROUP
#undef ENTRY
#undef UNCOVERED
#undef PER_THREAD
#undef UNCOVERED_PER_THREAD

namespace {
struct Entry {
  std::string_view name, asked; // exported; what cuGetProcAddress is given
  int since;                    // version of CUDA; 0 for a heading
  void (*address)();
};
constexpr Entry kCovered[] = {
#define ENTRY_GROUP(name) {name, "", 0, nullptr},
#define ENTRY(name, asked, since) {#name, #asked, since, &address_of_##name},
#include "driver/Entries.def"
#undef ENTRY_GROUP
#undef ENTRY
};
constexpr Entry kUncovered[] = {
#define UNCOVERED(name, asked, since) {#name, #asked, since, &address_of_##name},
#define UNCOVERED_PER_THREAD(name, suffix)
#include "driver/Uncovered.def"
#undef UNCOVERED
#undef UNCOVERED_PER_THREAD
};
struct PerThread {
  std::string_view name;
  void (*address)();
};
constexpr PerThread kPerThread[] = {
#define PER_THREAD(name, suffix) {#name, &address_of_##name##suffix},
#define UNCOVERED_PER_THREAD(name, suffix) PER_THREAD(name, suffix)
#define UNCOVERED(name, asked, since)
#include "driver/PerThread.def"
#include "driver/Uncovered.def"
#undef PER_THREAD
#undef UNCOVERED_PER_THREAD
#undef UNCOVERED
};

struct Search {
  const Entry *newest = nullptr; // that is not newer than the version asked for
  bool known = false;
};
Search find_entry(std::string_view name, int version) {
  Search search;
  auto look = [&](const Entry &entry) {
    if (entry.asked != name || !entry.since)
      return;
    search.known = true;
    if (entry.since <= version && (!search.newest || entry.since > search.newest->since))
      search.newest = &entry;
  };
  std::for_each(std::begin(kCovered), std::end(kCovered), look);
  std::for_each(std::begin(kUncovered), std::end(kUncovered), look);
  return search;
}

/// Copies a text into a caller's buffer, cut and ended by zero; returns the bytes that the whole text takes with its
/// zero.
size_t give_text(const std::string &text, char *buffer, size_t room) {
  if (buffer && room) {
    size_t kept = std::min(text.size(), room - 1);
    std::memcpy(buffer, text.data(), kept);
    buffer[kept] = 0;
  }
  return text.size() + 1;
}

std::string entries_text() {
  std::string text, group;
  auto line = [&](const std::string &title, const Entry &entry) {
    text += title + "\t" + std::string(entry.name) + "\t" + std::to_string(entry.since) + "\n";
  };
  for (const Entry &entry : kCovered)
    entry.since ? line(group, entry) : void(group = entry.name);
  for (const Entry &entry : kUncovered)
    line("", entry);
  return text;
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

TENON_DRIVER_ENTRY Status cuGetProcAddress_v2(const char *name, void **address, int version, uint64_t flags,
                                              int *found) {
  constexpr uint64_t kLegacyStream = 1, kPerThreadStream = 2; // CUdriverProcAddress_flags
  enum { kFound, kSymbolNotFound, kVersionNotSufficient };    // CUdriverProcAddressQueryResult
  bool both = flags == (kLegacyStream | kPerThreadStream);
  if (!name || !address || both || (flags & ~(kLegacyStream | kPerThreadStream)) || version > kDriverVersion)
    return kInvalidValue;
  Search search = find_entry(name, version);
  *address = search.newest ? reinterpret_cast<void *>(search.newest->address) : nullptr;
  if (search.newest && flags == kPerThreadStream)
    for (const PerThread &entry : kPerThread)
      if (entry.name == search.newest->name)
        *address = reinterpret_cast<void *>(entry.address);
  if (found)
    *found = *address ? kFound : search.known ? kVersionNotSufficient : kSymbolNotFound;
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuGetProcAddress(const char *name, void **address, int version, uint64_t flags) {
  Status status = cuGetProcAddress_v2(name, address, version, flags, nullptr);
  return status == kSuccess && !*address ? kNotFound : status;
}

/// Tables of functions beside the API, for NVIDIA's own libraries: none is here. Most do without; the CUDA runtime does not.
TENON_DRIVER_ENTRY Status cuGetExportTable(const void **table, const unsigned char *id) {
  constexpr unsigned char kRuntime[] = {0x6b, 0xd5, 0xfb, 0x6c, 0x5b, 0xf4, 0xe7, 0x4a,
                                        0x89, 0x87, 0xd9, 0x39, 0x12, 0xfd, 0x9d, 0xf9};
  static std::atomic_flag told;
  if (!table || !id)
    return kInvalidValue;
  *table = nullptr;
  if (!std::memcmp(id, kRuntime, sizeof(kRuntime)) && !told.test_and_set())
    std::fputs("emulator: the CUDA runtime asks for functions beside the driver API (cuGetExportTable), which are not "
               "there: CUDA_ERROR_NOT_SUPPORTED\n",
               stderr);
  return kNotSupported;
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
/// The table of entries, one a line: group, name, version of CUDA that brought it, with tabs between; an entry that is
/// exported but not covered has no group. Returns the bytes needed, the final zero included.
TENON_DRIVER_ENTRY size_t tenonEmulatorEntries(char *buffer, size_t room) {
  return give_text(entries_text(), buffer, room);
}
/// The findings, one JSON object a line. Returns the bytes needed, the final zero included.
TENON_DRIVER_ENTRY size_t tenonEmulatorFindings(char *buffer, size_t room) {
  return give_text(Report::instance().json_lines(), buffer, room);
}
