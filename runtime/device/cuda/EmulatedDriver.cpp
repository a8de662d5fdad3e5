#include "tenon/EmulatedDriver.h"

#include "device/Library.h"
#include "device/Text.h"
#include "device/cuda/DriverTable.h"

#include <cstdlib>
#include <sstream>

namespace tenon {

Result<std::vector<EmulatedDriverEntry>> emulated_driver_entries() {
  const std::string path = cuda::emulated_driver_library();
  TENON_ASSIGN_OR_RETURN(Library library, Library::open(path));
  using Table = size_t(char *, size_t);
  auto *table = reinterpret_cast<Table *>(library.symbol("tenonEmulatorEntries"));
  if (!table)
    return Error(ErrorCode::kUnsupported, concat(path, " exports no tenonEmulatorEntries"));
  std::string text(table(nullptr, 0), '\0');
  table(text.data(), text.size());
  std::vector<EmulatedDriverEntry> entries;
  std::istringstream lines(text.c_str());
  EmulatedDriverEntry entry;
  for (std::string since; std::getline(lines, entry.group, '\t') &&
                          std::getline(lines, entry.name, '\t') && std::getline(lines, since);) {
    entry.since = std::atoi(since.c_str());
    entries.push_back(entry);
  }
  return entries;
}

} // namespace tenon
