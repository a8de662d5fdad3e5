#include "Command.h"

#include "tenon/Compiler.h"
#include "tenon/Device.h"
#include "tenon/EmulatedDriver.h"

#include <memory>

namespace tenon::command {
namespace {

constexpr const char *kFooter = R"(Examples:
  tenon devices
  tenon devices --json
  tenon devices --entries   # what the emulated driver covers of the CUDA driver API)";

Result<void> list(bool json) {
  Json lines = Json::array();
  std::string text;
  auto add = [&](std::string_view way, int ordinal, bool available, const std::string &device,
                 const std::string &target, const std::string &reason) {
    lines.push_back({{"way", way},
                     {"ordinal", ordinal},
                     {"available", available},
                     {"name", device},
                     {"target", target},
                     {"reason", reason}});
    text += label(way, 10) + (available ? "available  " : "absent     ") +
            (available ? device + (target.empty() ? "" : ", " + target) + (reason.empty() ? "" : "; ") : "") + reason + "\n";
  };
  for (const DeviceStatus &status : list_devices())
    add(name(status.kind), status.ordinal, status.available, status.name, status.target,
        status.reason);
  add("eager", 0, true, "interpreter", "", "");
  const Result<void> compiler = compiler_available();
  add("compiler", 0, compiler.ok(), compiler_library(), "",
      compiler ? "" : compiler.error().message());
  return json ? print_json(lines) : print(text);
}

/// Entries by group; those that are exported and refuse every call come last.
Result<void> list_entries(bool json) {
  TENON_ASSIGN_OR_RETURN(const std::vector<EmulatedDriverEntry> entries, emulated_driver_entries());
  Json lines = Json::array();
  std::string text, group = "none";
  size_t covered = 0;
  for (const EmulatedDriverEntry &entry : entries) {
    covered += !entry.group.empty();
    lines.push_back({{"name", entry.name},
                     {"covered", !entry.group.empty()},
                     {"group", entry.group},
                     {"since", entry.since}});
    if (entry.group != group)
      text += (entry.group.empty() ? "not covered: CUDA_ERROR_NOT_SUPPORTED" : entry.group) + "\n";
    group = entry.group;
    text += "  " + entry.name + "\n";
  }
  text += std::to_string(covered) + " entries are covered, " +
          std::to_string(entries.size() - covered) + " are not\n";
  return json ? print_json(lines) : print(text);
}

} // namespace

void add_devices(CLI::App &app, Action &action) {
  auto json = std::make_shared<bool>(false);
  CLI::App *devices =
      app.add_subcommand("devices", "Every way to run a kernel: there, or why it is not");
  devices->footer(kFooter);
  devices->add_flag("--json", *json, "a JSON array on stdout");
  auto entries = std::make_shared<bool>(false);
  devices->add_flag("--entries", *entries,
                    "the driver API entries that the emulated driver covers");
  devices->callback([json, entries, &action] {
    action = [json, entries] { return *entries ? list_entries(*json) : list(*json); };
  });
}

} // namespace tenon::command
