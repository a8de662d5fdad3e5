// Contexts: the primary one, those a program creates, and each thread's stack of them.
#include "driver/Driver.h"
#include "driver/Graph.h"
#include <algorithm>

using namespace tenon::emulator;

namespace {
// CU_CTX_SCHED_MASK, CU_CTX_MAP_HOST, CU_CTX_LMEM_RESIZE_TO_MAX, CU_CTX_COREDUMP_ENABLE, CU_CTX_USER_COREDUMP_ENABLE,
// CU_CTX_SYNC_MEMOPS; a schedule is none, or one of three bits.
constexpr unsigned kScheduleMask = 7, kContextFlags = 0xff;
constexpr unsigned kContextVersion = 3020; // of contexts of cuCtxCreate_v2, and of all since

bool good_flags(unsigned flags) {
  unsigned schedule = flags & kScheduleMask;
  return !(flags & ~kContextFlags) && (schedule & (schedule - 1)) == 0;
}

/// All work is done when it is submitted: what is left of waiting is to tell a fault, and that a capture is in the way.
Status wait(Call &call, ContextObject *context) {
  if (!call.driver.is_context(context))
    return kInvalidContext;
  if (Status status = call.forbid_in_capture())
    return status;
  return context->sticky;
}
} // namespace

TENON_DRIVER_ENTRY Status cuDevicePrimaryCtxRetain(ContextObject **context, Device device) {
  TENON_BEGIN(device);
  if (!context)
    return kInvalidValue;
  Driver &driver = call.driver;
  if (!driver.primary)
    driver.primary = std::make_unique<ContextObject>(driver.model->memory_bytes, driver.primary_flags);
  driver.primary_references++;
  *context = driver.primary.get();
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuDevicePrimaryCtxRelease_v2(Device device) {
  TENON_BEGIN(device);
  if (call.driver.primary_references == 0)
    return kInvalidContext;
  if (--call.driver.primary_references == 0) {
    call.driver.forget(call.driver.primary.get());
    call.driver.primary.reset();
  }
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuDevicePrimaryCtxRelease(Device device) { return cuDevicePrimaryCtxRelease_v2(device); }

TENON_DRIVER_ENTRY Status cuDevicePrimaryCtxReset_v2(Device device) {
  TENON_BEGIN(device);
  call.driver.forget(call.driver.primary.get());
  call.driver.primary.reset();
  call.driver.primary_references = 0;
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuDevicePrimaryCtxReset(Device device) { return cuDevicePrimaryCtxReset_v2(device); }

TENON_DRIVER_ENTRY Status cuDevicePrimaryCtxSetFlags_v2(Device device, unsigned flags) {
  TENON_BEGIN(device);
  if (!good_flags(flags))
    return kInvalidValue;
  call.driver.primary_flags = flags;
  if (call.driver.primary)
    call.driver.primary->flags = flags;
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuDevicePrimaryCtxSetFlags(Device device, unsigned flags) {
  return cuDevicePrimaryCtxSetFlags_v2(device, flags);
}

TENON_DRIVER_ENTRY Status cuDevicePrimaryCtxGetState(Device device, unsigned *flags, int *active) {
  TENON_BEGIN(device);
  if (!flags || !active)
    return kInvalidValue;
  *flags = call.driver.primary_flags;
  *active = call.driver.primary != nullptr;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuCtxCreate_v2(ContextObject **context, unsigned flags, Device device) {
  TENON_BEGIN(device);
  if (!context || !good_flags(flags))
    return kInvalidValue;
  auto made = std::make_unique<ContextObject>(call.driver.model->memory_bytes, flags);
  made->version = kContextVersion;
  *context = made.get();
  call.driver.created[made.get()] = std::move(made);
  Driver::stack().push_back(*context);
  return kSuccess;
}
/// Execution affinity is a share of the card's multiprocessors, which only a server of processes gives.
TENON_DRIVER_ENTRY Status cuCtxCreate_v3(ContextObject **context, void *, int affinities, unsigned flags,
                                         Device device) {
  return affinities ? kNotSupported : cuCtxCreate_v2(context, flags, device);
}
TENON_DRIVER_ENTRY Status cuCtxCreate_v4(ContextObject **context, ContextParameters *parameters, unsigned flags,
                                         Device device) {
  if (parameters && parameters->graphics)
    return kNotSupported;
  return cuCtxCreate_v3(context, nullptr, parameters ? parameters->affinity_count : 0, flags, device);
}

TENON_DRIVER_ENTRY Status cuCtxDestroy_v2(ContextObject *context) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!call.driver.created.count(context))
    return context ? kInvalidContext : kInvalidValue;
  call.driver.forget(context);
  call.driver.created.erase(context);
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
TENON_DRIVER_ENTRY Status cuCtxGetDevice_v2(Device *device, ContextObject *context) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!device)
    return kInvalidValue;
  if (!call.driver.is_context(context ? context : call.driver.current()))
    return kInvalidContext;
  *device = 0;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuCtxSynchronize() {
  TENON_BEGIN(Call::Needs::kContext);
  return wait(call, call.context);
}
TENON_DRIVER_ENTRY Status cuCtxSynchronize_v2(ContextObject *context) {
  TENON_BEGIN(Call::Needs::kInitialised);
  return wait(call, context ? context : call.driver.current());
}

TENON_DRIVER_ENTRY Status cuCtxGetStreamPriorityRange(int *least, int *greatest) {
  TENON_BEGIN(Call::Needs::kContext);
  if (least)
    *least = 0;
  if (greatest)
    *greatest = kGreatestPriority;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuCtxGetFlags(unsigned *flags) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!flags)
    return kInvalidValue;
  *flags = call.context->flags;
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuCtxSetFlags(unsigned flags) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!good_flags(flags))
    return kInvalidValue;
  call.context->flags = flags;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuCtxGetId(ContextObject *context, uint64_t *id) {
  TENON_BEGIN(Call::Needs::kInitialised);
  ContextObject *asked = context ? context : call.driver.current();
  if (!call.driver.is_context(asked))
    return kInvalidContext;
  if (!id)
    return kInvalidValue;
  *id = asked->id;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuCtxGetApiVersion(ContextObject *context, unsigned *version) {
  TENON_BEGIN(Call::Needs::kInitialised);
  ContextObject *asked = context ? context : call.driver.current();
  if (!version)
    return kInvalidValue;
  if (!call.driver.is_context(asked))
    return kInvalidContext;
  *version = asked->version;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuCtxGetLimit(size_t *value, int limit) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!value)
    return kInvalidValue;
  if (limit < 0 || limit >= kLimits)
    return kUnsupportedLimit;
  *value = call.context->limits[limit];
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuCtxSetLimit(int limit, size_t value) {
  constexpr size_t kMostStack = 512 << 10, kMostFetch = 128;
  TENON_BEGIN(Call::Needs::kContext);
  if (limit < 0 || limit >= kLimits)
    return kUnsupportedLimit;
  if ((limit == kLimitStack && value > kMostStack) || (limit == kLimitFetch && value > kMostFetch))
    return kInvalidValue;
  call.context->limits[limit] = value;
  return kSuccess;
}

namespace {
/// A setting of the context that is kept and given back, and has no effect here.
Status get_setting(int ContextObject::*setting, int *value) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!value)
    return kInvalidValue;
  *value = call.context->*setting;
  return kSuccess;
}
Status set_setting(int ContextObject::*setting, int value, int last) {
  TENON_BEGIN(Call::Needs::kContext);
  if (value < 0 || value > last)
    return kInvalidValue;
  call.context->*setting = value;
  return kSuccess;
}
constexpr int kPreferEqual = 3, kEightBytes = 2; // the last CUfunc_cache and CUsharedconfig
} // namespace

TENON_DRIVER_ENTRY Status cuCtxGetCacheConfig(int *preference) {
  return get_setting(&ContextObject::cache_preference, preference);
}
TENON_DRIVER_ENTRY Status cuCtxSetCacheConfig(int preference) {
  return set_setting(&ContextObject::cache_preference, preference, kPreferEqual);
}
TENON_DRIVER_ENTRY Status cuCtxGetSharedMemConfig(int *bank) {
  return get_setting(&ContextObject::shared_bank, bank);
}
TENON_DRIVER_ENTRY Status cuCtxSetSharedMemConfig(int bank) {
  return set_setting(&ContextObject::shared_bank, bank, kEightBytes);
}
TENON_DRIVER_ENTRY Status cuCtxResetPersistingL2Cache() {
  TENON_BEGIN(Call::Needs::kContext);
  return kSuccess;
}

// Peers: there is one device.
TENON_DRIVER_ENTRY Status cuCtxEnablePeerAccess(ContextObject *peer, unsigned flags) {
  TENON_BEGIN(Call::Needs::kContext);
  return flags ? kInvalidValue : !call.driver.is_context(peer) ? kInvalidContext : kPeerAccessUnsupported;
}
TENON_DRIVER_ENTRY Status cuCtxDisablePeerAccess(ContextObject *peer) {
  TENON_BEGIN(Call::Needs::kContext);
  return !call.driver.is_context(peer) ? kInvalidContext : kPeerAccessNotEnabled;
}

// Of cudaProfiler.h: there is no profiler to start; counts are always taken.
TENON_DRIVER_ENTRY Status cuProfilerStart() {
  TENON_BEGIN(Call::Needs::kContext);
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuProfilerStop() {
  TENON_BEGIN(Call::Needs::kContext);
  return kSuccess;
}
