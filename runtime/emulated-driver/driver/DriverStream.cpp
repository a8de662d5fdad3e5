// Streams. Work is done when it is submitted, so every stream is idle; the order is that of the calls.
#include "driver/Graph.h"
#include <algorithm>
#include <cstring>

using namespace tenon::emulator;

namespace {
Status make_stream(StreamObject **stream, unsigned flags, int priority) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!stream || (flags & ~StreamObject::kNonBlocking))
    return kInvalidValue;
  auto made = std::make_unique<StreamObject>();
  made->context = call.context;
  made->flags = flags;
  made->priority = std::clamp(priority, kGreatestPriority, 0);
  made->id = call.driver.new_id();
  *stream = made.get();
  call.context->streams[made.get()] = std::move(made);
  return kSuccess;
}

/// A capture cannot be waited for; asking spoils it.
Status idle(StreamObject *handle) {
  TENON_BEGIN(Call::Needs::kContext);
  StreamObject *stream = call.stream(handle);
  if (!stream)
    return kInvalidHandle;
  if (stream == &call.context->legacy)
    return check_legacy(call);
  if (!stream->capture)
    return kSuccess;
  stream->capture->invalid = true;
  return kCaptureUnsupported;
}

/// Gives one property of a stream.
template <class Value, class Get> Status give(StreamObject *handle, Value *value, Get get) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!value)
    return kInvalidValue;
  StreamObject *stream = call.stream(handle);
  if (!stream)
    return kInvalidHandle;
  *value = get(*stream);
  return kSuccess;
}

constexpr int kSyncPolicyAuto = 1; // CU_SYNC_POLICY_AUTO
bool is_stream_attribute(int attribute) {
  constexpr int kOfStreams[] = {kLaunchAccessWindow, kLaunchSyncPolicy, kLaunchPriority, kLaunchMemoryDomainMap, kLaunchMemoryDomain};
  return std::ranges::find(kOfStreams, attribute) != std::end(kOfStreams);
}

Status value_work(StreamObject *stream, DevicePointer address, uint64_t value, unsigned bytes, unsigned flags,
                  bool wait) {
  constexpr unsigned kNoBarrier = 1; // CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER
  if (wait ? (flags & ~kWaitFlush) > kWaitNor : (flags & ~kNoBarrier) != 0)
    return kInvalidValue;
  return submit(stream, ValueWork{address, value, bytes, flags, wait});
}
} // namespace

TENON_DRIVER_ENTRY Status cuStreamCreate(StreamObject **stream, unsigned flags) {
  return make_stream(stream, flags, 0);
}
TENON_DRIVER_ENTRY Status cuStreamCreateWithPriority(StreamObject **stream, unsigned flags, int priority) {
  return make_stream(stream, flags, priority);
}
TENON_DRIVER_ENTRY Status cuStreamDestroy_v2(StreamObject *stream) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!call.context->streams.count(stream))
    return kInvalidHandle;
  if (stream->capture)
    stream->capture->invalid = true;
  call.context->streams.erase(stream);
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuStreamSynchronize(StreamObject *stream) { return idle(stream); }
TENON_DRIVER_ENTRY Status cuStreamQuery(StreamObject *stream) { return idle(stream); }

TENON_DRIVER_ENTRY Status cuStreamGetCtx(StreamObject *stream, ContextObject **context) {
  return give(stream, context, [](const StreamObject &each) { return each.context; });
}
TENON_DRIVER_ENTRY Status cuStreamGetFlags(StreamObject *stream, unsigned *flags) {
  return give(stream, flags, [](const StreamObject &each) { return each.flags; });
}
TENON_DRIVER_ENTRY Status cuStreamGetPriority(StreamObject *stream, int *priority) {
  return give(stream, priority, [](const StreamObject &each) { return each.priority; });
}
TENON_DRIVER_ENTRY Status cuStreamGetId(StreamObject *stream, uint64_t *id) {
  return give(stream, id, [](const StreamObject &each) { return each.id; });
}
TENON_DRIVER_ENTRY Status cuStreamGetDevice(StreamObject *stream, Device *device) {
  return give(stream, device, [](const StreamObject &) { return Device{0}; });
}

/// Attributes are kept, and change nothing: there is no one to share the card with.
template <class Use> static Status of_attribute(StreamObject *handle, int attribute, const void *value, Use use) {
  TENON_BEGIN(Call::Needs::kContext);
  StreamObject *stream = call.stream(handle);
  if (!stream)
    return kInvalidHandle;
  if (!value || !is_stream_attribute(attribute))
    return kInvalidValue;
  use(*stream);
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuStreamGetAttribute(StreamObject *handle, int attribute, void *value) {
  return of_attribute(handle, attribute, value, [&](StreamObject &stream) {
    LaunchAttribute known{};
    const auto found = stream.attributes.find(attribute);
    const int simple = attribute == kLaunchPriority ? stream.priority : attribute == kLaunchSyncPolicy ? kSyncPolicyAuto : 0;
    std::memcpy(known.bytes, &simple, sizeof(simple));
    std::memcpy(value, found != stream.attributes.end() ? found->second.bytes : known.bytes, sizeof(known.bytes));
  });
}
TENON_DRIVER_ENTRY Status cuStreamSetAttribute(StreamObject *handle, int attribute, const void *value) {
  return of_attribute(handle, attribute, value, [&](StreamObject &stream) {
    if (attribute == kLaunchPriority) {
      std::memcpy(&stream.priority, value, sizeof(stream.priority));
      stream.priority = std::clamp(stream.priority, kGreatestPriority, 0);
    } else {
      std::memcpy(stream.attributes[attribute].bytes, value, sizeof(LaunchAttribute::bytes));
    }
  });
}

TENON_DRIVER_ENTRY Status cuLaunchHostFunc(StreamObject *stream, void (*function)(void *), void *data) {
  return submit(stream, HostWork{{function, data}});
}
/// The old form, which gives the function the stream and its state, and which no graph can hold.
TENON_DRIVER_ENTRY Status cuStreamAddCallback(StreamObject *handle, void (*function)(StreamObject *, int, void *),
                                              void *data, unsigned flags) {
  {
    TENON_BEGIN(Call::Needs::kContext);
    if (!function || flags)
      return kInvalidValue;
    StreamObject *stream = call.stream(handle);
    if (!stream)
      return kInvalidHandle;
    if (stream->capture) {
      stream->capture->invalid = true;
      return kCaptureUnsupported;
    }
  }
  function(handle, kSuccess, data);
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuStreamWriteValue32_v2(StreamObject *stream, DevicePointer address, uint32_t value,
                                                  unsigned flags) {
  return value_work(stream, address, value, 4, flags, false);
}
TENON_DRIVER_ENTRY Status cuStreamWriteValue64_v2(StreamObject *stream, DevicePointer address, uint64_t value,
                                                  unsigned flags) {
  return value_work(stream, address, value, 8, flags, false);
}
/// Refused as not supported where the value is not there yet: nothing runs beside the caller that could bring it.
TENON_DRIVER_ENTRY Status cuStreamWaitValue32_v2(StreamObject *stream, DevicePointer address, uint32_t value,
                                                 unsigned flags) {
  return value_work(stream, address, value, 4, flags, true);
}
TENON_DRIVER_ENTRY Status cuStreamWaitValue64_v2(StreamObject *stream, DevicePointer address, uint64_t value,
                                                 unsigned flags) {
  return value_work(stream, address, value, 8, flags, true);
}
