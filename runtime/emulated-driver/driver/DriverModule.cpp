// Modules and functions.
#include "driver/Driver.h"
#include <algorithm>
#include <cstring>

using namespace tenon::emulator;

namespace {
/// The log buffers among the options of the just-in-time assembler.
struct JitLog {
  char *buffer = nullptr;
  size_t room = 0;
  void **written = nullptr; // gets the number of bytes
};

void write_log(const JitLog &log, const std::string &text) {
  size_t kept = 0;
  if (log.buffer && log.room) {
    kept = std::min(text.size(), log.room - 1);
    std::memcpy(log.buffer, text.data(), kept);
    log.buffer[kept] = 0;
  }
  if (log.written)
    *log.written = reinterpret_cast<void *>(kept);
}
} // namespace

TENON_DRIVER_ENTRY Status cuModuleLoadDataEx(ModuleObject **module, const void *image, unsigned option_count, int *options,
                                             void **values) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!module || !image || (option_count && (!options || !values)))
    return kInvalidValue;
  JitLog info, error;
  for (unsigned i = 0; i < option_count; i++) {
    JitLog *log = options[i] == kJitInfoLogBuffer || options[i] == kJitInfoLogBufferBytes     ? &info
                  : options[i] == kJitErrorLogBuffer || options[i] == kJitErrorLogBufferBytes ? &error
                                                                                              : nullptr;
    if (!log)
      continue;
    if (options[i] == kJitInfoLogBuffer || options[i] == kJitErrorLogBuffer) {
      log->buffer = static_cast<char *>(values[i]);
    } else {
      log->room = static_cast<unsigned>(reinterpret_cast<uintptr_t>(values[i]));
      log->written = &values[i];
    }
  }
  std::string text;
  Status status = load_module(*call.context, *call.driver.model, static_cast<const char *>(image), *module, text);
  write_log(error, status == kSuccess ? "" : text);
  write_log(info, "");
  return status;
}

TENON_DRIVER_ENTRY Status cuModuleLoadData(ModuleObject **module, const void *image) {
  return cuModuleLoadDataEx(module, image, 0, nullptr, nullptr);
}

TENON_DRIVER_ENTRY Status cuModuleUnload(ModuleObject *module) {
  TENON_BEGIN(Call::Needs::kContext);
  auto found = call.context->modules.find(module);
  if (found == call.context->modules.end())
    return kInvalidHandle;
  for (const auto &function : found->second->functions)
    call.context->functions.erase(function.get());
  for (const auto &[name, address] : found->second->addresses)
    call.context->memory.free(address);
  call.context->modules.erase(found);
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuModuleGetFunction(FunctionObject **function, ModuleObject *module, const char *name) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!function || !name)
    return kInvalidValue;
  auto found = call.context->modules.find(module);
  if (found == call.context->modules.end())
    return kInvalidHandle;
  for (const auto &candidate : found->second->functions)
    if (candidate->kernel->name == name) {
      *function = candidate.get();
      return kSuccess;
    }
  return kNotFound;
}

TENON_DRIVER_ENTRY Status cuModuleGetGlobal_v2(DevicePointer *address, size_t *bytes, ModuleObject *module,
                                               const char *name) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!name || (!address && !bytes))
    return kInvalidValue;
  auto found = call.context->modules.find(module);
  if (found == call.context->modules.end())
    return kInvalidHandle;
  for (const Variable &variable : found->second->ptx.variables) {
    auto at = found->second->addresses.find(variable.name);
    if (variable.name != name || at == found->second->addresses.end())
      continue;
    if (address)
      *address = at->second;
    if (bytes)
      *bytes = variable.size;
    return kSuccess;
  }
  return kNotFound;
}

TENON_DRIVER_ENTRY Status cuFuncGetAttribute(int *value, int attribute, FunctionObject *function) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!value || attribute < 0 || attribute >= kFunctionLastAttribute)
    return kInvalidValue;
  if (!call.context->functions.count(function))
    return kInvalidHandle;
  const Program &program = function->program;
  const Kernel &kernel = *function->kernel;
  auto threads = [](const uint32_t (&shape)[3]) { return static_cast<int>(shape[0] * shape[1] * shape[2]); };
  constexpr uint32_t kRegisterGranularity = 8, kMostRegisters = 255;
  struct Value {
    int attribute, value;
  };
  const Value values[] = {
      {kFunctionMaxThreadsPerBlock, kernel.required_threads[0] ? threads(kernel.required_threads)
                                    : kernel.max_threads[0]    ? threads(kernel.max_threads)
                                                               : 1024},
      {kFunctionSharedBytes, static_cast<int>(program.static_shared)},
      {kFunctionLocalBytes, static_cast<int>(program.local_bytes)},
      {kFunctionRegisters, static_cast<int>(std::min(kMostRegisters, (program.register_count + kRegisterGranularity - 1) /
                                                                         kRegisterGranularity * kRegisterGranularity))},
      {kFunctionPtxVersion, call.driver.model->capability},
      {kFunctionBinaryVersion, call.driver.model->capability},
      {kFunctionMaxDynamicShared, function->max_dynamic_shared},
      {kFunctionPreferredCarveout, function->preferred_carveout},
  };
  *value = 0;
  for (const Value &row : values)
    if (row.attribute == attribute)
      *value = row.value;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuFuncSetAttribute(FunctionObject *function, int attribute, int value) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!call.context->functions.count(function))
    return kInvalidHandle;
  if (attribute == kFunctionMaxDynamicShared) {
    int64_t most = call.driver.model->shared_per_block_optin - static_cast<int64_t>(function->program.static_shared);
    if (value < 0 || value > most)
      return kInvalidValue;
    function->max_dynamic_shared = value;
    return kSuccess;
  }
  if (attribute == kFunctionPreferredCarveout) {
    if (value < -1 || value > 100)
      return kInvalidValue;
    function->preferred_carveout = value;
    return kSuccess;
  }
  return kInvalidValue;
}

TENON_DRIVER_ENTRY Status cuFuncSetCacheConfig(FunctionObject *function, int) {
  TENON_BEGIN(Call::Needs::kContext);
  return call.context->functions.count(function) ? kSuccess : kInvalidHandle;
}

TENON_DRIVER_ENTRY Status cuFuncGetModule(ModuleObject **module, FunctionObject *function) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!module)
    return kInvalidValue;
  auto found = call.context->functions.find(function);
  if (found == call.context->functions.end())
    return kInvalidHandle;
  *module = found->second;
  return kSuccess;
}
