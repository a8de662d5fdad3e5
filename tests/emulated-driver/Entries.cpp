// The table of entries: exported, found by name, and as cuda.h declares them.
#include "Emulator.h"
#include "Prototypes.h"
#include <cstdio>
#include <dlfcn.h>
#include <regex>
#include <set>
#include <sstream>

namespace tenon::emulator {
namespace {

/// The library as a program opens it.
void *library() {
  static void *handle = dlopen(TENON_EMULATED_DRIVER, RTLD_NOW | RTLD_LOCAL);
  return handle;
}

TEST(Entries, AreFoundByNameAndVersion) {
  auto find = [](const char *name, int version, uint64_t flags, int *found) {
    void *entry = nullptr;
    EXPECT_EQ(cuGetProcAddress_v2(name, &entry, version, flags, found), kSuccess);
    return entry;
  };
  int found = -1;
  EXPECT_EQ(find("cuMemAlloc", 12000, 0, &found), reinterpret_cast<void *>(&cuMemAlloc_v2));
  EXPECT_EQ(found, 0);
  EXPECT_EQ(find("cuCtxCreate", 3020, 0, &found), reinterpret_cast<void *>(&cuCtxCreate_v2));
  EXPECT_EQ(find("cuCtxCreate", 13000, 0, &found), reinterpret_cast<void *>(&cuCtxCreate_v4));
  EXPECT_EQ(find("cuLaunchKernelEx", 11000, 0, &found), nullptr) << "of CUDA 11.6";
  EXPECT_EQ(found, 2);
  EXPECT_EQ(find("cuNothing", 12000, 0, &found), nullptr);
  EXPECT_EQ(found, 1);
  void *entry = nullptr;
  EXPECT_EQ(cuGetProcAddress_v2("cuInit", &entry, 99000, 0, &found), kInvalidValue);
  EXPECT_EQ(cuGetProcAddress_v2("cuInit", &entry, 12000, 3, &found), kInvalidValue);
  EXPECT_EQ(cuGetProcAddress("cuNothing", &entry, 11000, 0), kNotFound);
}

TEST(Entries, HaveASecondFormForAStreamAThread) {
  Card card;
  void *plain = nullptr, *second = nullptr;
  EXPECT_EQ(cuGetProcAddress_v2("cuStreamGetId", &plain, 13000, 1, nullptr), kSuccess);
  EXPECT_EQ(cuGetProcAddress_v2("cuStreamGetId", &second, 13000, 2, nullptr), kSuccess);
  using GetId = Status (*)(StreamObject *, uint64_t *);
  uint64_t legacy = 0, mine = 0, named = 0;
  EXPECT_EQ(reinterpret_cast<GetId>(plain)(nullptr, &legacy), kSuccess);
  EXPECT_EQ(reinterpret_cast<GetId>(second)(nullptr, &mine), kSuccess);
  EXPECT_EQ(cuStreamGetId(reinterpret_cast<StreamObject *>(kStreamPerThread), &named), kSuccess);
  EXPECT_NE(legacy, mine);
  EXPECT_EQ(mine, named);
}

TEST(Entries, TheLibraryOpensUnderTheDriversName) {
  ASSERT_TRUE(library()) << dlerror();
  auto version = reinterpret_cast<Status (*)(int *)>(dlsym(library(), "cuDriverGetVersion"));
  int number = 0;
  EXPECT_EQ(version(&number), kSuccess);
  auto count = reinterpret_cast<Status (*)(int *)>(dlsym(library(), "cuDeviceGetCount"));
  EXPECT_EQ(count(&number), kNotInitialised);
}

TEST(Entries, AreListed) {
  std::string text(tenonEmulatorEntries(nullptr, 0), '\0');
  tenonEmulatorEntries(text.data(), text.size());
  EXPECT_NE(text.find("memory\tcuMemAlloc_v2\t3020\n"), std::string::npos);
  EXPECT_NE(text.find("\n\tcuTexObjectCreate\t5000\n"), std::string::npos) << "exported, not covered";
}

TEST(Entries, AnUncoveredOneSaysSoOnce) {
  ASSERT_TRUE(library()) << dlerror();
  auto entry = reinterpret_cast<Status (*)(void *)>(dlsym(library(), "cuTexObjectDestroy"));
  ASSERT_TRUE(entry);
  testing::internal::CaptureStderr();
  EXPECT_EQ(entry(nullptr), kNotSupported);
  EXPECT_EQ(entry(nullptr), kNotSupported);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "emulator: cuTexObjectDestroy is not covered by the emulated driver: CUDA_ERROR_NOT_SUPPORTED\n");
}

#ifdef TENON_CUDA_HEADER
TEST(Entries, HaveTheParametersOfCudaHeader) {
  const std::vector<Prototype> theirs = prototypes_of_cuda_header();
  if (theirs.empty())
    GTEST_SKIP() << "cuda.h is older than CUDA 13, whose entries the table lists";
  const std::vector<Prototype> ours = {
#define ENTRY_GROUP(name)
#define ENTRY(name, asked, since) prototype(#name, &name),
#include "driver/Entries.def"
  };
  ASSERT_EQ(ours.size(), theirs.size());
  for (size_t i = 0; i < ours.size(); i++)
    EXPECT_EQ(ours[i].parameters, theirs[i].parameters) << ours[i].name;
}

/// Names of the functions that the toolkit's cuda.h declares, as a program that includes it would ask the linker for
/// them.
std::set<std::string> names_of_cuda_header(const std::string &options) {
  std::string command = std::string(TENON_CXX) + " -E -P " + options + " " + TENON_CUDA_HEADER, text;
  FILE *pipe = popen(command.c_str(), "r");
  char buffer[1 << 14];
  while (size_t got = fread(buffer, 1, sizeof(buffer), pipe))
    text.append(buffer, got);
  pclose(pipe);
  std::set<std::string> names;
  static const std::regex pattern("CUresult\\s+(cu\\w+)\\s*\\(");
  for (std::sregex_iterator each(text.begin(), text.end(), pattern), end; each != end; ++each)
    names.insert((*each)[1]);
  names.erase("cuGetProcAddress_v2_ptsz"); // defined by the header itself
  return names;
}

TEST(Entries, AllOfCudaHeaderAreExported) {
  ASSERT_TRUE(library()) << dlerror();
  for (const char *options : {"", "-DCUDA_API_PER_THREAD_DEFAULT_STREAM", "-D__CUDA_API_VERSION_INTERNAL"}) {
    std::set<std::string> names = names_of_cuda_header(options);
    EXPECT_GT(names.size(), 300u) << options;
    for (const std::string &name : names)
      EXPECT_TRUE(dlsym(library(), name.c_str())) << name;
  }
}
#endif

} // namespace
} // namespace tenon::emulator
