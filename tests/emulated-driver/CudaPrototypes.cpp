// Every covered entry as cuda.h declares it. The macro keeps cuda.h from renaming: each version has a name of its own.
#define __CUDA_API_VERSION_INTERNAL
#include "Prototypes.h"
#include <cuda.h>
#include <cudaProfiler.h>

namespace tenon::emulator {

std::vector<Prototype> prototypes_of_cuda_header() {
#if CUDA_VERSION >= 13000
  return {
#define ENTRY_GROUP(name)
#define ENTRY(name, asked, since) prototype(#name, static_cast<decltype(&::name)>(nullptr)),
#include "driver/Entries.def"
  };
#else
  return {};
#endif
}

} // namespace tenon::emulator
