// The second form of entries, for programs whose default stream is one a thread (nvcc --default-stream per-thread):
// cuLaunchKernel_ptsz is cuLaunchKernel with stream 0 taken for CU_STREAM_PER_THREAD.
#include "driver/Driver.h"
#include "driver/Prototypes.h"

namespace tenon::emulator {
namespace {
template <class T> T per_thread(T value) { return value; }
template <> StreamObject *per_thread(StreamObject *stream) {
  return stream ? stream : reinterpret_cast<StreamObject *>(kStreamPerThread);
}

template <auto entry> struct PerThread;
template <class... Arguments, Status (*entry)(Arguments...)> struct PerThread<entry> {
  static Status call(Arguments... arguments) { return entry(per_thread(arguments)...); }
};
} // namespace
} // namespace tenon::emulator

// An indirect function gives the second form its name: the loader asks once where it is.
using namespace tenon::emulator;
#define PER_THREAD(name, suffix)                                                                                       \
  extern "C" {                                                                                                         \
  __attribute__((no_sanitize("address", "thread", "undefined"), used)) static decltype(&name) resolve_##name() {       \
    return &tenon::emulator::PerThread<&name>::call;                                                                   \
  }                                                                                                                    \
  __attribute__((visibility("default"), ifunc("resolve_" #name))) decltype(name) name##suffix;                         \
  }
#include "driver/PerThread.def"
