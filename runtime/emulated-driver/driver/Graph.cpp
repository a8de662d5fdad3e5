#include "driver/Graph.h"
#include <algorithm>
#include <unordered_set>

namespace tenon::emulator {

NodeType NodeObject::type() const {
  static constexpr NodeType kTypes[] = {kNodeKernel,   kNodeCopy,  kNodeFill,           kNodeHost,
                                        kNodeGraph,    kNodeEmpty, kNodeWaitEvent,      kNodeRecordEvent,
                                        kNodeAllocate, kNodeFree,  kNodeMemoryOperation};
  static_assert(std::size(kTypes) == std::variant_size_v<Work>);
  return kTypes[work.index()];
}

bool GraphObject::holds(const NodeObject *node) const {
  return std::any_of(nodes.begin(), nodes.end(), [&](const auto &each) { return each.get() == node; });
}

NodeObject *GraphObject::add(Work work, std::vector<NodeObject *> dependencies) {
  nodes.push_back(std::make_unique<NodeObject>(NodeObject{this, std::move(work), std::move(dependencies), true}));
  return nodes.back().get();
}

std::vector<NodeObject *> GraphObject::order() const {
  std::vector<NodeObject *> order;
  std::unordered_set<const NodeObject *> placed;
  for (bool grew = true; grew;) {
    grew = false;
    for (const auto &node : nodes) {
      bool ready = std::all_of(node->dependencies.begin(), node->dependencies.end(),
                               [&](const NodeObject *each) { return placed.count(each) != 0; });
      if (!ready || !placed.insert(node.get()).second)
        continue;
      order.push_back(node.get());
      grew = true;
    }
  }
  return order;
}

std::shared_ptr<GraphObject> GraphObject::clone() const {
  auto made = std::make_shared<GraphObject>();
  made->id = Driver::instance().new_id();
  for (const auto &node : nodes) {
    NodeObject *copy = made->add(node->work, {});
    if (auto *kernel = std::get_if<KernelWork>(&copy->work)) // its pointers lead into the bytes of the original
      for (void *&parameter : kernel->parameters)
        parameter = kernel->bytes.data() +
                    (static_cast<std::byte *>(parameter) - std::get<KernelWork>(node->work).bytes.data());
    if (auto *child = std::get_if<GraphWork>(&copy->work))
      child->graph = child->graph->clone();
    copy->enabled = node->enabled;
    copy->attributes = node->attributes;
    made->clones[node.get()] = copy;
  }
  for (const auto &node : nodes)
    for (const NodeObject *dependency : node->dependencies)
      made->clones[node.get()]->dependencies.push_back(made->clones[dependency]);
  return made;
}

GraphObject *find_graph(const Call &call, GraphObject *handle) {
  if (call.driver.graphs.count(handle))
    return handle;
  for (const std::weak_ptr<Capture> &each : call.driver.captures)
    if (std::shared_ptr<Capture> capture = each.lock(); capture && capture->graph.get() == handle)
      return handle;
  for (const auto &[key, graph] : call.driver.graphs) // the graph of a child node
    for (const auto &node : graph->nodes)
      if (auto *child = std::get_if<GraphWork>(&node->work); child && child->graph.get() == handle)
        return handle;
  return nullptr;
}

GraphObject *graph_of(const Call &call, const NodeObject *node) {
  for (const auto &[key, graph] : call.driver.graphs) {
    if (graph->holds(node))
      return graph.get();
    for (const auto &each : graph->nodes)
      if (auto *child = std::get_if<GraphWork>(&each->work); child && child->graph->holds(node))
        return child->graph.get();
  }
  for (const std::weak_ptr<Capture> &each : call.driver.captures)
    if (std::shared_ptr<Capture> capture = each.lock(); capture && capture->graph->holds(node))
      return capture->graph.get();
  return nullptr;
}

Status add_node(Call &call, GraphObject *handle, NodeObject *const *dependencies, size_t count, Work work,
                NodeObject **node) {
  GraphObject *graph = find_graph(call, handle);
  if (!graph || !node || (count && !dependencies))
    return kInvalidValue;
  std::vector<NodeObject *> all(dependencies, dependencies + count);
  for (size_t i = 0; i < all.size(); i++)
    if (!graph->holds(all[i]) || std::find(all.begin(), all.begin() + static_cast<ptrdiff_t>(i), all[i]) !=
                                     all.begin() + static_cast<ptrdiff_t>(i))
      return kInvalidValue;
  if (Status status = check(call, work))
    return status;
  *node = graph->add(std::move(work), std::move(all));
  return kSuccess;
}

NodeObject *executable_node(Call &call, ExecutableObject *executable, const NodeObject *node) {
  if (!call.driver.executables.count(executable))
    return nullptr;
  auto found = executable->graph->clones.find(node);
  return found == executable->graph->clones.end() ? nullptr : found->second;
}

Status run_graph(Call &call, const GraphObject &graph, const std::vector<NodeObject *> &order) {
  if (order.size() != graph.nodes.size())
    return kInvalidValue;
  for (const NodeObject *node : order) {
    if (!node->enabled)
      continue;
    if (Status status = run(call, node->work))
      return status;
    if (call.context->sticky != kSuccess) // what follows a fault does not run
      return kSuccess;
  }
  return kSuccess;
}

} // namespace tenon::emulator
