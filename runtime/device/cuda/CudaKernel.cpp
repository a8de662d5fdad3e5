#include "tenon/CudaKernel.h"

#include "device/Text.h"
#include "device/cuda/CudaDevice.h"
#include "device/cuda/Nvrtc.h"

#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tenon {
namespace {

constexpr int kMostParameters = 64;

// Bytes of each parameter of an entry, from the PTX text:
//     .visible .entry name(  .param .u64 .ptr .align 1 name_param_0,  .param .align 4 .b8 p[12]  )
std::vector<size_t> parameters_of(const std::string &ptx, const std::string &entry) {
  std::vector<size_t> sizes;
  size_t at = ptx.find(".entry " + entry + "(");
  if (at == std::string::npos)
    return sizes;
  at += entry.size() + 8; // behind the bracket
  const std::string list = ptx.substr(at, ptx.find(')', at) - at);
  for (size_t begin = list.find(".param"); begin != std::string::npos;) {
    const size_t next = list.find(".param", begin + 1);
    const std::string one = list.substr(begin, next - begin);
    size_t bytes = 0;
    for (size_t dot = one.find('.'); dot != std::string::npos; dot = one.find('.', dot + 1))
      if (std::string_view("usbf").find(one[dot + 1]) != std::string_view::npos)
        if (int bits = std::atoi(one.c_str() + dot + 2); bits >= 8)
          bytes = static_cast<size_t>(bits) / 8;
    if (const size_t bracket = one.find('['); bracket != std::string::npos)
      bytes *= static_cast<size_t>(std::atoi(one.c_str() + bracket + 1));
    sizes.push_back(bytes);
    begin = next;
  }
  return sizes;
}

Result<Device *> open_device(const std::optional<DeviceLocation> &wanted) {
  if (wanted && wanted->kind == DeviceKind::kHost)
    return Error(ErrorCode::kUnsupported,
                 "device: the host runs no CUDA C++; name cuda or emulator");
  if (wanted)
    return Device::open(wanted->kind, wanted->ordinal);
  Result<Device *> gpu = Device::open(DeviceKind::kCuda);
  return gpu ? gpu : Device::open(DeviceKind::kEmulator);
}

Result<CompileOutcome> build(const std::string &source, const std::string &name,
                             int compute_capability, const std::vector<std::string> &options,
                             const KernelKey &key) {
  const auto begin = std::chrono::steady_clock::now();
  TENON_ASSIGN_OR_RETURN(const cuda::NvrtcOutput output,
                         cuda::compile_cuda(source, name, compute_capability, options));
  KernelImage image;
  image.kernel = concat(name.substr(0, name.find('<')), "_cuda_", key.hash().substr(0, 8));
  image.key = key.text();
  image.schedule = "{}";
  const auto *bytes = reinterpret_cast<const std::byte *>(output.ptx.data());
  image.sections.push_back({SectionKind::kPtx, concat("sm_", output.architecture),
                            std::vector<std::byte>(bytes, bytes + output.ptx.size())});
  image.launch.phases.emplace_back().entry = output.entry;
  const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - begin;
  return CompileOutcome{image.serialize(), spent.count()};
}

Error wrong_argument(size_t i, std::string actual, std::string expected) {
  return Error::invalid_argument(concat("argument ", i), std::move(actual), std::move(expected));
}

} // namespace

struct CudaKernel::State {
  cuda::CudaDevice *device;
  std::shared_ptr<const LoadedKernel> kernel;
  std::string ptx;
  std::vector<size_t> parameters;
};

DeviceLocation CudaKernel::device() const {
  return state_ ? DeviceLocation{state_->device->kind(), state_->device->ordinal()}
                : DeviceLocation{};
}
const std::string &CudaKernel::ptx() const {
  static const std::string kNone;
  return state_ ? state_->ptx : kNone;
}
std::span<const size_t> CudaKernel::parameter_bytes() const {
  return state_ ? std::span<const size_t>(state_->parameters) : std::span<const size_t>();
}

Status CudaKernel::launch(const CudaLaunch &how, std::span<const CudaArgument> arguments) const {
  if (!state_)
    return Error(ErrorCode::kInvalidArgument, "this CudaKernel holds no kernel");
  const std::vector<size_t> &parameters = state_->parameters;
  if (arguments.size() != parameters.size())
    return Error::invalid_argument("arguments", std::to_string(arguments.size()),
                                   concat(parameters.size(), ", as the kernel has parameters"));
  void *pointers[kMostParameters];
  for (size_t i = 0; i < arguments.size(); ++i) {
    const CudaArgument &argument = arguments[i];
    if (argument.size() != parameters[i])
      return wrong_argument(
          i, concat(argument.tensor() ? "a tensor of " : "a number of ", argument.size(), " bytes"),
          concat("of ", parameters[i], " bytes, as the kernel's parameter"));
    if (argument.tensor() && argument.tensor()->defined() &&
        argument.tensor()->device() != device())
      return wrong_argument(
          i, concat("a tensor on ", name(argument.tensor()->device().kind)),
          concat("on ", name(state_->device->kind()), ", where the kernel was loaded"));
    pointers[i] = const_cast<void *>(argument.data());
  }
  return state_->device->launch_function(*state_->kernel, how, pointers);
}

Result<CudaKernel> cuda_kernel(const std::string &source, const std::string &name,
                               const CudaKernelOptions &options) {
  TENON_ASSIGN_OR_RETURN(Device * device, open_device(options.device));
  auto *gpu = static_cast<cuda::CudaDevice *>(device);
  const int capability = gpu->properties().compute_capability;
  const XXH128_hash_t hash = XXH3_128bits(source.data(), source.size());
  const nlohmann::ordered_json signature = {{"cuda_kernel", name}};
  const nlohmann::ordered_json settings = {{"nvrtc", options.options}};
  const KernelKey key({hexadecimal(hash.high64) + hexadecimal(hash.low64), signature.dump(),
                       concat("sm_", capability), settings.dump()});
  KernelCache &cache = options.cache ? *options.cache : KernelCache::process();
  CudaKernel made;
  TENON_ASSIGN_OR_RETURN(made.cached_, cache.lookup_or_compile(key, [&] {
    return build(source, name, capability, options.options, key);
  }));
  auto state = std::make_shared<CudaKernel::State>();
  state->device = gpu;
  TENON_ASSIGN_OR_RETURN(state->kernel, made.cached_->loaded_on(*device));
  const KernelImage &image = made.cached_->image();
  const std::vector<std::byte> &bytes = image.sections.front().bytes;
  state->ptx.assign(reinterpret_cast<const char *>(bytes.data()), bytes.size());
  state->parameters = parameters_of(state->ptx, image.launch.phases.front().entry);
  if (state->parameters.size() > kMostParameters)
    return Error(ErrorCode::kUnsupported,
                 concat("CUDA C++ kernel ", name, ": ", state->parameters.size(), " parameters; ",
                        kMostParameters, " are taken"));
  made.state_ = std::move(state);
  return made;
}

} // namespace tenon
