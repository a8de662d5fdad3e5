#include "bench/Measurement.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include <tbb/task_arena.h>

namespace tenon::command {

Result<Tensor> noise(const Shape &shape, DataType dtype, uint64_t seed) {
  constexpr int64_t kPeriod = 1 << 16;
  TENON_ASSIGN_OR_RETURN(const Tensor period, Tensor::random({kPeriod}, dtype, seed));
  TENON_ASSIGN_OR_RETURN(Tensor tensor, Tensor::empty(shape, dtype));
  const size_t bytes = static_cast<size_t>(tensor.element_count()) * size_in_bytes(dtype),
               step = static_cast<size_t>(kPeriod) * size_in_bytes(dtype);
  for (size_t at = 0; at < bytes; at += step)
    std::memcpy(static_cast<std::byte *>(tensor.data()) + at, period.data(),
                std::min(step, bytes - at));
  return tensor;
}

Result<void> TimedCall::call(int times) const {
  const std::vector<TensorReference> references(inputs.begin(), inputs.end());
  const TensorReference results[] = {output};
  for (int i = 0; i < times; ++i)
    TENON_TRY(function.launch(std::span<const TensorReference>(results), references, launch));
  return device ? device->synchronise(0) : Result<void>();
}

namespace {

/// With so many threads of oneTBB, or as many as there are.
template <class Work> auto with_threads(int threads, Work work) {
  if (threads == 0)
    return work();
  tbb::task_arena arena(threads);
  return arena.execute(work);
}

} // namespace

Result<void> TimedCall::begin() {
  const int64_t begin = now_nanoseconds();
  TENON_TRY(with_threads(threads, [&] { return call(); }));
  first_milliseconds = milliseconds_since(begin);
  explanation = function.explain();
  return {};
}

Result<void> TimedCall::run_round(double milliseconds) {
  return with_threads(threads, [&]() -> Result<void> {
    int64_t begin = now_nanoseconds();
    TENON_TRY(call());
    if (device) {
      // Launches go ahead of the card, which then never waits for the host; the first told how many.
      const int calls = static_cast<int>(std::clamp(milliseconds / milliseconds_since(begin), 1.0, 1e4));
      begin = now_nanoseconds();
      TENON_TRY(call(calls));
      rounds.push_back(milliseconds_since(begin) / calls);
      return {};
    }
    int calls = 1;
    // What ran before has emptied the caches: where many calls fit in, the first of them does not count.
    if (milliseconds_since(begin) < milliseconds / 2)
      begin = now_nanoseconds(), calls = 0;
    while (calls == 0 || milliseconds_since(begin) < milliseconds) {
      TENON_TRY(call());
      ++calls;
    }
    rounds.push_back(milliseconds_since(begin) / calls);
    return {};
  });
}

Result<TimedCall> make_call(Function function, const ShapeOptions &shape, Way way) {
  TimedCall made;
  made.function = std::move(function);
  DeviceLocation location;
  if (way == Way::kCuda || way == Way::kEmulator) {
    location.kind = way == Way::kCuda ? DeviceKind::kCuda : DeviceKind::kEmulator;
    TENON_ASSIGN_OR_RETURN(made.device, Device::open(location.kind));
  }
  TENON_ASSIGN_OR_RETURN(const std::vector<Tensor> sizes, shape.tensors(DeviceKind::kHost));
  for (size_t i = 0; i < sizes.size(); ++i) {
    TENON_ASSIGN_OR_RETURN(Tensor tensor, sizes[i].dtype() == DataType::kBool
                                              ? Tensor::full(sizes[i].shape(), 1, DataType::kBool)
                                              : noise(sizes[i].shape(), sizes[i].dtype(), i + 1));
    TENON_ASSIGN_OR_RETURN(tensor, tensor.to(location));
    made.inputs.push_back(std::move(tensor));
  }
  TENON_ASSIGN_OR_RETURN(made.output,
                         Tensor::empty({shape.batch, shape.heads, shape.queries, shape.value_dim},
                                       made.inputs[0].dtype(), location));
  return made;
}

Result<ShapeCase> make_case(const ShapeOptions &shape, Way way, const std::string &schedule, const std::string &target) {
  ShapeCase made{shape, {}};
  TENON_TRY(made.shape.complete());
  TENON_ASSIGN_OR_RETURN(
      const Function function,
      attention_function(made.shape.graph(),
                         {.device = way, .target = target, .schedule = schedule, .tf32 = made.shape.tf32}));
  TENON_ASSIGN_OR_RETURN(made.timed, make_call(function, made.shape, way));
  made.timed.launch.scalars.add({"scale", 1 / std::sqrt(static_cast<double>(made.shape.head_dim))});
  if (made.shape.dropout)
    made.timed.launch.scalars.add({"probability", 0.1});
  TENON_TRY(made.timed.begin());
  return made;
}

double median(std::vector<double> numbers) {
  if (numbers.empty())
    return 0;
  std::ranges::sort(numbers);
  return numbers[numbers.size() / 2];
}

double spread(const std::vector<double> &numbers) {
  const double middle = median(numbers);
  if (middle == 0)
    return 0;
  const auto [least, most] = std::ranges::minmax(numbers);
  return (most - least) / middle;
}

double bytes_of(const ShapeOptions &shape) {
  const double element = shape.dtype == "f32" ? 4 : 2;
  return element * static_cast<double>(shape.batch) *
         static_cast<double>((shape.heads * shape.queries + shape.key_heads * shape.keys) *
                             (shape.head_dim + shape.value_dim));
}

namespace {

struct Part {
  const char *name;
  double amount, rate; // 10^9 a second
};

Bound longest_of(std::initializer_list<Part> parts, double operations) {
  Bound bound;
  double longest = 0;
  for (const Part &part : parts)
    if (const double time = part.rate > 0 ? part.amount / part.rate : 0; time > longest) {
      longest = time;
      bound = {part.name, operations / time};
    }
  return bound;
}

Bound bound_of(const ShapeCase &made, const RunFigures &run) {
  return made.timed.device ? bound_of(made.shape, run.rates) : bound_of(made.shape, run.peaks);
}

} // namespace

Bound bound_of(const ShapeOptions &shape, const HostPeaks &peaks) {
  const double bytes = bytes_of(shape);
  const double products = shape.dtype == "bf16" ? peaks.best_bfloat16() : peaks.float32;
  return longest_of({{products == peaks.float32    ? "float32 FMA"
                      : products == peaks.bfloat16 ? "bfloat16 dot"
                                                   : "AMX",
                      shape.operations(), products},
                     {"exp2", shape.pairs(), peaks.exponentials},
                     {"bytes", bytes, peaks.read_rate(bytes)}},
                    shape.operations());
}

Bound bound_of(const ShapeOptions &shape, const DeviceRates &rates) {
  const bool half = shape.dtype != "f32";
  return longest_of({{half ? "tensor cores" : "float32 FMA", shape.operations(),
                      half ? rates.tensor_half : rates.float32},
                     {"exp2", shape.pairs(), rates.exponentials},
                     {"bytes", bytes_of(shape), rates.memory}},
                    shape.operations());
}

Figures figures_of(const ShapeCase &made, const Bound &bound) {
  Figures figures;
  figures.milliseconds = median(made.timed.rounds);
  figures.spread = spread(made.timed.rounds);
  figures.gflops =
      figures.milliseconds > 0 ? made.shape.operations() / figures.milliseconds / 1e6 : 0;
  figures.share = bound.gflops > 0 ? figures.gflops / bound.gflops : 0;
  return figures;
}

Json to_json(const HostPeaks &peaks) {
  Json object = Json::object();
  for (const auto &[name, rate] : {std::pair{"float32_fma_gflops", peaks.float32},
                                   {"float32_fma_avx2_gflops", peaks.float32_avx2},
                                   {"bfloat16_dot_gflops", peaks.bfloat16},
                                   {"bfloat16_amx_gflops", peaks.bfloat16_amx},
                                   {"exp2_per_ns", peaks.exponentials},
                                   {"exp2_avx2_per_ns", peaks.exponentials_avx2}})
    if (rate > 0) // else the processor has no such instruction
      object[name] = rate;
  for (const HostPeaks::Read &read : peaks.reads)
    object["read_gigabytes_per_second"][read.level] = read.gigabytes;
  return object;
}

Json to_json(const DeviceRates &rates) {
  return {{"tensor_half_gflops", rates.tensor_half},
          {"float32_fma_gflops", rates.float32},
          {"exp2_per_ns", rates.exponentials},
          {"memory_gigabytes_per_second", rates.memory}};
}

std::string text(const DeviceRates &rates) {
  char line[192];
  std::snprintf(line, sizeof line,
                "the card at best: tensor cores %.0f GFLOP/s, float32 FMA %.0f, exp2 %.0f a ns, memory %.0f GB/s\n",
                rates.tensor_half, rates.float32, rates.exponentials, rates.memory);
  return line;
}

std::string text(const HostPeaks &peaks) {
  char part[160];
  std::snprintf(part, sizeof part, "peaks: float32 FMA %.0f GFLOP/s (AVX2 %.0f)", peaks.float32, peaks.float32_avx2);
  std::string line = part;
  if (peaks.bfloat16 > 0) {
    std::snprintf(part, sizeof part, ", bfloat16 dot %.0f", peaks.bfloat16);
    line += part;
  }
  if (peaks.bfloat16_amx > 0) {
    std::snprintf(part, sizeof part, ", AMX %.0f", peaks.bfloat16_amx);
    line += part;
  }
  std::snprintf(part, sizeof part, ", exp2 %.1f a ns (AVX2 %.1f); reads", peaks.exponentials,
                peaks.exponentials_avx2);
  line += part;
  for (const HostPeaks::Read &read : peaks.reads) {
    std::snprintf(part, sizeof part, " %s %.0f", read.level.c_str(), read.gigabytes);
    line += part;
  }
  return line + " GB/s\n";
}

Json to_json(const ShapeCase &made, const RunFigures &run) {
  const ShapeOptions &shape = made.shape;
  const TimedCall &timed = made.timed;
  const Bound bound = bound_of(made, run);
  const Figures figures = figures_of(made, bound);
  Json object = {{"batch", shape.batch},
                 {"heads", shape.heads},
                 {"kv_heads", shape.key_heads},
                 {"queries", shape.queries},
                 {"keys", shape.keys},
                 {"head_dim", shape.head_dim},
                 {"value_dim", shape.value_dim},
                 {"dtype", shape.dtype},
                 {"causal", !shape.causal.empty()},
                 {"executed_by", name(timed.explanation.executed_by)},
                 {"kernel", timed.explanation.kernel},
                 {"schedule", to_json(timed.explanation)["schedule"]},
                 {"milliseconds", figures.milliseconds},
                 {"spread", figures.spread},
                 {"rounds", timed.rounds},
                 {"gflops", figures.gflops},
                 {"bound", bound.name},
                 {"bound_gflops", bound.gflops},
                 {"bound_share", figures.share},
                 {"first_call_milliseconds", timed.first_milliseconds},
                 {"compile_milliseconds", timed.explanation.compile_milliseconds},
                 {"call_overhead_ns", run.overhead},
                 {"peaks", timed.device ? to_json(run.rates) : to_json(run.peaks)}};
  for (const auto &[name, milliseconds] : {std::pair{"start_to_first_result_milliseconds", run.to_first_result},
                                           {"cold_compile_host_milliseconds", run.compile_host},
                                           {"cold_compile_ptx_milliseconds", run.compile_ptx}})
    if (milliseconds > 0)
      object[name] = milliseconds;
  return object;
}

std::string shape_table(const std::vector<ShapeCase> &cases, const RunFigures &run) {
  char line[256];
  std::snprintf(line, sizeof line, "%-66s %9s %10s %7s %10s %12s %7s %10s\n", "shape", "runs on",
                "ms", "spread", "GFLOP/s", "bound", "of it", "first ms");
  std::string text = label(line, 0);
  for (const ShapeCase &made : cases) {
    const Bound bound = bound_of(made, run);
    const Figures figures = figures_of(made, bound);
    std::snprintf(line, sizeof line, "%-66s %9s %10.3f %6.0f%% %10.1f %12s %6.0f%% %10.1f\n",
                  made.shape.text().c_str(),
                  std::string(name(made.timed.explanation.executed_by)).c_str(),
                  figures.milliseconds, 100 * figures.spread, figures.gflops, bound.name.c_str(),
                  100 * figures.share, made.timed.first_milliseconds);
    text += line;
  }
  return text;
}

} // namespace tenon::command
