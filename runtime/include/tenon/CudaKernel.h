/// A kernel written in CUDA C++, for what a graph cannot say: compiled by NVRTC while the program
/// runs, kept by the same kernel cache as the kernels of graphs, and launched on the same streams.
///
///     auto scale = tenon::cuda_kernel(R"(
///       extern "C" __global__ void scale(float *values, float factor, int count) {
///         int i = blockIdx.x * blockDim.x + threadIdx.x;
///         if (i < count) values[i] *= factor;
///       })", "scale").value();
///     scale.launch({.blocks = {8}, .threads = {256}, .stream = stream}, {values, 2.0f, 2000});
///
/// An argument is a tensor, which the kernel gets as a pointer to its first element, or a number,
/// whose type must have the size of the parameter. NVRTC (libnvrtc.so) is opened when it is first
/// needed, and not where the cache holds the kernel.
#pragma once

#include "tenon/Api.h"
#include "tenon/Device.h"
#include "tenon/KernelCache.h"
#include "tenon/Result.h"
#include "tenon/Tensor.h"

#include <array>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace tenon {

struct CudaKernelOptions {
  std::optional<DeviceLocation> device = {}; ///< by default a GPU, else the emulator
  std::vector<std::string> options = {}; ///< for NVRTC: {"-DWIDTH=64", "-I/usr/local/cuda/include"}
  KernelCache *cache = nullptr;          ///< by default KernelCache::process()
};

struct CudaLaunch {
  std::array<unsigned, 3> blocks = {1, 1, 1},
                          threads = {1, 1, 1}; ///< one that is left out, and 0, is 1
  unsigned shared_bytes = 0;                   ///< dynamic, a block
  StreamHandle stream = 0;
};

/// A tensor, a number, or a structure of numbers, as a parameter of a kernel.
class CudaArgument {
public:
  static constexpr size_t kMostBytes = 64; ///< of a structure

  CudaArgument(const Tensor &tensor) // NOLINT(google-explicit-constructor)
      : size_(sizeof(void *)), tensor_(&tensor) {
    const void *data = tensor.data();
    std::memcpy(bytes_, &data, sizeof data);
  }
  template <class Number>
  requires std::is_arithmetic_v<Number> CudaArgument(Number number) // NOLINT
      : size_(sizeof number) {
    std::memcpy(bytes_, &number, sizeof number);
  }
  /// A structure that the kernel takes by value, declared alike on both sides.
  template <class Struct> static CudaArgument of(const Struct &value) {
    static_assert(std::is_trivially_copyable_v<Struct> && sizeof value <= kMostBytes);
    CudaArgument argument(sizeof value);
    std::memcpy(argument.bytes_, &value, sizeof value);
    argument.size_ = sizeof value;
    return argument;
  }
  const void *data() const { return bytes_; }
  size_t size() const { return size_; }
  const Tensor *tensor() const { return tensor_; } ///< null for a number

private:
  alignas(16) unsigned char bytes_[kMostBytes] = {};
  size_t size_;
  const Tensor *tensor_ = nullptr;
};

class TENON_API CudaKernel {
public:
  CudaKernel() = default; ///< no kernel: launches return an error

  /// Returns before the kernel ends; allocates nothing. Errors: kInvalidArgument for another number
  /// of arguments than the kernel has parameters, for one of another size, and for a tensor that
  /// lies elsewhere, naming it; kDevice for what the driver reports.
  Status launch(const CudaLaunch &how, std::span<const CudaArgument> arguments) const;
  Status launch(const CudaLaunch &how, std::initializer_list<CudaArgument> arguments) const {
    return launch(how, std::span(arguments.begin(), arguments.size()));
  }

  DeviceLocation device() const;
  const std::string &ptx() const;                  ///< as NVRTC wrote it
  std::span<const size_t> parameter_bytes() const; ///< of each parameter
  const CachedKernel &cached() const { return *cached_; }

private:
  friend Result<CudaKernel> cuda_kernel(const std::string &, const std::string &,
                                        const CudaKernelOptions &);
  struct State;
  std::shared_ptr<const CachedKernel> cached_;
  std::shared_ptr<const State> state_;
};

/// Compiles `source` and takes the kernel called `name`, which may be an instance of a template
/// ("gather<float>"). Errors: kCompilation with NVRTC's log; kUnsupported where there is no NVRTC,
/// no such device, or the device is the host, each with the reason.
TENON_API Result<CudaKernel> cuda_kernel(const std::string &source, const std::string &name,
                                         const CudaKernelOptions &options = {});

} // namespace tenon
