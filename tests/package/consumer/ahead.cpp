// A program that brings its kernels along (tenon_add_kernels) and may compile nothing.
#include "tenon/Tenon.h"

#include <cstdio>

int main() {
  tenon::KernelCache::process().set_policy(tenon::CachePolicy::kMustHit);
  const tenon::Tensor tensor =
      tenon::Tensor::random({1, 2, 100, 64}, tenon::DataType::kFloat32, 1).value();
  auto call =
      tenon::attention_call(tensor, tensor, tensor, {.causal = true, .device = tenon::Way::kHost});
  auto results = call->function.call(call->inputs, call->launch);
  if (!results) {
    std::fprintf(stderr, "%s\n", results.error().message().c_str());
    return 1;
  }
  const tenon::Explanation explanation = call->function.explain();
  std::printf("%s\n", explanation.cache_choice.c_str());
  return explanation.cache == tenon::CacheOutcome::kDisk ? 0 : 1;
}
