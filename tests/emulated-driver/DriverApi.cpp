// The driver API: what entries return, for good arguments and bad.
#include "Emulator.h"

namespace tenon::emulator {
namespace {

TEST(DriverApi, TheCardIsWhatWasAskedFor) {
  struct Expected {
    const char *key;
    int multiprocessors, optin, major, minor;
  };
  for (Expected expected :
       {Expected{"a100", 108, 163 * 1024, 8, 0}, {"h100", 132, 227 * 1024, 9, 0}, {"rtx4090", 128, 99 * 1024, 8, 9},
        {"b200", 148, 227 * 1024, 10, 0}}) {
    Card card(expected.key);
    auto attribute = [](int number) {
      int value = -1;
      EXPECT_EQ(cuDeviceGetAttribute(&value, number, 0), kSuccess);
      return value;
    };
    EXPECT_EQ(attribute(kMultiprocessorCount), expected.multiprocessors);
    EXPECT_EQ(attribute(kMaxSharedPerBlockOptin), expected.optin);
    EXPECT_EQ(attribute(kComputeCapabilityMajor), expected.major);
    EXPECT_EQ(attribute(kComputeCapabilityMinor), expected.minor);
    EXPECT_EQ(attribute(kWarpSize), 32);
    char name[64];
    EXPECT_EQ(cuDeviceGetName(name, sizeof(name), 0), kSuccess);
    EXPECT_NE(std::string(name).find("emulated"), std::string::npos);
    EXPECT_EQ(cuDeviceGetName(name, 5, 0), kSuccess);
    EXPECT_EQ(std::string(name), "NVID");
  }
}

TEST(DriverApi, DevicesAndContexts) {
  Card card;
  int number = 0;
  Device device = -1;
  EXPECT_EQ(cuInit(1), kInvalidValue);
  EXPECT_EQ(cuDriverGetVersion(&number), kSuccess);
  EXPECT_GE(number, 12000);
  EXPECT_EQ(cuDriverGetVersion(nullptr), kInvalidValue);
  EXPECT_EQ(cuDeviceGetCount(&number), kSuccess);
  EXPECT_EQ(number, 1);
  EXPECT_EQ(cuDeviceGet(&device, 0), kSuccess);
  EXPECT_EQ(cuDeviceGet(&device, 1), kInvalidDevice);
  EXPECT_EQ(cuDeviceGetAttribute(&number, 10, 5), kInvalidDevice);
  EXPECT_EQ(cuDeviceGetAttribute(&number, 100000, 0), kInvalidValue);
  ContextObject *context = nullptr;
  EXPECT_EQ(cuCtxGetCurrent(&context), kSuccess);
  EXPECT_TRUE(context);
  EXPECT_EQ(cuCtxPushCurrent_v2(context), kSuccess);
  ContextObject *popped = nullptr;
  EXPECT_EQ(cuCtxPopCurrent_v2(&popped), kSuccess);
  EXPECT_EQ(popped, context);
  EXPECT_EQ(cuCtxSetCurrent(reinterpret_cast<ContextObject *>(0x1234)), kInvalidContext);
  EXPECT_EQ(cuCtxSetCurrent(nullptr), kSuccess);
  DevicePointer at;
  EXPECT_EQ(cuMemAlloc_v2(&at, 16), kInvalidContext);
  EXPECT_EQ(cuCtxSetCurrent(context), kSuccess);
}

TEST(DriverApi, Memory) {
  Card card;
  DevicePointer at = 0;
  EXPECT_EQ(cuMemAlloc_v2(&at, 0), kInvalidValue);
  EXPECT_EQ(cuMemAlloc_v2(nullptr, 16), kInvalidValue);
  EXPECT_EQ(cuMemAlloc_v2(&at, size_t{1} << 50), kOutOfMemory);
  ASSERT_EQ(cuMemAlloc_v2(&at, 1000), kSuccess);
  EXPECT_EQ(at % 256, 0u);
  size_t free = 0, total = 0;
  EXPECT_EQ(cuMemGetInfo_v2(&free, &total), kSuccess);
  EXPECT_EQ(total - free, 1000u);
  std::vector<uint32_t> words(250, 7), back(250);
  EXPECT_EQ(cuMemcpyHtoD_v2(at, words.data(), 1000), kSuccess);
  EXPECT_EQ(cuMemcpyHtoD_v2(at + 4, words.data(), 1000), kInvalidValue);
  EXPECT_EQ(cuMemsetD32_v2(at + 4, 0xabcd, 3), kSuccess);
  EXPECT_EQ(cuMemsetD32_v2(at + 2, 0, 1), kInvalidValue);
  EXPECT_EQ(cuMemsetD8_v2(at, 1, 2), kSuccess);
  EXPECT_EQ(cuMemcpyDtoH_v2(back.data(), at, 1000), kSuccess);
  EXPECT_EQ(back[0], 0x00000101u);
  EXPECT_EQ(back[3], 0xabcdu);
  EXPECT_EQ(back[4], 7u);
  DevicePointer other = card.allocate(1000);
  EXPECT_EQ(cuMemcpyDtoD_v2(other, at, 1000), kSuccess);
  EXPECT_EQ(card.download<uint32_t>(other, 250), back);
  unsigned type = 0;
  EXPECT_EQ(cuPointerGetAttribute(&type, kPointerMemoryType, at + 10), kSuccess);
  EXPECT_EQ(type, kMemoryTypeDevice);
  EXPECT_EQ(cuPointerGetAttribute(&type, kPointerMemoryType, reinterpret_cast<uintptr_t>(&type)), kInvalidValue);
  void *host = nullptr;
  ASSERT_EQ(cuMemAllocHost_v2(&host, 64), kSuccess);
  EXPECT_EQ(cuPointerGetAttribute(&type, kPointerMemoryType, reinterpret_cast<uintptr_t>(host)), kSuccess);
  EXPECT_EQ(type, kMemoryTypeHost);
  EXPECT_EQ(cuMemFreeHost(host), kSuccess);
  EXPECT_EQ(cuMemFreeHost(host), kInvalidValue);
  EXPECT_EQ(cuMemFree_v2(at), kSuccess);
  EXPECT_EQ(cuMemFree_v2(at), kInvalidValue);
  EXPECT_EQ(cuMemFree_v2(0), kSuccess);
  EXPECT_EQ(cuMemFree_v2(other + 8), kInvalidValue);
}

TEST(DriverApi, StreamsAndEvents) {
  Card card;
  StreamObject *stream = nullptr;
  EventObject *begin = nullptr, *end = nullptr;
  EXPECT_EQ(cuStreamCreate(&stream, 77), kInvalidValue);
  ASSERT_EQ(cuStreamCreate(&stream, 1), kSuccess);
  ASSERT_EQ(cuEventCreate(&begin, 0), kSuccess);
  ASSERT_EQ(cuEventCreate(&end, 0), kSuccess);
  float milliseconds = -1;
  EXPECT_EQ(cuEventElapsedTime(&milliseconds, begin, end), kInvalidHandle) << "not recorded";
  EXPECT_EQ(cuEventRecord(begin, stream), kSuccess);
  DevicePointer at = 0;
  EXPECT_EQ(cuMemAllocAsync(&at, 64, stream), kSuccess);
  EXPECT_EQ(cuMemsetD32Async(at, 3, 16, stream), kSuccess);
  EXPECT_EQ(cuMemFreeAsync(at, stream), kSuccess);
  EXPECT_EQ(cuEventRecord(end, stream), kSuccess);
  EXPECT_EQ(cuStreamWaitEvent(nullptr, end, 0), kSuccess);
  EXPECT_EQ(cuEventQuery(end), kSuccess);
  EXPECT_EQ(cuEventElapsedTime(&milliseconds, begin, end), kSuccess);
  EXPECT_GE(milliseconds, 0);
  EXPECT_EQ(cuStreamDestroy_v2(stream), kSuccess);
  EXPECT_EQ(cuStreamSynchronize(stream), kInvalidHandle);
  EXPECT_EQ(cuEventDestroy_v2(begin), kSuccess);
  EXPECT_EQ(cuEventRecord(begin, nullptr), kInvalidHandle);
}

TEST(DriverApi, ModulesFunctionsAndLaunches) {
  Card card;
  std::string text = ptx_header() + ".visible .global .align 4 .u32 counter = 5;\n.visible .entry kernel(.param .u32 "
                                    "a, .param .u64 b)\n.maxntid 256, 1, 1\n"
                                    "{ .reg .b32 %r<3>; .reg .b64 %rd; .shared .b32 box[16]; ld.param.u32 %r0, [a]; "
                                    "ld.param.u64 %rd, [b]; st.global.u32 [%rd], %r0; ret; }\n";
  ModuleObject *module = nullptr;
  ASSERT_EQ(cuModuleLoadData(&module, text.c_str()), kSuccess);
  FunctionObject *function = nullptr;
  EXPECT_EQ(cuModuleGetFunction(&function, module, "nothing"), kNotFound);
  ASSERT_EQ(cuModuleGetFunction(&function, module, "kernel"), kSuccess);
  DevicePointer counter = 0;
  size_t bytes = 0;
  EXPECT_EQ(cuModuleGetGlobal_v2(&counter, &bytes, module, "counter"), kSuccess);
  EXPECT_EQ(bytes, 4u);
  EXPECT_EQ(card.download<uint32_t>(counter, 1)[0], 5u);
  int value = 0;
  EXPECT_EQ(cuFuncGetAttribute(&value, kFunctionSharedBytes, function), kSuccess);
  EXPECT_EQ(value, 64);
  EXPECT_EQ(cuFuncGetAttribute(&value, kFunctionMaxThreadsPerBlock, function), kSuccess);
  EXPECT_EQ(value, 256);
  EXPECT_EQ(cuFuncSetAttribute(function, kFunctionMaxDynamicShared, 200 * 1024), kInvalidValue);
  EXPECT_EQ(cuFuncSetAttribute(function, kFunctionMaxDynamicShared, 100 * 1024), kSuccess);
  EXPECT_EQ(cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, function, 256, 100 * 1024), kSuccess);
  EXPECT_EQ(value, 1);
  EXPECT_EQ(cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, function, 256, 0), kSuccess);
  EXPECT_EQ(value, 8);
  // Parameters in a packed buffer.
  struct {
    uint32_t a;
    DevicePointer b;
  } packed = {42, counter};
  size_t size = sizeof(packed);
  void *extra[] = {kLaunchParamBufferPointer, &packed, kLaunchParamBufferSize, &size, kLaunchParamEnd};
  EXPECT_EQ(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, extra), kSuccess);
  EXPECT_EQ(card.download<uint32_t>(counter, 1)[0], 42u);
  size = 4;
  EXPECT_EQ(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, extra), kInvalidValue);
  EXPECT_EQ(cuLaunchKernel(function, 1, 1, 1, 512, 1, 1, 0, nullptr, nullptr, nullptr), kInvalidValue);
  EXPECT_EQ(cuLaunchKernel(nullptr, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr), kInvalidHandle);
  EXPECT_EQ(cuModuleUnload(module), kSuccess);
  EXPECT_EQ(cuModuleUnload(module), kInvalidHandle);
  EXPECT_EQ(cuFuncGetAttribute(&value, 0, function), kInvalidHandle);
}

TEST(DriverApi, LogsAreCutToTheirBuffers) {
  Card card;
  char log[8] = "1234567";
  int options[] = {kJitErrorLogBuffer, kJitErrorLogBufferBytes};
  void *values[] = {log, reinterpret_cast<void *>(sizeof(log))};
  ModuleObject *module = nullptr;
  EXPECT_EQ(cuModuleLoadDataEx(&module, "nonsense", 2, options, values), kInvalidPtx);
  EXPECT_STREQ(log, "ptx lin");
  EXPECT_EQ(reinterpret_cast<size_t>(values[1]), 7u);
  EXPECT_EQ(cuModuleLoadDataEx(&module, nullptr, 0, nullptr, nullptr), kInvalidValue);
}

TEST(DriverApi, ErrorsHaveNames) {
  const char *text = nullptr;
  EXPECT_EQ(cuGetErrorName(kIllegalAddress, &text), kSuccess);
  EXPECT_STREQ(text, "CUDA_ERROR_ILLEGAL_ADDRESS");
  EXPECT_EQ(cuGetErrorString(kInvalidPtx, &text), kSuccess);
  EXPECT_STREQ(text, "a PTX JIT compilation failed");
  EXPECT_EQ(cuGetErrorName(123456, &text), kInvalidValue);
  EXPECT_EQ(text, nullptr);
}

} // namespace
} // namespace tenon::emulator
