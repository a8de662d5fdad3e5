/// What was asked, which ways were weighed, why each was refused, and what ran: nothing falls back
/// in silence. For programs; `text()` says the same to people.
#pragma once

#include "tenon/Api.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

/// Where a function may run. A way that was named runs it or the call fails; only kAuto chooses.
enum class Way : uint8_t {
  kAuto,     ///< cuda where the inputs lie on a GPU, else host, else eager
  kHost,     ///< compiled for this processor
  kCuda,     ///< compiled to PTX, through NVIDIA's driver
  kEmulator, ///< compiled to PTX, through the emulated driver
  kEager,    ///< the interpreter, operation by operation
};

TENON_API std::string_view name(Way way); ///< "auto", "host", "cuda", "emulator", "eager"

struct WeighedWay {
  Way way = Way::kEager;
  bool chosen = false;
  std::string reason; ///< why it was refused, or why it was chosen
};

/// Where a kernel came from.
enum class CacheOutcome : uint8_t { kNone, kHit, kDisk, kCompiled };
TENON_API std::string_view name(CacheOutcome outcome); ///< "none", "hit", "disk", "compiled"

struct TENON_API Explanation {
  Way asked = Way::kAuto;
  Way executed_by = Way::kEager;
  std::vector<WeighedWay> ways; ///< in the order in which they were weighed
  std::string device;           ///< "NVIDIA H200", the processor's brand; "" for eager
  std::string target;           ///< "sm_90a", "host:x86-64-v4"; "" for eager
  std::string kernel;           ///< "" where none was needed
  std::string key;              ///< all that the kernel's code depends on, in readable form
  std::string schedule; ///< JSON object: tile_queries, tile_keys, threads, shared_bytes, …
  CacheOutcome cache = CacheOutcome::kNone;
  std::string cache_choice; ///< "host:x86-64-v4 from /home/me/.cache/tenon", "compiled"
  std::vector<std::string> cache_notes; ///< what was worked around to get it: damage, a full disk
  double compile_milliseconds = 0;
  uint64_t workspace_bytes = 0;
  std::string graph; ///< canonical text

  std::string text() const;
  /// One JSON object with the names above; schedule is an object in it.
  std::string json() const;
};

} // namespace tenon
