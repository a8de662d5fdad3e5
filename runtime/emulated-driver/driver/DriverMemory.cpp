// Memory: allocation, copies, fills. The asynchronous entries do their work at once, in order.
#include "driver/Driver.h"
#include "execute/Warp.h"
#include <cstdlib>
#include <cstring>
#include <functional>

using namespace tenon::emulator;

namespace {
constexpr size_t kHostAlignment = 4096;

Status allocate(Call &call, DevicePointer *address, size_t bytes) {
  if (!address || bytes == 0)
    return kInvalidValue;
  *address = call.context->memory.allocate(bytes);
  return *address ? kSuccess : kOutOfMemory;
}

Status copy_in(Call &call, DevicePointer to, const void *from, size_t bytes) {
  if (bytes == 0)
    return kSuccess;
  DeviceMemory &memory = call.context->memory;
  if (!from || !memory.find(to, bytes))
    return kInvalidValue;
  std::memcpy(memory.data(to), from, bytes);
  std::memset(memory.shadow(to), kWritten, bytes);
  return kSuccess;
}
Status copy_out(Call &call, void *to, DevicePointer from, size_t bytes) {
  if (bytes == 0)
    return kSuccess;
  DeviceMemory &memory = call.context->memory;
  if (!to || !memory.find(from, bytes))
    return kInvalidValue;
  std::memcpy(to, memory.data(from), bytes);
  return kSuccess;
}
Status copy_within(Call &call, DevicePointer to, DevicePointer from, size_t bytes) {
  if (bytes == 0)
    return kSuccess;
  DeviceMemory &memory = call.context->memory;
  if (!memory.find(to, bytes) || !memory.find(from, bytes))
    return kInvalidValue;
  std::memmove(memory.data(to), memory.data(from), bytes);
  std::memmove(memory.shadow(to), memory.shadow(from), bytes);
  return kSuccess;
}
Status copy_any(Call &call, DevicePointer to, DevicePointer from, size_t bytes) {
  DeviceMemory &memory = call.context->memory;
  if (memory.contains(to))
    return memory.contains(from) ? copy_within(call, to, from, bytes)
                                 : copy_in(call, to, reinterpret_cast<const void *>(from), bytes);
  if (memory.contains(from))
    return copy_out(call, reinterpret_cast<void *>(to), from, bytes);
  if (bytes && (!to || !from))
    return kInvalidValue;
  std::memmove(reinterpret_cast<void *>(to), reinterpret_cast<const void *>(from), bytes);
  return kSuccess;
}

template <class T> Status fill(Call &call, DevicePointer to, T value, size_t count) {
  if (count == 0)
    return kSuccess;
  DeviceMemory &memory = call.context->memory;
  if (to % sizeof(T) || count > ~size_t{0} / sizeof(T) || !memory.find(to, count * sizeof(T)))
    return kInvalidValue;
  T *at = reinterpret_cast<T *>(memory.data(to));
  for (size_t i = 0; i < count; i++)
    at[i] = value;
  std::memset(memory.shadow(to), kWritten, count * sizeof(T));
  return kSuccess;
}

Status on_stream(StreamObject *stream, const std::function<Status(Call &)> &work) {
  TENON_BEGIN(Call::Needs::kContext);
  return call.owns(stream) ? work(call) : kInvalidHandle;
}
} // namespace

TENON_DRIVER_ENTRY Status cuMemAlloc_v2(DevicePointer *address, size_t bytes) {
  TENON_BEGIN(Call::Needs::kContext);
  return allocate(call, address, bytes);
}
TENON_DRIVER_ENTRY Status cuMemAllocAsync(DevicePointer *address, size_t bytes, StreamObject *stream) {
  return on_stream(stream, [&](Call &call) { return allocate(call, address, bytes); });
}
TENON_DRIVER_ENTRY Status cuMemFree_v2(DevicePointer address) {
  TENON_BEGIN(Call::Needs::kContext);
  return !address || call.context->memory.free(address) ? kSuccess : kInvalidValue;
}
TENON_DRIVER_ENTRY Status cuMemFreeAsync(DevicePointer address, StreamObject *stream) {
  return on_stream(stream, [&](Call &call) { return call.context->memory.free(address) ? kSuccess : kInvalidValue; });
}
TENON_DRIVER_ENTRY Status cuMemGetInfo_v2(size_t *free, size_t *total) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!free || !total)
    return kInvalidValue;
  *total = call.context->memory.capacity();
  *free = *total - call.context->memory.used();
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuMemGetAddressRange_v2(DevicePointer *base, size_t *bytes, DevicePointer address) {
  TENON_BEGIN(Call::Needs::kContext);
  const Allocation *allocation = call.context->memory.find(address, 1);
  if (!allocation)
    return kNotFound;
  if (base)
    *base = allocation->begin;
  if (bytes)
    *bytes = allocation->size;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuMemHostAlloc(void **memory, size_t bytes, unsigned) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!memory || bytes == 0)
    return kInvalidValue;
  void *at = std::aligned_alloc(kHostAlignment, (bytes + kHostAlignment - 1) / kHostAlignment * kHostAlignment);
  if (!at)
    return kOutOfMemory;
  call.context->host_memory[at] = bytes;
  *memory = at;
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuMemAllocHost_v2(void **memory, size_t bytes) { return cuMemHostAlloc(memory, bytes, 0); }
TENON_DRIVER_ENTRY Status cuMemFreeHost(void *memory) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!memory || !call.context->host_memory.erase(memory))
    return kInvalidValue;
  std::free(memory);
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuMemcpyHtoD_v2(DevicePointer to, const void *from, size_t bytes) {
  TENON_BEGIN(Call::Needs::kContext);
  return copy_in(call, to, from, bytes);
}
TENON_DRIVER_ENTRY Status cuMemcpyHtoDAsync_v2(DevicePointer to, const void *from, size_t bytes, StreamObject *stream) {
  return on_stream(stream, [&](Call &call) { return copy_in(call, to, from, bytes); });
}
TENON_DRIVER_ENTRY Status cuMemcpyDtoH_v2(void *to, DevicePointer from, size_t bytes) {
  TENON_BEGIN(Call::Needs::kContext);
  return copy_out(call, to, from, bytes);
}
TENON_DRIVER_ENTRY Status cuMemcpyDtoHAsync_v2(void *to, DevicePointer from, size_t bytes, StreamObject *stream) {
  return on_stream(stream, [&](Call &call) { return copy_out(call, to, from, bytes); });
}
TENON_DRIVER_ENTRY Status cuMemcpyDtoD_v2(DevicePointer to, DevicePointer from, size_t bytes) {
  TENON_BEGIN(Call::Needs::kContext);
  return copy_within(call, to, from, bytes);
}
TENON_DRIVER_ENTRY Status cuMemcpyDtoDAsync_v2(DevicePointer to, DevicePointer from, size_t bytes, StreamObject *stream) {
  return on_stream(stream, [&](Call &call) { return copy_within(call, to, from, bytes); });
}
TENON_DRIVER_ENTRY Status cuMemcpy(DevicePointer to, DevicePointer from, size_t bytes) {
  TENON_BEGIN(Call::Needs::kContext);
  return copy_any(call, to, from, bytes);
}
TENON_DRIVER_ENTRY Status cuMemcpyAsync(DevicePointer to, DevicePointer from, size_t bytes, StreamObject *stream) {
  return on_stream(stream, [&](Call &call) { return copy_any(call, to, from, bytes); });
}

TENON_DRIVER_ENTRY Status cuMemsetD8_v2(DevicePointer to, unsigned char value, size_t count) {
  TENON_BEGIN(Call::Needs::kContext);
  return fill<uint8_t>(call, to, value, count);
}
TENON_DRIVER_ENTRY Status cuMemsetD16_v2(DevicePointer to, unsigned short value, size_t count) {
  TENON_BEGIN(Call::Needs::kContext);
  return fill<uint16_t>(call, to, value, count);
}
TENON_DRIVER_ENTRY Status cuMemsetD32_v2(DevicePointer to, unsigned value, size_t count) {
  TENON_BEGIN(Call::Needs::kContext);
  return fill<uint32_t>(call, to, value, count);
}
TENON_DRIVER_ENTRY Status cuMemsetD8Async(DevicePointer to, unsigned char value, size_t count, StreamObject *stream) {
  return on_stream(stream, [&](Call &call) { return fill<uint8_t>(call, to, value, count); });
}
TENON_DRIVER_ENTRY Status cuMemsetD16Async(DevicePointer to, unsigned short value, size_t count, StreamObject *stream) {
  return on_stream(stream, [&](Call &call) { return fill<uint16_t>(call, to, value, count); });
}
TENON_DRIVER_ENTRY Status cuMemsetD32Async(DevicePointer to, unsigned value, size_t count, StreamObject *stream) {
  return on_stream(stream, [&](Call &call) { return fill<uint32_t>(call, to, value, count); });
}

TENON_DRIVER_ENTRY Status cuPointerGetAttribute(void *data, int attribute, DevicePointer address) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!data)
    return kInvalidValue;
  const Allocation *allocation = call.context->memory.find(address, 1);
  uint64_t host_begin = 0, host_size = 0;
  for (const auto &[begin, size] : call.context->host_memory)
    if (address - reinterpret_cast<uint64_t>(begin) < size) {
      host_begin = reinterpret_cast<uint64_t>(begin);
      host_size = size;
    }
  if (!allocation && !host_size)
    return kInvalidValue;
  auto put = [&](auto value) {
    std::memcpy(data, &value, sizeof(value));
    return kSuccess;
  };
  switch (attribute) {
  case kPointerContext:
    return put(call.context);
  case kPointerMemoryType:
    return put(allocation ? kMemoryTypeDevice : kMemoryTypeHost);
  case kPointerDevicePointer:
    return put(address);
  case kPointerHostPointer:
    return allocation ? kInvalidValue : put(address);
  case kPointerIsManaged:
    return put(0u);
  case kPointerDeviceOrdinal:
    return put(0);
  case kPointerRangeStart:
    return put(allocation ? DevicePointer{allocation->begin} : DevicePointer{host_begin});
  case kPointerRangeSize:
    return put(allocation ? size_t{allocation->size} : size_t{host_size});
  default:
    return kInvalidValue;
  }
}
