// Functions: their attributes and parameters.
#include "driver/Driver.h"
#include <algorithm>

using namespace tenon::emulator;

namespace tenon::emulator {
namespace {

/// What the launch bounds say, or as many whole warps as the registers suffice for.
int most_threads(const FunctionObject &function) {
  const Kernel &kernel = *function.kernel;
  auto threads = [](const uint32_t(&shape)[3]) { return static_cast<int>(shape[0] * shape[1] * shape[2]); };
  if (kernel.required_threads[0])
    return threads(kernel.required_threads);
  if (kernel.max_threads[0])
    return threads(kernel.max_threads);
  auto most = static_cast<int>(kRegistersPerMultiprocessor / std::max(1u, function.registers));
  return std::min(kThreadsPerBlock, most / kThreadsPerWarp * kThreadsPerWarp);
}

int constant_bytes(const FunctionObject &function) {
  uint64_t bytes = 0;
  for (const Variable &variable : function.module->ptx.variables)
    bytes += variable.space == Space::kConst ? variable.size : 0;
  return static_cast<int>(bytes);
}
} // namespace

int function_attribute(const FunctionObject &function, const DeviceModel &model, int attribute) {
  struct Value {
    int attribute, value;
  };
  const Value values[] = {
      {kFunctionMaxThreadsPerBlock, most_threads(function)},
      {kFunctionSharedBytes, static_cast<int>(function.program.static_shared)},
      {kFunctionConstBytes, constant_bytes(function)},
      {kFunctionLocalBytes, static_cast<int>(function.program.local_bytes)},
      {kFunctionRegisters, static_cast<int>(function.registers)},
      {kFunctionPtxVersion, model.capability},
      {kFunctionBinaryVersion, model.capability},
      {kFunctionMaxDynamicShared, function.max_dynamic_shared},
      {kFunctionPreferredCarveout, function.preferred_carveout},
  };
  for (const Value &row : values)
    if (row.attribute == attribute)
      return row.value;
  return 0;
}

Status set_function_attribute(FunctionObject &function, const DeviceModel &model, int attribute, int value) {
  if (attribute == kFunctionMaxDynamicShared) {
    int64_t most = model.shared_per_block_optin - static_cast<int64_t>(function.program.static_shared);
    if (value < 0 || value > most)
      return kInvalidValue;
    function.max_dynamic_shared = value;
    return kSuccess;
  }
  if (attribute == kFunctionPreferredCarveout) {
    if (value < -1 || value > 100)
      return kInvalidValue;
    function.preferred_carveout = value;
    return kSuccess;
  }
  return attribute == kFunctionNonPortableCluster || attribute == kFunctionClusterPolicy ? kNotSupported
                                                                                         : kInvalidValue;
}
} // namespace tenon::emulator

TENON_DRIVER_ENTRY Status cuFuncGetAttribute(int *value, int attribute, FunctionObject *handle) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!value || attribute < 0 || attribute >= kFunctionLastAttribute)
    return kInvalidValue;
  FunctionObject *function = call.function(handle);
  if (!function)
    return kInvalidHandle;
  *value = function_attribute(*function, *call.driver.model, attribute);
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuFuncSetAttribute(FunctionObject *handle, int attribute, int value) {
  TENON_BEGIN(Call::Needs::kContext);
  FunctionObject *function = call.function(handle);
  return function ? set_function_attribute(*function, *call.driver.model, attribute, value) : kInvalidHandle;
}

// Where shared memory and cache share their bytes, and how wide banks are, changes nothing here.
TENON_DRIVER_ENTRY Status cuFuncSetCacheConfig(FunctionObject *function, int preference) {
  constexpr int kPreferEqual = 3; // the last CUfunc_cache
  TENON_BEGIN(Call::Needs::kContext);
  return preference < 0 || preference > kPreferEqual ? kInvalidValue
         : call.function(function)                   ? kSuccess
                                                     : kInvalidHandle;
}
TENON_DRIVER_ENTRY Status cuFuncSetSharedMemConfig(FunctionObject *function, int bank) {
  constexpr int kEightBytes = 2; // the last CUsharedconfig
  TENON_BEGIN(Call::Needs::kContext);
  return bank < 0 || bank > kEightBytes ? kInvalidValue : call.function(function) ? kSuccess : kInvalidHandle;
}

TENON_DRIVER_ENTRY Status cuFuncGetModule(ModuleObject **module, FunctionObject *handle) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!module)
    return kInvalidValue;
  FunctionObject *function = call.function(handle);
  if (!function)
    return kInvalidHandle;
  *module = function->module;
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuFuncGetName(const char **name, FunctionObject *handle) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!name)
    return kInvalidValue;
  FunctionObject *function = call.function(handle);
  if (!function)
    return kInvalidHandle;
  *name = function->kernel->name.c_str();
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuFuncGetParamInfo(FunctionObject *handle, size_t index, size_t *offset, size_t *bytes) {
  TENON_BEGIN(Call::Needs::kContext);
  FunctionObject *function = call.function(handle);
  if (!function)
    return kInvalidHandle;
  if (!offset || index >= function->kernel->parameters.size())
    return kInvalidValue;
  *offset = function->kernel->parameters[index].offset;
  if (bytes)
    *bytes = function->kernel->parameters[index].size;
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuFuncIsLoaded(int *state, FunctionObject *function) {
  constexpr int kLoaded = 1; // CU_FUNCTION_LOADING_STATE_LOADED
  TENON_BEGIN(Call::Needs::kContext);
  if (!state)
    return kInvalidValue;
  *state = kLoaded;
  return call.function(function) ? kSuccess : kInvalidHandle;
}
TENON_DRIVER_ENTRY Status cuFuncLoad(FunctionObject *function) {
  TENON_BEGIN(Call::Needs::kContext);
  return call.function(function) ? kSuccess : kInvalidHandle;
}
