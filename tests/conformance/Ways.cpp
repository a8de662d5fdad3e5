#include "Ways.h"

#include <array>

namespace tenon::conformance {
namespace {

std::string why_missing(DeviceKind kind) {
  std::string reason = "no such device";
  for (const DeviceStatus &status : list_devices()) {
    if (status.kind != kind)
      continue;
    if (status.available)
      return "";
    reason = status.reason;
  }
  return reason;
}

RunWay host_level(std::string name, std::string target) {
  RunWay way{std::move(name), Way::kHost, target, ""};
  auto parsed = Target::parse(target);
  auto device = Device::open(DeviceKind::kHost);
  if (!parsed || !device)
    way.missing = parsed ? device.error().message() : parsed.error().message();
  else if (auto executable = (*device)->can_execute(*parsed); !executable)
    way.missing = executable.error().message();
  return way;
}

} // namespace

const std::vector<RunWay> &ways() {
  static const std::vector<RunWay> list = {
      {"eager", Way::kEager, "", ""},
      host_level("host_v3", "host:x86-64-v3"),
      host_level("host_v4", "host:x86-64-v4"),
      host_level("host_v4_bf16", "host:x86-64-v4+bf16"),
      host_level("host_v4_amx", "host:x86-64-v4+amx"),
      host_level("host_v4_amx_emulated", "host:x86-64-v4+amx-emulated"),
      {"emulator", Way::kEmulator, "", why_missing(DeviceKind::kEmulator)},
      {"cuda", Way::kCuda, "", why_missing(DeviceKind::kCuda)},
  };
  return list;
}

std::vector<RunWay> host_ways() {
  std::vector<RunWay> host;
  for (const RunWay &way : ways())
    if (way.way == Way::kHost)
      host.push_back(way);
  return host;
}

} // namespace tenon::conformance
