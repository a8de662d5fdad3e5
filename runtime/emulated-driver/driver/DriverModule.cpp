// Modules, and what they hold.
#include "driver/Jit.h"
#include <cstring>
#include <fstream>
#include <iterator>

using namespace tenon::emulator;

namespace {
ModuleObject *find_module(const Call &call, ModuleObject *module) {
  return call.context->modules.count(module) ? module : nullptr;
}
} // namespace

TENON_DRIVER_ENTRY Status cuModuleLoadDataEx(ModuleObject **module, const void *image, unsigned count, int *options,
                                             void **values) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!module || !image)
    return kInvalidValue;
  JitOptions jit;
  if (Status status = jit.read(count, options, values))
    return status;
  std::string log;
  ModuleObject *loaded = nullptr;
  Status status = load_module(*call.context, *call.driver.model, image, jit.most_registers, loaded, log);
  jit.write(log, loaded);
  if (status == kSuccess)
    *module = loaded;
  return status;
}
TENON_DRIVER_ENTRY Status cuModuleLoadData(ModuleObject **module, const void *image) {
  return cuModuleLoadDataEx(module, image, 0, nullptr, nullptr);
}
TENON_DRIVER_ENTRY Status cuModuleLoadFatBinary(ModuleObject **module, const void *image) {
  return cuModuleLoadData(module, image);
}
TENON_DRIVER_ENTRY Status cuModuleLoad(ModuleObject **module, const char *path) {
  if (!module || !path)
    return kInvalidValue;
  std::ifstream file(path, std::ios::binary);
  std::string image{std::istreambuf_iterator<char>(file), {}};
  return file && !image.empty() ? cuModuleLoadData(module, image.c_str()) : kFileNotFound;
}

TENON_DRIVER_ENTRY Status cuModuleUnload(ModuleObject *module) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!find_module(call, module))
    return kInvalidHandle;
  if (Status status = call.forbid_in_capture())
    return status;
  unload_module(*call.context, module);
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuModuleGetFunction(FunctionObject **function, ModuleObject *module, const char *name) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!function || !name)
    return kInvalidValue;
  if (!find_module(call, module))
    return kInvalidHandle;
  FunctionObject *found = module->find(name);
  if (!found)
    return kNotFound;
  *function = found;
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuModuleGetFunctionCount(unsigned *count, ModuleObject *module) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!count)
    return kInvalidValue;
  if (!find_module(call, module))
    return kInvalidHandle;
  *count = static_cast<unsigned>(module->functions.size());
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuModuleEnumerateFunctions(FunctionObject **functions, unsigned count, ModuleObject *module) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!functions)
    return kInvalidValue;
  if (!find_module(call, module))
    return kInvalidHandle;
  for (size_t i = 0; i < count && i < module->functions.size(); i++)
    functions[i] = module->functions[i].get();
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuModuleGetLoadingMode(int *mode) {
  constexpr int kEager = 1; // CU_MODULE_EAGER_LOADING
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!mode)
    return kInvalidValue;
  *mode = kEager;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuModuleGetGlobal_v2(DevicePointer *address, size_t *bytes, ModuleObject *module,
                                               const char *name) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!name || (!address && !bytes))
    return kInvalidValue;
  if (!find_module(call, module))
    return kInvalidHandle;
  for (const Variable &variable : module->ptx.variables) {
    auto at = module->addresses.find(variable.name);
    if (variable.name != name || at == module->addresses.end())
      continue;
    if (address)
      *address = at->second;
    if (bytes)
      *bytes = variable.size;
    return kSuccess;
  }
  return kNotFound;
}
