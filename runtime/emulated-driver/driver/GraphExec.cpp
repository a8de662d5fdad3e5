// Executable graphs: made of a graph, launched as often as wanted, brought up to date with a graph of the same shape.
#include "driver/Graph.h"
#include <algorithm>

using namespace tenon::emulator;

namespace {
constexpr uint64_t kAutoFree = 1, kUpload = 2, kDeviceLaunch = 4, kNodePriority = 8; // CUgraphInstantiate_flags

/// What keeps a graph from taking the place of another, and the node at which it shows.
GraphUpdate compare(const GraphObject &mine, const GraphObject &other, NodeObject *&at) {
  if (mine.nodes.size() != other.nodes.size())
    return kUpdateTopologyChanged;
  auto place = [](const GraphObject &graph, const NodeObject *node) {
    return std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const auto &each) { return each.get() == node; }) -
           graph.nodes.begin();
  };
  for (size_t i = 0; i < mine.nodes.size(); i++) {
    const NodeObject &old = *mine.nodes[i], &fresh = *other.nodes[i];
    at = other.nodes[i].get();
    if (old.type() != fresh.type())
      return kUpdateTypeChanged;
    if (old.dependencies.size() != fresh.dependencies.size())
      return kUpdateTopologyChanged;
    for (size_t d = 0; d < old.dependencies.size(); d++)
      if (place(mine, old.dependencies[d]) != place(other, fresh.dependencies[d]))
        return kUpdateTopologyChanged;
    auto *child = std::get_if<GraphWork>(&old.work);
    if (child)
      if (GraphUpdate result = compare(*child->graph, *std::get<GraphWork>(fresh.work).graph, at))
        return result;
  }
  at = nullptr;
  return kUpdateSuccess;
}

Status instantiate(ExecutableObject **executable, GraphObject *handle, uint64_t flags) {
  TENON_BEGIN(Call::Needs::kContext);
  GraphObject *graph = find_graph(call, handle);
  if (!executable || !graph || (flags & ~(kAutoFree | kUpload | kDeviceLaunch | kNodePriority)))
    return kInvalidValue;
  if (flags & kDeviceLaunch)
    return kNotSupported;
  auto made = std::make_shared<ExecutableObject>();
  made->graph = graph->clone();
  made->order = made->graph->order();
  made->flags = flags;
  if (made->order.size() != made->graph->nodes.size()) // a circle
    return kInvalidValue;
  *executable = made.get();
  call.driver.executables[made.get()] = std::move(made);
  return kSuccess;
}
} // namespace

TENON_DRIVER_ENTRY Status cuGraphInstantiateWithFlags(ExecutableObject **executable, GraphObject *graph,
                                                      uint64_t flags) {
  return instantiate(executable, graph, flags);
}
/// The old form, with a log.
TENON_DRIVER_ENTRY Status cuGraphInstantiate_v2(ExecutableObject **executable, GraphObject *graph,
                                                NodeObject **error_node, char *log, size_t room) {
  if (error_node)
    *error_node = nullptr;
  if (log && room)
    *log = 0;
  return instantiate(executable, graph, 0);
}
TENON_DRIVER_ENTRY Status cuGraphInstantiateWithParams(ExecutableObject **executable, GraphObject *graph,
                                                       GraphInstantiation *parameters) {
  constexpr int kSucceeded = 0, kFailed = 1; // CUgraphInstantiateResult
  if (!parameters)
    return kInvalidValue;
  Status status = instantiate(executable, graph, parameters->flags);
  parameters->error_node = nullptr;
  parameters->result = status == kSuccess ? kSucceeded : kFailed;
  return status;
}
TENON_DRIVER_ENTRY Status cuGraphExecDestroy(ExecutableObject *executable) {
  TENON_BEGIN(Call::Needs::kInitialised);
  return call.driver.executables.erase(executable) ? kSuccess : kInvalidValue;
}
TENON_DRIVER_ENTRY Status cuGraphExecGetFlags(ExecutableObject *executable, uint64_t *flags) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!flags || !call.driver.executables.count(executable))
    return kInvalidValue;
  *flags = executable->flags;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuGraphLaunch(ExecutableObject *executable, StreamObject *handle) {
  TENON_BEGIN(Call::Needs::kContext);
  auto found = call.driver.executables.find(executable);
  if (found == call.driver.executables.end())
    return kInvalidValue;
  std::shared_ptr<ExecutableObject> held = found->second; // a host function may destroy it
  StreamObject *stream = call.stream(handle);
  if (!stream)
    return kInvalidHandle;
  if (stream->capture)
    return submit(call, handle, GraphWork{held->graph->clone()});
  return run_graph(call, *held->graph, held->order);
}
TENON_DRIVER_ENTRY Status cuGraphUpload(ExecutableObject *executable, StreamObject *stream) {
  TENON_BEGIN(Call::Needs::kContext);
  return !call.driver.executables.count(executable) ? kInvalidValue : call.stream(stream) ? kSuccess : kInvalidHandle;
}

TENON_DRIVER_ENTRY Status cuGraphExecUpdate_v2(ExecutableObject *executable, GraphObject *handle,
                                               GraphUpdateResult *result) {
  TENON_BEGIN(Call::Needs::kContext);
  GraphObject *graph = find_graph(call, handle);
  if (!result || !graph || !call.driver.executables.count(executable))
    return kInvalidValue;
  *result = {kUpdateSuccess, nullptr, nullptr};
  result->result = compare(*executable->graph, *graph, result->error_node);
  if (result->result != kUpdateSuccess)
    return kGraphUpdateFailure;
  // The nodes of the graph that it was made of still name its nodes.
  auto fresh = graph->clone();
  for (auto &[original, mine] : executable->graph->clones)
    for (size_t i = 0; i < fresh->nodes.size(); i++)
      if (executable->graph->nodes[i].get() == mine) {
        fresh->clones[original] = fresh->nodes[i].get();
        break;
      }
  executable->graph = std::move(fresh);
  executable->order = executable->graph->order();
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuGraphExecUpdate(ExecutableObject *executable, GraphObject *graph, NodeObject **error_node,
                                            int *update) {
  GraphUpdateResult result{};
  Status status = cuGraphExecUpdate_v2(executable, graph, &result);
  if (error_node)
    *error_node = result.error_node;
  if (update)
    *update = result.result;
  return status;
}

TENON_DRIVER_ENTRY Status cuGraphNodeSetEnabled(ExecutableObject *executable, NodeObject *node, unsigned enabled) {
  TENON_BEGIN(Call::Needs::kInitialised);
  NodeObject *mine = executable_node(call, executable, node);
  bool may = mine && (mine->type() == kNodeKernel || mine->type() == kNodeCopy || mine->type() == kNodeFill);
  if (!may)
    return kInvalidValue;
  mine->enabled = enabled != 0;
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuGraphNodeGetEnabled(ExecutableObject *executable, NodeObject *node, unsigned *enabled) {
  TENON_BEGIN(Call::Needs::kInitialised);
  NodeObject *mine = executable_node(call, executable, node);
  if (!mine || !enabled)
    return kInvalidValue;
  *enabled = mine->enabled;
  return kSuccess;
}
