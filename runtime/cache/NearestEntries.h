/// What a miss says where nothing may be compiled: the key, and the entries that come nearest.
#pragma once

#include "tenon/Error.h"
#include "tenon/KernelKey.h"
#include "tenon/KernelStore.h"

#include <span>
#include <string>
#include <vector>

namespace tenon {

/// The parts in which an entry's key differs from the one asked for, one line each: "target is
/// host:x86-64-v3, asked is host:x86-64-v4"; signatures and options by their members.
std::vector<std::string> differences(const std::string &entry_key, const std::string &asked_key);

/// kCacheMiss, with the key and the three nearest of the entries.
Error cache_miss(const KernelKey &asked, std::span<const KernelCacheEntry> entries,
                 const CacheNotes &notes);

} // namespace tenon
