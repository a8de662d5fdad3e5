/// A window whose width is a number of the launch, and the logsumexp as second result: into the
/// caller's tensors, a thousand widths, one kernel.
#include <tenon/Tenon.h>

#include <cstdio>

using tenon::DataType;
using tenon::IndexScalar;
using tenon::Tensor;
using tenon::Value;

int main() {
  auto attend = tenon::compile(
      [](Value query, Value key, Value value, IndexScalar window) {
        const Value distance = tenon::query_index() - tenon::key_index();
        Value scores = matmul(query, transpose(key)) * 0.125;
        scores = where(distance >= 0 && distance < window, scores, -tenon::inf);
        return std::pair(matmul(softmax(scores), value), logsumexp(scores));
      },
      {.inputs = {"query", "key", "value", "window"}});
  if (!attend) {
    std::fprintf(stderr, "%s\n", attend.error().message().c_str());
    return 1;
  }
  const Tensor query = Tensor::random({2, 4, 77, 64}, DataType::kFloat32, 1).value();
  const Tensor key = Tensor::random({2, 4, 77, 64}, DataType::kFloat32, 2).value();
  const Tensor value = Tensor::random({2, 4, 77, 64}, DataType::kFloat32, 3).value();
  const Tensor output = Tensor::empty({2, 4, 77, 64}).value();
  const Tensor logsumexp = Tensor::empty({2, 4, 77}).value();
  for (double window : {1, 16, 1000}) {
    const tenon::Status done =
        attend->launch({output, logsumexp}, {query, key, value}, {.scalars = {{"window", window}}});
    if (!done) {
      std::fprintf(stderr, "%s\n", done.error().message().c_str());
      return 1;
    }
    const int64_t last[] = {1, 3, 76};
    std::printf("window %4.0f: logsumexp of the last row %.4f\n", window,
                logsumexp.element_as_double(last));
  }
  return 0;
}
