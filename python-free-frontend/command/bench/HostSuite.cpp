#include "bench/HostSuite.h"

#include "bench/HostMemory.h"
#include "bench/Shapes.h"

#include "tenon/Parallel.h"
#include "tenon/Target.h"

#include <cmath>
#include <cstring>
#include <memory>

namespace tenon::command {
namespace {

using Progress = FunctionRef<void(const std::string &)>;
constexpr const char *kTypes[] = {"f32", "bf16"};

Sample ratio(const std::string &of, const TimedCall &above, const TimedCall &below) {
  Sample sample{of, {}};
  for (size_t round = 0; round < std::min(above.rounds.size(), below.rounds.size()); ++round)
    sample.rounds.push_back(above.rounds[round] / below.rounds[round]);
  return sample;
}

Result<TimedCall> call_of(const ShapeOptions &shape, const AttentionGraphOptions &options = {},
                          const CompileOptions &compiled = {.device = Way::kHost}) {
  ShapeOptions complete = shape;
  TENON_TRY(complete.complete());
  TENON_ASSIGN_OR_RETURN(Function function, attention_function(options, compiled));
  TENON_ASSIGN_OR_RETURN(TimedCall made, make_call(std::move(function), complete));
  made.launch.scalars.add({"scale", 1 / std::sqrt(static_cast<double>(shape.head_dim))});
  if (options.dropout)
    made.launch.scalars.add({"probability", 0.1});
  return made;
}

Result<TimedCall> call_of(Result<Function> function, ShapeOptions shape) {
  TENON_TRY(shape.complete());
  TENON_ASSIGN_OR_RETURN(Function traced, std::move(function));
  return make_call(std::move(traced), shape);
}

/// Each query sees itself and the keys before it, so many in all.
Result<Function> window(int32_t keys) {
  return compile(
      [&](Value q, Value k, Value v) {
        Value distance = query_index() - key_index();
        Value scores = matmul(q, transpose(k)) * 0.125;
        return matmul(softmax(where(distance >= 0 && distance < keys, scores, -inf)), v);
      },
      {.device = Way::kHost});
}

/// Scores capped by 30 tanh(s / 30), and a bias linear in the distance, of its own slope in each head.
Result<Function> alibi_and_cap(int64_t heads, int64_t width) {
  TENON_ASSIGN_OR_RETURN(const Tensor slopes, Tensor::full({heads}, 0.25));
  const double scale = 1 / std::sqrt(static_cast<double>(width));
  return compile(
      [&](Value q, Value k, Value v) {
        Value scores = 30 * tanh(matmul(q, transpose(k)) * scale / 30);
        scores = scores + load(slopes, head_index()) * (key_index() - query_index());
        return matmul(softmax(scores), v);
      },
      {.device = Way::kHost});
}

/// By a bool mask: of the blocks of queries that which starts last has most to do.
Result<TimedCall> keys_from_the_query(ShapeOptions shape) {
  shape.mask = "bool";
  TENON_ASSIGN_OR_RETURN(TimedCall made, call_of(shape, {.mask = AttentionGraphOptions::Mask::kBool}));
  auto *visible = made.inputs.back().data_as<uint8_t>();
  for (int64_t query = 0; query < shape.queries; ++query)
    for (int64_t key = 0; key < shape.keys; ++key)
      *visible++ = key >= query;
  return made;
}

class Maker {
public:
  Maker(HostSuite &suite, Progress progress) : suite_(suite), progress_(progress) {}

  Result<void> all() {
    TENON_TRY(memory());
    TENON_TRY(shapes());
    TENON_TRY(variants());
    TENON_TRY(threads());
    return compile_requests();
  }

private:
  ShapeOptions square(int64_t batch, int64_t heads, int64_t length, int64_t width,
                      const char *dtype, bool causal = false) const {
    return square_shape(batch, heads, std::max<int64_t>(length / suite_.shorter, 1), width, dtype,
                        causal);
  }

  ShapeOptions thousand(int64_t width) const {
    return width == 64 ? square(2, 16, 1024, 64, "f32") : square(1, 32, 1024, 128, "f32");
  }

  // Before anything else ran: areas that threads took once are not given back.
  Result<void> memory() {
    std::vector<ShapeOptions> list;
    for (const char *dtype : kTypes)
      for (int64_t length : {1024, 8192})
        list.push_back(square(1, 2, length, 128, dtype));
    ShapeOptions few = square(1, 32, 32768, 128, "bf16"); // whose chunks of keys hand results on
    few.key_heads = 8, few.queries = 16;
    list.push_back(few);
    for (const ShapeOptions &shape : list) {
      progress_("memory, " + shape.short_text());
      TENON_ASSIGN_OR_RETURN(TimedCall call, call_of(shape));
      const Result<MemoryOfCall> taken = memory_of_first_call(call);
      if (!taken && taken.error().code() == ErrorCode::kUnsupported) {
        suite_.no_memory = taken.error().message();
        return {};
      }
      if (!taken)
        return taken.error();
      char in_all[32];
      std::snprintf(in_all, sizeof in_all, ": %.2f MB in all", taken->all);
      const bool packs = taken->all > kMostMemory;
      suite_.memory.push_back(
          {shape.short_text() + in_all, {packs ? taken->beyond_heads : taken->all}});
    }
    return {};
  }

  Result<void> add(std::vector<ShapeCase> &cases, const ShapeOptions &shape) {
    progress_("first call, " + shape.short_text());
    TENON_ASSIGN_OR_RETURN(ShapeCase made, make_case(shape, Way::kHost));
    cases.push_back(std::move(made));
    return {};
  }

  Result<void> shapes() {
    constexpr int64_t kForward[][4] = {{4, 16, 512, 64},
                                       {2, 16, 1024, 64},
                                       {1, 8, 4096, 64},
                                       {1, 32, 1024, 128},
                                       {1, 8, 4096, 128}};
    for (const char *dtype : kTypes)
      for (const auto &[batch, heads, length, width] : kForward)
        for (bool causal : {false, true})
          TENON_TRY(add(suite_.forward, square(batch, heads, length, width, dtype, causal)));
    for (const char *dtype : kTypes)
      for (int64_t batch : {1, 8}) {
        ShapeOptions shape = square(batch, 32, 8192, 128, dtype);
        shape.key_heads = 8, shape.queries = 1;
        TENON_TRY(add(suite_.decoding, shape));
      }
    for (int64_t length = 1; length <= 128; length *= 2)
      TENON_TRY(add(suite_.few, square(1, 12, length, 64, "f32")));
    for (int64_t width : {64, 128})
      TENON_TRY(add_avx2(thousand(width)));
    return {};
  }

  Result<void> add_avx2(ShapeOptions shape) {
    TENON_TRY(shape.complete());
    TENON_ASSIGN_OR_RETURN(TimedCall call,
                           call_of(shape, {}, {.device = Way::kHost, .target = "host:x86-64-v3"}));
    TENON_TRY(call.begin());
    suite_.avx2.push_back({shape, std::move(call)});
    return {};
  }

  Result<void> compare(std::vector<Comparison> &comparisons, const std::string &of,
                       Result<TimedCall> plain, Result<TimedCall> variant) {
    progress_("first call, " + of);
    TENON_ASSIGN_OR_RETURN(TimedCall first, std::move(plain));
    TENON_ASSIGN_OR_RETURN(TimedCall second, std::move(variant));
    TENON_TRY(first.begin());
    TENON_TRY(second.begin());
    comparisons.push_back({of, std::move(first), std::move(second)});
    return {};
  }

  Result<void> variants() {
    using Mask = AttentionGraphOptions::Mask;
    for (int64_t width : {64, 128}) {
      const ShapeOptions plain = thousand(width);
      const std::string of = plain.short_text();
      ShapeOptions half = plain, boolean = plain, additive = plain;
      half.dtype = "f16", boolean.mask = "bool", additive.mask = "additive";
      TENON_TRY(compare(suite_.half, of, call_of(plain), call_of(half)));
      TENON_TRY(compare(suite_.masks, of + ", bool", call_of(plain),
                        call_of(boolean, {.mask = Mask::kBool})));
      TENON_TRY(compare(suite_.masks, of + ", additive", call_of(plain),
                        call_of(additive, {.mask = Mask::kAdditive})));
      TENON_TRY(compare(suite_.dropout, of, call_of(plain), call_of(plain, {.dropout = true})));
      TENON_TRY(compare(suite_.expressions, of, call_of(plain), call_of(alibi_and_cap(plain.heads, width), plain)));
    }
    for (const char *dtype : kTypes) {
      const ShapeOptions longest = square(1, 2, 8192, 64, dtype);
      TENON_TRY(compare(suite_.window, longest.short_text(), call_of(longest),
                        call_of(window(256), longest)));
    }
    return {};
  }

  Result<void> threads() {
    if (parallel_concurrency() < 2)
      return {};
    for (const char *dtype : kTypes) {
      const ShapeOptions lone = square(1, 1, 4096, 64, dtype);
      for (const ShapeOptions &shape : {square(1, 8, 1024, 64, dtype), lone})
        TENON_TRY(compare_threads(suite_.threads, shape.short_text(), [&] { return call_of(shape); }));
      TENON_TRY(compare_threads(suite_.skewed, lone.short_text() + ", causal",
                                [&] { return call_of(lone, {.causal = true}); }));
      TENON_TRY(compare_threads(suite_.skewed, lone.short_text() + ", a mask of the keys from each query on",
                                [&] { return keys_from_the_query(lone); }));
    }
    return {};
  }

  Result<void> compare_threads(std::vector<Comparison> &comparisons, const std::string &of,
                               FunctionRef<Result<TimedCall>()> make) {
    TENON_ASSIGN_OR_RETURN(TimedCall one, make());
    TENON_ASSIGN_OR_RETURN(TimedCall two, make());
    one.threads = 1, two.threads = 2;
    TENON_TRY(compare(comparisons, of, std::move(one), std::move(two)));
    const Comparison &made = comparisons.back();
    const size_t bytes = static_cast<size_t>(made.plain.output.element_count()) *
                         size_in_bytes(made.plain.output.dtype());
    const bool same = std::memcmp(made.plain.output.data(), made.variant.output.data(), bytes) == 0;
    suite_.same_bits.push_back({made.of, {same ? 1.0 : 0.0}});
    return {};
  }

  Result<void> compile_requests() {
    if (!compiler_available())
      return {};
    const ShapeOptions shape = square(1, 8, 1024, 64, "f32");
    auto add = [&](const char *what, const Result<TimedCall> &made) -> Result<void> {
      if (!made)
        return made.error();
      const std::vector<TensorReference> inputs(made->inputs.begin(), made->inputs.end());
      TENON_ASSIGN_OR_RETURN(CompileRequest request, made->function.request(inputs, host_target()));
      suite_.compiled.emplace_back(what, std::move(request));
      suite_.compile_times.push_back({what, {}});
      return {};
    };
    TENON_TRY(add("full", call_of(shape)));
    TENON_TRY(add("causal", call_of(shape, {.causal = true})));
    return add("ALiBi and soft cap", call_of(alibi_and_cap(shape.heads, shape.head_dim), shape));
  }

  HostSuite &suite_;
  Progress progress_;
};

} // namespace

Sample Comparison::speed() const {
  return ratio(of, plain, variant);
}
Sample Comparison::time() const {
  return ratio(of, variant, plain);
}

Result<HostSuite> HostSuite::make(int64_t shorter,
                                  FunctionRef<void(const std::string &)> progress) {
  HostSuite suite;
  suite.shorter = shorter;
  TENON_TRY(Maker(suite, progress).all());
  return suite;
}

Result<void> HostSuite::run_round(double milliseconds,
                                  FunctionRef<void(const std::string &)> progress) {
  for (std::vector<ShapeCase> *cases : {&forward, &decoding, &few, &avx2})
    for (ShapeCase &made : *cases) {
      progress(made.shape.short_text());
      TENON_TRY(made.timed.run_round(milliseconds));
    }
  for (std::vector<Comparison> *comparisons :
       {&half, &masks, &expressions, &dropout, &window, &threads, &skewed})
    for (Comparison &made : *comparisons) {
      progress(made.of);
      TENON_TRY(made.plain.run_round(milliseconds));
      TENON_TRY(made.variant.run_round(milliseconds));
    }
  for (size_t i = 0; i < compiled.size(); ++i) {
    progress("compiling, " + compiled[i].first);
    TENON_ASSIGN_OR_RETURN(const CompileOutcome outcome, compile_kernel(compiled[i].second));
    compile_times[i].rounds.push_back(outcome.milliseconds);
  }
  return {};
}

std::vector<ShapeCase> HostSuite::shapes() const {
  std::vector<ShapeCase> all = forward;
  all.insert(all.end(), decoding.begin(), decoding.end());
  all.insert(all.end(), few.begin(), few.end());
  return all;
}

} // namespace tenon::command
