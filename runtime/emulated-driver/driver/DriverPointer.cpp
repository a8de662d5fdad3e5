// What a pointer points to.
#include "driver/Driver.h"
#include <cstring>

using namespace tenon::emulator;

namespace {
constexpr int kLastPointerAttribute = 21;
constexpr int kReadAndWrite = 3; // CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE

struct Pointer {
  const Allocation *allocation;
  DevicePointer device; // the address as the device has it
  DevicePointer host;
};

bool look_up(const Call &call, DevicePointer address, Pointer &pointer) {
  const DeviceMemory &memory = call.context->memory;
  if (const Allocation *allocation = memory.find(address, 1))
    pointer = {allocation, address, allocation->host + (address - allocation->begin)};
  else if (const Allocation *registered = memory.find_registered(address, 1))
    pointer = {registered, registered->begin + (address - registered->host), address};
  else
    return false;
  return true;
}

Status get(const Call &call, const Pointer &pointer, int attribute, void *data) {
  const Allocation &allocation = *pointer.allocation;
  auto put = [&](auto value) {
    std::memcpy(data, &value, sizeof(value));
    return kSuccess;
  };
  bool on_card = allocation.kind == MemoryKind::kDevice || allocation.kind == MemoryKind::kManaged;
  switch (attribute) {
  case kPointerContext:
    return put(allocation.pool ? nullptr : call.context);
  case kPointerMemoryType:
    return put(on_card ? kMemoryTypeDevice : kMemoryTypeHost);
  case kPointerDevicePointer:
    return put(pointer.device);
  case kPointerHostPointer:
    return allocation.host_visible() ? put(pointer.host) : kInvalidValue;
  case kPointerSyncMemops:
    return put(unsigned{allocation.synchronises});
  case kPointerBufferId:
    return put(allocation.id);
  case kPointerIsManaged:
    return put(unsigned{allocation.kind == MemoryKind::kManaged});
  case kPointerDeviceOrdinal:
    return put(0);
  case kPointerLegacyIpc:
  case kPointerDirectRdma:
    return put(false);
  case kPointerMapped:
    return put(true);
  case kPointerHandleTypes:
    return put(uint64_t{0});
  case kPointerAccessFlags:
    return put(kReadAndWrite);
  case kPointerRangeStart:
    return put(DevicePointer{allocation.begin});
  case kPointerRangeSize:
    return put(size_t{allocation.size});
  case kPointerPool:
    return put(allocation.pool);
  default:
    return attribute > 0 && attribute <= kLastPointerAttribute ? kNotSupported : kInvalidValue;
  }
}
} // namespace

TENON_DRIVER_ENTRY Status cuPointerGetAttribute(void *data, int attribute, DevicePointer address) {
  TENON_BEGIN(Call::Needs::kContext);
  Pointer pointer;
  if (!data || !look_up(call, address, pointer))
    return kInvalidValue;
  return get(call, pointer, attribute, data);
}

/// Answers for pointers that the driver does not know too: with zeros.
TENON_DRIVER_ENTRY Status cuPointerGetAttributes(unsigned count, int *attributes, void **data, DevicePointer address) {
  constexpr size_t kBytes[] = {0, 8, 4, 8, 8, 16, 4, 8, 4, 4, 1, 8, 8, 1, 8, 1, 4, 8, 8, 8, 8, 1};
  TENON_BEGIN(Call::Needs::kContext);
  if (!attributes || !data)
    return kInvalidValue;
  Pointer pointer;
  bool known = look_up(call, address, pointer);
  for (unsigned i = 0; i < count; i++) {
    if (attributes[i] <= 0 || attributes[i] > kLastPointerAttribute || !data[i])
      return kInvalidValue;
    std::memset(data[i], 0, kBytes[attributes[i]]);
    if (known)
      get(call, pointer, attributes[i], data[i]);
    else if (attributes[i] == kPointerDeviceOrdinal)
      *static_cast<int *>(data[i]) = -2; // CU_DEVICE_INVALID
  }
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuPointerSetAttribute(const void *value, int attribute, DevicePointer address) {
  TENON_BEGIN(Call::Needs::kContext);
  Allocation *allocation = call.context->memory.find(address, 1);
  if (!value || !allocation || attribute != kPointerSyncMemops)
    return kInvalidValue;
  allocation->synchronises = *static_cast<const unsigned *>(value) != 0;
  return kSuccess;
}
