#include "cache/NearestEntries.h"

#include "device/Text.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

namespace tenon {
namespace {

constexpr size_t kNearest = 3;
constexpr const char *kParts[] = {"code generation", "graph", "target", "signature", "options"};

// {"/inputs/0/dtype": "f16", …}, or the text itself where it is no JSON.
std::map<std::string, std::string> members(std::string_view text) {
  std::map<std::string, std::string> flat;
  const auto object = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_structured()) {
    flat[""] = text;
    return flat;
  }
  const auto paths = object.flatten();
  for (const auto &[path, value] : paths.items())
    flat[path] = value.is_string() ? value.get<std::string>() : value.dump();
  return flat;
}

void compare(const char *part, std::string_view entry, std::string_view asked,
             std::vector<std::string> &lines) {
  std::map<std::string, std::string> left = members(entry), right = members(asked);
  std::map<std::string, std::string> all = left;
  all.insert(right.begin(), right.end());
  auto text = [](const std::map<std::string, std::string> &map, const std::string &path) {
    const auto found = map.find(path);
    return found == map.end() ? std::string("absent") : found->second;
  };
  for (const auto &[path, ignored] : all)
    if (const std::string there = text(left, path), here = text(right, path); there != here)
      lines.push_back(
          concat(part, path.empty() ? "" : " ", path, " is ", there, ", asked is ", here));
}

// The mnemonics of the operations, sorted.
std::vector<std::string_view> operations(std::string_view graph) {
  constexpr std::string_view kDialect = "attention.", kLetters = "abcdefghijklmnopqrstuvwxyz0123456789_";
  std::vector<std::string_view> found;
  for (size_t at; (at = graph.find(kDialect)) != std::string_view::npos;) {
    graph.remove_prefix(at + kDialect.size());
    found.push_back(graph.substr(0, graph.find_first_not_of(kLetters)));
  }
  std::ranges::sort(found);
  return found;
}

std::string without(const std::vector<std::string_view> &all, const std::vector<std::string_view> &those) {
  std::vector<std::string_view> rest;
  std::ranges::set_difference(all, those, std::back_inserter(rest));
  std::string text;
  for (std::string_view name : rest)
    text += concat(text.empty() ? "" : ", ", name);
  return text;
}

} // namespace

KernelKey key_of(const KernelCacheEntry &entry) {
  auto part = [&](const char *name) { return std::string(key_part(entry.key, name)); };
  KernelKey::Parts parts = {part("graph"), part("signature"), part("target"), part("options")};
  const std::string generation = part(kParts[0]);
  std::from_chars(generation.data(), generation.data() + generation.size(), parts.code_generation);
  return KernelKey(std::move(parts));
}

std::vector<std::string> graph_differences(std::string_view entry_graph, std::string_view asked_graph) {
  const std::vector<std::string_view> there = operations(entry_graph), here = operations(asked_graph);
  const std::string lacks = without(here, there), besides = without(there, here);
  std::vector<std::string> lines;
  if (!lacks.empty())
    lines.push_back(concat("graph has no ", lacks, ", which is asked for"));
  if (!besides.empty())
    lines.push_back(concat("graph has ", besides, ", which is not asked for"));
  if (lines.empty())
    lines.push_back("graph has the same operations, with other operands or constants");
  return lines;
}

std::vector<std::string> differences(const std::string &entry_key, const std::string &asked_key) {
  std::vector<std::string> lines;
  for (const char *part : kParts) {
    const std::string_view entry = key_part(entry_key, part), asked = key_part(asked_key, part);
    if (entry != asked)
      compare(part, entry, asked, lines);
  }
  return lines;
}

Error cache_miss(const KernelKey &asked, std::span<const KernelCacheEntry> entries,
                 const CacheNotes &notes, GraphOf graph_of) {
  struct Near {
    const KernelCacheEntry *entry;
    std::vector<std::string> differences;
  };
  std::vector<Near> near;
  for (const KernelCacheEntry &entry : entries)
    if (entry.refusal.empty())
      near.push_back({&entry, differences(entry.key, asked.text())});
  const size_t count = std::min(kNearest, near.size());
  std::partial_sort(near.begin(), near.begin() + static_cast<ptrdiff_t>(count), near.end(),
                    [](const Near &a, const Near &b) {
                      return std::pair(a.differences.size(), a.entry->hash) <
                             std::pair(b.differences.size(), b.entry->hash);
                    });
  std::string text =
      concat("no cache holds kernel ", asked.hash(),
             ", and the policy must_hit forbids compiling it. Its key:\n", asked.text());
  std::vector<Reason> reasons;
  if (near.empty())
    text += "There are no other entries.";
  for (Near &each : std::span(near).first(count)) {
    if (key_part(each.entry->key, "graph") != key_part(asked.text(), "graph"))
      if (const std::string graph = graph_of(*each.entry); !graph.empty() && !asked.graph().empty())
        std::ranges::copy(graph_differences(graph, asked.graph()), std::back_inserter(each.differences));
    text += concat("Near: ", each.entry->hash, " ", each.entry->kernel, " in ",
                   each.entry->place.empty() ? "memory" : each.entry->place, "\n");
    for (const std::string &line : each.differences) {
      text += concat("  ", line, "\n");
      reasons.push_back({each.entry->hash, line});
    }
  }
  for (const std::string &note : notes)
    text += concat("\n", note);
  while (text.ends_with('\n'))
    text.pop_back();
  return Error(ErrorCode::kCacheMiss, std::move(text)).with_reasons(std::move(reasons));
}

} // namespace tenon
