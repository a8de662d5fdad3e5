// Device memory: allocation, also in a stream's order and from pools.
#include "driver/Graph.h"
#include <algorithm>

using namespace tenon::emulator;

namespace {
constexpr size_t kPitchAlignment = 512;  // CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT
constexpr int kPoolAllocationPinned = 1; // CU_MEM_ALLOCATION_TYPE_PINNED

Status allocate(Call &call, DevicePointer *address, size_t bytes) {
  if (!address || bytes == 0)
    return kInvalidValue;
  bool fits =
      bytes <= call.context->memory.capacity() && call.driver.memory_used() + bytes <= call.context->memory.capacity();
  *address = fits ? call.context->memory.allocate(bytes) : 0;
  return *address ? kSuccess : kOutOfMemory;
}

Status release(Call &call, DevicePointer address) {
  DeviceMemory &memory = call.context->memory;
  const Allocation *allocation = memory.find(address, 1);
  if (!allocation || allocation->begin != address || !allocation->name.empty() ||
      (allocation->host_visible() && allocation->kind != MemoryKind::kManaged))
    return kInvalidValue;
  if (auto *pool = static_cast<PoolObject *>(allocation->pool)) {
    pool->used -= allocation->size;
    pool->reserved = pool->used;
  }
  return memory.free(address) ? kSuccess : kInvalidValue;
}

bool is_pool(const Call &call, const PoolObject *pool) {
  return pool == &call.driver.default_pool || call.driver.pools.count(const_cast<PoolObject *>(pool));
}

/// In a capture the address is given now, and lives as long as the graph.
Status allocate_in_order(DevicePointer *address, size_t bytes, PoolObject *given, StreamObject *handle) {
  TENON_BEGIN(Call::Needs::kContext);
  StreamObject *stream = call.stream(handle);
  PoolObject *pool = given ? given : call.driver.current_pool;
  if (!stream)
    return kInvalidHandle;
  if (!is_pool(call, pool))
    return kInvalidValue;
  if (pool->most_bytes && pool->used + bytes > pool->most_bytes)
    return kOutOfMemory;
  if (Status status = allocate(call, address, bytes))
    return status;
  call.context->memory.find(*address, 1)->pool = pool;
  pool->used += bytes;
  pool->used_high = std::max(pool->used_high, pool->used);
  pool->reserved = pool->used;
  pool->reserved_high = std::max(pool->reserved_high, pool->reserved);
  if (!stream->capture)
    return kSuccess;
  ContextObject *context = call.context;
  auto give_back = [context](DevicePointer *held) {
    Call call(Call::Needs::kInitialised);
    if (call.driver.is_context(context))
      context->memory.free(*held);
    delete held;
  };
  return submit(call, handle,
                AllocateWork{std::shared_ptr<DevicePointer>(new DevicePointer(*address), give_back), bytes});
}
} // namespace

TENON_DRIVER_ENTRY Status cuMemAlloc_v2(DevicePointer *address, size_t bytes) {
  TENON_BEGIN(Call::Needs::kContext);
  if (Status status = call.forbid_in_capture())
    return status;
  return allocate(call, address, bytes);
}
TENON_DRIVER_ENTRY Status cuMemAllocPitch_v2(DevicePointer *address, size_t *pitch, size_t width, size_t height,
                                             unsigned element_bytes) {
  TENON_BEGIN(Call::Needs::kContext);
  bool good_element = element_bytes == 4 || element_bytes == 8 || element_bytes == 16;
  if (!address || !pitch || width == 0 || height == 0 || !good_element)
    return kInvalidValue;
  if (Status status = call.forbid_in_capture())
    return status;
  if (width > call.context->memory.capacity() || height > call.context->memory.capacity())
    return kOutOfMemory;
  *pitch = (width + kPitchAlignment - 1) / kPitchAlignment * kPitchAlignment;
  return height > call.context->memory.capacity() / *pitch ? kOutOfMemory : allocate(call, address, *pitch * height);
}
TENON_DRIVER_ENTRY Status cuMemFree_v2(DevicePointer address) {
  TENON_BEGIN(Call::Needs::kContext);
  if (Status status = call.forbid_in_capture())
    return status;
  return address ? release(call, address) : kSuccess;
}
TENON_DRIVER_ENTRY Status cuMemGetInfo_v2(size_t *free, size_t *total) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!free || !total)
    return kInvalidValue;
  *total = call.context->memory.capacity();
  *free = *total - std::min(*total, call.driver.memory_used());
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

TENON_DRIVER_ENTRY Status cuMemAllocAsync(DevicePointer *address, size_t bytes, StreamObject *stream) {
  return allocate_in_order(address, bytes, nullptr, stream);
}
TENON_DRIVER_ENTRY Status cuMemAllocFromPoolAsync(DevicePointer *address, size_t bytes, PoolObject *pool,
                                                  StreamObject *stream) {
  return pool ? allocate_in_order(address, bytes, pool, stream) : kInvalidValue;
}
TENON_DRIVER_ENTRY Status cuMemFreeAsync(DevicePointer address, StreamObject *handle) {
  TENON_BEGIN(Call::Needs::kContext);
  StreamObject *stream = call.stream(handle);
  if (!stream)
    return kInvalidHandle;
  return stream->capture ? submit(call, handle, FreeWork{address}) : release(call, address);
}

TENON_DRIVER_ENTRY Status cuDeviceGetDefaultMemPool(PoolObject **pool, Device device) {
  TENON_BEGIN(device);
  if (!pool)
    return kInvalidValue;
  *pool = &call.driver.default_pool;
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuDeviceGetMemPool(PoolObject **pool, Device device) {
  TENON_BEGIN(device);
  if (!pool)
    return kInvalidValue;
  *pool = call.driver.current_pool;
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuDeviceSetMemPool(Device device, PoolObject *pool) {
  TENON_BEGIN(device);
  if (!is_pool(call, pool))
    return kInvalidValue;
  call.driver.current_pool = pool;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuMemPoolCreate(PoolObject **pool, const PoolProperties *properties) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!pool || !properties || properties->allocation_type != kPoolAllocationPinned || properties->security)
    return kInvalidValue;
  if (properties->handle_types || properties->location.type != kPlaceDevice) // nothing is shared between processes
    return kNotSupported;
  if (properties->location.id != 0)
    return kInvalidDevice;
  auto made = std::make_unique<PoolObject>();
  made->most_bytes = properties->most_bytes;
  *pool = made.get();
  call.driver.pools[made.get()] = std::move(made);
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuMemPoolDestroy(PoolObject *pool) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!call.driver.pools.count(pool))
    return kInvalidValue;
  if (call.driver.current_pool == pool)
    call.driver.current_pool = &call.driver.default_pool;
  auto orphan = [&](ContextObject &context) {
    for (const auto &[begin, allocation] : context.memory.live())
      if (allocation.pool == pool)
        context.memory.find(begin, 1)->pool = nullptr;
  };
  if (call.driver.primary)
    orphan(*call.driver.primary);
  for (auto &[key, context] : call.driver.created)
    orphan(*context);
  call.driver.pools.erase(pool);
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuMemPoolTrimTo(PoolObject *pool, size_t) {
  TENON_BEGIN(Call::Needs::kInitialised);
  return is_pool(call, pool) ? kSuccess : kInvalidValue; // freed memory is given back at once
}
TENON_DRIVER_ENTRY Status cuMemPoolGetAttribute(PoolObject *pool, int attribute, void *value) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!is_pool(call, pool) || !value)
    return kInvalidValue;
  if (attribute >= kPoolReuseFollowEvents && attribute <= kPoolReuseInternal) {
    *static_cast<int *>(value) = pool->reuse[attribute - kPoolReuseFollowEvents];
    return kSuccess;
  }
  const uint64_t values[] = {pool->release_threshold, pool->reserved, pool->reserved_high, pool->used, pool->used_high};
  if (attribute < kPoolReleaseThreshold || attribute > kPoolUsedHigh)
    return kInvalidValue;
  *static_cast<uint64_t *>(value) = values[attribute - kPoolReleaseThreshold];
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuMemPoolSetAttribute(PoolObject *pool, int attribute, void *value) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!is_pool(call, pool) || !value)
    return kInvalidValue;
  if (attribute >= kPoolReuseFollowEvents && attribute <= kPoolReuseInternal) {
    pool->reuse[attribute - kPoolReuseFollowEvents] = *static_cast<int *>(value) != 0;
    return kSuccess;
  }
  uint64_t number = 0;
  if (attribute == kPoolReleaseThreshold || attribute == kPoolReservedHigh || attribute == kPoolUsedHigh)
    number = *static_cast<uint64_t *>(value);
  if (attribute == kPoolReleaseThreshold) {
    pool->release_threshold = number;
    return kSuccess;
  }
  if ((attribute != kPoolReservedHigh && attribute != kPoolUsedHigh) || number != 0) // a high mark may only be reset
    return kInvalidValue;
  (attribute == kPoolReservedHigh ? pool->reserved_high : pool->used_high) = 0;
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuMemPoolSetAccess(PoolObject *pool, const PoolAccess *accesses, size_t count) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!is_pool(call, pool) || (count && !accesses))
    return kInvalidValue;
  for (size_t i = 0; i < count; i++)
    if (accesses[i].location.type != kPlaceDevice || accesses[i].location.id != 0)
      return kInvalidDevice;
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuMemPoolGetAccess(int *flags, PoolObject *pool, PlaceOfMemory *place) {
  constexpr int kReadAndWrite = 3;
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!flags || !place || !is_pool(call, pool))
    return kInvalidValue;
  if (place->type != kPlaceDevice || place->id != 0)
    return kInvalidDevice;
  *flags = kReadAndWrite;
  return kSuccess;
}
