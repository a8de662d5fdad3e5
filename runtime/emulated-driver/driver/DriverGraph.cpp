// Graphs as a whole: made, copied, looked at, taken apart.
#include "driver/Graph.h"
#include <algorithm>
#include <cstdio>

using namespace tenon::emulator;

namespace {
struct Edge {
  NodeObject *from, *to;
};

std::vector<Edge> edges_of(const GraphObject &graph) {
  std::vector<Edge> edges;
  for (const auto &node : graph.nodes)
    for (NodeObject *dependency : node->dependencies)
      edges.push_back({dependency, node.get()});
  return edges;
}

/// Without a list the number is told; with one it is filled, and what is left of it with null.
Status give(const std::vector<NodeObject *> &nodes, NodeObject **list, size_t *count) {
  if (!count)
    return kInvalidValue;
  if (list)
    for (size_t i = 0; i < *count; i++)
      list[i] = i < nodes.size() ? nodes[i] : nullptr;
  if (!list || *count > nodes.size())
    *count = nodes.size();
  return kSuccess;
}

template <class Act> Status with_node(NodeObject *node, Act act) {
  TENON_BEGIN(Call::Needs::kInitialised);
  GraphObject *graph = graph_of(call, node);
  return graph ? act(call, *graph) : kInvalidValue;
}

std::vector<NodeObject *> dependents(const GraphObject &graph, const NodeObject *node) {
  std::vector<NodeObject *> found;
  for (const Edge &edge : edges_of(graph))
    if (edge.from == node)
      found.push_back(edge.to);
  return found;
}
} // namespace

TENON_DRIVER_ENTRY Status cuGraphCreate(GraphObject **graph, unsigned flags) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!graph || flags)
    return kInvalidValue;
  auto made = std::make_shared<GraphObject>();
  made->id = call.driver.new_id();
  *graph = made.get();
  call.driver.graphs[made.get()] = std::move(made);
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuGraphDestroy(GraphObject *graph) {
  TENON_BEGIN(Call::Needs::kInitialised);
  return call.driver.graphs.erase(graph) ? kSuccess : kInvalidValue;
}
TENON_DRIVER_ENTRY Status cuGraphClone(GraphObject **clone, GraphObject *graph) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!clone || !find_graph(call, graph))
    return kInvalidValue;
  auto made = graph->clone();
  *clone = made.get();
  call.driver.graphs[made.get()] = std::move(made);
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuGraphNodeFindInClone(NodeObject **node, NodeObject *original, GraphObject *clone) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!node || !find_graph(call, clone))
    return kInvalidValue;
  auto found = clone->clones.find(original);
  if (found == clone->clones.end())
    return kInvalidValue;
  *node = found->second;
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuGraphGetNodes(GraphObject *graph, NodeObject **nodes, size_t *count) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!find_graph(call, graph))
    return kInvalidValue;
  std::vector<NodeObject *> all;
  for (const auto &node : graph->nodes)
    all.push_back(node.get());
  return give(all, nodes, count);
}
TENON_DRIVER_ENTRY Status cuGraphGetRootNodes(GraphObject *graph, NodeObject **nodes, size_t *count) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!find_graph(call, graph))
    return kInvalidValue;
  std::vector<NodeObject *> roots;
  for (const auto &node : graph->nodes)
    if (node->dependencies.empty())
      roots.push_back(node.get());
  return give(roots, nodes, count);
}
TENON_DRIVER_ENTRY Status cuGraphGetEdges(GraphObject *graph, NodeObject **from, NodeObject **to, size_t *count) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!find_graph(call, graph) || !from != !to)
    return kInvalidValue;
  std::vector<NodeObject *> sources, targets;
  for (const Edge &edge : edges_of(*graph)) {
    sources.push_back(edge.from);
    targets.push_back(edge.to);
  }
  size_t room = count ? *count : 0;
  if (Status status = give(sources, from, count))
    return status;
  return give(targets, to, &room);
}
TENON_DRIVER_ENTRY Status cuGraphGetEdges_v2(GraphObject *graph, NodeObject **from, NodeObject **to, EdgeData *data,
                                             size_t *count) {
  Status status = cuGraphGetEdges(graph, from, to, count);
  if (status == kSuccess && data)
    std::fill_n(data, *count, EdgeData{});
  return status;
}

TENON_DRIVER_ENTRY Status cuGraphNodeGetType(NodeObject *node, int *type) {
  return !type ? kInvalidValue : with_node(node, [&](Call &, GraphObject &) {
    *type = node->type();
    return kSuccess;
  });
}
/// The graph in the language of Graphviz: a node each, with its kind, or the kernel's name.
TENON_DRIVER_ENTRY Status cuGraphDebugDotPrint(GraphObject *graph, const char *path, unsigned) {
  TENON_BEGIN(Call::Needs::kInitialised);
  static constexpr const char *kKinds[] = {"kernel", "copy", "fill", "host", "graph", "empty", "wait for event", "record event", "allocate", "free", "value"};
  static_assert(std::size(kKinds) == std::variant_size_v<Work>);
  if (!find_graph(call, graph) || !path)
    return kInvalidValue;
  std::FILE *file = std::fopen(path, "w");
  if (!file)
    return kOperatingSystem;
  std::fprintf(file, "digraph dot {\n");
  auto number = [&](const NodeObject *node) {
    return std::find_if(graph->nodes.begin(), graph->nodes.end(), [&](const auto &each) { return each.get() == node; }) - graph->nodes.begin();
  };
  for (const auto &node : graph->nodes) {
    const auto *kernel = std::get_if<KernelWork>(&node->work);
    std::fprintf(file, "  node_%td [label=\"%s\"];\n", number(node.get()), kernel ? kernel->function->kernel->name.c_str() : kKinds[node->work.index()]);
    for (const NodeObject *before : node->dependencies)
      std::fprintf(file, "  node_%td -> node_%td;\n", number(before), number(node.get()));
  }
  std::fprintf(file, "}\n");
  return std::fclose(file) ? kOperatingSystem : kSuccess;
}
TENON_DRIVER_ENTRY Status cuGraphNodeGetDependencies(NodeObject *node, NodeObject **list, size_t *count) {
  return with_node(node, [&](Call &, GraphObject &) { return give(node->dependencies, list, count); });
}
TENON_DRIVER_ENTRY Status cuGraphNodeGetDependencies_v2(NodeObject *node, NodeObject **list, EdgeData *data,
                                                        size_t *count) {
  Status status = cuGraphNodeGetDependencies(node, list, count);
  if (status == kSuccess && data)
    std::fill_n(data, *count, EdgeData{});
  return status;
}
TENON_DRIVER_ENTRY Status cuGraphNodeGetDependentNodes(NodeObject *node, NodeObject **list, size_t *count) {
  return with_node(node, [&](Call &, GraphObject &graph) { return give(dependents(graph, node), list, count); });
}
TENON_DRIVER_ENTRY Status cuGraphNodeGetDependentNodes_v2(NodeObject *node, NodeObject **list, EdgeData *data,
                                                          size_t *count) {
  Status status = cuGraphNodeGetDependentNodes(node, list, count);
  if (status == kSuccess && data)
    std::fill_n(data, *count, EdgeData{});
  return status;
}

TENON_DRIVER_ENTRY Status cuGraphAddDependencies(GraphObject *graph, NodeObject *const *from, NodeObject *const *to,
                                                 size_t count) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!find_graph(call, graph) || (count && (!from || !to)))
    return kInvalidValue;
  for (size_t i = 0; i < count; i++) {
    if (!graph->holds(from[i]) || !graph->holds(to[i]) || from[i] == to[i])
      return kInvalidValue;
    auto &mine = to[i]->dependencies;
    if (std::find(mine.begin(), mine.end(), from[i]) != mine.end())
      return kInvalidValue;
  }
  for (size_t i = 0; i < count; i++)
    to[i]->dependencies.push_back(from[i]);
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuGraphAddDependencies_v2(GraphObject *graph, NodeObject *const *from, NodeObject *const *to,
                                                    const EdgeData *, size_t count) {
  return cuGraphAddDependencies(graph, from, to, count);
}
TENON_DRIVER_ENTRY Status cuGraphRemoveDependencies(GraphObject *graph, NodeObject *const *from, NodeObject *const *to,
                                                    size_t count) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!find_graph(call, graph) || (count && (!from || !to)))
    return kInvalidValue;
  for (size_t i = 0; i < count; i++)
    if (!graph->holds(from[i]) || !graph->holds(to[i]) || std::erase(to[i]->dependencies, from[i]) == 0)
      return kInvalidValue;
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuGraphRemoveDependencies_v2(GraphObject *graph, NodeObject *const *from,
                                                       NodeObject *const *to, const EdgeData *, size_t count) {
  return cuGraphRemoveDependencies(graph, from, to, count);
}
TENON_DRIVER_ENTRY Status cuGraphDestroyNode(NodeObject *node) {
  return with_node(node, [&](Call &, GraphObject &graph) {
    for (const auto &each : graph.nodes)
      std::erase(each->dependencies, node);
    std::erase_if(graph.nodes, [&](const auto &each) { return each.get() == node; });
    return kSuccess;
  });
}
