// What is submitted to a stream: done at once, or recorded as a node of a graph where the stream is being captured.
#pragma once
#include "driver/Driver.h"
#include <array>
#include <variant>

namespace tenon::emulator {

struct KernelWork {
  FunctionObject *function = nullptr;
  std::array<uint32_t, 3> grid, block;
  uint32_t dynamic_shared = 0;
  bool cooperative = false;
  std::vector<std::byte> bytes;   // of all parameters
  std::vector<void *> parameters; // into `bytes`, as cuGraphKernelNodeGetParams gives them
};
struct CopyWork {
  Copy3D shape;
};
struct FillWork {
  Fill2D shape;
};
struct HostWork {
  HostCall call;
};
struct GraphWork {
  std::shared_ptr<GraphObject> graph;
};
struct EmptyWork {};
struct WaitEventWork {
  EventObject *event;
};
struct RecordEventWork {
  EventObject *event;
};
/// The address of an allocation of a graph is fixed when it is recorded, and lives as long as the graph.
struct AllocateWork {
  std::shared_ptr<DevicePointer> address;
  size_t bytes;
};
struct FreeWork {
  DevicePointer address;
};
/// cuStreamWriteValue and cuStreamWaitValue.
struct ValueWork {
  DevicePointer address;
  uint64_t value;
  unsigned bytes, flags;
  bool wait;
};
using Work = std::variant<KernelWork, CopyWork, FillWork, HostWork, GraphWork, EmptyWork, WaitEventWork,
                          RecordEventWork, AllocateWork, FreeWork, ValueWork>;

/// What the entry would refuse: nothing is done.
Status check(Call &call, const Work &work);
/// Does it. A kernel's fault is not told here but kept by the context.
Status run(Call &call, const Work &work);
/// Checks, then does it in the stream's order, or records it. `stream` as the program gave it.
Status submit(Call &call, StreamObject *stream, Work work);
/// The same behind the entry's usual beginning.
Status submit(StreamObject *stream, Work work);

/// What touches the legacy stream would wait for the blocking streams, and spoils a capture among them.
Status check_legacy(Call &call);

/// The parts of check and run, beside the entries of their kind.
Status check_kernel(Call &call, const KernelWork &work);
Status run_kernel(Call &call, const KernelWork &work);
Status check_copy(Call &call, const CopyWork &work);
Status run_copy(Call &call, const CopyWork &work);
Status check_fill(Call &call, const FillWork &work);
Status run_fill(Call &call, const FillWork &work);

/// The bytes of all parameters, from an array of pointers or from the packed buffer of `extra`.
Status gather_parameters(const FunctionObject &function, void *const *parameters, void *const *extra, KernelWork &work);

} // namespace tenon::emulator
