// Entries that cuda.h declares and the emulator does not cover. They take no argument here: the caller's are left
// alone.
#include "driver/CudaAbi.h"
#include <atomic>
#include <cstdio>

namespace tenon::emulator {
namespace {
Status refuse(const char *name, std::atomic_flag &told) {
  if (!told.test_and_set())
    std::fprintf(stderr, "emulator: %s is not covered by the emulated driver: CUDA_ERROR_NOT_SUPPORTED\n", name);
  return kNotSupported;
}
} // namespace
} // namespace tenon::emulator

// Weak: one that refuses in words of its own is defined elsewhere.
#define REFUSE(name)                                                                                                   \
  TENON_DRIVER_ENTRY __attribute__((weak)) tenon::emulator::Status name() {                                                                  \
    static std::atomic_flag told;                                                                                      \
    return tenon::emulator::refuse(#name, told);                                                                       \
  }
#define UNCOVERED(name, asked, since) REFUSE(name)
#define UNCOVERED_PER_THREAD(name, suffix) REFUSE(name##suffix)
#include "driver/Uncovered.def"
