#include "ScheduleOptions.h"

namespace tenon::command {
namespace {

struct Flag {
  const char *name, *key;
  int64_t ScheduleOptions::*value;
  const char *text;
};
constexpr Flag kFlags[] = {
    {"--tile-queries", "tile_queries", &ScheduleOptions::tile_queries, "rows of a block"},
    {"--tile-keys", "tile_keys", &ScheduleOptions::tile_keys, "keys of a turn of the loop"},
    {"--stages", "stages", &ScheduleOptions::stages, "tiles of keys and values under way on a GPU"},
    {"--warps", "warps", &ScheduleOptions::warps, "warps of a block of a GPU"}};

} // namespace

void ScheduleOptions::add_to(CLI::App &app) {
  const std::string group = "Schedule, by hand; 0 for the compiler's choice";
  for (const Flag &flag : kFlags)
    app.add_option(flag.name, this->*flag.value, flag.text)
        ->check(CLI::Range(int64_t{0}, int64_t{1024}))
        ->group(group)
        ->capture_default_str();
  app.add_option("--without", without,
                 "leaves out what makes host code fast, to see what it is worth: names, separated by commas; a wrong one "
                 "lists them")
      ->delimiter(',')
      ->group(group);
  app.add_option("--schedule", others, "the same as a JSON object: {\"tile_queries\": 64}")->group(group);
}

Result<std::string> ScheduleOptions::text() const {
  Json object = Json::parse(others, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object())
    return Error::invalid_argument("--schedule", others, "a JSON object: {\"tile_queries\": 64}");
  for (const Flag &flag : kFlags)
    if (this->*flag.value != 0) {
      if (object.contains(flag.key))
        return Error::invalid_argument(flag.name, std::to_string(this->*flag.value),
                                       "left out: --schedule says it too");
      object[flag.key] = this->*flag.value;
    }
  if (!without.empty()) {
    if (object.contains("without"))
      return Error::invalid_argument("--without", without.front(), "left out: --schedule says it too");
    std::string names;
    for (const std::string &name : without)
      names += (names.empty() ? "" : ",") + name;
    object["without"] = names;
  }
  return object.dump();
}

} // namespace tenon::command
