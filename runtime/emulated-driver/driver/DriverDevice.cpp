// Initialisation, the device, contexts.
#include "driver/Driver.h"
#include <algorithm>
#include <cstring>

using namespace tenon::emulator;

namespace {
constexpr int kDriverVersion = 13000; // CUDA 13.0

Status check_device(const Call &call, Device device) {
  return call.status != kSuccess ? call.status : device != 0 ? kInvalidDevice : kSuccess;
}
} // namespace

TENON_DRIVER_ENTRY Status cuInit(unsigned flags) {
  Call call(Call::Needs::kNothing);
  if (flags != 0)
    return kInvalidValue;
  if (!call.driver.model)
    call.driver.model = device_model();
  return call.driver.model ? kSuccess : kNoDevice;
}

TENON_DRIVER_ENTRY Status cuDriverGetVersion(int *version) {
  if (!version)
    return kInvalidValue;
  *version = kDriverVersion;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuDeviceGetCount(int *count) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!count)
    return kInvalidValue;
  *count = 1;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuDeviceGet(Device *device, int ordinal) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!device)
    return kInvalidValue;
  if (ordinal != 0)
    return kInvalidDevice;
  *device = 0;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuDeviceGetName(char *name, int length, Device device) {
  Call call(Call::Needs::kInitialised);
  if (Status status = check_device(call, device))
    return status;
  if (!name || length <= 0)
    return kInvalidValue;
  std::string_view full = call.driver.model->name;
  size_t kept = std::min(full.size(), static_cast<size_t>(length) - 1);
  std::memcpy(name, full.data(), kept);
  name[kept] = 0;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuDeviceGetAttribute(int *value, int attribute, Device device) {
  Call call(Call::Needs::kInitialised);
  if (Status status = check_device(call, device))
    return status;
  int found = device_attribute(*call.driver.model, attribute);
  if (!value || found < 0)
    return kInvalidValue;
  *value = found;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuDeviceComputeCapability(int *major, int *minor, Device device) {
  Call call(Call::Needs::kInitialised);
  if (Status status = check_device(call, device))
    return status;
  if (!major || !minor)
    return kInvalidValue;
  *major = call.driver.model->capability / 10;
  *minor = call.driver.model->capability % 10;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuDeviceTotalMem_v2(size_t *bytes, Device device) {
  Call call(Call::Needs::kInitialised);
  if (Status status = check_device(call, device))
    return status;
  if (!bytes)
    return kInvalidValue;
  *bytes = call.driver.model->memory_bytes;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuDeviceGetUuid_v2(char *uuid, Device device) {
  Call call(Call::Needs::kInitialised);
  if (Status status = check_device(call, device))
    return status;
  if (!uuid)
    return kInvalidValue;
  std::memset(uuid, 0, 16);
  std::memcpy(uuid, "tenon-", 6);
  std::memcpy(uuid + 6, call.driver.model->key.data(), std::min<size_t>(10, call.driver.model->key.size()));
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuDeviceGetUuid(char *uuid, Device device) { return cuDeviceGetUuid_v2(uuid, device); }

TENON_DRIVER_ENTRY Status cuDeviceGetPCIBusId(char *text, int length, Device device) {
  Call call(Call::Needs::kInitialised);
  if (Status status = check_device(call, device))
    return status;
  constexpr char kBus[] = "0000:00:00.0";
  if (!text || length < static_cast<int>(sizeof(kBus)))
    return kInvalidValue;
  std::memcpy(text, kBus, sizeof(kBus));
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuDevicePrimaryCtxRetain(ContextObject **context, Device device) {
  Call call(Call::Needs::kInitialised);
  if (Status status = check_device(call, device))
    return status;
  if (!context)
    return kInvalidValue;
  if (!call.driver.primary)
    call.driver.primary = std::make_unique<ContextObject>(call.driver.model->memory_bytes);
  call.driver.primary_references++;
  *context = call.driver.primary.get();
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuDevicePrimaryCtxRelease_v2(Device device) {
  Call call(Call::Needs::kInitialised);
  if (Status status = check_device(call, device))
    return status;
  if (call.driver.primary_references == 0)
    return kInvalidContext;
  if (--call.driver.primary_references == 0)
    call.driver.primary.reset();
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuDevicePrimaryCtxReset_v2(Device device) {
  Call call(Call::Needs::kInitialised);
  if (Status status = check_device(call, device))
    return status;
  call.driver.primary.reset();
  call.driver.primary_references = 0;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuDevicePrimaryCtxSetFlags_v2(Device device, unsigned flags) {
  Call call(Call::Needs::kInitialised);
  if (Status status = check_device(call, device))
    return status;
  call.driver.primary_flags = flags;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuDevicePrimaryCtxGetState(Device device, unsigned *flags, int *active) {
  Call call(Call::Needs::kInitialised);
  if (Status status = check_device(call, device))
    return status;
  if (!flags || !active)
    return kInvalidValue;
  *flags = call.driver.primary_flags;
  *active = call.driver.primary != nullptr;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuCtxCreate_v2(ContextObject **context, unsigned, Device device) {
  Call call(Call::Needs::kInitialised);
  if (Status status = check_device(call, device))
    return status;
  if (!context)
    return kInvalidValue;
  auto made = std::make_unique<ContextObject>(call.driver.model->memory_bytes);
  *context = made.get();
  call.driver.created[made.get()] = std::move(made);
  Driver::stack().push_back(*context);
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuCtxDestroy_v2(ContextObject *context) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!call.driver.created.erase(context))
    return context ? kInvalidContext : kInvalidValue;
  if (!Driver::stack().empty() && Driver::stack().back() == context)
    Driver::stack().pop_back();
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuCtxSetCurrent(ContextObject *context) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (context && !call.driver.is_context(context))
    return kInvalidContext;
  auto &stack = Driver::stack();
  if (!stack.empty())
    stack.pop_back();
  if (context)
    stack.push_back(context);
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuCtxGetCurrent(ContextObject **context) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!context)
    return kInvalidValue;
  *context = call.driver.current();
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuCtxPushCurrent_v2(ContextObject *context) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!call.driver.is_context(context))
    return context ? kInvalidContext : kInvalidValue;
  Driver::stack().push_back(context);
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuCtxPopCurrent_v2(ContextObject **context) {
  TENON_BEGIN(Call::Needs::kInitialised);
  auto &stack = Driver::stack();
  if (stack.empty())
    return kInvalidContext;
  if (context)
    *context = stack.back();
  stack.pop_back();
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuCtxGetDevice(Device *device) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!device)
    return kInvalidValue;
  *device = 0;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuCtxSynchronize() {
  TENON_BEGIN(Call::Needs::kContext);
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuCtxGetStreamPriorityRange(int *least, int *greatest) {
  TENON_BEGIN(Call::Needs::kContext);
  if (least)
    *least = 0;
  if (greatest)
    *greatest = -5;
  return kSuccess;
}
