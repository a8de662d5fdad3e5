#include "Cubin.h"

#include <dlfcn.h>

namespace tenon::command {
namespace {

// nvJitLink.h of CUDA 12 and 13; the library exports each name without a version too.
using Handle = struct nvJitLink *;
constexpr int kInputPtx = 2;
struct NvJitLink {
  std::string name;
  int (*create)(Handle *, uint32_t, const char **);
  int (*destroy)(Handle *);
  int (*add)(Handle, int, const void *, size_t, const char *);
  int (*complete)(Handle);
  int (*cubin_size)(Handle, size_t *);
  int (*cubin)(Handle, void *);
  int (*error_size)(Handle, size_t *);
  int (*error)(Handle, char *);
  int (*info_size)(Handle, size_t *);
  int (*info)(Handle, char *);
};

template <typename Function> bool bind(void *library, const char *name, Function &to) {
  to = reinterpret_cast<Function>(dlsym(library, name));
  return to != nullptr;
}

Result<NvJitLink> open_library() {
  for (const char *name :
       {"libnvJitLink.so.13", "libnvJitLink.so.12", "/usr/local/cuda/lib64/libnvJitLink.so"}) {
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    NvJitLink link = {};
    link.name = name;
    if (library && bind(library, "nvJitLinkCreate", link.create) &&
        bind(library, "nvJitLinkDestroy", link.destroy) &&
        bind(library, "nvJitLinkAddData", link.add) &&
        bind(library, "nvJitLinkComplete", link.complete) &&
        bind(library, "nvJitLinkGetLinkedCubinSize", link.cubin_size) &&
        bind(library, "nvJitLinkGetLinkedCubin", link.cubin) &&
        bind(library, "nvJitLinkGetErrorLogSize", link.error_size) &&
        bind(library, "nvJitLinkGetErrorLog", link.error) &&
        bind(library, "nvJitLinkGetInfoLogSize", link.info_size) &&
        bind(library, "nvJitLinkGetInfoLog", link.info))
      return link;
  }
  return Error(ErrorCode::kUnsupported,
               "libnvJitLink cannot be opened; it or ptxas makes cubins, and nothing else needs them");
}

const Result<NvJitLink> &library() {
  static const Result<NvJitLink> opened = open_library();
  return opened;
}

using Size = int (*)(Handle, size_t *);
using Text = int (*)(Handle, char *);
std::string log_of(Handle handle, Size size, Text text) {
  size_t bytes = 0;
  if (size(handle, &bytes) != 0 || bytes == 0)
    return {};
  std::string log(bytes, '\0');
  return text(handle, log.data()) == 0 ? std::string(log.c_str()) : std::string();
}

// By nvJitLink. Errors: kUnsupported, kCompilation.
Result<Assembled> link_cubin(const std::string &ptx, const std::string &target) {
  if (!library())
    return library().error();
  const NvJitLink &link = *library();
  const std::string arch = "-arch=" + target;
  const char *options[] = {arch.c_str(), "-verbose", "-Xptxas=-v"};
  Handle handle = nullptr;
  if (link.create(&handle, std::size(options), options) != 0)
    return Error(ErrorCode::kCompilation, link.name + " does not know " + target);
  Assembled assembled;
  size_t size = 0;
  bool made = link.add(handle, kInputPtx, ptx.data(), ptx.size(), "kernel.ptx") == 0 &&
              link.complete(handle) == 0 && link.cubin_size(handle, &size) == 0;
  assembled.cubin.resize(size);
  made = made && link.cubin(handle, assembled.cubin.data()) == 0;
  const std::string info = log_of(handle, link.info_size, link.info);
  const std::string error = log_of(handle, link.error_size, link.error);
  link.destroy(&handle);
  if (!made)
    return Error(ErrorCode::kCompilation, link.name + ": " + error);
  read_numbers(info, assembled);
  return assembled;
}

} // namespace

Result<std::string> find_cubin_maker(CubinMaker maker) {
  const Result<std::string> ptxas = find_ptxas();
  if (ptxas && maker != CubinMaker::kNvJitLink)
    return "ptxas at " + *ptxas;
  if (maker == CubinMaker::kPtxas)
    return ptxas.error();
  return library() ? Result<std::string>(library()->name) : library().error();
}

Result<Assembled> make_cubin(const std::string &ptx, const std::string &target, CubinMaker maker) {
  const bool by_ptxas = maker != CubinMaker::kNvJitLink && find_ptxas();
  return by_ptxas || maker == CubinMaker::kPtxas ? assemble(ptx, target) : link_cubin(ptx, target);
}

} // namespace tenon::command
