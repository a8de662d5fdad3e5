/// A cache that holds a kernel which does nothing, so that everything around a kernel is tested
/// without the compiler.
#pragma once

#include "tenon/Tenon.h"

namespace tenon::test {

using Code = std::vector<std::byte>;
inline const Code kReturns = {std::byte{0xC3}}; // RET

/// For a graph with three tensor inputs, `scalars` scalar inputs after them, and `results` results.
inline std::vector<std::byte> empty_kernel(int scalars, int results, bool dropout = false,
                                           const Code &code = kReturns) {
  KernelImage image;
  image.kernel = "empty";
  image.schedule = R"({"tile_queries": 64})";
  image.sections.push_back({SectionKind::kHostCode, host_target(), code});
  LaunchPhase phase;
  phase.entry = "empty";
  image.launch.phases.push_back(phase);
  for (int32_t input = 0; input < 3; ++input)
    image.launch.tensors.push_back({TensorRole::kInput, input});
  for (int32_t result = 0; result < results; ++result)
    image.launch.tensors.push_back({TensorRole::kOutput, result});
  for (int32_t scalar = 0; scalar < scalars; ++scalar)
    image.launch.scalars.push_back(3 + scalar);
  image.launch.uses_dropout = dropout;
  return image.serialize();
}

/// Puts the empty kernel where a call of `function` with these inputs will look for it.
inline void put_empty_kernel(KernelCache &cache, const Function &function,
                             std::span<const TensorReference> inputs, int scalars, int results = 1,
                             const Code &code = kReturns) {
  const CompileRequest request = function.request(inputs).value();
  const KernelKey key(
      {function.graph().hash(), request.signature, request.target, request.options});
  auto made = cache.lookup_or_compile(key, [&] {
    return Result(CompileOutcome{empty_kernel(scalars, results, false, code), 1});
  });
  made.value();
}

inline Tensor random(Shape shape, uint64_t seed, DataType type = DataType::kFloat32) {
  return Tensor::random(std::move(shape), type, seed).value();
}

inline double largest_difference(const Tensor &a, const Tensor &b) {
  const Tensor left = a.to(DataType::kFloat64).value().contiguous().value();
  const Tensor right = b.to(DataType::kFloat64).value().contiguous().value();
  double largest = 0;
  for (int64_t i = 0; i < left.element_count(); ++i) {
    const double difference = std::abs(left.data_as<double>()[i] - right.data_as<double>()[i]);
    if (!(difference <= largest))
      largest = difference;
  }
  return largest;
}

} // namespace tenon::test
