/// Directories of their own, kernels made without a compiler, and answers that tell them apart.
#pragma once

#include "../device/TestKernels.h"
#include "tenon/DiskStore.h"
#include "tenon/KernelCache.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <string>
#include <unistd.h>
#include <vector>

namespace tenon::testing {

/// A folder that nobody else uses, removed with the object.
class Folder {
public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tenon-cache-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::permissions(path_, std::filesystem::perms::owner_all, ignored);
    std::filesystem::remove_all(path_, ignored);
  }
  std::string path(const std::string &name = "") const {
    return name.empty() ? path_ : path_ + "/" + name;
  }

private:
  std::string path_;
};

inline KernelKey key_number(int number, const std::string &target = "host:x86-64-v3",
                            uint32_t code_generation = kCodeGenerationVersion) {
  return KernelKey({"graph" + std::to_string(number), "{}", target, "{}",
                    "func " + std::to_string(number), code_generation});
}

/// What a compiler would hand over: a kernel that adds 1.
inline CompileOutcome counting_kernel() {
  return {image_of({phase("count_block")}).serialize(), 1};
}

/// The bytes of an entry as a store gets them.
inline std::vector<std::byte> image_bytes(const KernelKey &key) {
  KernelImage image = image_of({phase("count_block")});
  image.key = key.text();
  image.graph = key.graph();
  return image.serialize();
}

inline std::string entry_path(const std::string &directory, const KernelKey &key) {
  return directory + "/" + key.hash() + ".tenon-" + std::to_string(KernelImage::kFormatVersion);
}

inline std::vector<char> bytes_in(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
inline void write_bytes(const std::string &path, const std::vector<char> &bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// One process's view of a directory: what it got, whether it compiled, and whether the kernel that
/// it got gives the right answer.
struct Asked {
  bool compiled = false, right = false;
  CacheNotes notes;
  std::string error;
};

inline Asked ask(KernelCache &cache, const KernelKey &key) {
  Asked asked;
  const auto kernel = cache.lookup_or_compile(key, [&] {
    asked.compiled = true;
    return Result(counting_kernel());
  });
  asked.notes = cache.notes();
  if (!kernel) {
    asked.error = kernel.error().message();
    return asked;
  }
  Device &host = *Device::open(DeviceKind::kHost).value();
  const auto loaded = (*kernel)->loaded_on(host);
  int32_t count = 41;
  KernelArguments arguments = sizes(1, 1, 1);
  arguments.tensors[0].data = &count;
  asked.right = loaded && host.launch(**loaded, arguments, 0).ok() && count == 42 &&
                (*kernel)->image().key == key.text();
  return asked;
}

inline Asked ask(const std::string &directory, const KernelKey &key) {
  KernelCache cache;
  EXPECT_TRUE(cache.configure({.disk = DiskUse::kOn, .directory = directory}));
  return ask(cache, key);
}

} // namespace tenon::testing
