// Stream capture: between begin and end, what is submitted to a stream becomes a graph.
#include "driver/Graph.h"
#include <algorithm>

using namespace tenon::emulator;

namespace {
Status begin(StreamObject *handle, std::shared_ptr<GraphObject> graph, std::vector<NodeObject *> dependencies, int mode,
             Call &call) {
  StreamObject *stream = call.stream(handle);
  if (!stream)
    return kInvalidHandle;
  if (mode < kCaptureGlobal || mode > kCaptureRelaxed)
    return kInvalidValue;
  if (stream == &call.context->legacy)
    return kCaptureUnsupported;
  if (stream->capture)
    return kIllegalState;
  auto capture = std::make_shared<Capture>();
  capture->graph = std::move(graph);
  capture->origin = stream;
  capture->streams = {stream};
  capture->mode = static_cast<CaptureMode>(mode);
  capture->thread = std::this_thread::get_id();
  capture->id = call.driver.new_id();
  stream->capture = capture;
  stream->frontier = std::move(dependencies);
  call.driver.captures.push_back(capture);
  return kSuccess;
}

/// Work of a stream that joined is joined again when what the origin depends on leads back to it.
bool joined(const Capture &capture) {
  std::vector<NodeObject *> reached = capture.origin->frontier;
  for (size_t i = 0; i < reached.size(); i++)
    for (NodeObject *node : reached[i]->dependencies)
      if (std::find(reached.begin(), reached.end(), node) == reached.end())
        reached.push_back(node);
  for (const StreamObject *stream : capture.streams)
    for (NodeObject *node : stream->frontier)
      if (std::find(reached.begin(), reached.end(), node) == reached.end())
        return false;
  return true;
}

void close(Call &call, const std::shared_ptr<Capture> &capture) {
  auto leave = [&](StreamObject &stream) {
    if (stream.capture == capture) {
      stream.capture.reset();
      stream.frontier.clear();
    }
  };
  for (auto &[key, stream] : call.context->streams)
    leave(*stream);
  for (auto &[key, stream] : call.context->per_thread)
    leave(*stream);
  leave(call.context->legacy);
  auto &open = call.driver.captures;
  std::erase_if(open, [&](const std::weak_ptr<Capture> &each) { return each.expired() || each.lock() == capture; });
}
} // namespace

TENON_DRIVER_ENTRY Status cuStreamBeginCapture_v2(StreamObject *stream, int mode) {
  TENON_BEGIN(Call::Needs::kContext);
  auto graph = std::make_shared<GraphObject>();
  graph->id = call.driver.new_id();
  return begin(stream, std::move(graph), {}, mode, call);
}
TENON_DRIVER_ENTRY Status cuStreamBeginCapture(StreamObject *stream) {
  return cuStreamBeginCapture_v2(stream, kCaptureGlobal);
}
TENON_DRIVER_ENTRY Status cuStreamBeginCaptureToGraph(StreamObject *stream, GraphObject *graph,
                                                      NodeObject *const *nodes, const EdgeData *, size_t count,
                                                      int mode) {
  TENON_BEGIN(Call::Needs::kContext);
  auto found = call.driver.graphs.find(graph);
  if (found == call.driver.graphs.end() || (count && !nodes))
    return kInvalidValue;
  std::vector<NodeObject *> dependencies(nodes, nodes + count);
  for (const NodeObject *node : dependencies)
    if (!graph->holds(node))
      return kInvalidValue;
  Status status = begin(stream, found->second, std::move(dependencies), mode, call);
  if (status == kSuccess)
    call.stream(stream)->capture->into_given_graph = true;
  return status;
}

TENON_DRIVER_ENTRY Status cuStreamEndCapture(StreamObject *handle, GraphObject **graph) {
  TENON_BEGIN(Call::Needs::kContext);
  StreamObject *stream = call.stream(handle);
  if (!graph)
    return kInvalidValue;
  if (!stream)
    return kInvalidHandle;
  *graph = nullptr;
  std::shared_ptr<Capture> capture = stream->capture;
  if (!capture)
    return kIllegalState;
  if (capture->mode != kCaptureRelaxed && capture->thread != std::this_thread::get_id()) {
    capture->invalid = true;
    return kCaptureWrongThread;
  }
  if (capture->origin != stream) {
    capture->invalid = true;
    return kCaptureUnmatched;
  }
  Status status = capture->invalid ? kCaptureInvalidated : joined(*capture) ? kSuccess : kCaptureUnjoined;
  close(call, capture);
  if (status != kSuccess)
    return status;
  *graph = capture->graph.get();
  call.driver.graphs[*graph] = capture->graph;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuStreamIsCapturing(StreamObject *handle, int *state) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!state)
    return kInvalidValue;
  StreamObject *stream = call.stream(handle);
  if (!stream)
    return kInvalidHandle;
  *state = !stream->capture ? kCaptureNone : stream->capture->invalid ? kCaptureInvalid : kCaptureActive;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuStreamGetCaptureInfo_v2(StreamObject *handle, int *state, uint64_t *id, GraphObject **graph,
                                                    NodeObject *const **dependencies, size_t *count) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!state)
    return kInvalidValue;
  StreamObject *stream = call.stream(handle);
  if (!stream)
    return kInvalidHandle;
  const Capture *capture = stream->capture.get();
  *state = !capture ? kCaptureNone : capture->invalid ? kCaptureInvalid : kCaptureActive;
  if (!capture || capture->invalid)
    return kSuccess;
  if (id)
    *id = capture->id;
  if (graph)
    *graph = capture->graph.get();
  if (dependencies)
    *dependencies = stream->frontier.data();
  if (count)
    *count = stream->frontier.size();
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuStreamGetCaptureInfo_v3(StreamObject *stream, int *state, uint64_t *id, GraphObject **graph,
                                                    NodeObject *const **dependencies, const EdgeData **edges,
                                                    size_t *count) {
  if (edges)
    *edges = nullptr; // all edges are plain
  return cuStreamGetCaptureInfo_v2(stream, state, id, graph, dependencies, count);
}
TENON_DRIVER_ENTRY Status cuStreamGetCaptureInfo(StreamObject *stream, int *state, uint64_t *id) {
  return cuStreamGetCaptureInfo_v2(stream, state, id, nullptr, nullptr, nullptr);
}

TENON_DRIVER_ENTRY Status cuStreamUpdateCaptureDependencies(StreamObject *handle, NodeObject **nodes, size_t count,
                                                            unsigned flags) {
  constexpr unsigned kAdd = 0, kSet = 1; // CUstreamUpdateCaptureDependencies_flags
  TENON_BEGIN(Call::Needs::kContext);
  StreamObject *stream = call.stream(handle);
  if (!stream)
    return kInvalidHandle;
  if (!stream->capture)
    return kIllegalState;
  if (stream->capture->invalid)
    return kCaptureInvalidated;
  if ((count && !nodes) || (flags != kAdd && flags != kSet))
    return kInvalidValue;
  std::vector<NodeObject *> frontier = flags == kAdd ? stream->frontier : std::vector<NodeObject *>();
  for (size_t i = 0; i < count; i++) {
    if (!stream->capture->graph->holds(nodes[i]))
      return kInvalidValue;
    frontier.push_back(nodes[i]);
  }
  stream->frontier = std::move(frontier);
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuStreamUpdateCaptureDependencies_v2(StreamObject *stream, NodeObject **nodes,
                                                               const EdgeData *, size_t count, unsigned flags) {
  return cuStreamUpdateCaptureDependencies(stream, nodes, count, flags);
}

TENON_DRIVER_ENTRY Status cuThreadExchangeStreamCaptureMode(int *mode) {
  if (!mode || *mode < kCaptureGlobal || *mode > kCaptureRelaxed)
    return kInvalidValue;
  *mode = exchange_capture_mode(static_cast<CaptureMode>(*mode));
  return kSuccess;
}
