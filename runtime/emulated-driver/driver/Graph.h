// Graphs: nodes with what they depend on, captures that record them, and their executable form.
#pragma once
#include "driver/Work.h"

namespace tenon::emulator {

struct NodeObject {
  GraphObject *graph = nullptr;
  Work work;
  std::vector<NodeObject *> dependencies;
  bool enabled = true;
  AttributeValues attributes{}; // of a kernel
  NodeType type() const;
};

struct GraphObject {
  uint64_t id = 0;
  std::vector<std::unique_ptr<NodeObject>> nodes;
  std::unordered_map<const NodeObject *, NodeObject *> clones; // in a clone: its nodes by those it was made from

  bool holds(const NodeObject *node) const;
  NodeObject *add(Work work, std::vector<NodeObject *> dependencies);
  /// Every node behind those it depends on, else in the order in which they were added; shorter than `nodes` where they
  /// depend on each other in a circle.
  std::vector<NodeObject *> order() const;
  std::shared_ptr<GraphObject> clone() const;
};

struct ExecutableObject {
  std::shared_ptr<GraphObject> graph; // a copy
  std::vector<NodeObject *> order;
  uint64_t flags = 0;
};

/// From cuStreamBeginCapture to cuStreamEndCapture. Streams that wait for an event of the capture join it.
struct Capture {
  std::shared_ptr<GraphObject> graph;
  StreamObject *origin = nullptr;
  std::vector<StreamObject *> streams;
  CaptureMode mode = kCaptureGlobal;
  std::thread::id thread;
  bool invalid = false;
  bool into_given_graph = false;
  uint64_t id = 0;
};

/// The graph of a handle, one that is being captured included; nullptr where there is none.
GraphObject *find_graph(const Call &call, GraphObject *handle);
/// The graph that holds the node, or nullptr where none does.
GraphObject *graph_of(const Call &call, const NodeObject *node);
/// Whether a capture, a graph or an executable graph may take this work as a node, with these dependencies.
Status add_node(Call &call, GraphObject *graph, NodeObject *const *dependencies, size_t count, Work work,
                NodeObject **node);
/// The node of an executable graph that was made from `node`.
NodeObject *executable_node(Call &call, ExecutableObject *executable, const NodeObject *node);
/// Runs every enabled node.
Status run_graph(Call &call, const GraphObject &graph, const std::vector<NodeObject *> &order);

} // namespace tenon::emulator
