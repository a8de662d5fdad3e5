/// What a miss says where nothing may be compiled: the key, and the entries that come nearest.
#pragma once

#include "tenon/Error.h"
#include "tenon/FunctionRef.h"
#include "tenon/KernelKey.h"
#include "tenon/KernelStore.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

/// The parts in which an entry's key differs from the one asked for, one line each: "target is
/// host:x86-64-v3, asked is host:x86-64-v4"; signatures and options by their members.
std::vector<std::string> differences(const std::string &entry_key, const std::string &asked_key);

/// The key whose text an entry has.
KernelKey key_of(const KernelCacheEntry &entry);

/// What of one graph's text the other has not: "graph has no query_index, where, which are asked for".
std::vector<std::string> graph_differences(std::string_view entry_graph, std::string_view asked_graph);

/// The text of an entry's graph; "" where it cannot be read.
using GraphOf = FunctionRef<std::string(const KernelCacheEntry &entry)>;

/// kCacheMiss, with the key and the three nearest of the entries.
Error cache_miss(const KernelKey &asked, std::span<const KernelCacheEntry> entries,
                 const CacheNotes &notes, GraphOf graph_of);

} // namespace tenon
