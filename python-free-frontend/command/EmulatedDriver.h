/// The emulated CUDA driver, opened for `tenon emulate`: the entries of the driver API that it
/// needs, and the emulator's own. Another process's LD_LIBRARY_PATH opens the same library.
#pragma once

#include "tenon/Result.h"

#include <cstdint>
#include <string>

namespace tenon::command {

// member, symbol, type
#define TENON_EMULATED_FUNCTIONS(X)                                                                \
  X(init, "cuInit", int(unsigned))                                                                 \
  X(retain_context, "cuDevicePrimaryCtxRetain", int(void **, int))                                 \
  X(set_context, "cuCtxSetCurrent", int(void *))                                                   \
  X(synchronize, "cuCtxSynchronize", int())                                                        \
  X(load_module, "cuModuleLoadDataEx", int(void **, const void *, unsigned, int *, void **))       \
  X(get_function, "cuModuleGetFunction", int(void **, void *, const char *))                       \
  X(set_attribute, "cuFuncSetAttribute", int(void *, int, int))                                    \
  X(allocate, "cuMemAlloc_v2", int(uint64_t *, size_t))                                            \
  X(copy_in, "cuMemcpyHtoD_v2", int(uint64_t, const void *, size_t))                               \
  X(copy_out, "cuMemcpyDtoH_v2", int(void *, uint64_t, size_t))                                    \
  X(set_bytes, "cuMemsetD8_v2", int(uint64_t, unsigned char, size_t))                              \
  X(launch, "cuLaunchKernel",                                                                      \
    int(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *,      \
        void **, void **))                                                                         \
  X(launch_cooperative, "cuLaunchCooperativeKernel",                                               \
    int(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *,      \
        void **))                                                                                  \
  X(error_name, "cuGetErrorName", int(int, const char **))                                         \
  X(error_string, "cuGetErrorString", int(int, const char **))                                     \
  X(describe, "tenonEmulatorDescribe", size_t(const char *, char *, size_t))                       \
  X(findings, "tenonEmulatorFindings", size_t(char *, size_t))                                     \
  X(counters, "tenonEmulatorCounters", size_t(char *, size_t))

struct EmulatedDriver {
  template <class F> using Function = F *;
#define TENON_MEMBER(member, symbol, ...) Function<__VA_ARGS__> member = nullptr;
  TENON_EMULATED_FUNCTIONS(TENON_MEMBER)
#undef TENON_MEMBER

  /// TENON_EMULATED_DRIVER, or the library installed beside this program. Errors: kUnsupported
  /// naming the file.
  static Result<EmulatedDriver> open();
  /// Success, or kDevice with the driver's name and text for the status.
  Result<void> check(const char *call, int status) const;
};

/// The text that an entry of the form `size_t entry(char *, size_t)` gives.
template <class F> std::string text_of(F entry) {
  std::string text(entry(nullptr, 0), '\0');
  entry(text.data(), text.size());
  text.resize(text.empty() ? 0 : text.size() - 1);
  return text;
}

} // namespace tenon::command
