// Modules of all origins: PTX with options, files, fat binaries, the linker, libraries.
#include "Emulator.h"
#include <filesystem>
#include <fstream>
#include <iterator>
#include <unistd.h>

namespace tenon::emulator {
namespace {

std::string store(const char *name, int value, const char *target = "sm_80") {
  return ptx_header(target) + ".visible .global .align 4 .u32 " + name + "_count = 3;\n.visible .entry " + name +
         "(.param .u64 at) { .reg .b32 %r; .reg .b64 %d; ld.param.u64 %d, [at]; mov.u32 %r, " + std::to_string(value) +
         "; st.global.u32 [%d], %r; ret; }\n";
}

uint32_t run(Card &card, FunctionObject *function) {
  DevicePointer at = card.allocate(4);
  EXPECT_EQ(card.launch(function, 1, 1, 0, at), kSuccess);
  return card.download<uint32_t>(at, 1)[0];
}

struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("tenon-modules-" + std::to_string(getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string write(const std::string &name, const std::string &text) const {
    std::ofstream(path / name, std::ios::binary) << text;
    return path / name;
  }
};

TEST(DriverModules, OptionsLimitRegistersAndGiveLogs) {
  Card card;
  char info[512] = "", error[512] = "";
  int options[] = {kJitMaxRegisters,   kJitInfoLogBuffer,       kJitInfoLogBufferBytes,
                   kJitErrorLogBuffer, kJitErrorLogBufferBytes, kJitLogVerbose};
  auto number = [](size_t value) { return reinterpret_cast<void *>(value); };
  void *values[] = {number(16), info, number(sizeof(info)), error, number(sizeof(error)), number(1)};
  ModuleObject *module = nullptr;
  ASSERT_EQ(cuModuleLoadDataEx(&module, store("kernel", 1).c_str(), 6, options, values), kSuccess);
  EXPECT_NE(std::string(info).find("'kernel': used 8 registers"), std::string::npos) << info;
  EXPECT_STREQ(error, "");
  EXPECT_EQ(reinterpret_cast<size_t>(values[2]), strlen(info));
  values[2] = number(sizeof(info)), values[4] = number(sizeof(error));
  EXPECT_EQ(cuModuleLoadDataEx(&module, store("kernel", 1, "sm_90").c_str(), 6, options, values), kInvalidPtx);
  EXPECT_NE(std::string(error).find("sm_90"), std::string::npos) << error;
  options[0] = 999;
  EXPECT_EQ(cuModuleLoadDataEx(&module, store("kernel", 1).c_str(), 6, options, values), kInvalidValue);
}

TEST(DriverModules, ComeFromFiles) {
  Card card;
  Folder folder;
  ModuleObject *module = nullptr;
  EXPECT_EQ(cuModuleLoad(&module, (folder.path / "missing.ptx").c_str()), kFileNotFound);
  ASSERT_EQ(cuModuleLoad(&module, folder.write("k.ptx", store("kernel", 42)).c_str()), kSuccess);
  FunctionObject *function = nullptr;
  unsigned count = 0;
  EXPECT_EQ(cuModuleGetFunctionCount(&count, module), kSuccess);
  EXPECT_EQ(count, 1u);
  EXPECT_EQ(cuModuleEnumerateFunctions(&function, 1, module), kSuccess);
  const char *name = nullptr;
  EXPECT_EQ(cuFuncGetName(&name, function), kSuccess);
  EXPECT_STREQ(name, "kernel");
  size_t offset = 1, bytes = 0;
  EXPECT_EQ(cuFuncGetParamInfo(function, 0, &offset, &bytes), kSuccess);
  EXPECT_EQ(offset, 0u);
  EXPECT_EQ(bytes, 8u);
  EXPECT_EQ(cuFuncGetParamInfo(function, 1, &offset, &bytes), kInvalidValue);
  EXPECT_EQ(run(card, function), 42u);
}

TEST(DriverModules, MachineCodeIsRefused) {
  Card card;
  EXPECT_NE(card.refusal("\177ELF and more").find("machine code"), std::string::npos);
  EXPECT_EQ(card.status, kNoBinaryForGpu);
}

TEST(DriverModules, TheLinkerJoinsTexts) {
  Card card;
  LinkObject *link = nullptr;
  ASSERT_EQ(cuLinkCreate_v2(0, nullptr, nullptr, &link), kSuccess);
  std::string one = store("one", 1), two = store("two", 2);
  EXPECT_EQ(cuLinkAddData_v2(link, kInputPtx, one.data(), one.size() + 1, "one", 0, nullptr, nullptr), kSuccess);
  EXPECT_EQ(cuLinkAddData_v2(link, kInputPtx, two.data(), two.size() + 1, "two", 0, nullptr, nullptr), kSuccess);
  char nonsense[] = "nonsense";
  EXPECT_EQ(cuLinkAddData_v2(link, kInputPtx, nonsense, 9, nullptr, 0, nullptr, nullptr), kInvalidPtx);
  EXPECT_EQ(cuLinkAddData_v2(link, kInputCubin, nonsense, 9, nullptr, 0, nullptr, nullptr), kNoBinaryForGpu);
  void *image = nullptr;
  size_t bytes = 0;
  ASSERT_EQ(cuLinkComplete(link, &image, &bytes), kSuccess);
  ModuleObject *module = nullptr;
  ASSERT_EQ(cuModuleLoadData(&module, image), kSuccess);
  EXPECT_EQ(cuLinkDestroy(link), kSuccess);
  EXPECT_EQ(cuLinkDestroy(link), kInvalidHandle);
  FunctionObject *function = nullptr;
  ASSERT_EQ(cuModuleGetFunction(&function, module, "two"), kSuccess);
  EXPECT_EQ(run(card, function), 2u);
}

TEST(DriverModules, ALibraryServesEveryContext) {
  Card card;
  LibraryObject *library = nullptr;
  KernelObject *kernel = nullptr;
  ASSERT_EQ(cuLibraryLoadData(&library, store("kernel", 5).c_str(), nullptr, nullptr, 0, nullptr, nullptr, 0),
            kSuccess);
  EXPECT_EQ(cuLibraryGetKernel(&kernel, library, "nothing"), kNotFound);
  ASSERT_EQ(cuLibraryGetKernel(&kernel, library, "kernel"), kSuccess);
  EXPECT_EQ(cuKernelSetAttribute(kFunctionMaxDynamicShared, 100 * 1024, kernel, 0), kSuccess);
  EXPECT_EQ(run(card, reinterpret_cast<FunctionObject *>(kernel)), 5u) << "a kernel is launched like a function";
  ContextObject *second = nullptr;
  ASSERT_EQ(cuCtxCreate_v2(&second, 0, 0), kSuccess);
  EXPECT_EQ(run(card, reinterpret_cast<FunctionObject *>(kernel)), 5u);
  int shared = 0;
  EXPECT_EQ(cuKernelGetAttribute(&shared, kFunctionMaxDynamicShared, kernel, 0), kSuccess);
  EXPECT_EQ(shared, 100 * 1024);
  EXPECT_EQ(cuCtxDestroy_v2(second), kSuccess);
  DevicePointer count = 0;
  size_t bytes = 0;
  EXPECT_EQ(cuLibraryGetGlobal(&count, &bytes, library, "kernel_count"), kSuccess);
  EXPECT_EQ(card.download<uint32_t>(count, 1)[0], 3u);
  EXPECT_EQ(cuLibraryUnload(library), kSuccess);
  EXPECT_EQ(cuLibraryUnload(library), kInvalidHandle);
  EXPECT_EQ(cuLaunchKernel(reinterpret_cast<FunctionObject *>(kernel), 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr),
            kInvalidHandle);
}

#ifdef TENON_NVCC
TEST(DriverModules, FatBinariesGiveTheirPtx) {
  if (!std::filesystem::exists(TENON_NVCC))
    GTEST_SKIP() << "no nvcc";
  Card card;
  Folder folder;
  std::string source = folder.write("k.cu", "extern \"C\" __global__ void kernel(int *at) { *at = 11; }\n");
  for (const char *mode : {"none", "speed", "size"}) { // plain, LZ4, Zstandard
    std::string image = folder.path / "k.fatbin";
    std::string command = std::string(TENON_NVCC) + " -fatbin --compress-mode=" + mode +
                          " -gencode arch=compute_80,code=[sm_80,compute_80] -o " + image + " " + source + " 2>&1";
    if (std::system(command.c_str()) != 0)
      GTEST_SKIP() << "this nvcc has no --compress-mode";
    std::ifstream file(image, std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(file), {}};
    ModuleObject *module = nullptr;
    ASSERT_EQ(cuModuleLoadFatBinary(&module, bytes.data()), kSuccess) << mode;
    FunctionObject *function = nullptr;
    ASSERT_EQ(cuModuleGetFunction(&function, module, "kernel"), kSuccess);
    EXPECT_EQ(run(card, function), 11u);
  }
  std::string command = std::string(TENON_NVCC) + " -fatbin -gencode arch=compute_90,code=compute_90 -o " +
                        (folder.path / "k.fatbin").string() + " " + source;
  ASSERT_EQ(std::system(command.c_str()), 0);
  ModuleObject *module = nullptr;
  EXPECT_EQ(cuModuleLoad(&module, (folder.path / "k.fatbin").c_str()), kNoBinaryForGpu) << "for a newer card";
}
#endif

} // namespace
} // namespace tenon::emulator
