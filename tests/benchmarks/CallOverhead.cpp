// What a call costs besides its kernel: Function::launch and scaled_dot_product_attention_into on a
// kernel that returns at once. The target is 300 ns.
#include "../frontend/EmptyKernel.h"

#include <benchmark/benchmark.h>

#include <cmath>

namespace {

using namespace tenon;

Function attention(KernelCache &cache) {
  return compile(
             [](Value q, Value k, Value v) {
               return matmul(softmax(matmul(q, transpose(k)) * scalar("scale", 1)), v);
             },
             {.device = Way::kHost, .cache = &cache})
      .value();
}

void launch(benchmark::State &state) {
  KernelCache cache;
  const Function function = attention(cache);
  const Tensor query = Tensor::zeros({1, 8, 16, 64}).value(),
               output = Tensor::zeros({1, 8, 16, 64}).value();
  test::put_empty_kernel(cache, function, std::array<TensorReference, 3>{query, query, query}, 1);
  for (auto _ : state)
    function.launch({output}, {query, query, query}, {.scalars = {{"scale", 0.125}}}).value();
}
BENCHMARK(launch);

// Decoding: each call has a length that was seen before, but not just before.
void launch_of_changing_lengths(benchmark::State &state) {
  KernelCache cache;
  const Function function = attention(cache);
  const Tensor all = Tensor::zeros({1, 8, 1024, 64}).value(), query = all.slice(2, 0, 1).value();
  const Tensor output = Tensor::zeros({1, 8, 1, 64}).value();
  std::vector<Tensor> keys;
  for (int64_t length = 1; length <= 1024; ++length)
    keys.push_back(all.slice(2, 0, length).value());
  test::put_empty_kernel(cache, function, std::array<TensorReference, 3>{query, keys[0], keys[0]},
                         1);
  size_t step = 0;
  for (auto _ : state) {
    const Tensor &key = keys[step++ % keys.size()];
    function.launch({output}, {query, key, key}, {.scalars = {{"scale", 0.125}}}).value();
  }
}
BENCHMARK(launch_of_changing_lengths);

// A length that no call had: shapes are inferred, the kernel is found in memory.
void plan_of_a_new_length(benchmark::State &state) {
  KernelCache cache;
  const Function function = attention(cache);
  const Tensor all = Tensor::zeros({1, 8, 60'000, 16}).value(), query = all.slice(2, 0, 1).value();
  const Tensor output = Tensor::zeros({1, 8, 1, 16}).value();
  int64_t length = 0;
  test::put_empty_kernel(cache, function, std::array<TensorReference, 3>{query, query, query}, 1);
  for (auto _ : state) {
    const Tensor key = all.slice(2, 0, ++length).value();
    function.launch({output}, {query, key, key}, {.scalars = {{"scale", 0.125}}}).value();
  }
}
BENCHMARK(plan_of_a_new_length)->Iterations(50'000);

} // namespace

BENCHMARK_MAIN();
