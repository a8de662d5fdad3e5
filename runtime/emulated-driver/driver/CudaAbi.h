// The part of the CUDA driver's binary interface that the emulated driver speaks, in names of its own where cuda.h has
// the same, so that a test can include both. Values are those of cuda.h; tests/emulated-driver checks them where it is.
#pragma once
#include <cstddef>
#include <cstdint>

#define TENON_DRIVER_ENTRY extern "C" __attribute__((visibility("default")))

namespace tenon::emulator {

using Device = int;
using DevicePointer = unsigned long long;

inline constexpr int kDriverVersion = 13000; // CUDA 13.0

struct ContextObject;
struct ModuleObject;
struct FunctionObject;
struct LibraryObject;
struct KernelObject;
struct LinkObject;
struct StreamObject;
struct EventObject;
struct PoolObject;
struct GraphObject;
struct NodeObject;
struct ExecutableObject;

/// CUresult
enum Status : int {
  kSuccess = 0,
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kNotInitialised = 3,
  kDeinitialised = 4,
  kNewerDriverNeeded = 36,
  kNoDevice = 100,
  kInvalidDevice = 101,
  kInvalidImage = 200,
  kInvalidContext = 201,
  kNoBinaryForGpu = 209,
  kUnsupportedLimit = 215,
  kPeerAccessUnsupported = 217,
  kInvalidPtx = 218,
  kUnsupportedPtxVersion = 222,
  kInvalidSource = 300,
  kFileNotFound = 301,
  kSharedObjectSymbolNotFound = 302,
  kOperatingSystem = 304,
  kInvalidHandle = 400,
  kIllegalState = 401,
  kNotFound = 500,
  kNotReady = 600,
  kIllegalAddress = 700,
  kLaunchOutOfResources = 701,
  kLaunchTimeout = 702,
  kPeerAccessNotEnabled = 705,
  kPrimaryContextActive = 708,
  kContextIsDestroyed = 709,
  kAssert = 710,
  kHostMemoryAlreadyRegistered = 712,
  kHostMemoryNotRegistered = 713,
  kMisalignedAddress = 716,
  kLaunchFailed = 719,
  kCooperativeLaunchTooLarge = 720,
  kNotPermitted = 800,
  kNotSupported = 801,
  kCaptureUnsupported = 900,
  kCaptureInvalidated = 901,
  kCaptureMerge = 902,
  kCaptureUnmatched = 903,
  kCaptureUnjoined = 904,
  kCaptureIsolation = 905,
  kCaptureImplicit = 906,
  kCapturedEvent = 907,
  kCaptureWrongThread = 908,
  kTimeout = 909,
  kGraphUpdateFailure = 910,
  kInvalidClusterSize = 912,
  kUnknown = 999,
};

/// CUdevice_attribute
enum DeviceAttribute : int {
  kMaxThreadsPerBlock = 1,
  kMaxBlockX = 2,
  kMaxBlockY = 3,
  kMaxBlockZ = 4,
  kMaxGridX = 5,
  kMaxGridY = 6,
  kMaxGridZ = 7,
  kMaxSharedPerBlock = 8,
  kTotalConstantMemory = 9,
  kWarpSize = 10,
  kMaxPitch = 11,
  kMaxRegistersPerBlock = 12,
  kClockRate = 13,
  kTextureAlignment = 14,
  kGpuOverlap = 15,
  kMultiprocessorCount = 16,
  kCanMapHostMemory = 19,
  kSurfaceAlignment = 30,
  kConcurrentKernels = 31,
  kEccEnabled = 32,
  kMemoryClockRate = 36,
  kMemoryBusWidth = 37,
  kL2CacheSize = 38,
  kMaxThreadsPerMultiprocessor = 39,
  kAsyncEngineCount = 40,
  kUnifiedAddressing = 41,
  kTexturePitchAlignment = 51,
  kComputeCapabilityMajor = 75,
  kComputeCapabilityMinor = 76,
  kStreamPrioritiesSupported = 78,
  kGlobalL1 = 79,
  kLocalL1 = 80,
  kMaxSharedPerMultiprocessor = 81,
  kMaxRegistersPerMultiprocessor = 82,
  kManagedMemory = 83,
  kSingleToDouble = 87,
  kConcurrentManagedAccess = 89,
  kComputePreemption = 90,
  kCooperativeLaunch = 95,
  kMaxSharedPerBlockOptin = 97,
  kHostRegisterSupported = 99,
  kMaxBlocksPerMultiprocessor = 106,
  kMaxPersistingL2 = 108,
  kMaxAccessWindow = 109,
  kReservedSharedPerBlock = 111,
  kMemoryPoolsSupported = 115,
  kUnifiedFunctionPointers = 129,
  kLastAttribute = 148,
};

/// CUfunction_attribute
enum FunctionAttribute : int {
  kFunctionMaxThreadsPerBlock = 0,
  kFunctionSharedBytes = 1,
  kFunctionConstBytes = 2,
  kFunctionLocalBytes = 3,
  kFunctionRegisters = 4,
  kFunctionPtxVersion = 5,
  kFunctionBinaryVersion = 6,
  kFunctionCacheModeCa = 7,
  kFunctionMaxDynamicShared = 8,
  kFunctionPreferredCarveout = 9,
  kFunctionNonPortableCluster = 14,
  kFunctionClusterPolicy = 15,
  kFunctionLastAttribute = 16,
};

/// CUjit_option
enum JitOption : int {
  kJitMaxRegisters = 0,
  kJitThreadsPerBlock = 1,
  kJitWallTime = 2,
  kJitInfoLogBuffer = 3,
  kJitInfoLogBufferBytes = 4,
  kJitErrorLogBuffer = 5,
  kJitErrorLogBufferBytes = 6,
  kJitOptimisationLevel = 7,
  kJitTarget = 9,
  kJitLogVerbose = 12,
  kJitLastOption = 35,
};
/// CUjitInputType
enum JitInput : int { kInputCubin, kInputPtx, kInputFatBinary, kInputObject, kInputLibrary, kInputNvvm, kInputTypes };

/// CUpointer_attribute
enum PointerAttribute : int {
  kPointerContext = 1,
  kPointerMemoryType = 2,
  kPointerDevicePointer = 3,
  kPointerHostPointer = 4,
  kPointerSyncMemops = 6,
  kPointerBufferId = 7,
  kPointerIsManaged = 8,
  kPointerDeviceOrdinal = 9,
  kPointerLegacyIpc = 10,
  kPointerRangeStart = 11,
  kPointerRangeSize = 12,
  kPointerMapped = 13,
  kPointerHandleTypes = 14,
  kPointerDirectRdma = 15,
  kPointerAccessFlags = 16,
  kPointerPool = 17,
};
/// CUmemorytype
inline constexpr unsigned kMemoryTypeHost = 1, kMemoryTypeDevice = 2, kMemoryTypeArray = 3, kMemoryTypeUnified = 4;
/// CUmemLocationType
inline constexpr int kPlaceDevice = 1;

/// CUmemPool_attribute
enum PoolAttribute : int {
  kPoolReuseFollowEvents = 1,
  kPoolReuseOpportunistic,
  kPoolReuseInternal,
  kPoolReleaseThreshold,
  kPoolReservedCurrent,
  kPoolReservedHigh,
  kPoolUsedCurrent,
  kPoolUsedHigh,
};

/// CUlimit
enum Limit : int { kLimitStack, kLimitPrintf, kLimitHeap, kLimitSyncDepth, kLimitPending, kLimitFetch, kLimitPersisting, kLimits };

/// CUlaunchAttributeID
enum LaunchAttributeId : int {
  kLaunchIgnore = 0,
  kLaunchAccessWindow = 1,
  kLaunchCooperative = 2,
  kLaunchSyncPolicy = 3,
  kLaunchCluster = 4,
  kLaunchClusterScheduling = 5,
  kLaunchPriority = 8,
  kLaunchMemoryDomainMap = 9,
  kLaunchMemoryDomain = 10,
  kLaunchAttributes = 17
};

/// CUstreamCaptureMode, CUstreamCaptureStatus
enum CaptureMode : int { kCaptureGlobal, kCaptureThreadLocal, kCaptureRelaxed };
enum CaptureState : int { kCaptureNone, kCaptureActive, kCaptureInvalid };

/// CUgraphNodeType
enum NodeType : int {
  kNodeKernel,
  kNodeCopy,
  kNodeFill,
  kNodeHost,
  kNodeGraph,
  kNodeEmpty,
  kNodeWaitEvent,
  kNodeRecordEvent,
  kNodeAllocate = 10,
  kNodeFree = 11,
  kNodeMemoryOperation = 12,
};
/// CUgraphExecUpdateResult
enum GraphUpdate : int {
  kUpdateSuccess,
  kUpdateError,
  kUpdateTopologyChanged,
  kUpdateTypeChanged,
  kUpdateFunctionChanged,
  kUpdateParametersChanged,
};
/// CUstreamWaitValue_flags
enum WaitValue : unsigned { kWaitAtLeast, kWaitEqual, kWaitAnd, kWaitNor, kWaitFlush = 1u << 30 };

/// The "extra" list of cuLaunchKernel.
inline void *const kLaunchParamEnd = nullptr;
inline void *const kLaunchParamBufferPointer = reinterpret_cast<void *>(1);
inline void *const kLaunchParamBufferSize = reinterpret_cast<void *>(2);

} // namespace tenon::emulator
