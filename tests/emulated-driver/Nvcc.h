// CUDA C++ to PTX when a test runs, where the toolkit is.
#pragma once
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <unistd.h>

namespace tenon::emulator {

inline std::string read_text(const std::filesystem::path &path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// A folder that goes with the object.
class ScratchFolder {
public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "tenon-emulator-XXXXXX").string();
    path_ = mkdtemp(name.data()) ? name : std::string();
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder &) = delete;
  ScratchFolder &operator=(const ScratchFolder &) = delete;
  const std::filesystem::path &path() const { return path_; }

private:
  std::filesystem::path path_;
};

/// PTX of a file of CUDA C++, or nothing where there is no nvcc.
inline std::string compile_file(const std::filesystem::path &source, const std::string &architecture = "sm_80") {
#ifdef TENON_NVCC
  std::string nvcc = TENON_NVCC;
  if (nvcc.empty() || !std::filesystem::exists(nvcc))
    return {};
  ScratchFolder folder;
  std::filesystem::path ptx = folder.path() / "kernel.ptx";
  std::string command = nvcc + " -ptx -O3 -std=c++17 -arch=" + architecture + " -o " + ptx.string() + " " + source.string();
  return std::system(command.c_str()) == 0 ? read_text(ptx) : std::string();
#else
  (void)source;
  (void)architecture;
  return {};
#endif
}
/// The same for text.
inline std::string compile(const std::string &source) {
  ScratchFolder folder;
  std::ofstream(folder.path() / "kernel.cu") << source;
  return compile_file(folder.path() / "kernel.cu");
}
#define NEEDS_NVCC(text)                                                                                               \
  if (text.empty())                                                                                                    \
  GTEST_SKIP() << "no nvcc"

} // namespace tenon::emulator
