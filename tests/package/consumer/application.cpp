// A program outside the tree: attention by one call, checked against a case that fits in a comment.
#include "tenon/Tenon.h"

#include <cmath>
#include <cstdio>

int main() {
  // Two keys with scores 0 and ln 3 at scale 1: weights 1/4 and 3/4, so that the output is 1/4 * 1 + 3/4 * 5 = 4.
  auto query = tenon::Tensor::from_values<float>({1, 1, 1, 1}, {1.0f}).value();
  auto key = tenon::Tensor::from_values<float>({1, 1, 2, 1}, {0.0f, std::log(3.0f)}).value();
  auto value = tenon::Tensor::from_values<float>({1, 1, 2, 1}, {1.0f, 5.0f}).value();
  auto output = tenon::scaled_dot_product_attention(query, key, value, {.scale = 1.0});
  if (!output) {
    std::fprintf(stderr, "%s\n", output.error().message().c_str());
    return 1;
  }
  std::printf("output %g\n", output->item());
  return std::fabs(output->item() - 4) < 1e-5 ? 0 : 1;
}
