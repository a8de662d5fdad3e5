#include "tenon/Explanation.h"

#include <iterator>
#include <nlohmann/json.hpp>

namespace tenon {
namespace {

constexpr std::string_view kWayNames[] = {"auto", "host", "cuda", "emulator", "eager"};
constexpr std::string_view kOutcomeNames[] = {"none", "hit", "disk", "compiled"};

std::string line(std::string_view label, std::string_view text) {
  std::string padded(label);
  padded.resize(14, ' ');
  padded += text;
  return padded + '\n';
}

} // namespace

std::string_view name(Way way) {
  return kWayNames[static_cast<size_t>(way)];
}
std::string_view name(CacheOutcome outcome) {
  return kOutcomeNames[static_cast<size_t>(outcome)];
}

std::string Explanation::text() const {
  std::string text = line("asked for", name(asked)) + line("runs on", name(executed_by));
  if (!device.empty())
    text += line("device", device);
  for (const WeighedWay &weighed : ways)
    text +=
        line((weighed.chosen ? "  + " : "  - ") + std::string(name(weighed.way)), weighed.reason);
  if (!kernel.empty()) {
    text += line("target", target) + line("kernel", kernel) + line("schedule", schedule);
    text += line("cache", std::string(name(cache)) +
                              (cache == CacheOutcome::kCompiled
                                   ? ", " + std::to_string(compile_milliseconds) + " ms"
                                   : std::string()));
    if (cache == CacheOutcome::kDisk || cache == CacheOutcome::kHit)
      text += line("chosen", cache_choice);
    for (const std::string &note : cache_notes)
      text += line("note", note);
    text += line("workspace", std::to_string(workspace_bytes) + " bytes");
  }
  return text;
}

std::string Explanation::json() const {
  using nlohmann::ordered_json;
  ordered_json reasons = ordered_json::array();
  for (const WeighedWay &weighed : ways)
    reasons.push_back(
        {{"way", name(weighed.way)}, {"chosen", weighed.chosen}, {"reason", weighed.reason}});
  ordered_json parsed = ordered_json::parse(schedule, nullptr, /*allow_exceptions=*/false);
  ordered_json object = {{"asked", name(asked)},
                         {"executed_by", name(executed_by)},
                         {"device", device},
                         {"target", target},
                         {"kernel", kernel},
                         {"key", key},
                         {"schedule", parsed.is_object() ? parsed : ordered_json::object()},
                         {"cache", name(cache)},
                         {"cache_choice", cache_choice},
                         {"cache_notes", cache_notes},
                         {"compile_milliseconds", compile_milliseconds},
                         {"workspace_bytes", workspace_bytes},
                         {"reasons", reasons},
                         {"graph", graph}};
  return object.dump(-1, ' ', /*ensure_ascii=*/false, ordered_json::error_handler_t::replace);
}

} // namespace tenon
