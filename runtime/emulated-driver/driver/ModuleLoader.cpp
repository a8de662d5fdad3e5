#include "driver/Driver.h"
#include "driver/FatBinary.h"
#include "launch/Report.h"
#include "ptx/Parser.h"
#include <algorithm>
#include <cstdio>
#include <cstring>

namespace tenon::emulator {
namespace {
constexpr uint32_t kNewestPtx = 93; // PTX ISA 9.3
constexpr std::string_view kElfMagic = "\177ELF";
constexpr uint32_t kMostRegisters = 255, kRegisterGranularity = 8; // of a thread

/// "sm_80" is 80; 'a' and 'f' suffixes tie the code to one architecture, or family.
bool target_fits(const std::string &target, int capability, std::string &why) {
  int number = 0;
  char suffix = 0;
  int read = std::sscanf(target.c_str(), "sm_%d%c", &number, &suffix);
  if (read < 1) {
    why = "unknown target '" + target + "'";
    return false;
  }
  bool fits =
      read == 1 ? number <= capability : number == capability || (suffix == 'f' && number / 10 == capability / 10);
  if (!fits)
    why = "target " + target + " does not run on a device of compute capability " + std::to_string(capability / 10) +
          "." + std::to_string(capability % 10);
  return fits;
}

constexpr unsigned kAttachGlobal = 1; // CU_MEM_ATTACH_GLOBAL

bool place_variables(ContextObject &context, ModuleObject &module) {
  for (const Variable &variable : module.ptx.variables) {
    if (variable.space == Space::kShared)
      continue;
    uint64_t at = variable.managed ? context.memory.allocate_shared(variable.size, MemoryKind::kManaged, kAttachGlobal, variable.name)
                                   : context.memory.allocate(variable.size, variable.name);
    if (!at)
      return false;
    context.memory.find(at, 1)->constant = variable.space == Space::kConst;
    std::memset(context.memory.data(at), 0, variable.size);
    std::memset(context.memory.shadow(at), kWritten, variable.size);
    std::ranges::copy(variable.initialiser, context.memory.data(at));
    module.addresses[variable.name] = at;
  }
  return true;
}

/// What ptxas would give a thread: what the program needs, in eights, or what a limit or the launch bounds leave.
uint32_t registers_of(const Program &program, const Kernel &kernel, uint32_t limit) {
  const uint32_t *shape = kernel.required_threads[0] ? kernel.required_threads : kernel.max_threads;
  uint32_t threads = (shape[0] * shape[1] * shape[2] + 31) / 32 * 32, most = limit ? limit : kMostRegisters;
  if (threads)
    most = std::min(most, kRegistersPerMultiprocessor / threads / kRegisterGranularity * kRegisterGranularity);
  uint32_t needed = (program.register_count + kRegisterGranularity - 1) / kRegisterGranularity * kRegisterGranularity;
  return std::min({needed, most, kMostRegisters});
}

Status decode_kernels(DeviceMemory &memory, ModuleObject &module, const DeviceModel &model, uint32_t most_registers, std::string &log) {
  DecodeContext surroundings;
  surroundings.module = &module.ptx;
  surroundings.executor = &executor();
  surroundings.tensor_cores_fuse_whole_k = model.tensor_cores_fuse_whole_k;
  surroundings.global_addresses = module.addresses;
  auto refusal = relocate(surroundings, [&](const Variable &variable) {
    return memory.data(module.addresses.at(variable.name));
  });
  if (!refusal)
    refusal = check_functions(surroundings);
  if (refusal) {
    log = refusal->text();
    return kInvalidPtx;
  }
  for (const Kernel &kernel : module.ptx.kernels) {
    auto decoded = decode(kernel, surroundings);
    if (auto *diagnostic = std::get_if<Diagnostic>(&decoded)) {
      log = diagnostic->text();
      return kInvalidPtx;
    }
    auto function = std::make_unique<FunctionObject>();
    function->module = &module;
    function->kernel = &kernel;
    function->program = std::move(std::get<Program>(decoded));
    function->registers = registers_of(function->program, kernel, most_registers);
    module.functions.push_back(std::move(function));
  }
  return kSuccess;
}

Status parse(const void *image, const DeviceModel &model, Module &ptx, std::string &log) {
  std::string unpacked;
  const char *text = static_cast<const char *>(image);
  if (!std::strncmp(text, kElfMagic.data(), kElfMagic.size())) {
    log = "the emulated driver runs PTX text; this image is machine code";
    return kNoBinaryForGpu;
  }
  if (is_fat_binary(image)) {
    if (!ptx_of_fat_binary(image, model.capability, unpacked, log))
      return kNoBinaryForGpu;
    text = unpacked.c_str();
  }
  auto parsed = parse_ptx(text);
  if (auto *diagnostic = std::get_if<Diagnostic>(&parsed)) {
    log = diagnostic->text();
    return kInvalidPtx;
  }
  ptx = std::move(std::get<Module>(parsed));
  if (ptx.version > kNewestPtx) {
    log = "PTX version " + std::to_string(ptx.version / 10) + "." + std::to_string(ptx.version % 10) +
          " is newer than the emulated driver";
    return kUnsupportedPtxVersion;
  }
  return target_fits(ptx.target, model.capability, log) ? kSuccess : kInvalidPtx;
}

void free_variables(ContextObject &context, const ModuleObject &module) {
  for (const auto &[name, address] : module.addresses)
    context.memory.free(address);
}
} // namespace

Status load_module(ContextObject &context, const DeviceModel &model, const void *image, uint32_t most_registers,
                   ModuleObject *&module, std::string &log) {
  auto loaded = std::make_unique<ModuleObject>();
  if (Status status = parse(image, model, loaded->ptx, log))
    return status;
  bool placed = place_variables(context, *loaded);
  Status status = placed ? decode_kernels(context.memory, *loaded, model, most_registers, log) : kOutOfMemory;
  if (status != kSuccess) {
    if (!placed)
      log = "no memory for the module's variables";
    free_variables(context, *loaded);
    return status;
  }
  for (const auto &function : loaded->functions)
    context.functions[function.get()] = loaded.get();
  module = loaded.get();
  context.modules[module] = std::move(loaded);
  return kSuccess;
}

void unload_module(ContextObject &context, ModuleObject *module) {
  for (const auto &function : module->functions)
    context.functions.erase(function.get());
  free_variables(context, *module);
  context.modules.erase(module);
}

} // namespace tenon::emulator
