/// What the emulated driver covers of the CUDA driver API.
#pragma once

#include "tenon/Api.h"
#include "tenon/Result.h"

#include <string>
#include <vector>

namespace tenon {

/// An entry that the emulated driver exports: "cuMemAlloc_v2", of CUDA 3.2 (3020).
struct EmulatedDriverEntry {
  std::string group; ///< "memory", "streams", …; "" where it is exported, but refuses every call
  std::string name;
  int since = 0;
};

/// The table of its library. Errors: kUnsupported where the library cannot be opened.
TENON_API Result<std::vector<EmulatedDriverEntry>> emulated_driver_entries();

} // namespace tenon
