#include "bench/CallOverhead.h"

#include "Command.h"

#include "tenon/Attention.h"
#include "tenon/KernelCache.h"
#include "tenon/Target.h"

#include <algorithm>
#include <vector>

namespace tenon::command {
namespace {

/// A kernel for the attention graph without options that does nothing.
std::vector<std::byte> empty_kernel() {
  constexpr std::byte kReturn{0xC3}; // RET, Intel SDM volume 2B
  KernelImage image;
  image.kernel = "empty";
  image.schedule = "{}";
  image.sections.push_back({SectionKind::kHostCode, host_target(), {kReturn}});
  image.launch.phases.push_back({.entry = "empty", .grid = {}, .workspace = {}});
  for (int32_t input = 0; input < 3; ++input)
    image.launch.tensors.push_back({TensorRole::kInput, input});
  image.launch.tensors.push_back({TensorRole::kOutput, 0});
  image.launch.scalars = {3};
  return image.serialize();
}

} // namespace

Result<double> measure_call_overhead() {
  constexpr int kBatches = 51, kCalls = 2000;
  KernelCache cache;
  TENON_ASSIGN_OR_RETURN(const Function function,
                         attention_function({}, {.device = Way::kHost, .cache = &cache}));
  std::vector<Tensor> tensors;
  for (int i = 0; i < 4; ++i) {
    TENON_ASSIGN_OR_RETURN(Tensor tensor, Tensor::zeros({1, 8, 16, 64}));
    tensors.push_back(std::move(tensor));
  }
  const Tensor &query = tensors[0], &key = tensors[1], &value = tensors[2], &output = tensors[3];
  const TensorReference inputs[] = {query, key, value};
  TENON_ASSIGN_OR_RETURN(const CompileRequest request, function.request(inputs));
  const KernelKey kernel_key(
      {function.graph().hash(), request.signature, request.target, request.options});
  TENON_TRY([&]() -> Result<void> {
    auto kernel = cache.lookup_or_compile(kernel_key, [] {
      return Result(CompileOutcome{empty_kernel(), 0});
    });
    return kernel ? Result<void>() : Result<void>(kernel.error());
  }());

  const LaunchOptions options{.scalars = {{"scale", 0.125}}};
  TENON_TRY(function.launch({output}, {query, key, value}, options));
  std::vector<double> batches;
  for (int batch = 0; batch < kBatches; ++batch) {
    const int64_t begin = now_nanoseconds();
    for (int call = 0; call < kCalls; ++call)
      TENON_TRY(function.launch({output}, {query, key, value}, options));
    batches.push_back(static_cast<double>(now_nanoseconds() - begin) / kCalls);
  }
  std::ranges::nth_element(batches, batches.begin() + kBatches / 2);
  return batches[kBatches / 2];
}

} // namespace tenon::command
