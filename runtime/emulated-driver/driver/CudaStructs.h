// Structures of cuda.h that entries take, field by field; tests/emulated-driver compares their layout with cuda.h's.
#pragma once
#include <map>
#include "driver/CudaAbi.h"

namespace tenon::emulator {

/// CUDA_MEMCPY2D
struct Copy2D {
  size_t source_x, source_y;
  unsigned source_type;
  const void *source_host;
  DevicePointer source_device;
  void *source_array;
  size_t source_pitch;
  size_t target_x, target_y;
  unsigned target_type;
  void *target_host;
  DevicePointer target_device;
  void *target_array;
  size_t target_pitch;
  size_t width, height;
};

/// CUDA_MEMCPY3D, and CUDA_MEMCPY3D_PEER, which has contexts where the other has reserved words.
struct Copy3D {
  size_t source_x, source_y, source_z, source_level;
  unsigned source_type;
  const void *source_host;
  DevicePointer source_device;
  void *source_array;
  void *source_context;
  size_t source_pitch, source_height;
  size_t target_x, target_y, target_z, target_level;
  unsigned target_type;
  void *target_host;
  DevicePointer target_device;
  void *target_array;
  void *target_context;
  size_t target_pitch, target_height;
  size_t width, height, depth;
};

/// CUDA_MEMSET_NODE_PARAMS
struct Fill2D {
  DevicePointer target;
  size_t pitch;
  unsigned value;
  unsigned element_bytes;
  size_t width; // in elements
  size_t height;
};

/// CUDA_KERNEL_NODE_PARAMS_v2; the first version ends before `kernel`.
struct KernelNodeParameters {
  FunctionObject *function;
  unsigned grid[3], block[3];
  unsigned dynamic_shared;
  void **parameters;
  void **extra;
  KernelObject *kernel;
  ContextObject *context;
};

/// CUDA_HOST_NODE_PARAMS
struct HostCall {
  void (*function)(void *);
  void *data;
};

/// CUlaunchAttribute
struct LaunchAttribute {
  int id;
  int padding;
  union {
    char bytes[64];
    int cooperative;
    unsigned cluster[3];
  };
};

/// What was set of a stream, or of a kernel's node, by CUlaunchAttributeID: kept, and changes nothing but what is said.
using AttributeValues = std::map<int, LaunchAttribute>;

/// CUlaunchConfig
struct LaunchConfiguration {
  unsigned grid[3], block[3];
  unsigned dynamic_shared;
  StreamObject *stream;
  LaunchAttribute *attributes;
  unsigned attribute_count;
};

/// CUmemLocation
struct PlaceOfMemory {
  int type, id;
};

/// CUmemPoolProps
struct PoolProperties {
  int allocation_type;
  int handle_types;
  PlaceOfMemory location;
  void *security;
  size_t most_bytes;
  unsigned short usage;
  unsigned char reserved[54];
};

/// CUmemAccessDesc
struct PoolAccess {
  PlaceOfMemory location;
  int flags;
};

/// CUgraphNodeParams; of a graph's own memory only freeing is covered.
struct NodeParameters {
  int type;
  int reserved[3];
  union {
    long long room[29];
    KernelNodeParameters kernel;
    struct {
      int flags, reserved;
      ContextObject *context;
      Copy3D shape;
    } copy;
    Fill2D fill;
    HostCall host;
    GraphObject *graph;
    EventObject *event;
    DevicePointer free;
  };
  long long reserved_last;
};

/// CUgraphExecUpdateResultInfo
struct GraphUpdateResult {
  int result;
  NodeObject *error_node;
  NodeObject *error_from;
};

/// CUDA_GRAPH_INSTANTIATE_PARAMS
struct GraphInstantiation {
  uint64_t flags;
  StreamObject *upload_stream;
  NodeObject *error_node;
  int result;
};

/// CUgraphEdgeData
struct EdgeData {
  unsigned char from_port, to_port, type, reserved[5];
};

/// CUctxCreateParams
struct ContextParameters {
  void *affinities;
  int affinity_count;
  void *graphics;
};

/// CUdevprop
struct DeviceProperties {
  int threads_per_block, block[3], grid[3], shared_per_block, constant_bytes, warp, pitch, registers, clock_khz,
      alignment;
};

} // namespace tenon::emulator
