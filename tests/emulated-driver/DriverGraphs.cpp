// Stream capture and graphs.
#include "Emulator.h"
#include <fstream>

namespace tenon::emulator {
namespace {

/// Adds `amount` to the word at `at`.
const std::string kAdd = ptx_header() +
                         ".visible .entry kernel(.param .u64 at, .param .u32 amount) {\n"
                         ".reg .b32 %r<3>; .reg .b64 %d; ld.param.u64 %d, [at]; ld.param.u32 %r0, [amount];\n"
                         "ld.global.u32 %r1, [%d]; add.u32 %r1, %r1, %r0; st.global.u32 [%d], %r1; ret; }\n";

class DriverGraphs : public testing::Test {
protected:
  void SetUp() override {
    kernel = card.load(kAdd);
    at = card.upload(std::vector<uint32_t>{0});
    ASSERT_EQ(cuStreamCreate(&stream, 1), kSuccess);
    ASSERT_EQ(cuStreamCreate(&other, 1), kSuccess);
    ASSERT_EQ(cuEventCreate(&event, 0), kSuccess);
  }
  Status add(uint32_t amount, StreamObject *on) {
    void *parameters[] = {&at, &amount};
    return cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, on, parameters, nullptr);
  }
  uint32_t word() { return card.download<uint32_t>(at, 1)[0]; }
  int state(StreamObject *of) {
    int state = -1;
    EXPECT_EQ(cuStreamIsCapturing(of, &state), kSuccess);
    return state;
  }
  ExecutableObject *instantiate(GraphObject *graph) {
    ExecutableObject *executable = nullptr;
    EXPECT_EQ(cuGraphInstantiateWithFlags(&executable, graph, 0), kSuccess);
    return executable;
  }
  Card card;
  FunctionObject *kernel = nullptr;
  DevicePointer at = 0;
  StreamObject *stream = nullptr, *other = nullptr;
  EventObject *event = nullptr;
  GraphObject *graph = nullptr;
};

TEST_F(DriverGraphs, ACaptureRunsWhenItIsLaunched) {
  ASSERT_EQ(cuStreamBeginCapture_v2(stream, kCaptureThreadLocal), kSuccess);
  EXPECT_EQ(state(stream), kCaptureActive);
  EXPECT_EQ(cuMemsetD32Async(at, 10, 1, stream), kSuccess);
  EXPECT_EQ(add(5, stream), kSuccess);
  ASSERT_EQ(cuStreamEndCapture(stream, &graph), kSuccess);
  EXPECT_EQ(state(stream), kCaptureNone);
  EXPECT_EQ(word(), 0u) << "recorded, not done";
  ExecutableObject *executable = instantiate(graph);
  EXPECT_EQ(cuGraphDestroy(graph), kSuccess);
  for (int i = 0; i < 2; i++)
    EXPECT_EQ(cuGraphLaunch(executable, stream), kSuccess);
  EXPECT_EQ(word(), 15u);
  EXPECT_EQ(cuGraphExecDestroy(executable), kSuccess);
  EXPECT_EQ(cuGraphLaunch(executable, stream), kInvalidValue);
}

TEST_F(DriverGraphs, AReplayReadsWhatMemoryHoldsThen) {
  uint32_t amount = 1;
  DevicePointer from = card.upload(std::vector<uint32_t>{amount});
  ASSERT_EQ(cuStreamBeginCapture_v2(stream, kCaptureGlobal), kSuccess);
  EXPECT_EQ(cuMemcpyDtoDAsync_v2(at, from, 4, stream), kSuccess);
  EXPECT_EQ(add(100, stream), kSuccess);
  ASSERT_EQ(cuStreamEndCapture(stream, &graph), kSuccess);
  ExecutableObject *executable = instantiate(graph);
  for (uint32_t value : {7u, 8u}) {
    ASSERT_EQ(cuMemcpyHtoD_v2(from, &value, 4), kSuccess);
    ASSERT_EQ(cuGraphLaunch(executable, nullptr), kSuccess);
    EXPECT_EQ(word(), 100 + value);
  }
}

TEST_F(DriverGraphs, StreamsForkAndJoinByEvents) {
  ASSERT_EQ(cuStreamBeginCapture_v2(stream, kCaptureGlobal), kSuccess);
  EXPECT_EQ(add(1, stream), kSuccess);
  EXPECT_EQ(cuEventRecord(event, stream), kSuccess);
  EXPECT_EQ(cuStreamWaitEvent(other, event, 0), kSuccess);
  EXPECT_EQ(state(other), kCaptureActive);
  EXPECT_EQ(add(2, other), kSuccess);
  EXPECT_EQ(cuEventRecord(event, other), kSuccess);
  EXPECT_EQ(cuStreamWaitEvent(stream, event, 0), kSuccess);
  EXPECT_EQ(add(4, stream), kSuccess);
  ASSERT_EQ(cuStreamEndCapture(stream, &graph), kSuccess);
  EXPECT_EQ(state(other), kCaptureNone);
  NodeObject *nodes[4] = {}, *roots[4] = {};
  size_t count = 4, root_count = 4, edges = 0;
  EXPECT_EQ(cuGraphGetNodes(graph, nodes, &count), kSuccess);
  EXPECT_EQ(count, 3u);
  EXPECT_EQ(cuGraphGetRootNodes(graph, roots, &root_count), kSuccess);
  EXPECT_EQ(root_count, 1u);
  EXPECT_EQ(cuGraphGetEdges(graph, nullptr, nullptr, &edges), kSuccess);
  EXPECT_EQ(edges, 3u) << "the last depends on both before it";
  EXPECT_EQ(cuGraphLaunch(instantiate(graph), stream), kSuccess);
  EXPECT_EQ(word(), 7u);
}

TEST_F(DriverGraphs, WhatACaptureDoesNotAllowSpoilsIt) {
  DevicePointer fresh = 0;
  ASSERT_EQ(cuStreamBeginCapture_v2(stream, kCaptureGlobal), kSuccess);
  EXPECT_EQ(cuMemAlloc_v2(&fresh, 16), kCaptureUnsupported);
  EXPECT_EQ(state(stream), kCaptureInvalid);
  EXPECT_EQ(add(1, stream), kCaptureInvalidated);
  EXPECT_EQ(cuStreamEndCapture(stream, &graph), kCaptureInvalidated);
  EXPECT_EQ(state(stream), kCaptureNone);
  ASSERT_EQ(cuStreamBeginCapture_v2(stream, kCaptureRelaxed), kSuccess);
  EXPECT_EQ(cuMemAlloc_v2(&fresh, 16), kSuccess) << "relaxed";
  EXPECT_EQ(cuStreamSynchronize(stream), kCaptureUnsupported);
  EXPECT_EQ(cuStreamEndCapture(stream, &graph), kCaptureInvalidated);
  EXPECT_EQ(cuStreamEndCapture(stream, &graph), kIllegalState);
  EXPECT_EQ(cuStreamBeginCapture_v2(nullptr, kCaptureGlobal), kCaptureUnsupported) << "the legacy stream";
}

TEST_F(DriverGraphs, CapturesAreKeptApart) {
  ASSERT_EQ(cuEventRecord(event, other), kSuccess);
  ASSERT_EQ(cuStreamBeginCapture_v2(stream, kCaptureRelaxed), kSuccess);
  EXPECT_EQ(cuStreamWaitEvent(stream, event, 0), kCaptureIsolation);
  EXPECT_EQ(cuStreamEndCapture(stream, &graph), kCaptureInvalidated);

  ASSERT_EQ(cuStreamBeginCapture_v2(stream, kCaptureRelaxed), kSuccess);
  EXPECT_EQ(cuEventRecord(event, stream), kSuccess);
  EXPECT_EQ(cuStreamWaitEvent(other, event, 0), kSuccess);
  EXPECT_EQ(add(1, other), kSuccess);
  EXPECT_EQ(cuStreamEndCapture(other, &graph), kCaptureUnmatched);
  EXPECT_EQ(cuStreamEndCapture(stream, &graph), kCaptureInvalidated);

  ASSERT_EQ(cuStreamBeginCapture_v2(stream, kCaptureRelaxed), kSuccess);
  EXPECT_EQ(cuEventRecord(event, stream), kSuccess);
  EXPECT_EQ(cuStreamWaitEvent(other, event, 0), kSuccess);
  EXPECT_EQ(add(1, other), kSuccess);
  EXPECT_EQ(cuStreamEndCapture(stream, &graph), kCaptureUnjoined);

  StreamObject *blocking = nullptr;
  ASSERT_EQ(cuStreamCreate(&blocking, 0), kSuccess);
  ASSERT_EQ(cuStreamBeginCapture_v2(blocking, kCaptureRelaxed), kSuccess);
  EXPECT_EQ(add(1, nullptr), kCaptureImplicit);
  EXPECT_EQ(cuStreamEndCapture(blocking, &graph), kCaptureInvalidated);
  ASSERT_EQ(cuStreamBeginCapture_v2(blocking, kCaptureRelaxed), kSuccess);
  EXPECT_EQ(cuStreamSynchronize(nullptr), kCaptureImplicit);
  EXPECT_EQ(cuStreamEndCapture(blocking, &graph), kCaptureInvalidated);
  EXPECT_EQ(word(), 0u);
}

TEST_F(DriverGraphs, AreBuiltByHand) {
  ASSERT_EQ(cuGraphCreate(&graph, 0), kSuccess);
  uint32_t amount = 3;
  void *parameters[] = {&at, &amount};
  KernelNodeParameters how{kernel, {1, 1, 1}, {1, 1, 1}, 0, parameters, nullptr, nullptr, nullptr};
  NodeObject *fill = nullptr, *sum = nullptr, *copy = nullptr;
  Fill2D shape{at, 0, 40, 4, 1, 1};
  ASSERT_EQ(cuGraphAddMemsetNode(&fill, graph, nullptr, 0, &shape, nullptr), kSuccess);
  ASSERT_EQ(cuGraphAddKernelNode_v2(&sum, graph, &fill, 1, &how), kSuccess);
  uint32_t seen = 0;
  Copy3D back{};
  back.source_type = kMemoryTypeDevice, back.source_device = at;
  back.target_type = kMemoryTypeHost, back.target_host = &seen;
  back.width = 4, back.height = back.depth = 1;
  ASSERT_EQ(cuGraphAddMemcpyNode(&copy, graph, &sum, 1, &back, nullptr), kSuccess);
  amount = 1000; // parameters were copied
  ExecutableObject *executable = instantiate(graph);
  ASSERT_EQ(cuGraphLaunch(executable, stream), kSuccess);
  EXPECT_EQ(seen, 43u);
  ASSERT_EQ(cuGraphExecKernelNodeSetParams_v2(executable, sum, &how), kSuccess);
  ASSERT_EQ(cuGraphLaunch(executable, stream), kSuccess);
  EXPECT_EQ(seen, 1040u);
  ASSERT_EQ(cuGraphNodeSetEnabled(executable, sum, 0), kSuccess);
  ASSERT_EQ(cuGraphLaunch(executable, stream), kSuccess);
  EXPECT_EQ(seen, 40u);
  how.block[0] = 5000;
  EXPECT_EQ(cuGraphExecKernelNodeSetParams_v2(executable, sum, &how), kInvalidValue);
  EXPECT_EQ(cuGraphAddDependencies(graph, &copy, &copy, 1), kInvalidValue) << "of itself";
  LaunchAttribute wanted{}, kept{};
  wanted.cooperative = 1;
  EXPECT_EQ(cuGraphKernelNodeSetAttribute(sum, kLaunchCooperative, wanted.bytes), kSuccess);
  EXPECT_EQ(cuGraphKernelNodeGetAttribute(sum, kLaunchCooperative, kept.bytes), kSuccess);
  EXPECT_EQ(kept.cooperative, 1);
  EXPECT_EQ(cuGraphKernelNodeSetAttribute(sum, kLaunchSyncPolicy, wanted.bytes), kInvalidValue) << "of streams alone";
  EXPECT_EQ(cuGraphKernelNodeGetAttribute(copy, kLaunchPriority, kept.bytes), kInvalidValue) << "not a kernel";
  int policy = 0;
  EXPECT_EQ(cuStreamGetAttribute(stream, kLaunchSyncPolicy, kept.bytes), kSuccess);
  std::memcpy(&policy, kept.bytes, sizeof(policy));
  EXPECT_EQ(policy, 1) << "CU_SYNC_POLICY_AUTO";
  wanted.bytes[0] = 3;
  EXPECT_EQ(cuStreamSetAttribute(stream, kLaunchSyncPolicy, wanted.bytes), kSuccess);
  EXPECT_EQ(cuStreamGetAttribute(stream, kLaunchSyncPolicy, kept.bytes), kSuccess);
  EXPECT_EQ(kept.bytes[0], 3);
  EXPECT_EQ(cuStreamGetAttribute(stream, kLaunchCooperative, kept.bytes), kInvalidValue);
  EXPECT_EQ(cuGraphAddDependencies(graph, &copy, &fill, 1), kSuccess);
  const std::string dot = testing::TempDir() + "graph.dot";
  ASSERT_EQ(cuGraphDebugDotPrint(graph, dot.c_str(), 0), kSuccess);
  EXPECT_EQ(cuGraphDebugDotPrint(graph, "/no/such/folder/graph.dot", 0), kOperatingSystem);
  std::ifstream stream(dot);
  const std::string text(std::istreambuf_iterator<char>(stream), {});
  EXPECT_NE(text.find("[label=\"copy\"]"), std::string::npos) << text;
  EXPECT_NE(text.find(" -> "), std::string::npos) << text;
  ExecutableObject *round = nullptr;
  EXPECT_EQ(cuGraphInstantiateWithFlags(&round, graph, 0), kInvalidValue) << "a circle";
}

TEST_F(DriverGraphs, NodesHaveAGeneralForm) {
  ASSERT_EQ(cuGraphCreate(&graph, 0), kSuccess);
  uint32_t amount = 3;
  void *parameters[] = {&at, &amount};
  NodeParameters fill{}, sum{};
  fill.type = kNodeFill;
  fill.fill = {at, 0, 50, 4, 1, 1};
  sum.type = kNodeKernel;
  sum.kernel = {kernel, {1, 1, 1}, {1, 1, 1}, 0, parameters, nullptr, nullptr, nullptr};
  NodeObject *first = nullptr, *second = nullptr;
  ASSERT_EQ(cuGraphAddNode_v2(&first, graph, nullptr, nullptr, 0, &fill), kSuccess);
  ASSERT_EQ(cuGraphAddNode_v2(&second, graph, &first, nullptr, 1, &sum), kSuccess);
  ExecutableObject *executable = instantiate(graph);
  EXPECT_EQ(cuGraphLaunch(executable, stream), kSuccess);
  EXPECT_EQ(word(), 53u);
  amount = 4;
  EXPECT_EQ(cuGraphExecNodeSetParams(executable, second, &sum), kSuccess);
  EXPECT_EQ(cuGraphExecNodeSetParams(executable, first, &sum), kInvalidValue) << "a node of another kind";
  EXPECT_EQ(cuGraphLaunch(executable, stream), kSuccess);
  EXPECT_EQ(word(), 54u);
  sum.type = 13;
  EXPECT_EQ(cuGraphAddNode_v2(&second, graph, nullptr, nullptr, 0, &sum), kNotSupported) << "a condition";
}

TEST_F(DriverGraphs, AreBroughtUpToDate) {
  auto capture = [&](std::vector<uint32_t> amounts) {
    EXPECT_EQ(cuStreamBeginCapture_v2(stream, kCaptureRelaxed), kSuccess);
    for (uint32_t amount : amounts)
      EXPECT_EQ(add(amount, stream), kSuccess);
    EXPECT_EQ(cuStreamEndCapture(stream, &graph), kSuccess);
    return graph;
  };
  ExecutableObject *executable = instantiate(capture({1, 2}));
  GraphUpdateResult result{};
  EXPECT_EQ(cuGraphExecUpdate_v2(executable, capture({10, 20}), &result), kSuccess);
  EXPECT_EQ(cuGraphLaunch(executable, stream), kSuccess);
  EXPECT_EQ(word(), 30u);
  EXPECT_EQ(cuGraphExecUpdate_v2(executable, capture({1, 2, 3}), &result), kGraphUpdateFailure);
  EXPECT_EQ(result.result, kUpdateTopologyChanged);
  EXPECT_EQ(cuGraphLaunch(executable, stream), kSuccess);
  EXPECT_EQ(word(), 60u) << "as it was";
}

TEST_F(DriverGraphs, HoldMemoryOfTheirOwn) {
  DevicePointer own = 0;
  ASSERT_EQ(cuStreamBeginCapture_v2(stream, kCaptureRelaxed), kSuccess);
  ASSERT_EQ(cuMemAllocAsync(&own, 4, stream), kSuccess);
  EXPECT_EQ(cuMemsetD32Async(own, 6, 1, stream), kSuccess);
  EXPECT_EQ(cuMemcpyDtoDAsync_v2(at, own, 4, stream), kSuccess);
  EXPECT_EQ(cuMemFreeAsync(own, stream), kSuccess);
  ASSERT_EQ(cuStreamEndCapture(stream, &graph), kSuccess);
  ExecutableObject *executable = instantiate(graph);
  ASSERT_EQ(cuGraphLaunch(executable, stream), kSuccess);
  EXPECT_EQ(word(), 6u);
  EXPECT_EQ(cuGraphDestroy(graph), kSuccess);
  EXPECT_EQ(cuGraphLaunch(executable, stream), kSuccess) << "the executable graph holds it too";
  EXPECT_EQ(cuGraphExecDestroy(executable), kSuccess);
  EXPECT_EQ(cuMemcpyDtoD_v2(at, own, 4), kInvalidValue);
}

TEST_F(DriverGraphs, CallTheHostInTheirOrder) {
  struct Seen {
    std::vector<int> order;
    static void first(void *self) { static_cast<Seen *>(self)->order.push_back(1); }
    static void second(void *self) {
      void *memory = nullptr;
      EXPECT_EQ(cuMemAllocHost_v2(&memory, 16), kSuccess); // the driver's lock is not held
      static_cast<Seen *>(self)->order.push_back(2);
    }
  } seen;
  ASSERT_EQ(cuStreamBeginCapture_v2(stream, kCaptureRelaxed), kSuccess);
  EXPECT_EQ(cuLaunchHostFunc(stream, &Seen::first, &seen), kSuccess);
  EXPECT_EQ(cuLaunchHostFunc(stream, &Seen::second, &seen), kSuccess);
  ASSERT_EQ(cuStreamEndCapture(stream, &graph), kSuccess);
  EXPECT_TRUE(seen.order.empty());
  EXPECT_EQ(cuGraphLaunch(instantiate(graph), stream), kSuccess);
  EXPECT_EQ(seen.order, (std::vector<int>{1, 2}));
}

} // namespace
} // namespace tenon::emulator
