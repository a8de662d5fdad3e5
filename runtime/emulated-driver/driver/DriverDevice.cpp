// Initialisation and the device.
#include "driver/Driver.h"
#include "launch/Environment.h"
#include "launch/Report.h"
#include <algorithm>
#include <cstring>

using namespace tenon::emulator;

namespace {
constexpr char kBus[] = "0000:00:00.0";
} // namespace

TENON_DRIVER_ENTRY Status cuInit(unsigned flags) {
  Call call(Call::Needs::kNothing);
  if (flags != 0)
    return kInvalidValue;
  if (!environment_makes_sense() || !Report::instance().configure())
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
  TENON_BEGIN(device);
  if (!name || length <= 0)
    return kInvalidValue;
  std::string_view full = call.driver.model->name;
  size_t kept = std::min(full.size(), static_cast<size_t>(length) - 1);
  std::memcpy(name, full.data(), kept);
  name[kept] = 0;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuDeviceGetAttribute(int *value, int attribute, Device device) {
  TENON_BEGIN(device);
  int found = device_attribute(*call.driver.model, attribute);
  if (!value || found < 0)
    return kInvalidValue;
  *value = found;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuDeviceComputeCapability(int *major, int *minor, Device device) {
  TENON_BEGIN(device);
  if (!major || !minor)
    return kInvalidValue;
  *major = call.driver.model->capability / 10;
  *minor = call.driver.model->capability % 10;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuDeviceTotalMem_v2(size_t *bytes, Device device) {
  TENON_BEGIN(device);
  if (!bytes)
    return kInvalidValue;
  *bytes = call.driver.model->memory_bytes;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuDeviceGetUuid_v2(char *uuid, Device device) {
  TENON_BEGIN(device);
  if (!uuid)
    return kInvalidValue;
  std::memset(uuid, 0, 16);
  std::memcpy(uuid, "tenon-", 6);
  std::memcpy(uuid + 6, call.driver.model->key.data(), std::min<size_t>(10, call.driver.model->key.size()));
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuDeviceGetUuid(char *uuid, Device device) { return cuDeviceGetUuid_v2(uuid, device); }

TENON_DRIVER_ENTRY Status cuDeviceGetProperties(DeviceProperties *properties, Device device) {
  TENON_BEGIN(device);
  if (!properties)
    return kInvalidValue;
  auto attribute = [&](int number) { return device_attribute(*call.driver.model, number); };
  *properties = {attribute(kMaxThreadsPerBlock),
                 {attribute(kMaxBlockX), attribute(kMaxBlockY), attribute(kMaxBlockZ)},
                 {attribute(kMaxGridX), attribute(kMaxGridY), attribute(kMaxGridZ)},
                 attribute(kMaxSharedPerBlock),
                 attribute(kTotalConstantMemory),
                 attribute(kWarpSize),
                 attribute(kMaxPitch),
                 attribute(kMaxRegistersPerBlock),
                 attribute(kClockRate),
                 attribute(kTextureAlignment)};
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuDeviceGetPCIBusId(char *text, int length, Device device) {
  TENON_BEGIN(device);
  if (!text || length < static_cast<int>(sizeof(kBus)))
    return kInvalidValue;
  std::memcpy(text, kBus, sizeof(kBus));
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuDeviceGetByPCIBusId(Device *device, const char *bus) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!device || !bus)
    return kInvalidValue;
  if (std::strcmp(bus, kBus) != 0 && std::strcmp(bus, kBus + 5) != 0) // the domain may be left out
    return kInvalidDevice;
  *device = 0;
  return kSuccess;
}

// There is one device, and none is its own peer.
TENON_DRIVER_ENTRY Status cuDeviceCanAccessPeer(int *can, Device device, Device peer) {
  TENON_BEGIN(device);
  if (!can)
    return kInvalidValue;
  if (peer != 0)
    return kInvalidDevice;
  *can = 0;
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuDeviceGetP2PAttribute(int *value, int, Device source, Device target) {
  TENON_BEGIN(source);
  return !value ? kInvalidValue : target != 0 || source == target ? kInvalidDevice : kSuccess;
}
TENON_DRIVER_ENTRY Status cuDeviceGetExecAffinitySupport(int *supported, int, Device device) {
  TENON_BEGIN(device);
  if (!supported)
    return kInvalidValue;
  *supported = 0;
  return kSuccess;
}
