/// ALiBi with a soft cap: two lines of mathematics, one kernel. The slopes are a table captured at
/// tracing.
#include <tenon/Tenon.h>

#include <cmath>
#include <cstdio>

using tenon::Tensor;
using tenon::Value;

int main() {
  const int heads = 8;
  std::vector<float> numbers;
  for (int head = 0; head < heads; ++head)
    numbers.push_back(std::exp2(-static_cast<float>(head + 1)));
  const Tensor slopes =
      Tensor::from_values<float>({heads}, std::span<const float>(numbers)).value();

  auto attend = tenon::compile([&](Value query, Value key, Value value) {
    Value scores = matmul(query, transpose(key)) * 0.125;
    scores = 30 * tanh(scores / 30);
    scores =
        scores + load(slopes, tenon::head_index()) * (tenon::key_index() - tenon::query_index());
    scores = where(tenon::query_index() >= tenon::key_index(), scores, -tenon::inf);
    return matmul(softmax(scores), value);
  });
  if (!attend) {
    std::fprintf(stderr, "%s\n", attend.error().message().c_str());
    return 1;
  }
  const Tensor query = Tensor::random({1, heads, 100, 64}, tenon::DataType::kFloat32, 1).value();
  const Tensor key = Tensor::random({1, heads, 100, 64}, tenon::DataType::kFloat32, 2).value();
  const Tensor value = Tensor::random({1, heads, 100, 64}, tenon::DataType::kFloat32, 3).value();
  const tenon::Result<Tensor> output = (*attend)(query, key, value);
  if (!output) {
    std::fprintf(stderr, "%s\n", output.error().message().c_str());
    return 1;
  }
  std::printf("%s\n%s", tenon::to_string(output->shape()).c_str(),
              attend->explain().text().c_str());
  return 0;
}
