#include "tenon/CacheOptions.h"

#include "device/Text.h"

#include <charconv>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <span>

namespace tenon {
namespace {

constexpr std::string_view kPolicies[] = {"compile", "must_hit"};
constexpr std::string_view kDiskUses[] = {"off", "on", "read-only"};
constexpr uint64_t kDefaultBytes = uint64_t{1} << 30; // some 20,000 kernels
constexpr uint32_t kDefaultDays = 180;

struct Unit {
  char letter;
  int shift;
};
constexpr Unit kUnits[] = {{'K', 10}, {'M', 20}, {'G', 30}, {'T', 40}};

// "" for a variable that is not set.
std::string environment(const char *name) {
  const char *value = std::getenv(name);
  return value ? value : "";
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(':'), text.size());
    if (end > 0)
      parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::string joined(const std::vector<std::string> &parts) {
  std::string text;
  for (const std::string &part : parts)
    text += (text.empty() ? "" : ":") + part;
  return text;
}

template <typename Enum>
Result<Enum> word(std::span<const std::string_view> words, std::string_view text,
                  const char *variable) {
  std::string all;
  for (size_t i = 0; i < words.size(); ++i) {
    if (text == words[i])
      return static_cast<Enum>(i);
    all += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + std::string(words[i]);
  }
  return Error::invalid_argument(variable, std::string(text), all);
}

Result<uint32_t> days(std::string_view text) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size())
    return Error::invalid_argument("TENON_CACHE_MAX_DAYS", std::string(text), "a number of days");
  return number;
}

// The XDG base directory specification: a relative path counts as none.
std::pair<std::string, std::string> default_directory() {
  if (const std::string base = environment("XDG_CACHE_HOME"); base.starts_with('/'))
    return {base + "/tenon", "XDG_CACHE_HOME"};
  if (const std::string home = environment("HOME"); home.starts_with('/'))
    return {home + "/.cache/tenon", "HOME"};
  return {"", "neither XDG_CACHE_HOME nor HOME is set"};
}

// Takes the option, else the variable, else the default, and remembers which it was.
class Resolver {
public:
  explicit Resolver(CacheSettings &settings) : settings_(settings) {}

  std::string text(const char *setting, const std::string &option, const char *variable,
                   std::pair<std::string, std::string> otherwise = {"", "default"}) {
    const std::string given = environment(variable);
    const bool by_option = !option.empty(), by_environment = !by_option && !given.empty();
    add(setting,
        by_option        ? option
        : by_environment ? given
                         : otherwise.first,
        by_option        ? "option"
        : by_environment ? variable
                         : otherwise.second);
    return settings_.lines.back().value;
  }

  std::vector<std::string> list(const char *setting, const std::vector<std::string> &option,
                                const char *variable) {
    return split(text(setting, joined(option), variable));
  }

  void add(std::string setting, std::string value, std::string decided_by) {
    settings_.lines.push_back({std::move(setting), std::move(value), std::move(decided_by)});
  }

private:
  CacheSettings &settings_;
};

std::string default_disk(const CacheOptions &options) {
  const bool named = !options.directory.empty() || !environment("TENON_CACHE_DIR").empty();
  return std::string(name(named || options.disk_by_default ? DiskUse::kOn : DiskUse::kOff));
}

} // namespace

std::string_view name(CachePolicy policy) {
  return kPolicies[static_cast<size_t>(policy)];
}
std::string_view name(DiskUse use) {
  return kDiskUses[static_cast<size_t>(use)];
}

Result<uint64_t> parse_bytes(std::string_view text, std::string argument) {
  uint64_t number = 0;
  const char *last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  int shift = end == last ? 0 : -1;
  for (const Unit &unit : kUnits)
    if (end + 1 == last && *end == unit.letter)
      shift = unit.shift;
  if (error != std::errc() || shift < 0 || number > std::numeric_limits<uint64_t>::max() >> shift)
    return Error::invalid_argument(std::move(argument), std::string(text),
                                   "a number of bytes, perhaps with K, M, G or T behind it");
  return number << shift;
}

Result<CacheSettings> resolve(const CacheOptions &options) {
  CacheSettings settings;
  Resolver take(settings);
  auto or_empty = [](const auto &option, auto to_text) {
    return option ? std::string(to_text(*option)) : std::string();
  };
  auto number = [](auto value) { return std::to_string(value); };
  const std::string disk =
      take.text("disk", or_empty(options.disk, [](DiskUse use) { return name(use); }),
                "TENON_CACHE", {default_disk(options), "default"});
  TENON_ASSIGN_OR_RETURN(settings.disk, word<DiskUse>(kDiskUses, disk, "TENON_CACHE"));
  settings.directory =
      take.text("directory", options.directory, "TENON_CACHE_DIR", default_directory());
  settings.path = take.list("path", options.path, "TENON_CACHE_PATH");
  const std::string policy =
      take.text("policy", or_empty(options.policy, [](CachePolicy p) { return name(p); }),
                "TENON_CACHE_POLICY", {"compile", "default"});
  TENON_ASSIGN_OR_RETURN(settings.policy,
                         word<CachePolicy>(kPolicies, policy, "TENON_CACHE_POLICY"));
  const std::string bytes = take.text("max_bytes", or_empty(options.max_bytes, number),
                                      "TENON_CACHE_MAX_BYTES", {number(kDefaultBytes), "default"});
  TENON_ASSIGN_OR_RETURN(settings.max_bytes, parse_bytes(bytes, "TENON_CACHE_MAX_BYTES"));
  TENON_ASSIGN_OR_RETURN(
      settings.max_days,
      days(take.text("max_days", or_empty(options.max_days, number), "TENON_CACHE_MAX_DAYS",
                     {number(kDefaultDays), "default"})));
  settings.public_keys = take.list("public_keys", options.public_keys, "TENON_CACHE_PUBLIC_KEY");
  settings.signing_key = take.text("signing_key", options.signing_key, "TENON_CACHE_SIGNING_KEY");
  settings.record = take.text("record", options.record, "TENON_CACHE_RECORD");
  return settings;
}

} // namespace tenon
