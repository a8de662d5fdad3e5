#include "CallOverhead.h"
#include "ColdStart.h"
#include "PeakRate.h"
#include "ShapeOptions.h"

#include <algorithm>
#include <cmath>
#include <memory>

namespace tenon::command {
namespace {

struct BenchCommand {
  ShapeOptions shape;
  bool one_shape = false, json = false;
  int rounds = 7;
  double milliseconds = 20;
  Way device = Way::kAuto;
};

constexpr const char *kFooter =
    R"(Rounds go over all shapes in turn, so that a busy machine slows all alike. GFLOP/s counts the products of pairs
that take part. The bound is what takes longest of its products, its exponentials and the bytes of its tensors, at the
rates that this run measured on all threads: float32 FMA, bfloat16 dot, exp2, and reads from where the tensors fit.

Examples:
  tenon bench
  tenon bench --batch 1 --heads 8 --queries 1024 --keys 1024 --head-dim 64 --dtype bf16 --causal --device host --json)";

ShapeOptions shape(int64_t heads, int64_t queries, int64_t keys, int64_t width, const char *dtype,
                   bool causal) {
  ShapeOptions shape;
  shape.heads = heads, shape.queries = queries, shape.keys = keys, shape.head_dim = width;
  shape.dtype = dtype;
  shape.causal = causal ? "top-left" : "";
  return shape;
}

std::vector<ShapeOptions> default_shapes() {
  std::vector<ShapeOptions> shapes;
  for (const char *dtype : {"f32", "bf16"})
    for (int64_t width : {64, 128})
      for (bool causal : {false, true})
        shapes.push_back(shape(8, 1024, 1024, width, dtype, causal));
  shapes.push_back(shape(12, 256, 256, 32, "f32", false));
  shapes.push_back(shape(8, 1, 4096, 128, "f32", false));
  return shapes;
}

/// One shape: its tensors, its function, and the times of its rounds.
struct Case {
  ShapeOptions shape;
  Function function;
  std::vector<Tensor> inputs;
  Tensor output;
  LaunchOptions launch;
  Device *device = nullptr;
  Explanation explanation;
  double first_milliseconds = 0;
  std::vector<double> rounds; // milliseconds a call

  Status call() const {
    const std::vector<TensorReference> references(inputs.begin(), inputs.end());
    return function.launch(std::span<const TensorReference>(std::array{TensorReference(output)}),
                           references, launch);
  }
  Status wait() const { return device ? device->synchronise(0) : Status(); }
};

Result<Case> make_case(const ShapeOptions &shape, Way way) {
  Case made;
  made.shape = shape;
  TENON_TRY(made.shape.complete());
  DeviceLocation location;
  if (way == Way::kCuda || way == Way::kEmulator) {
    location.kind = way == Way::kCuda ? DeviceKind::kCuda : DeviceKind::kEmulator;
    TENON_ASSIGN_OR_RETURN(made.device, Device::open(location.kind));
  }
  TENON_ASSIGN_OR_RETURN(made.function, attention_function(made.shape.graph(), {.device = way, .tf32 = made.shape.tf32}));
  TENON_ASSIGN_OR_RETURN(const std::vector<Tensor> sizes, made.shape.tensors(DeviceKind::kHost));
  for (size_t i = 0; i < sizes.size(); ++i) {
    TENON_ASSIGN_OR_RETURN(Tensor tensor,
                           sizes[i].dtype() == DataType::kBool
                               ? Tensor::full(sizes[i].shape(), 1, DataType::kBool)
                               : Tensor::random(sizes[i].shape(), sizes[i].dtype(), i + 1));
    TENON_ASSIGN_OR_RETURN(tensor, tensor.to(location));
    made.inputs.push_back(std::move(tensor));
  }
  TENON_ASSIGN_OR_RETURN(made.output, Tensor::empty({made.shape.batch, made.shape.heads,
                                                     made.shape.queries, made.shape.value_dim},
                                                    made.inputs[0].dtype(), location));
  made.launch.scalars.add({"scale", 1 / std::sqrt(static_cast<double>(made.shape.head_dim))});
  if (made.shape.dropout)
    made.launch.scalars.add({"probability", 0.1});
  const int64_t begin = now_nanoseconds();
  TENON_TRY(made.call());
  TENON_TRY(made.wait());
  made.first_milliseconds = milliseconds_since(begin);
  made.explanation = made.function.explain();
  return made;
}

/// One round: calls for about `milliseconds`, and their mean.
Status run_round(Case &made, double milliseconds) {
  const int64_t begin = now_nanoseconds();
  int calls = 0;
  do {
    TENON_TRY(made.call());
    TENON_TRY(made.wait());
    ++calls;
  } while (milliseconds_since(begin) < milliseconds);
  made.rounds.push_back(milliseconds_since(begin) / calls);
  return {};
}

struct Bound {
  std::string name;
  double gflops = 0;
};

/// What takes longest at the machine's peaks.
Bound bound_of(const ShapeOptions &shape, const HostPeaks &peaks) {
  const bool pairs = shape.dtype == "bf16" && peaks.bfloat16 > 0;
  const double element = shape.dtype == "f32" ? 4 : 2;
  const double bytes = element * static_cast<double>(shape.batch) *
                       static_cast<double>((shape.heads * shape.queries + shape.key_heads * shape.keys) *
                                           (shape.head_dim + shape.value_dim));
  struct Part {
    const char *name;
    double amount, rate; // 10^9 a second
  };
  const Part parts[] = {{pairs ? "bfloat16 dot" : "float32 FMA", shape.operations(),
                         pairs ? peaks.bfloat16 : peaks.float32},
                        {"exp2", shape.pairs(), peaks.exponentials},
                        {"bytes", bytes, peaks.read_rate(bytes)}};
  Bound bound;
  double longest = 0;
  for (const Part &part : parts)
    if (const double time = part.rate > 0 ? part.amount / part.rate : 0; time > longest) {
      longest = time;
      bound = {part.name, shape.operations() / time};
    }
  return bound;
}

struct Figures {
  double median = 0, spread = 0, gflops = 0, share = 0;
};

Figures figures_of(const Case &made, double peak) {
  std::vector<double> sorted = made.rounds;
  std::ranges::sort(sorted);
  Figures figures;
  figures.median = sorted[sorted.size() / 2];
  figures.spread = (sorted.back() - sorted.front()) / figures.median;
  figures.gflops = figures.median > 0 ? made.shape.operations() / figures.median / 1e6 : 0;
  figures.share = peak > 0 ? figures.gflops / peak : 0;
  return figures;
}

/// Of the whole run, whatever the shape.
struct Common {
  HostPeaks peaks;
  double overhead = 0;
  double to_first_result = 0;               ///< milliseconds from the start of the process
  double compile_host = 0, compile_ptx = 0; ///< milliseconds; 0 without a compiler
};

/// The causal kernel of this width, in float32 for the host and float16 for a GPU.
constexpr int64_t kColdWidth = 64;

Result<double> compile_causal(const char *dtype, const char *target) {
  ShapeOptions causal = shape(8, 512, 512, kColdWidth, dtype, true);
  TENON_TRY(causal.complete());
  TENON_ASSIGN_OR_RETURN(const Function function, attention_function(causal.graph()));
  TENON_ASSIGN_OR_RETURN(const std::vector<Tensor> sizes, causal.tensors(DeviceKind::kHost));
  const std::vector<TensorReference> inputs(sizes.begin(), sizes.end());
  TENON_ASSIGN_OR_RETURN(const CompileRequest request, function.request(inputs, target));
  return cold_compile_milliseconds(request);
}

Json to_json(const Case &made, const Common &common) {
  const ShapeOptions &shape = made.shape;
  const Bound bound = bound_of(shape, common.peaks);
  const Figures figures = figures_of(made, bound.gflops);
  Json reads = Json::object();
  for (const HostPeaks::Read &read : common.peaks.reads)
    reads[read.level] = read.gigabytes;
  return {{"batch", shape.batch},
          {"heads", shape.heads},
          {"kv_heads", shape.key_heads},
          {"queries", shape.queries},
          {"keys", shape.keys},
          {"head_dim", shape.head_dim},
          {"value_dim", shape.value_dim},
          {"dtype", shape.dtype},
          {"causal", !shape.causal.empty()},
          {"executed_by", name(made.explanation.executed_by)},
          {"kernel", made.explanation.kernel},
          {"schedule", tenon::command::to_json(made.explanation)["schedule"]},
          {"milliseconds", figures.median},
          {"spread", figures.spread},
          {"rounds", made.rounds},
          {"gflops", figures.gflops},
          {"bound", bound.name},
          {"bound_gflops", bound.gflops},
          {"bound_share", figures.share},
          {"first_call_milliseconds", made.first_milliseconds},
          {"compile_milliseconds", made.explanation.compile_milliseconds},
          {"call_overhead_ns", common.overhead},
          {"start_to_first_result_milliseconds", common.to_first_result},
          {"cold_compile_host_milliseconds", common.compile_host},
          {"cold_compile_ptx_milliseconds", common.compile_ptx},
          {"peaks",
           {{"float32_fma_gflops", common.peaks.float32},
            {"bfloat16_dot_gflops", common.peaks.bfloat16},
            {"exp2_per_ns", common.peaks.exponentials},
            {"read_gigabytes_per_second", reads}}}};
}

std::string table(const std::vector<Case> &cases, const Common &common) {
  char line[256];
  std::snprintf(line, sizeof line, "%-66s %9s %10s %7s %10s %12s %7s %10s\n", "shape", "runs on", "ms",
                "spread", "GFLOP/s", "bound", "of it", "first ms");
  std::string text = label(line, 0);
  for (const Case &made : cases) {
    const Bound bound = bound_of(made.shape, common.peaks);
    const Figures figures = figures_of(made, bound.gflops);
    std::snprintf(line, sizeof line, "%-66s %9s %10.3f %6.0f%% %10.1f %12s %6.0f%% %10.1f\n",
                  made.shape.text().c_str(),
                  std::string(name(made.explanation.executed_by)).c_str(), figures.median,
                  100 * figures.spread, figures.gflops, bound.name.c_str(), 100 * figures.share,
                  made.first_milliseconds);
    text += line;
  }
  std::snprintf(line, sizeof line, "peaks: float32 FMA %.0f GFLOP/s, bfloat16 dot %.0f GFLOP/s, exp2 %.1f a ns; reads",
                common.peaks.float32, common.peaks.bfloat16, common.peaks.exponentials);
  text += line;
  for (const HostPeaks::Read &read : common.peaks.reads) {
    std::snprintf(line, sizeof line, " %s %.0f", read.level.c_str(), read.gigabytes);
    text += line;
  }
  std::snprintf(line, sizeof line, " GB/s\na later call costs %.0f ns besides its kernel\n", common.overhead);
  text += line;
  std::snprintf(line, sizeof line, "from the process's start to the first result %.0f ms\n",
                common.to_first_result);
  text += line;
  if (common.compile_host == 0 || common.compile_ptx == 0)
    return text;
  std::snprintf(line, sizeof line,
                "cold compile of the causal kernel of width %d, LLVM loaded: %.0f ms to host code "
                "(f32), %.0f ms to PTX (f16)\n",
                static_cast<int>(kColdWidth), common.compile_host, common.compile_ptx);
  return text + line;
}

Result<void> run_bench(BenchCommand command) {
  // What is measured is what the compiler makes now.
  TENON_TRY(KernelCache::process().configure({.disk = DiskUse::kOff}));
  if (std::isnan(command.milliseconds))
    return Error::invalid_argument("--milliseconds", "nan", "a number");
  std::vector<Case> cases;
  Common common;
  for (const ShapeOptions &shape :
       command.one_shape ? std::vector{command.shape} : default_shapes()) {
    TENON_ASSIGN_OR_RETURN(Case made, make_case(shape, command.device));
    if (cases.empty())
      common.to_first_result = milliseconds_since_process_start();
    cases.push_back(std::move(made));
  }
  for (int round = 0; round < command.rounds; ++round) {
    common.peaks.merge(measure_host_peaks());
    for (Case &made : cases)
      TENON_TRY(run_round(made, command.milliseconds));
  }
  TENON_ASSIGN_OR_RETURN(common.overhead, measure_call_overhead());
  if (compiler_available()) {
    TENON_ASSIGN_OR_RETURN(common.compile_host, compile_causal("f32", "host"));
    TENON_ASSIGN_OR_RETURN(common.compile_ptx, compile_causal("f16", "sm_80"));
  }
  if (!command.json)
    return print(table(cases, common));
  Json rows = Json::array();
  for (const Case &made : cases)
    rows.push_back(to_json(made, common));
  return print_json(rows);
}

} // namespace

void add_bench(CLI::App &app, Action &action) {
  auto options = std::make_shared<BenchCommand>();
  CLI::App *bench =
      app.add_subcommand("bench", "How fast: a list of shapes, or the one that flags describe");
  bench->footer(kFooter);
  options->shape.add_to(*bench);
  add_device_option(*bench, options->device);
  bench->add_option("--rounds", options->rounds, "times that the list is gone over")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  bench->add_option("--milliseconds", options->milliseconds, "of each shape in each round")
      ->check(CLI::Range(0.001, 1e6))
      ->capture_default_str();
  bench->add_flag("--json", options->json, "a JSON array on stdout");
  bench->callback([options, bench, &action] {
    for (const CLI::Option *option : bench->get_options())
      options->one_shape |= option->count() > 0 &&
                            (option->get_group() == "Shape" || option->get_name() == "--causal");
    action = [options] { return run_bench(*options); };
  });
}

} // namespace tenon::command
