// Memory that host and device share: page-locked, registered, managed.
#include "driver/Driver.h"

using namespace tenon::emulator;

namespace {
constexpr unsigned kHostAllocFlags = 7;      // CU_MEMHOSTALLOC_PORTABLE, DEVICEMAP, WRITECOMBINED
constexpr unsigned kHostRegisterFlags = 0xf; // CU_MEMHOSTREGISTER_PORTABLE, DEVICEMAP, IOMEMORY, READ_ONLY
constexpr unsigned kAttachGlobal = 1, kAttachHost = 2, kAttachSingle = 4; // CUmemAttach_flags
constexpr uint64_t kPage = 4096;

uint64_t number(const void *pointer) { return reinterpret_cast<uint64_t>(pointer); }

/// The page-locked or registered allocation that holds a host pointer.
const Allocation *host_allocation(const Call &call, const void *pointer) {
  const Allocation *found = call.context->memory.find(number(pointer), 1);
  if (found && found->kind == MemoryKind::kPageLocked)
    return found;
  return call.context->memory.find_registered(number(pointer), 1);
}

/// Registration moves whole pages, so two may not share one.
bool overlaps_registered(const DeviceMemory &memory, uint64_t begin, uint64_t size) {
  for (const auto &[address, allocation] : memory.live()) {
    if (allocation.kind != MemoryKind::kRegistered)
      continue;
    uint64_t first = allocation.host / kPage * kPage,
             last = (allocation.host + allocation.size + kPage - 1) / kPage * kPage;
    if (begin < last && begin + size > first)
      return true;
  }
  return false;
}

Status check_range(const Call &call, DevicePointer address, size_t bytes) {
  const Allocation *allocation = bytes ? call.context->memory.find(address, bytes) : nullptr;
  return allocation && allocation->kind == MemoryKind::kManaged ? kSuccess : kInvalidValue;
}
} // namespace

TENON_DRIVER_ENTRY Status cuMemHostAlloc(void **memory, size_t bytes, unsigned flags) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!memory || bytes == 0 || (flags & ~kHostAllocFlags))
    return kInvalidValue;
  if (Status status = call.forbid_in_capture())
    return status;
  uint64_t at = call.context->memory.allocate_shared(bytes, MemoryKind::kPageLocked, flags);
  *memory = reinterpret_cast<void *>(at);
  return at ? kSuccess : kOutOfMemory;
}
TENON_DRIVER_ENTRY Status cuMemAllocHost_v2(void **memory, size_t bytes) { return cuMemHostAlloc(memory, bytes, 0); }
TENON_DRIVER_ENTRY Status cuMemFreeHost(void *memory) {
  TENON_BEGIN(Call::Needs::kContext);
  const Allocation *allocation = call.context->memory.find(number(memory), 1);
  if (!allocation || allocation->kind != MemoryKind::kPageLocked || allocation->begin != number(memory))
    return kInvalidValue;
  if (Status status = call.forbid_in_capture())
    return status;
  call.context->memory.free(allocation->begin);
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuMemHostGetDevicePointer_v2(DevicePointer *address, void *memory, unsigned flags) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!address || flags)
    return kInvalidValue;
  const Allocation *allocation = host_allocation(call, memory);
  if (!allocation)
    return kInvalidValue;
  *address = allocation->begin + (number(memory) - allocation->host);
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuMemHostGetFlags(unsigned *flags, void *memory) {
  constexpr unsigned kDeviceMap = 2; // all host memory is mapped where addresses are unified
  TENON_BEGIN(Call::Needs::kContext);
  const Allocation *allocation = flags ? host_allocation(call, memory) : nullptr;
  if (!allocation)
    return kInvalidValue;
  *flags = allocation->flags | kDeviceMap;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuMemHostRegister_v2(void *memory, size_t bytes, unsigned flags) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!memory || bytes == 0 || (flags & ~kHostRegisterFlags) || call.context->memory.contains(number(memory)))
    return kInvalidValue;
  if (Status status = call.forbid_in_capture())
    return status;
  if (overlaps_registered(call.context->memory, number(memory), bytes))
    return kHostMemoryAlreadyRegistered;
  return call.context->memory.register_host(memory, bytes, flags) ? kSuccess : kInvalidValue;
}
TENON_DRIVER_ENTRY Status cuMemHostUnregister(void *memory) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!memory)
    return kInvalidValue;
  const Allocation *allocation = call.context->memory.find_registered(number(memory), 1);
  if (!allocation || allocation->host != number(memory))
    return kHostMemoryNotRegistered;
  if (Status status = call.forbid_in_capture())
    return status;
  call.context->memory.free(allocation->begin);
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuMemAllocManaged(DevicePointer *address, size_t bytes, unsigned flags) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!address || bytes == 0 || (flags != kAttachGlobal && flags != kAttachHost))
    return kInvalidValue;
  if (Status status = call.forbid_in_capture())
    return status;
  *address = call.context->memory.allocate_shared(bytes, MemoryKind::kManaged, flags);
  return *address ? kSuccess : kOutOfMemory;
}
TENON_DRIVER_ENTRY Status cuStreamAttachMemAsync(StreamObject *handle, DevicePointer address, size_t bytes,
                                                 unsigned flags) {
  TENON_BEGIN(Call::Needs::kContext);
  const Allocation *allocation = call.context->memory.find(address, 1);
  bool whole = allocation && allocation->begin == address && (bytes == 0 || bytes == allocation->size);
  if (!call.stream(handle))
    return kInvalidHandle;
  if (!whole || allocation->kind != MemoryKind::kManaged)
    return kInvalidValue;
  return flags == kAttachGlobal || flags == kAttachHost || flags == kAttachSingle ? kSuccess : kInvalidValue;
}

// Managed memory is where both sides see it: advice and prefetching change nothing.
TENON_DRIVER_ENTRY Status cuMemPrefetchAsync_v2(DevicePointer address, size_t bytes, PlaceOfMemory, unsigned flags,
                                                StreamObject *stream) {
  TENON_BEGIN(Call::Needs::kContext);
  return !call.stream(stream) ? kInvalidHandle : flags ? kInvalidValue : check_range(call, address, bytes);
}
TENON_DRIVER_ENTRY Status cuMemPrefetchAsync(DevicePointer address, size_t bytes, Device device, StreamObject *stream) {
  constexpr Device kHost = -1; // CU_DEVICE_CPU
  TENON_BEGIN(Call::Needs::kContext);
  if (device != 0 && device != kHost)
    return kInvalidDevice;
  return !call.stream(stream) ? kInvalidHandle : check_range(call, address, bytes);
}
TENON_DRIVER_ENTRY Status cuMemAdvise_v2(DevicePointer address, size_t bytes, int advice, PlaceOfMemory) {
  constexpr int kLastAdvice = 6;
  TENON_BEGIN(Call::Needs::kContext);
  return advice < 1 || advice > kLastAdvice ? kInvalidValue : check_range(call, address, bytes);
}
TENON_DRIVER_ENTRY Status cuMemAdvise(DevicePointer address, size_t bytes, int advice, Device device) {
  return cuMemAdvise_v2(address, bytes, advice, {kPlaceDevice, device});
}
/// Nothing that is advised is kept: ranges are mostly read by nobody, preferred nowhere, and prefetched to no place.
TENON_DRIVER_ENTRY Status cuMemRangeGetAttribute(void *data, size_t data_bytes, int attribute, DevicePointer address, size_t bytes) {
  constexpr int kReadMostly = 1, kAccessedBy = 3, kLastAttributeOfRanges = 8, kNoDevice = -2; // CU_DEVICE_INVALID
  TENON_BEGIN(Call::Needs::kContext);
  if (!data || attribute < kReadMostly || attribute > kLastAttributeOfRanges || data_bytes == 0 || data_bytes % sizeof(int) ||
      (attribute != kAccessedBy && data_bytes != sizeof(int)))
    return kInvalidValue;
  if (Status status = check_range(call, address, bytes))
    return status;
  constexpr int kTypes[] = {5, 7}; // of places: CU_MEM_LOCATION_TYPE_INVALID is zero
  const bool zero = attribute == kReadMostly || attribute == kTypes[0] || attribute == kTypes[1];
  for (size_t i = 0; i < data_bytes / sizeof(int); i++)
    static_cast<int *>(data)[i] = zero ? 0 : kNoDevice;
  return kSuccess;
}
