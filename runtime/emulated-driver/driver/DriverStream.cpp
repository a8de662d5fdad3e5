// Streams and events. Work is done when it is submitted, so every stream is idle and every recorded event complete.
#include "driver/Driver.h"

using namespace tenon::emulator;

namespace {
constexpr unsigned kStreamFlags = 1, kEventFlags = 7, kEventDisableTiming = 2;

Status make_stream(StreamObject **stream, unsigned flags, int priority) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!stream || (flags & ~kStreamFlags))
    return kInvalidValue;
  auto made = std::make_unique<StreamObject>(StreamObject{flags, priority});
  *stream = made.get();
  call.context->streams[made.get()] = std::move(made);
  return kSuccess;
}
Status idle(StreamObject *stream) {
  TENON_BEGIN(Call::Needs::kContext);
  return call.owns(stream) ? kSuccess : kInvalidHandle;
}
} // namespace

TENON_DRIVER_ENTRY Status cuStreamCreate(StreamObject **stream, unsigned flags) { return make_stream(stream, flags, 0); }
TENON_DRIVER_ENTRY Status cuStreamCreateWithPriority(StreamObject **stream, unsigned flags, int priority) {
  return make_stream(stream, flags, priority);
}
TENON_DRIVER_ENTRY Status cuStreamDestroy_v2(StreamObject *stream) {
  TENON_BEGIN(Call::Needs::kContext);
  return call.context->streams.erase(stream) ? kSuccess : kInvalidHandle;
}
TENON_DRIVER_ENTRY Status cuStreamSynchronize(StreamObject *stream) { return idle(stream); }
TENON_DRIVER_ENTRY Status cuStreamQuery(StreamObject *stream) { return idle(stream); }
TENON_DRIVER_ENTRY Status cuStreamWaitEvent(StreamObject *stream, EventObject *event, unsigned) {
  TENON_BEGIN(Call::Needs::kContext);
  return call.owns(stream) && call.owns(event) ? kSuccess : kInvalidHandle;
}
TENON_DRIVER_ENTRY Status cuStreamGetCtx(StreamObject *stream, ContextObject **context) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!context)
    return kInvalidValue;
  if (!call.owns(stream))
    return kInvalidHandle;
  *context = call.context;
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuStreamIsCapturing(StreamObject *stream, int *status) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!status)
    return kInvalidValue;
  *status = 0;
  return call.owns(stream) ? kSuccess : kInvalidHandle;
}
TENON_DRIVER_ENTRY Status cuLaunchHostFunc(StreamObject *stream, void (*function)(void *), void *data) {
  {
    TENON_BEGIN(Call::Needs::kContext);
    if (!function)
      return kInvalidValue;
    if (!call.owns(stream))
      return kInvalidHandle;
  }
  function(data);
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuEventCreate(EventObject **event, unsigned flags) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!event || (flags & ~kEventFlags))
    return kInvalidValue;
  auto made = std::make_unique<EventObject>();
  made->flags = flags;
  *event = made.get();
  call.context->events[made.get()] = std::move(made);
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuEventDestroy_v2(EventObject *event) {
  TENON_BEGIN(Call::Needs::kContext);
  return call.context->events.erase(event) ? kSuccess : kInvalidHandle;
}
TENON_DRIVER_ENTRY Status cuEventRecord(EventObject *event, StreamObject *stream) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!call.owns(event) || !call.owns(stream))
    return kInvalidHandle;
  event->recorded = true;
  event->time = std::chrono::steady_clock::now();
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuEventSynchronize(EventObject *event) {
  TENON_BEGIN(Call::Needs::kContext);
  return call.owns(event) ? kSuccess : kInvalidHandle;
}
TENON_DRIVER_ENTRY Status cuEventQuery(EventObject *event) { return cuEventSynchronize(event); }
TENON_DRIVER_ENTRY Status cuEventElapsedTime_v2(float *milliseconds, EventObject *start, EventObject *end) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!milliseconds)
    return kInvalidValue;
  if (!call.owns(start) || !call.owns(end))
    return kInvalidHandle;
  if (!start->recorded || !end->recorded || ((start->flags | end->flags) & kEventDisableTiming))
    return kInvalidHandle;
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuEventElapsedTime(float *milliseconds, EventObject *start, EventObject *end) {
  return cuEventElapsedTime_v2(milliseconds, start, end);
}
