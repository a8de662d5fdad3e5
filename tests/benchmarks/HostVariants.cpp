// What masks, score expressions and element types cost on the host: each against the plain kernel of the same lengths,
// in turns, on one thread, by that thread's processor time, so that a busy machine says nearly the same.
// Prints "variant: its time over the plain one's", the median of the turns. With `effects` what each thing that makes the
// host's code fast is worth: "name, where: the time without it over the time with it".
#include <tenon/Tenon.h>

#include "tenon/Parallel.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace tenon;

constexpr int kTurns = 7;

double processor_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

struct Shape4 {
  int64_t heads, length, width;
  int64_t queries = 0;   ///< 0: as many as keys
  int64_t key_heads = 0; ///< 0: as many as heads
};

/// A function and what it is called with.
struct Call {
  Function function;
  std::vector<Tensor> inputs;
  Tensor output;
  LaunchOptions launch;

  double seconds() const {
    const std::vector<TensorReference> references(inputs.begin(), inputs.end());
    const TensorReference outputs[] = {output};
    const double begin = processor_seconds();
    function.launch(std::span<const TensorReference>(outputs), references, launch).value();
    return processor_seconds() - begin;
  }
};

Call call(Function function, Shape4 shape, DataType dtype = DataType::kFloat32) {
  Call made{std::move(function), {}, {}, {}};
  const Shape query{1, shape.heads, shape.queries ? shape.queries : shape.length, shape.width};
  const Shape key{1, shape.key_heads ? shape.key_heads : shape.heads, shape.length, shape.width};
  made.inputs.push_back(Tensor::random(query, dtype, 1).value());
  for (uint64_t seed : {2, 3})
    made.inputs.push_back(Tensor::random(key, dtype, seed).value());
  made.output = Tensor::zeros(query, dtype).value();
  return made;
}

Call attention(Shape4 shape, AttentionGraphOptions options = {}, DataType dtype = DataType::kFloat32,
               const std::string &schedule = "{}") {
  Call made = call(attention_function(options, {.device = Way::kHost, .schedule = schedule}).value(), shape, dtype);
  made.launch.scalars.add({"scale", 1 / std::sqrt(static_cast<double>(shape.width))});
  if (options.dropout)
    made.launch.scalars.add({"probability", 0.1});
  if (options.mask == AttentionGraphOptions::Mask::kBool)
    made.inputs.push_back(Tensor::full({1, 1, shape.length, shape.length}, 1, DataType::kBool).value());
  if (options.mask == AttentionGraphOptions::Mask::kAdditive)
    made.inputs.push_back(Tensor::random({1, 1, shape.length, shape.length}, DataType::kFloat32, 4).value());
  return made;
}

Call masked(Shape4 shape, bool (*visible)(int64_t query, int64_t key, int64_t length), const std::string &schedule = "{}") {
  Call made = attention(shape, {.mask = AttentionGraphOptions::Mask::kBool}, DataType::kFloat32, schedule);
  uint8_t *element = made.inputs.back().data_as<uint8_t>();
  for (int64_t query = 0; query < shape.length; ++query)
    for (int64_t key = 0; key < shape.length; ++key)
      *element++ = visible(query, key, shape.length);
  return made;
}

Call window(Shape4 shape, int32_t keys) {
  return call(compile(
                  [&](Value q, Value k, Value v) {
                    Value distance = query_index() - key_index();
                    Value scores = matmul(q, transpose(k)) * 0.125;
                    return matmul(softmax(where(distance >= 0 && distance < keys, scores, -inf)), v);
                  },
                  {.device = Way::kHost})
                  .value(),
              shape);
}

Call alibi_with_cap(Shape4 shape) {
  const Tensor slopes = Tensor::full({shape.heads}, 0.25).value();
  return call(compile(
                  [&](Value q, Value k, Value v) {
                    Value scores = 30 * tanh(matmul(q, transpose(k)) * 0.125 / 30);
                    scores = scores + load(slopes, head_index()) * (key_index() - query_index());
                    return matmul(softmax(scores), v);
                  },
                  {.device = Way::kHost})
                  .value(),
              shape);
}

void compare(const char *name, const Call &plain, const Call &variant) {
  plain.seconds(), variant.seconds(); // compiles
  std::vector<double> ratios;
  for (int turn = 0; turn < kTurns; ++turn) {
    const double of_plain = plain.seconds();
    ratios.push_back(variant.seconds() / of_plain);
  }
  std::ranges::nth_element(ratios, ratios.begin() + kTurns / 2);
  std::printf("%s: %.3f\n", name, ratios[kTurns / 2]);
}

bool right_half_hidden(int64_t, int64_t key, int64_t length) { return key < length / 2; }

void compare_effects() {
  using Mask = AttentionGraphOptions::Mask;
  constexpr auto kF32 = DataType::kFloat32, kBF16 = DataType::kBFloat16;
  const Shape4 shorter{16, 512, 64}, longer{2, 2048, 64}, decoding{32, 8192, 128, 1, 8}, shortest{48, 32, 64};
  struct Ablation {
    const char *effect, *where;
    Shape4 shape;
    AttentionGraphOptions options;
    DataType dtype;
  };
  const Ablation kAblations[] = {
      {"cut-loops", "causal, 2,048", longer, {.causal = true}, kF32},
      {"folded-maxima", "512", shorter, {}, kF32},
      {"folded-maxima", "bool mask, 512", shorter, {.mask = Mask::kBool}, kF32},
      {"bounded-columns", "causal, 512", shorter, {.causal = true}, kF32},
      {"rare-rescaling", "2,048", longer, {}, kF32},
      {"fixed-point", "bfloat16, 2,048", longer, {}, kBF16},
      {"fixed-point,rounded-exponentials", "bfloat16, 2,048", longer, {}, kBF16},
      {"kept-values", "bfloat16, 2,048", longer, {}, kBF16},
      {"packed-tables", "additive mask, 512", shorter, {.mask = Mask::kAdditive}, kF32},
      {"few-queries", "decoding", decoding, {}, kBF16},
      {"packed-heads", "decoding", decoding, {}, kBF16},
      {"along-rows", "decoding", decoding, {}, kBF16},
      {"requests", "decoding", decoding, {}, kBF16},
      {"existing-rows", "decoding", decoding, {}, kBF16},
      {"existing-rows", "32", shortest, {}, kF32},
  };
  auto without = [](const std::string &effect) { return "{\"without\": \"" + effect + "\"}"; };
  for (const Ablation &each : kAblations)
    compare((std::string(each.effect) + ", " + each.where).c_str(), attention(each.shape, each.options, each.dtype),
            attention(each.shape, each.options, each.dtype, without(each.effect)));
  compare("hidden-blocks, bool mask, right half hidden", masked(shorter, right_half_hidden),
          masked(shorter, right_half_hidden, without("hidden-blocks")));
}

} // namespace

int main(int count, char **arguments) {
  set_parallel_for([](int64_t count, FunctionRef<void(int64_t)> body) {
    for (int64_t i = 0; i < count; ++i)
      body(i);
  });
  if (count > 1 && arguments[1] == std::string_view("effects"))
    return compare_effects(), 0;
  using Mask = AttentionGraphOptions::Mask;
  const Shape4 medium{4, 1024, 64}, longer{1, 2048, 64}, longest{1, 8192, 64};
  const DataType bf16 = DataType::kBFloat16;
  compare("causal, 2,048, float32", attention(longer), attention(longer, {.causal = true}));
  compare("causal, 2,048, bfloat16", attention(longer, {}, bf16), attention(longer, {.causal = true}, bf16));
  compare("bfloat16", attention(medium), attention(medium, {}, bf16));
  compare("float16", attention(medium), attention(medium, {}, DataType::kFloat16));
  compare("bool mask", attention(medium), attention(medium, {.mask = Mask::kBool}));
  compare("additive mask", attention(medium), attention(medium, {.mask = Mask::kAdditive}));
  compare("ALiBi and soft cap", attention(medium), alibi_with_cap(medium));
  compare("bool mask, right half hidden", attention(medium), masked(medium, right_half_hidden));
  compare("bool mask, four documents", attention(medium), masked(medium, [](int64_t query, int64_t key, int64_t length) {
            return query / (length / 4) == key / (length / 4);
          }));
  compare("bool mask, causal", attention(medium), masked(medium, [](int64_t query, int64_t key, int64_t) {
            return query >= key;
          }));
  compare("dropout 0.1", attention(medium), attention(medium, {.dropout = true}));
  compare("the last 256 of 8,192 keys", attention(longest), window(longest, 256));
}
