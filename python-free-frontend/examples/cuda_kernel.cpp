/// A kernel of one's own in CUDA C++, beside the compiled attention: the same streams, the same
/// cache.
#include <tenon/Tenon.h>

#include <cstdio>

using tenon::Tensor;

constexpr const char *kSource = R"(
extern "C" __global__ void gelu(float *values, int count) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count)
    values[i] *= 0.5f * (1 + erff(values[i] * 0.70710678f));
})";

int main() {
  auto gelu =
      tenon::cuda_kernel(kSource, "gelu"); // on a GPU, or on the emulator where there is none
  if (!gelu) {
    std::fprintf(stderr, "%s\n", gelu.error().message().c_str());
    return 1;
  }
  const Tensor values =
      Tensor::from_values<float>({4}, {-1, 0, 1, 2}).value().to(gelu->device()).value();
  const tenon::Status launched = gelu->launch({.blocks = {1}, .threads = {32}}, {values, 4});
  if (!launched.ok()) {
    std::fprintf(stderr, "%s\n", launched.error().message().c_str());
    return 1;
  }
  const Tensor back = values.to(tenon::DeviceLocation{}).value();
  for (int i = 0; i < 4; ++i)
    std::printf("%.4f\n", back.data_as<float>()[i]);
  return 0;
}
