// Nodes of graphs: added, read, changed; in a graph, and in an executable graph made of one.
#include "driver/Graph.h"
#include <algorithm>
#include <cstring>

using namespace tenon::emulator;

namespace {
Status kernel_work(const Call &call, const KernelNodeParameters *given, KernelWork &work) {
  if (!given)
    return kInvalidValue;
  auto *handle = given->function ? given->function : reinterpret_cast<FunctionObject *>(given->kernel);
  work.function = call.function(handle);
  if (!work.function)
    return kInvalidHandle;
  std::memcpy(work.grid.data(), given->grid, sizeof(given->grid));
  std::memcpy(work.block.data(), given->block, sizeof(given->block));
  work.dynamic_shared = given->dynamic_shared;
  return gather_parameters(*work.function, given->parameters, given->extra, work);
}

bool is_node_attribute(int attribute) {
  constexpr int kOfNodes[] = {kLaunchAccessWindow, kLaunchCooperative, kLaunchCluster, kLaunchClusterScheduling,
                              kLaunchPriority, kLaunchMemoryDomainMap, kLaunchMemoryDomain};
  return std::find(std::begin(kOfNodes), std::end(kOfNodes), attribute) != std::end(kOfNodes);
}

Status add_kernel(NodeObject **node, GraphObject *graph, NodeObject *const *dependencies, size_t count,
                  const KernelNodeParameters *given) {
  TENON_BEGIN(Call::Needs::kContext);
  KernelWork work;
  if (Status status = kernel_work(call, given, work))
    return status;
  return add_node(call, graph, dependencies, count, std::move(work), node);
}

Status add(NodeObject **node, GraphObject *graph, NodeObject *const *dependencies, size_t count, Work work) {
  TENON_BEGIN(Call::Needs::kContext);
  return add_node(call, graph, dependencies, count, std::move(work), node);
}

/// The work of a node of a graph, if it is of this kind.
template <class Kind> Kind *work_of(const Call &call, NodeObject *node) {
  return graph_of(call, node) ? std::get_if<Kind>(&node->work) : nullptr;
}

template <class Kind, class Read> Status read(NodeObject *node, Read read) {
  TENON_BEGIN(Call::Needs::kInitialised);
  Kind *work = work_of<Kind>(call, node);
  return work ? read(*work) : kInvalidValue;
}

/// Puts new work of the same kind into a node, after the checks that adding it would do.
template <class Kind> Status replace(Call &call, NodeObject *node, Kind work) {
  if (!node || !std::get_if<Kind>(&node->work))
    return kInvalidValue;
  if (Status status = check(call, work))
    return status;
  node->work = std::move(work);
  return kSuccess;
}
template <class Kind> Status set(NodeObject *node, Kind work) {
  TENON_BEGIN(Call::Needs::kContext);
  return graph_of(call, node) ? replace(call, node, std::move(work)) : kInvalidValue;
}
template <class Kind> Status set(ExecutableObject *executable, NodeObject *node, Kind work) {
  TENON_BEGIN(Call::Needs::kContext);
  return replace(call, executable_node(call, executable, node), std::move(work));
}

/// The work that general parameters describe.
Status work_of(Call &call, const NodeParameters &given, Work &work) {
  switch (given.type) {
  case kNodeKernel:
    work = KernelWork{};
    return kernel_work(call, &given.kernel, std::get<KernelWork>(work));
  case kNodeCopy:
    work = CopyWork{given.copy.shape};
    return kSuccess;
  case kNodeFill:
    work = FillWork{given.fill};
    return kSuccess;
  case kNodeHost:
    work = HostWork{given.host};
    return kSuccess;
  case kNodeGraph:
    if (!find_graph(call, given.graph))
      return kInvalidValue;
    work = GraphWork{given.graph->clone()};
    return kSuccess;
  case kNodeEmpty:
    work = EmptyWork{};
    return kSuccess;
  case kNodeWaitEvent:
    work = WaitEventWork{given.event};
    return kSuccess;
  case kNodeRecordEvent:
    work = RecordEventWork{given.event};
    return kSuccess;
  case kNodeFree:
    work = FreeWork{given.free};
    return kSuccess;
  default:
    return kNotSupported;
  }
}

Status set_any(Call &call, NodeObject *node, const NodeParameters *given) {
  Work work;
  if (!given || !node)
    return kInvalidValue;
  if (Status status = work_of(call, *given, work))
    return status;
  if (work.index() != node->work.index())
    return kInvalidValue;
  if (Status status = check(call, work))
    return status;
  node->work = std::move(work);
  return kSuccess;
}

Status set_kernel(Call &call, NodeObject *node, const KernelNodeParameters *given) {
  KernelWork work;
  if (Status status = kernel_work(call, given, work))
    return status;
  return replace(call, node, std::move(work));
}
} // namespace

TENON_DRIVER_ENTRY Status cuGraphKernelNodeGetAttribute(NodeObject *node, int attribute, void *value) {
  return !value || !is_node_attribute(attribute) ? kInvalidValue : read<KernelWork>(node, [&](KernelWork &work) {
    LaunchAttribute known = node->attributes.count(attribute) ? node->attributes.at(attribute) : LaunchAttribute{};
    if (attribute == kLaunchCooperative)
      known.cooperative = work.cooperative;
    std::memcpy(value, known.bytes, sizeof(known.bytes));
    return kSuccess;
  });
}
TENON_DRIVER_ENTRY Status cuGraphKernelNodeSetAttribute(NodeObject *node, int attribute, const void *value) {
  return !value || !is_node_attribute(attribute) ? kInvalidValue : read<KernelWork>(node, [&](KernelWork &work) {
    LaunchAttribute given{};
    std::memcpy(given.bytes, value, sizeof(given.bytes));
    if (attribute == kLaunchCluster && uint64_t{given.cluster[0]} * given.cluster[1] * given.cluster[2] > 1)
      return kNotSupported;
    if (attribute == kLaunchCooperative)
      work.cooperative = given.cooperative != 0;
    node->attributes[attribute] = given;
    return kSuccess;
  });
}
TENON_DRIVER_ENTRY Status cuGraphAddKernelNode_v2(NodeObject **node, GraphObject *graph,
                                                  NodeObject *const *dependencies, size_t count,
                                                  const KernelNodeParameters *given) {
  return add_kernel(node, graph, dependencies, count, given);
}
/// The first version of the parameters ends before the kernel.
TENON_DRIVER_ENTRY Status cuGraphAddKernelNode(NodeObject **node, GraphObject *graph, NodeObject *const *dependencies,
                                               size_t count, const KernelNodeParameters *given) {
  KernelNodeParameters copy{};
  if (given)
    std::memcpy(&copy, given, offsetof(KernelNodeParameters, kernel));
  return add_kernel(node, graph, dependencies, count, given ? &copy : nullptr);
}
TENON_DRIVER_ENTRY Status cuGraphKernelNodeGetParams_v2(NodeObject *node, KernelNodeParameters *out) {
  return !out ? kInvalidValue : read<KernelWork>(node, [&](KernelWork &work) {
    *out = {work.function,
            {work.grid[0], work.grid[1], work.grid[2]},
            {work.block[0], work.block[1], work.block[2]},
            work.dynamic_shared,
            work.parameters.data(),
            nullptr,
            nullptr,
            nullptr};
    return kSuccess;
  });
}
TENON_DRIVER_ENTRY Status cuGraphKernelNodeGetParams(NodeObject *node, KernelNodeParameters *out) {
  KernelNodeParameters all;
  Status status = out ? cuGraphKernelNodeGetParams_v2(node, &all) : kInvalidValue;
  if (status == kSuccess)
    std::memcpy(out, &all, offsetof(KernelNodeParameters, kernel));
  return status;
}
TENON_DRIVER_ENTRY Status cuGraphKernelNodeSetParams_v2(NodeObject *node, const KernelNodeParameters *given) {
  TENON_BEGIN(Call::Needs::kContext);
  return graph_of(call, node) ? set_kernel(call, node, given) : kInvalidValue;
}
TENON_DRIVER_ENTRY Status cuGraphExecKernelNodeSetParams_v2(ExecutableObject *executable, NodeObject *node,
                                                            const KernelNodeParameters *given) {
  TENON_BEGIN(Call::Needs::kContext);
  return set_kernel(call, executable_node(call, executable, node), given);
}

TENON_DRIVER_ENTRY Status cuGraphAddMemcpyNode(NodeObject **node, GraphObject *graph, NodeObject *const *dependencies,
                                               size_t count, const Copy3D *shape, ContextObject *) {
  return shape ? add(node, graph, dependencies, count, CopyWork{*shape}) : kInvalidValue;
}
TENON_DRIVER_ENTRY Status cuGraphMemcpyNodeGetParams(NodeObject *node, Copy3D *out) {
  return !out ? kInvalidValue : read<CopyWork>(node, [&](CopyWork &work) {
    *out = work.shape;
    return kSuccess;
  });
}
TENON_DRIVER_ENTRY Status cuGraphMemcpyNodeSetParams(NodeObject *node, const Copy3D *shape) {
  return shape ? set(node, CopyWork{*shape}) : kInvalidValue;
}
TENON_DRIVER_ENTRY Status cuGraphExecMemcpyNodeSetParams(ExecutableObject *executable, NodeObject *node,
                                                         const Copy3D *shape, ContextObject *) {
  return shape ? set(executable, node, CopyWork{*shape}) : kInvalidValue;
}

TENON_DRIVER_ENTRY Status cuGraphAddMemsetNode(NodeObject **node, GraphObject *graph, NodeObject *const *dependencies,
                                               size_t count, const Fill2D *shape, ContextObject *) {
  return shape ? add(node, graph, dependencies, count, FillWork{*shape}) : kInvalidValue;
}
TENON_DRIVER_ENTRY Status cuGraphMemsetNodeGetParams(NodeObject *node, Fill2D *out) {
  return !out ? kInvalidValue : read<FillWork>(node, [&](FillWork &work) {
    *out = work.shape;
    return kSuccess;
  });
}
TENON_DRIVER_ENTRY Status cuGraphMemsetNodeSetParams(NodeObject *node, const Fill2D *shape) {
  return shape ? set(node, FillWork{*shape}) : kInvalidValue;
}
TENON_DRIVER_ENTRY Status cuGraphExecMemsetNodeSetParams(ExecutableObject *executable, NodeObject *node,
                                                         const Fill2D *shape, ContextObject *) {
  return shape ? set(executable, node, FillWork{*shape}) : kInvalidValue;
}

TENON_DRIVER_ENTRY Status cuGraphAddHostNode(NodeObject **node, GraphObject *graph, NodeObject *const *dependencies,
                                             size_t count, const HostCall *host) {
  return host ? add(node, graph, dependencies, count, HostWork{*host}) : kInvalidValue;
}
TENON_DRIVER_ENTRY Status cuGraphHostNodeGetParams(NodeObject *node, HostCall *out) {
  return !out ? kInvalidValue : read<HostWork>(node, [&](HostWork &work) {
    *out = work.call;
    return kSuccess;
  });
}
TENON_DRIVER_ENTRY Status cuGraphHostNodeSetParams(NodeObject *node, const HostCall *host) {
  return host ? set(node, HostWork{*host}) : kInvalidValue;
}
TENON_DRIVER_ENTRY Status cuGraphExecHostNodeSetParams(ExecutableObject *executable, NodeObject *node,
                                                       const HostCall *host) {
  return host ? set(executable, node, HostWork{*host}) : kInvalidValue;
}

TENON_DRIVER_ENTRY Status cuGraphAddChildGraphNode(NodeObject **node, GraphObject *graph,
                                                   NodeObject *const *dependencies, size_t count, GraphObject *child) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!find_graph(call, child) || child == graph)
    return kInvalidValue;
  return add_node(call, graph, dependencies, count, GraphWork{child->clone()}, node);
}
TENON_DRIVER_ENTRY Status cuGraphChildGraphNodeGetGraph(NodeObject *node, GraphObject **out) {
  return !out ? kInvalidValue : read<GraphWork>(node, [&](GraphWork &work) {
    *out = work.graph.get();
    return kSuccess;
  });
}
TENON_DRIVER_ENTRY Status cuGraphAddEmptyNode(NodeObject **node, GraphObject *graph, NodeObject *const *dependencies,
                                              size_t count) {
  return add(node, graph, dependencies, count, EmptyWork{});
}

TENON_DRIVER_ENTRY Status cuGraphAddEventRecordNode(NodeObject **node, GraphObject *graph,
                                                    NodeObject *const *dependencies, size_t count, EventObject *event) {
  return add(node, graph, dependencies, count, RecordEventWork{event});
}
TENON_DRIVER_ENTRY Status cuGraphAddEventWaitNode(NodeObject **node, GraphObject *graph,
                                                  NodeObject *const *dependencies, size_t count, EventObject *event) {
  return add(node, graph, dependencies, count, WaitEventWork{event});
}
TENON_DRIVER_ENTRY Status cuGraphEventRecordNodeGetEvent(NodeObject *node, EventObject **out) {
  return !out ? kInvalidValue : read<RecordEventWork>(node, [&](RecordEventWork &work) {
    *out = work.event;
    return kSuccess;
  });
}
TENON_DRIVER_ENTRY Status cuGraphEventWaitNodeGetEvent(NodeObject *node, EventObject **out) {
  return !out ? kInvalidValue : read<WaitEventWork>(node, [&](WaitEventWork &work) {
    *out = work.event;
    return kSuccess;
  });
}
TENON_DRIVER_ENTRY Status cuGraphEventRecordNodeSetEvent(NodeObject *node, EventObject *event) {
  return set(node, RecordEventWork{event});
}
TENON_DRIVER_ENTRY Status cuGraphEventWaitNodeSetEvent(NodeObject *node, EventObject *event) {
  return set(node, WaitEventWork{event});
}
TENON_DRIVER_ENTRY Status cuGraphExecEventRecordNodeSetEvent(ExecutableObject *executable, NodeObject *node,
                                                             EventObject *event) {
  return set(executable, node, RecordEventWork{event});
}
TENON_DRIVER_ENTRY Status cuGraphExecEventWaitNodeSetEvent(ExecutableObject *executable, NodeObject *node,
                                                           EventObject *event) {
  return set(executable, node, WaitEventWork{event});
}
TENON_DRIVER_ENTRY Status cuGraphAddMemFreeNode(NodeObject **node, GraphObject *graph, NodeObject *const *dependencies,
                                                size_t count, DevicePointer address) {
  return add(node, graph, dependencies, count, FreeWork{address});
}

// The general forms (CUDA 12).
TENON_DRIVER_ENTRY Status cuGraphAddNode(NodeObject **node, GraphObject *graph, NodeObject *const *dependencies,
                                         size_t count, NodeParameters *given) {
  TENON_BEGIN(Call::Needs::kContext);
  Work work;
  if (!given)
    return kInvalidValue;
  if (Status status = work_of(call, *given, work))
    return status;
  return add_node(call, graph, dependencies, count, std::move(work), node);
}
TENON_DRIVER_ENTRY Status cuGraphAddNode_v2(NodeObject **node, GraphObject *graph, NodeObject *const *dependencies,
                                            const EdgeData *, size_t count, NodeParameters *given) {
  return cuGraphAddNode(node, graph, dependencies, count, given);
}
TENON_DRIVER_ENTRY Status cuGraphNodeSetParams(NodeObject *node, NodeParameters *given) {
  TENON_BEGIN(Call::Needs::kContext);
  return graph_of(call, node) ? set_any(call, node, given) : kInvalidValue;
}
TENON_DRIVER_ENTRY Status cuGraphExecNodeSetParams(ExecutableObject *executable, NodeObject *node, NodeParameters *given) {
  TENON_BEGIN(Call::Needs::kContext);
  return set_any(call, executable_node(call, executable, node), given);
}
