// Events. One that was recorded in a stream that is not being captured is complete at once.
#include "driver/Graph.h"
#include <algorithm>

using namespace tenon::emulator;

namespace {
constexpr unsigned kEventFlags = 7, kDisableTiming = 2, kInterprocess = 4; // CUevent_flags
constexpr unsigned kExternal = 1; // CU_EVENT_RECORD_EXTERNAL, CU_EVENT_WAIT_EXTERNAL: a node of the graph of its own

Status complete(EventObject *event) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!call.owns(event))
    return kInvalidHandle;
  if (!event->capture)
    return kSuccess;
  event->capture->invalid = true;
  return kCapturedEvent;
}

/// The stream joins the capture, if it is not of it, and its next work depends on what the event stands for.
Status join(StreamObject &stream, const EventObject &event) {
  if (stream.capture && stream.capture != event.capture) {
    stream.capture->invalid = event.capture->invalid = true;
    return kCaptureMerge;
  }
  if (event.capture->invalid)
    return kCaptureInvalidated;
  if (!stream.capture) {
    stream.capture = event.capture;
    stream.frontier.clear();
    event.capture->streams.push_back(&stream);
  }
  for (NodeObject *node : event.frontier)
    if (std::find(stream.frontier.begin(), stream.frontier.end(), node) == stream.frontier.end())
      stream.frontier.push_back(node);
  return kSuccess;
}
} // namespace

TENON_DRIVER_ENTRY Status cuEventCreate(EventObject **event, unsigned flags) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!event || (flags & ~kEventFlags) || ((flags & kInterprocess) && !(flags & kDisableTiming)))
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

TENON_DRIVER_ENTRY Status cuEventRecordWithFlags(EventObject *event, StreamObject *handle, unsigned flags) {
  TENON_BEGIN(Call::Needs::kContext);
  StreamObject *stream = call.stream(handle);
  if (!call.owns(event) || !stream)
    return kInvalidHandle;
  if (flags & ~kExternal)
    return kInvalidValue;
  if (!stream->capture || (flags & kExternal))
    return submit(call, handle, RecordEventWork{event});
  if (stream->capture->invalid)
    return kCaptureInvalidated;
  event->capture = stream->capture;
  event->frontier = stream->frontier;
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuEventRecord(EventObject *event, StreamObject *stream) {
  return cuEventRecordWithFlags(event, stream, 0);
}

TENON_DRIVER_ENTRY Status cuStreamWaitEvent(StreamObject *handle, EventObject *event, unsigned flags) {
  TENON_BEGIN(Call::Needs::kContext);
  StreamObject *stream = call.stream(handle);
  if (!stream || !call.owns(event))
    return kInvalidHandle;
  if (flags & ~kExternal)
    return kInvalidValue;
  if (event->capture && !(flags & kExternal))
    return join(*stream, *event);
  if (stream->capture && !(flags & kExternal)) { // what is outside of the capture cannot be waited for in it
    stream->capture->invalid = true;
    return kCaptureIsolation;
  }
  return submit(call, handle, WaitEventWork{event});
}

TENON_DRIVER_ENTRY Status cuEventSynchronize(EventObject *event) { return complete(event); }
TENON_DRIVER_ENTRY Status cuEventQuery(EventObject *event) { return complete(event); }

TENON_DRIVER_ENTRY Status cuEventElapsedTime_v2(float *milliseconds, EventObject *start, EventObject *end) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!milliseconds)
    return kInvalidValue;
  if (!call.owns(start) || !call.owns(end))
    return kInvalidHandle;
  if (!start->recorded || !end->recorded || ((start->flags | end->flags) & kDisableTiming))
    return kInvalidHandle;
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuEventElapsedTime(float *milliseconds, EventObject *start, EventObject *end) {
  return cuEventElapsedTime_v2(milliseconds, start, end);
}
