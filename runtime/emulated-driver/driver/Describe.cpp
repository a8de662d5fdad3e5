// What a PTX text holds, for programs that choose a kernel of it.
#include "driver/Driver.h"
#include "ptx/Parser.h"
#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

using namespace tenon::emulator;

namespace {
using Json = nlohmann::ordered_json;
constexpr uint64_t kPlaceApart = 1 << 20;

Json describe(const Kernel &kernel) {
  Json parameters = Json::array();
  for (const Variable &parameter : kernel.parameters)
    parameters.push_back({{"name", parameter.name},
                          {"type", parameter.type.empty() ? "" : parameter.type.substr(1)},
                          {"bytes", parameter.size},
                          {"offset", parameter.offset}});
  Json json = {{"name", kernel.name}, {"line", kernel.location.line}, {"parameters", std::move(parameters)}};
  if (kernel.required_threads[0])
    json["required_threads"] = kernel.required_threads;
  if (kernel.max_threads[0])
    json["max_threads"] = kernel.max_threads;
  return json;
}
/// Why loading would refuse an instruction of the module, if it would.
std::optional<Diagnostic> refusal(const Module &module) {
  DecodeContext surroundings;
  surroundings.module = &module;
  surroundings.executor = &executor();
  uint64_t place = 0;
  for (const Variable &variable : module.variables)
    if (variable.space != Space::kShared) // anywhere: nothing runs
      surroundings.global_addresses[variable.name] = place += kPlaceApart;
  if (auto refused = check_functions(surroundings))
    return refused;
  for (const Kernel &kernel : module.kernels) {
    auto decoded = decode(kernel, surroundings);
    if (auto *diagnostic = std::get_if<Diagnostic>(&decoded))
      return std::move(*diagnostic);
  }
  return std::nullopt;
}
} // namespace

/// {"target": "sm_80", "kernels": [{"name", "line", "parameters": [{"name", "type", "bytes", "offset"}]}]}, or
/// {"error": why}. Returns the bytes needed, the final zero included.
TENON_DRIVER_ENTRY size_t tenonEmulatorDescribe(const char *ptx, char *buffer, size_t room) {
  Json json;
  auto parsed = parse_ptx(ptx ? ptx : "");
  auto *wrong = std::get_if<Diagnostic>(&parsed);
  std::optional<Diagnostic> refused = wrong ? std::move(*wrong) : refusal(std::get<Module>(parsed));
  if (refused) {
    json["error"] = refused->text();
  } else {
    const Module &module = std::get<Module>(parsed);
    json["target"] = module.target;
    json["kernels"] = Json::array();
    for (const Kernel &kernel : module.kernels)
      json["kernels"].push_back(describe(kernel));
  }
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (buffer && room) {
    const size_t kept = std::min(text.size(), room - 1);
    std::memcpy(buffer, text.data(), kept);
    buffer[kept] = 0;
  }
  return text.size() + 1;
}
