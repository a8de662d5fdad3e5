// Where the CUDA toolkit is, the constants of driver/CudaAbi.h are those of cuda.h.
#include "driver/CudaStructs.h"
#include <cuda.h>
#include <gtest/gtest.h>

namespace tenon::emulator {
namespace {

TEST(CudaHeader, ConstantsAgree) {
  struct Pair {
    int ours, theirs;
  };
  const Pair kPairs[] = {
      {kInvalidValue, CUDA_ERROR_INVALID_VALUE},
      {kOutOfMemory, CUDA_ERROR_OUT_OF_MEMORY},
      {kNotInitialised, CUDA_ERROR_NOT_INITIALIZED},
      {kDeinitialised, CUDA_ERROR_DEINITIALIZED},
      {kNoDevice, CUDA_ERROR_NO_DEVICE},
      {kInvalidDevice, CUDA_ERROR_INVALID_DEVICE},
      {kInvalidImage, CUDA_ERROR_INVALID_IMAGE},
      {kInvalidContext, CUDA_ERROR_INVALID_CONTEXT},
      {kNoBinaryForGpu, CUDA_ERROR_NO_BINARY_FOR_GPU},
      {kInvalidPtx, CUDA_ERROR_INVALID_PTX},
      {kUnsupportedPtxVersion, CUDA_ERROR_UNSUPPORTED_PTX_VERSION},
      {kInvalidSource, CUDA_ERROR_INVALID_SOURCE},
      {kFileNotFound, CUDA_ERROR_FILE_NOT_FOUND},
      {kInvalidHandle, CUDA_ERROR_INVALID_HANDLE},
      {kNotFound, CUDA_ERROR_NOT_FOUND},
      {kNotReady, CUDA_ERROR_NOT_READY},
      {kIllegalAddress, CUDA_ERROR_ILLEGAL_ADDRESS},
      {kLaunchOutOfResources, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES},
      {kLaunchTimeout, CUDA_ERROR_LAUNCH_TIMEOUT},
      {kPrimaryContextActive, CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE},
      {kContextIsDestroyed, CUDA_ERROR_CONTEXT_IS_DESTROYED},
      {kHostMemoryAlreadyRegistered, CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED},
      {kHostMemoryNotRegistered, CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED},
      {kMisalignedAddress, CUDA_ERROR_MISALIGNED_ADDRESS},
      {kLaunchFailed, CUDA_ERROR_LAUNCH_FAILED},
      {kNotSupported, CUDA_ERROR_NOT_SUPPORTED},
      {kUnknown, CUDA_ERROR_UNKNOWN},
      {kMaxThreadsPerBlock, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK},
      {kMaxBlockX, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X},
      {kMaxGridX, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X},
      {kMaxSharedPerBlock, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK},
      {kTotalConstantMemory, CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY},
      {kWarpSize, CU_DEVICE_ATTRIBUTE_WARP_SIZE},
      {kMaxRegistersPerBlock, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK},
      {kClockRate, CU_DEVICE_ATTRIBUTE_CLOCK_RATE},
      {kMultiprocessorCount, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT},
      {kConcurrentKernels, CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS},
      {kEccEnabled, CU_DEVICE_ATTRIBUTE_ECC_ENABLED},
      {kMemoryClockRate, CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE},
      {kMemoryBusWidth, CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH},
      {kL2CacheSize, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE},
      {kMaxThreadsPerMultiprocessor, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR},
      {kAsyncEngineCount, CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT},
      {kUnifiedAddressing, CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING},
      {kComputeCapabilityMajor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR},
      {kComputeCapabilityMinor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR},
      {kStreamPrioritiesSupported, CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED},
      {kMaxSharedPerMultiprocessor, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR},
      {kMaxRegistersPerMultiprocessor, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR},
      {kMaxSharedPerBlockOptin, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN},
      {kMaxBlocksPerMultiprocessor, CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR},
      {kReservedSharedPerBlock, CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK},
      {kMemoryPoolsSupported, CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED},
      {kFunctionMaxThreadsPerBlock, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK},
      {kFunctionSharedBytes, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES},
      {kFunctionLocalBytes, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES},
      {kFunctionRegisters, CU_FUNC_ATTRIBUTE_NUM_REGS},
      {kFunctionPtxVersion, CU_FUNC_ATTRIBUTE_PTX_VERSION},
      {kFunctionBinaryVersion, CU_FUNC_ATTRIBUTE_BINARY_VERSION},
      {kFunctionMaxDynamicShared, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES},
      {kFunctionPreferredCarveout, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT},
      {kJitInfoLogBuffer, CU_JIT_INFO_LOG_BUFFER},
      {kJitInfoLogBufferBytes, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES},
      {kJitErrorLogBuffer, CU_JIT_ERROR_LOG_BUFFER},
      {kJitErrorLogBufferBytes, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES},
      {kPointerContext, CU_POINTER_ATTRIBUTE_CONTEXT},
      {kPointerMemoryType, CU_POINTER_ATTRIBUTE_MEMORY_TYPE},
      {kPointerDevicePointer, CU_POINTER_ATTRIBUTE_DEVICE_POINTER},
      {kPointerHostPointer, CU_POINTER_ATTRIBUTE_HOST_POINTER},
      {kPointerIsManaged, CU_POINTER_ATTRIBUTE_IS_MANAGED},
      {kPointerDeviceOrdinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL},
      {kPointerRangeStart, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR},
      {kPointerRangeSize, CU_POINTER_ATTRIBUTE_RANGE_SIZE},
      {kMemoryTypeHost, CU_MEMORYTYPE_HOST},
      {kMemoryTypeDevice, CU_MEMORYTYPE_DEVICE},
  };
  for (const Pair &pair : kPairs)
    EXPECT_EQ(pair.ours, pair.theirs);
  EXPECT_EQ(kLaunchParamBufferPointer, CU_LAUNCH_PARAM_BUFFER_POINTER);
  EXPECT_EQ(kLaunchParamBufferSize, CU_LAUNCH_PARAM_BUFFER_SIZE);
}

TEST(CudaHeader, StatusesAgree) {
  struct Row {
    int ours, theirs;
    const char *name;
  };
  const Row kRows[] = {
#define STATUS(number, name, text) {number, name, #name},
#include "driver/Statuses.def"
#undef STATUS
  };
  for (const Row &row : kRows)
    EXPECT_EQ(row.ours, row.theirs) << row.name;
}

#define EXPECT_FIELD(ours, field, theirs, member)                                                                      \
  EXPECT_EQ(offsetof(ours, field), offsetof(theirs, member)) << #theirs "." #member

TEST(CudaHeader, CopiesAndFillsAreLaidOutAlike) {
  EXPECT_EQ(sizeof(Copy2D), sizeof(CUDA_MEMCPY2D));
  EXPECT_FIELD(Copy2D, source_device, CUDA_MEMCPY2D, srcDevice);
  EXPECT_FIELD(Copy2D, source_pitch, CUDA_MEMCPY2D, srcPitch);
  EXPECT_FIELD(Copy2D, target_type, CUDA_MEMCPY2D, dstMemoryType);
  EXPECT_FIELD(Copy2D, target_device, CUDA_MEMCPY2D, dstDevice);
  EXPECT_FIELD(Copy2D, width, CUDA_MEMCPY2D, WidthInBytes);
  EXPECT_EQ(sizeof(Copy3D), sizeof(CUDA_MEMCPY3D));
  EXPECT_EQ(sizeof(Copy3D), sizeof(CUDA_MEMCPY3D_PEER));
  EXPECT_FIELD(Copy3D, source_device, CUDA_MEMCPY3D, srcDevice);
  EXPECT_FIELD(Copy3D, source_height, CUDA_MEMCPY3D, srcHeight);
  EXPECT_FIELD(Copy3D, target_x, CUDA_MEMCPY3D, dstXInBytes);
  EXPECT_FIELD(Copy3D, target_context, CUDA_MEMCPY3D_PEER, dstContext);
  EXPECT_FIELD(Copy3D, depth, CUDA_MEMCPY3D, Depth);
  EXPECT_EQ(sizeof(Fill2D), sizeof(CUDA_MEMSET_NODE_PARAMS));
  EXPECT_FIELD(Fill2D, element_bytes, CUDA_MEMSET_NODE_PARAMS, elementSize);
  EXPECT_FIELD(Fill2D, height, CUDA_MEMSET_NODE_PARAMS, height);
}

TEST(CudaHeader, LaunchesAndGraphsAreLaidOutAlike) {
  EXPECT_EQ(sizeof(KernelNodeParameters), sizeof(CUDA_KERNEL_NODE_PARAMS));
  EXPECT_EQ(offsetof(KernelNodeParameters, kernel), sizeof(CUDA_KERNEL_NODE_PARAMS_v1));
  EXPECT_FIELD(KernelNodeParameters, extra, CUDA_KERNEL_NODE_PARAMS, extra);
  EXPECT_EQ(sizeof(HostCall), sizeof(CUDA_HOST_NODE_PARAMS));
  EXPECT_EQ(sizeof(LaunchAttribute), sizeof(CUlaunchAttribute));
  EXPECT_FIELD(LaunchAttribute, cooperative, CUlaunchAttribute, value);
  EXPECT_EQ(sizeof(LaunchConfiguration), sizeof(CUlaunchConfig));
  EXPECT_FIELD(LaunchConfiguration, stream, CUlaunchConfig, hStream);
  EXPECT_FIELD(LaunchConfiguration, attribute_count, CUlaunchConfig, numAttrs);
#if CUDA_VERSION >= 12030
  EXPECT_EQ(sizeof(NodeParameters), sizeof(CUgraphNodeParams));
  EXPECT_FIELD(NodeParameters, copy.shape, CUgraphNodeParams, memcpy.copyParams);
  EXPECT_FIELD(NodeParameters, reserved_last, CUgraphNodeParams, reserved2);
#endif
  EXPECT_EQ(sizeof(GraphUpdateResult), sizeof(CUgraphExecUpdateResultInfo));
  EXPECT_EQ(sizeof(GraphInstantiation), sizeof(CUDA_GRAPH_INSTANTIATE_PARAMS));
  EXPECT_FIELD(GraphInstantiation, result, CUDA_GRAPH_INSTANTIATE_PARAMS, result_out);
  EXPECT_EQ(sizeof(PoolProperties), sizeof(CUmemPoolProps));
  EXPECT_FIELD(PoolProperties, most_bytes, CUmemPoolProps, maxSize);
  EXPECT_EQ(sizeof(PoolAccess), sizeof(CUmemAccessDesc));
  EXPECT_EQ(sizeof(DeviceProperties), sizeof(CUdevprop));
#if CUDA_VERSION >= 13000
  EXPECT_EQ(sizeof(ContextParameters), sizeof(CUctxCreateParams));
#endif
  EXPECT_FIELD(DeviceProperties, alignment, CUdevprop, textureAlign);
}

TEST(CudaHeader, LaterConstantsAgree) {
  struct Pair {
    int64_t ours, theirs;
  };
  const Pair kPairs[] = {
      {kManagedMemory, CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY},
      {kCooperativeLaunch, CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH},
      {kSingleToDouble, CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO},
      {kHostRegisterSupported, CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED},
      {kMaxPersistingL2, CU_DEVICE_ATTRIBUTE_MAX_PERSISTING_L2_CACHE_SIZE},
      {kMaxAccessWindow, CU_DEVICE_ATTRIBUTE_MAX_ACCESS_POLICY_WINDOW_SIZE},
      {kConcurrentManagedAccess, CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS},
      {kUnifiedFunctionPointers, CU_DEVICE_ATTRIBUTE_UNIFIED_FUNCTION_POINTERS},
      {kFunctionLastAttribute, CU_FUNC_ATTRIBUTE_MAX},
      {kFunctionClusterPolicy, CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE},
      {kJitMaxRegisters, CU_JIT_MAX_REGISTERS},
      {kJitWallTime, CU_JIT_WALL_TIME},
      {kJitLogVerbose, CU_JIT_LOG_VERBOSE},
      {kInputPtx, CU_JIT_INPUT_PTX},
      {kInputFatBinary, CU_JIT_INPUT_FATBINARY},
      {kInputTypes, CU_JIT_NUM_INPUT_TYPES},
      {kPointerSyncMemops, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS},
      {kPointerBufferId, CU_POINTER_ATTRIBUTE_BUFFER_ID},
      {kPointerMapped, CU_POINTER_ATTRIBUTE_MAPPED},
      {kPointerPool, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE},
      {kMemoryTypeArray, CU_MEMORYTYPE_ARRAY},
      {kMemoryTypeUnified, CU_MEMORYTYPE_UNIFIED},
      {kPlaceDevice, CU_MEM_LOCATION_TYPE_DEVICE},
      {kPoolReleaseThreshold, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD},
      {kPoolUsedHigh, CU_MEMPOOL_ATTR_USED_MEM_HIGH},
      {kLimitFetch, CU_LIMIT_MAX_L2_FETCH_GRANULARITY},
      {kLaunchCooperative, CU_LAUNCH_ATTRIBUTE_COOPERATIVE},
      {kLaunchCluster, CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION},
      {kCaptureRelaxed, CU_STREAM_CAPTURE_MODE_RELAXED},
      {kCaptureInvalid, CU_STREAM_CAPTURE_STATUS_INVALIDATED},
      {kNodeFree, CU_GRAPH_NODE_TYPE_MEM_FREE},
      {kNodeMemoryOperation, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP},
      {kUpdateParametersChanged, CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED},
      {kUpdateTopologyChanged, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED},
      {kWaitNor, CU_STREAM_WAIT_VALUE_NOR},
      {kWaitFlush, CU_STREAM_WAIT_VALUE_FLUSH},
  };
  for (const Pair &pair : kPairs)
    EXPECT_EQ(pair.ours, pair.theirs);
}

} // namespace
} // namespace tenon::emulator
