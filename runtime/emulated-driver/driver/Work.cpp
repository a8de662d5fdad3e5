#include "driver/Work.h"
#include "driver/Graph.h"
#include "execute/Warp.h"
#include <algorithm>
#include <cstring>

namespace tenon::emulator {
namespace {

/// Where a value lies that a stream writes or waits for: device memory, or host memory that the device sees.
std::byte *value_at(Call &call, const ValueWork &work) {
  const DeviceMemory &memory = call.context->memory;
  bool there = work.address % work.bytes == 0 && memory.find(work.address, work.bytes);
  return there ? memory.data(work.address) : nullptr;
}

bool holds(uint64_t found, const ValueWork &work) {
  switch (work.flags & ~kWaitFlush) {
  case kWaitAtLeast:
    return work.bytes == 4 ? static_cast<int32_t>(found - work.value) >= 0
                           : static_cast<int64_t>(found - work.value) >= 0;
  case kWaitEqual:
    return found == work.value;
  case kWaitAnd:
    return found & work.value;
  default:
    return ~(found | work.value);
  }
}

struct Check {
  Call &call;
  Status operator()(const KernelWork &work) const { return check_kernel(call, work); }
  Status operator()(const CopyWork &work) const { return check_copy(call, work); }
  Status operator()(const FillWork &work) const { return check_fill(call, work); }
  Status operator()(const HostWork &work) const { return work.call.function ? kSuccess : kInvalidValue; }
  Status operator()(const GraphWork &work) const { return work.graph ? kSuccess : kInvalidValue; }
  Status operator()(const EmptyWork &) const { return kSuccess; }
  Status operator()(const WaitEventWork &work) const { return call.owns(work.event) ? kSuccess : kInvalidHandle; }
  Status operator()(const RecordEventWork &work) const { return call.owns(work.event) ? kSuccess : kInvalidHandle; }
  Status operator()(const AllocateWork &) const { return kSuccess; }
  Status operator()(const FreeWork &work) const {
    const Allocation *allocation = call.context->memory.find(work.address, 1);
    return allocation && allocation->begin == work.address ? kSuccess : kInvalidValue;
  }
  Status operator()(const ValueWork &work) const { return value_at(call, work) ? kSuccess : kInvalidValue; }
};

struct Run {
  Call &call;
  Status operator()(const KernelWork &work) const { return run_kernel(call, work); }
  Status operator()(const CopyWork &work) const { return run_copy(call, work); }
  Status operator()(const FillWork &work) const { return run_fill(call, work); }
  Status operator()(const HostWork &work) const {
    call.call_host(work.call.function, work.call.data);
    return kSuccess;
  }
  Status operator()(const GraphWork &work) const { return run_graph(call, *work.graph, work.graph->order()); }
  Status operator()(const EmptyWork &) const { return kSuccess; }
  Status operator()(const WaitEventWork &) const { return kSuccess; } // what was recorded is done
  Status operator()(const RecordEventWork &work) const {
    work.event->recorded = true;
    work.event->time = std::chrono::steady_clock::now();
    work.event->capture.reset();
    work.event->frontier.clear();
    return kSuccess;
  }
  Status operator()(const AllocateWork &work) const { return forget_contents(*work.address); }
  Status operator()(const FreeWork &work) const { return forget_contents(work.address); }
  // All earlier work is done, so nothing could still bring the value that a stream waits for but the host.
  Status operator()(const ValueWork &work) const {
    std::byte *at = value_at(call, work);
    uint64_t found = 0;
    if (!at)
      return kInvalidValue;
    if (!work.wait) {
      std::memcpy(at, &work.value, work.bytes);
      std::memset(call.context->memory.shadow(work.address), kWritten, work.bytes);
      return kSuccess;
    }
    std::memcpy(&found, at, work.bytes);
    return holds(found, work) ? kSuccess : kNotSupported;
  }

private:
  Status forget_contents(DevicePointer address) const {
    const Allocation *allocation = call.context->memory.find(address, 1);
    if (!allocation)
      return kInvalidValue;
    std::memset(call.context->memory.shadow(address), kNeverWritten, allocation->size);
    return kSuccess;
  }
};

bool needs_a_real_event(const Work &work) {
  return std::holds_alternative<WaitEventWork>(work) || std::holds_alternative<RecordEventWork>(work);
}
} // namespace

Status check_legacy(Call &call) {
  for (const std::weak_ptr<Capture> &each : call.driver.captures) {
    std::shared_ptr<Capture> capture = each.lock();
    if (!capture || capture->invalid || !capture->origin->blocking() || capture->origin->context != call.context)
      continue;
    capture->invalid = true;
    return kCaptureImplicit;
  }
  return kSuccess;
}

Status check(Call &call, const Work &work) { return std::visit(Check{call}, work); }
Status run(Call &call, const Work &work) { return std::visit(Run{call}, work); }

Status submit(Call &call, StreamObject *handle, Work work) {
  StreamObject *stream = call.stream(handle);
  if (!stream)
    return kInvalidHandle;
  if (Status status = check(call, work))
    return status;
  if (!stream->capture) {
    if (stream == &call.context->legacy && !needs_a_real_event(work))
      if (Status status = check_legacy(call))
        return status;
    return run(call, work);
  }
  if (stream->capture->invalid)
    return kCaptureInvalidated;
  stream->frontier = {stream->capture->graph->add(std::move(work), stream->frontier)};
  return kSuccess;
}

Status submit(StreamObject *stream, Work work) {
  TENON_BEGIN(Call::Needs::kContext);
  return submit(call, stream, std::move(work));
}

} // namespace tenon::emulator
