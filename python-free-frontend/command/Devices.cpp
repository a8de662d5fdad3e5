#include "Command.h"

#include "tenon/Compiler.h"
#include "tenon/Device.h"

#include <memory>

namespace tenon::command {
namespace {

constexpr const char *kFooter = R"(Examples:
  tenon devices
  tenon devices --json)";

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
            (available ? device + (target.empty() ? "" : ", " + target) : reason) + "\n";
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

} // namespace

void add_devices(CLI::App &app, Action &action) {
  auto json = std::make_shared<bool>(false);
  CLI::App *devices =
      app.add_subcommand("devices", "Every way to run a kernel: there, or why it is not");
  devices->footer(kFooter);
  devices->add_flag("--json", *json, "a JSON array on stdout");
  devices->callback([json, &action] { action = [json] { return list(*json); }; });
}

} // namespace tenon::command
