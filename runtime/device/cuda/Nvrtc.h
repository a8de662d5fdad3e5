/// NVRTC, NVIDIA's compiler of CUDA C++ as a library, opened by name when it is needed.
#pragma once

#include "tenon/Result.h"

#include <string>
#include <vector>

namespace tenon::cuda {

struct NvrtcOutput {
  std::string ptx;
  std::string entry; ///< the kernel's name in the PTX
  int architecture;  ///< 80 for sm_80
};

/// Compiles for the newest architecture that NVRTC knows and a device of `compute_capability` runs.
/// Errors: kUnsupported, with all names that were tried, where the library cannot be opened;
/// kCompilation with its log.
Result<NvrtcOutput> compile_cuda(const std::string &source, const std::string &name,
                                 int compute_capability, const std::vector<std::string> &options);

} // namespace tenon::cuda
