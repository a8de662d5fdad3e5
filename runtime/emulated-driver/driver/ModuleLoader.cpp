#include "driver/Driver.h"
#include "launch/Report.h"
#include "ptx/Parser.h"
#include <cstdio>
#include <cstring>

namespace tenon::emulator {
namespace {
constexpr uint32_t kNewestPtx = 93; // PTX ISA 9.3
constexpr std::string_view kElfMagic = "\177ELF";
constexpr std::string_view kFatBinaryMagic = "\x50\xed\x55\xba";

/// "sm_80" is 80; 'a' and 'f' suffixes tie the code to one architecture, or family.
bool target_fits(const std::string &target, int capability, std::string &why) {
  int number = 0;
  char suffix = 0;
  int read = std::sscanf(target.c_str(), "sm_%d%c", &number, &suffix);
  if (read < 1) {
    why = "unknown target '" + target + "'";
    return false;
  }
  bool fits = read == 1 ? number <= capability : number == capability || (suffix == 'f' && number / 10 == capability / 10);
  if (!fits)
    why = "target " + target + " does not run on a device of compute capability " + std::to_string(capability / 10) + "." +
          std::to_string(capability % 10);
  return fits;
}

bool place_variables(ContextObject &context, ModuleObject &module) {
  for (const Variable &variable : module.ptx.variables) {
    if (variable.space == Space::kShared)
      continue;
    uint64_t at = context.memory.allocate(variable.size, variable.name);
    if (!at)
      return false;
    std::memset(context.memory.data(at), 0, variable.size);
    std::memset(context.memory.shadow(at), kWritten, variable.size);
    std::memcpy(context.memory.data(at), variable.initialiser.data(), variable.initialiser.size());
    module.addresses[variable.name] = at;
  }
  return true;
}
} // namespace

Status load_module(ContextObject &context, const DeviceModel &model, const char *image, ModuleObject *&module,
                   std::string &log) {
  if (!std::strncmp(image, kElfMagic.data(), 4) || !std::strncmp(image, kFatBinaryMagic.data(), 4)) {
    log = "the emulated driver runs PTX text; this image is machine code";
    return kNoBinaryForGpu;
  }
  auto parsed = parse_ptx(image);
  if (auto *diagnostic = std::get_if<Diagnostic>(&parsed)) {
    log = diagnostic->text();
    return kInvalidPtx;
  }
  auto loaded = std::make_unique<ModuleObject>();
  loaded->ptx = std::move(std::get<Module>(parsed));
  if (loaded->ptx.version > kNewestPtx) {
    log = "PTX version " + std::to_string(loaded->ptx.version / 10) + "." + std::to_string(loaded->ptx.version % 10) +
          " is newer than the emulated driver";
    return kUnsupportedPtxVersion;
  }
  std::string why;
  if (!target_fits(loaded->ptx.target, model.capability, why)) {
    log = why;
    return kInvalidPtx;
  }
  auto give_back = [&] {
    for (const auto &[name, address] : loaded->addresses)
      context.memory.free(address);
  };
  if (!place_variables(context, *loaded)) {
    give_back();
    log = "no memory for the module's variables";
    return kOutOfMemory;
  }
  DecodeContext surroundings;
  surroundings.module = &loaded->ptx;
  surroundings.executor = &executor();
  surroundings.tensor_cores_fuse_whole_k = model.tensor_cores_fuse_whole_k;
  surroundings.global_addresses = loaded->addresses;
  for (const Kernel &kernel : loaded->ptx.kernels) {
    auto decoded = decode(kernel, surroundings);
    if (auto *diagnostic = std::get_if<Diagnostic>(&decoded)) {
      log = diagnostic->text();
      give_back();
      return kInvalidPtx;
    }
    auto function = std::make_unique<FunctionObject>();
    function->module = loaded.get();
    function->kernel = &kernel;
    function->program = std::move(std::get<Program>(decoded));
    loaded->functions.push_back(std::move(function));
  }
  for (const auto &function : loaded->functions)
    context.functions[function.get()] = loaded.get();
  module = loaded.get();
  context.modules[module] = std::move(loaded);
  return kSuccess;
}

} // namespace tenon::emulator
