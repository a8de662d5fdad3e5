#include "device/cuda/Nvrtc.h"

#include "device/Library.h"
#include "device/Text.h"

#include <cstdlib>
#include <mutex>
#include <optional>

namespace tenon::cuda {
namespace {

using Program = struct ProgramOpaque *;
using Status = int; // nvrtcResult; 0 is success

#define TENON_NVRTC_FUNCTIONS(X)                                                                   \
  X(create_program, "nvrtcCreateProgram",                                                          \
    Status(Program *, const char *, const char *, int, const char *const *, const char *const *))  \
  X(destroy_program, "nvrtcDestroyProgram", Status(Program *))                                     \
  X(compile_program, "nvrtcCompileProgram", Status(Program, int, const char *const *))             \
  X(ptx_size, "nvrtcGetPTXSize", Status(Program, size_t *))                                        \
  X(ptx, "nvrtcGetPTX", Status(Program, char *))                                                   \
  X(log_size, "nvrtcGetProgramLogSize", Status(Program, size_t *))                                 \
  X(log, "nvrtcGetProgramLog", Status(Program, char *))                                            \
  X(add_name, "nvrtcAddNameExpression", Status(Program, const char *))                             \
  X(lowered_name, "nvrtcGetLoweredName", Status(Program, const char *, const char **))             \
  X(architecture_count, "nvrtcGetNumSupportedArchs", Status(int *))                                \
  X(architectures, "nvrtcGetSupportedArchs", Status(int *))                                        \
  X(error_string, "nvrtcGetErrorString", const char *(Status))

struct Nvrtc {
#define TENON_MEMBER(member, symbol, type) std::add_pointer_t<type> member = nullptr;
  TENON_NVRTC_FUNCTIONS(TENON_MEMBER)
#undef TENON_MEMBER
};

// TENON_NVRTC, what the loader finds, and where the toolkit is installed by default; newest first.
std::vector<std::string> candidates() {
  if (const char *given = std::getenv("TENON_NVRTC"); given && *given)
    return {given};
  std::vector<std::string> names;
  for (const char *folder : {"", "/usr/local/cuda/lib64/"})
    for (const char *name : {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"})
      names.push_back(std::string(folder) + name);
  return names;
}

Result<Nvrtc> open_nvrtc() {
  std::string tried;
  for (const std::string &name : candidates()) {
    Result<Library> library = Library::open(name);
    if (!library) {
      tried += (tried.empty() ? "" : "; ") + library.error().message();
      continue;
    }
    Nvrtc nvrtc;
    std::string missing;
#define TENON_FIND(member, spelling, type)                                                         \
  nvrtc.member = reinterpret_cast<std::add_pointer_t<type>>(library->symbol(spelling));            \
  if (!nvrtc.member)                                                                               \
    missing = spelling;
    TENON_NVRTC_FUNCTIONS(TENON_FIND)
#undef TENON_FIND
    if (missing.empty()) {
      library->keep();
      return nvrtc;
    }
    tried += concat(tried.empty() ? "" : "; ", name, " exports no ", missing);
  }
  return Error(
      ErrorCode::kUnsupported,
      concat("CUDA C++ needs NVRTC, which is not there (TENON_NVRTC may name it): ", tried));
}

// What could not be opened is tried anew, since a path may change.
Result<const Nvrtc *> nvrtc() {
  static std::mutex mutex;
  static std::optional<Nvrtc> opened;
  std::lock_guard lock(mutex);
  if (!opened) {
    TENON_ASSIGN_OR_RETURN(opened, open_nvrtc());
  }
  return &*opened;
}

struct OwnedProgram {
  const Nvrtc &nvrtc;
  Program program = nullptr;
  ~OwnedProgram() {
    if (program)
      nvrtc.destroy_program(&program);
  }
};

std::string log_of(const Nvrtc &nvrtc, Program program) {
  size_t size = 0;
  if (nvrtc.log_size(program, &size) != 0 || size <= 1)
    return {};
  std::string text(size, '\0');
  nvrtc.log(program, text.data());
  text.resize(size - 1);
  return text;
}

int newest_architecture(const Nvrtc &nvrtc, int compute_capability) {
  int count = 0, best = 0;
  if (nvrtc.architecture_count(&count) != 0 || count <= 0)
    return compute_capability;
  std::vector<int> known(static_cast<size_t>(count));
  nvrtc.architectures(known.data());
  for (int each : known)
    if (each <= compute_capability && each > best)
      best = each;
  return best ? best : compute_capability;
}

} // namespace

Result<NvrtcOutput> compile_cuda(const std::string &source, const std::string &name,
                                 int compute_capability, const std::vector<std::string> &options) {
  TENON_ASSIGN_OR_RETURN(const Nvrtc *nvrtc, cuda::nvrtc());
  OwnedProgram owned{*nvrtc};
  const std::string file = name.substr(0, name.find('<')) + ".cu"; // as the log names it
  auto refuse = [&](const char *call, Status status) {
    std::string log = owned.program ? log_of(*nvrtc, owned.program) : "";
    return Error(ErrorCode::kCompilation,
                 concat("CUDA C++ kernel ", name, ": ", call, ": ", nvrtc->error_string(status),
                        log.empty() ? "" : "\n", log));
  };
  if (Status status =
          nvrtc->create_program(&owned.program, source.c_str(), file.c_str(), 0, nullptr, nullptr))
    return refuse("nvrtcCreateProgram", status);
  if (Status status = nvrtc->add_name(owned.program, name.c_str()))
    return refuse("nvrtcAddNameExpression", status);
  NvrtcOutput output;
  output.architecture = newest_architecture(*nvrtc, compute_capability);
  const std::string architecture = concat("--gpu-architecture=compute_", output.architecture);
  std::vector<const char *> all = {architecture.c_str()};
  for (const std::string &option : options)
    all.push_back(option.c_str());
  if (Status status =
          nvrtc->compile_program(owned.program, static_cast<int>(all.size()), all.data()))
    return refuse("nvrtcCompileProgram", status);
  const char *lowered = nullptr;
  if (Status status = nvrtc->lowered_name(owned.program, name.c_str(), &lowered))
    return refuse("nvrtcGetLoweredName", status);
  output.entry = lowered;
  size_t size = 0;
  if (Status status = nvrtc->ptx_size(owned.program, &size))
    return refuse("nvrtcGetPTXSize", status);
  output.ptx.resize(size);
  if (Status status = nvrtc->ptx(owned.program, output.ptx.data()))
    return refuse("nvrtcGetPTX", status);
  output.ptx.resize(size - 1); // its final zero
  return output;
}

} // namespace tenon::cuda
