/// Where kernels are kept, and what happens when one is missing: the one place of the settings.
///
///     CacheOptions options;
///     options.path = {"/opt/app/kernels"};
///     options.policy = CachePolicy::kMustHit;
///     TENON_TRY(KernelCache::process().configure(options));
///
/// What an option leaves open the environment says, and what that leaves open the default. A
/// library that nobody told anything keeps kernels in memory alone; the `tenon` command keeps them
/// on disk.
///
///     option       environment              default
///     disk         TENON_CACHE              on where a directory is named, else off; or read-only
///     directory    TENON_CACHE_DIR          $XDG_CACHE_HOME/tenon, else $HOME/.cache/tenon
///     path         TENON_CACHE_PATH         none; lower layers, separated by colons, read alone
///     policy       TENON_CACHE_POLICY       compile; or must_hit
///     max_bytes    TENON_CACHE_MAX_BYTES    1G; 0 for no limit; K, M, G and T are powers of 1024
///     max_days     TENON_CACHE_MAX_DAYS     180 since the last use; 0 for no limit
///     public_keys  TENON_CACHE_PUBLIC_KEY   none; files separated by colons: an entry must be signed
///     signing_key  TENON_CACHE_SIGNING_KEY  none; a file: what is published is signed
///     record       TENON_CACHE_RECORD       none; a file to which each kernel asked for is appended
#pragma once

#include "tenon/Api.h"
#include "tenon/KernelStore.h"
#include "tenon/Result.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

/// What a kernel that no tier holds leads to.
enum class CachePolicy : uint8_t {
  kCompile,
  kMustHit, ///< an error (kCacheMiss) with the key and the nearest entries
};
TENON_API std::string_view name(CachePolicy policy); ///< "compile", "must_hit"

enum class DiskUse : uint8_t { kOff, kOn, kReadOnly };
TENON_API std::string_view name(DiskUse use); ///< "off", "on", "read-only"

struct CacheOptions {
  std::optional<DiskUse> disk = {}; ///< of the own directory; lower layers are read in any case
  bool disk_by_default = false;     ///< on where neither option nor environment says anything
  std::string directory = {};
  std::vector<std::string> path = {};
  std::optional<CachePolicy> policy = {};
  std::optional<uint64_t> max_bytes = {};
  std::optional<uint32_t> max_days = {};
  std::vector<std::string> public_keys = {}; ///< files
  std::string signing_key = {};              ///< a file
  std::string record = {};                   ///< a file
};

/// The settings with everything decided, and by what.
struct CacheSettings {
  DiskUse disk = DiskUse::kOff;
  std::string directory; ///< "" where there is no home directory
  std::vector<std::string> path;
  CachePolicy policy = CachePolicy::kCompile;
  uint64_t max_bytes = 0;
  uint32_t max_days = 0;
  std::vector<std::string> public_keys;
  std::string signing_key, record;

  /// A line of `tenon cache info`: {"directory", "/home/me/.cache/tenon", "$HOME"}.
  struct Line {
    std::string setting, value, decided_by;
  };
  std::vector<Line> lines;
};

/// Errors: kInvalidArgument for a variable whose value means nothing, naming it.
TENON_API Result<CacheSettings> resolve(const CacheOptions &options);

/// "500M" → 524288000. Errors: kInvalidArgument with `argument` as the name.
TENON_API Result<uint64_t> parse_bytes(std::string_view text, std::string argument);

} // namespace tenon
