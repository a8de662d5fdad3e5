// Where the CUDA toolkit is, the constants of driver/CudaAbi.h are those of cuda.h.
#include <cuda.h>
#include "driver/CudaAbi.h"
#include <gtest/gtest.h>

namespace tenon::emulator {
namespace {

TEST(CudaHeader, ConstantsAgree) {
  struct Pair {
    int ours, theirs;
  };
  const Pair kPairs[] = {
      {kInvalidValue, CUDA_ERROR_INVALID_VALUE}, {kOutOfMemory, CUDA_ERROR_OUT_OF_MEMORY},
      {kNotInitialised, CUDA_ERROR_NOT_INITIALIZED}, {kDeinitialised, CUDA_ERROR_DEINITIALIZED},
      {kNoDevice, CUDA_ERROR_NO_DEVICE}, {kInvalidDevice, CUDA_ERROR_INVALID_DEVICE},
      {kInvalidImage, CUDA_ERROR_INVALID_IMAGE}, {kInvalidContext, CUDA_ERROR_INVALID_CONTEXT},
      {kNoBinaryForGpu, CUDA_ERROR_NO_BINARY_FOR_GPU}, {kInvalidPtx, CUDA_ERROR_INVALID_PTX},
      {kUnsupportedPtxVersion, CUDA_ERROR_UNSUPPORTED_PTX_VERSION}, {kInvalidSource, CUDA_ERROR_INVALID_SOURCE},
      {kFileNotFound, CUDA_ERROR_FILE_NOT_FOUND}, {kInvalidHandle, CUDA_ERROR_INVALID_HANDLE},
      {kNotFound, CUDA_ERROR_NOT_FOUND}, {kNotReady, CUDA_ERROR_NOT_READY},
      {kIllegalAddress, CUDA_ERROR_ILLEGAL_ADDRESS}, {kLaunchOutOfResources, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES},
      {kLaunchTimeout, CUDA_ERROR_LAUNCH_TIMEOUT}, {kPrimaryContextActive, CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE},
      {kContextIsDestroyed, CUDA_ERROR_CONTEXT_IS_DESTROYED},
      {kHostMemoryAlreadyRegistered, CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED},
      {kHostMemoryNotRegistered, CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED},
      {kMisalignedAddress, CUDA_ERROR_MISALIGNED_ADDRESS}, {kLaunchFailed, CUDA_ERROR_LAUNCH_FAILED},
      {kNotSupported, CUDA_ERROR_NOT_SUPPORTED}, {kUnknown, CUDA_ERROR_UNKNOWN},
      {kMaxThreadsPerBlock, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK}, {kMaxBlockX, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X},
      {kMaxGridX, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X}, {kMaxSharedPerBlock, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK},
      {kTotalConstantMemory, CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY}, {kWarpSize, CU_DEVICE_ATTRIBUTE_WARP_SIZE},
      {kMaxRegistersPerBlock, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK}, {kClockRate, CU_DEVICE_ATTRIBUTE_CLOCK_RATE},
      {kMultiprocessorCount, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT},
      {kConcurrentKernels, CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS}, {kEccEnabled, CU_DEVICE_ATTRIBUTE_ECC_ENABLED},
      {kMemoryClockRate, CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE}, {kMemoryBusWidth, CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH},
      {kL2CacheSize, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE},
      {kMaxThreadsPerMultiprocessor, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR},
      {kAsyncEngineCount, CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT}, {kUnifiedAddressing, CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING},
      {kComputeCapabilityMajor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR},
      {kComputeCapabilityMinor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR},
      {kStreamPrioritiesSupported, CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED},
      {kMaxSharedPerMultiprocessor, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR},
      {kMaxRegistersPerMultiprocessor, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR},
      {kMaxSharedPerBlockOptin, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN},
      {kMaxBlocksPerMultiprocessor, CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR},
      {kReservedSharedPerBlock, CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK},
      {kMemoryPoolsSupported, CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED},
      {kFunctionMaxThreadsPerBlock, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK}, {kFunctionSharedBytes, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES},
      {kFunctionLocalBytes, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES}, {kFunctionRegisters, CU_FUNC_ATTRIBUTE_NUM_REGS},
      {kFunctionPtxVersion, CU_FUNC_ATTRIBUTE_PTX_VERSION}, {kFunctionBinaryVersion, CU_FUNC_ATTRIBUTE_BINARY_VERSION},
      {kFunctionMaxDynamicShared, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES},
      {kFunctionPreferredCarveout, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT},
      {kJitInfoLogBuffer, CU_JIT_INFO_LOG_BUFFER}, {kJitInfoLogBufferBytes, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES},
      {kJitErrorLogBuffer, CU_JIT_ERROR_LOG_BUFFER}, {kJitErrorLogBufferBytes, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES},
      {kPointerContext, CU_POINTER_ATTRIBUTE_CONTEXT}, {kPointerMemoryType, CU_POINTER_ATTRIBUTE_MEMORY_TYPE},
      {kPointerDevicePointer, CU_POINTER_ATTRIBUTE_DEVICE_POINTER}, {kPointerHostPointer, CU_POINTER_ATTRIBUTE_HOST_POINTER},
      {kPointerIsManaged, CU_POINTER_ATTRIBUTE_IS_MANAGED}, {kPointerDeviceOrdinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL},
      {kPointerRangeStart, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR}, {kPointerRangeSize, CU_POINTER_ATTRIBUTE_RANGE_SIZE},
      {kMemoryTypeHost, CU_MEMORYTYPE_HOST}, {kMemoryTypeDevice, CU_MEMORYTYPE_DEVICE},
  };
  for (const Pair &pair : kPairs)
    EXPECT_EQ(pair.ours, pair.theirs);
  EXPECT_EQ(kLaunchParamBufferPointer, CU_LAUNCH_PARAM_BUFFER_POINTER);
  EXPECT_EQ(kLaunchParamBufferSize, CU_LAUNCH_PARAM_BUFFER_SIZE);
}

} // namespace
} // namespace tenon::emulator
