#include "bench/CallOverhead.h"
#include "bench/ColdStart.h"
#include "bench/HostSuite.h"
#include "bench/LengthPicture.h"
#include "bench/Shapes.h"

#include "ScheduleOptions.h"

#include "tenon/Parallel.h"
#include "tenon/Target.h"

#include <cmath>
#include <memory>
#include <optional>
#include <unistd.h>

namespace tenon::command {
namespace {

struct BenchCommand {
  ShapeOptions shape;
  ScheduleOptions schedule;
  bool one_shape = false, by_hand = false, json = false;
  std::optional<int> rounds;
  double milliseconds = 20;
  int64_t shorter = 1;
  Way device = Way::kAuto;
  std::string target;
  std::string suite, beside, svg;
};

constexpr int kRounds = 7, kRoundsOfSuite = 3;
// In the first rounds only: the scheduler of a busy machine takes back from the calls what bursts on all threads took.
constexpr int kRoundsOfPeaks = 3;

constexpr const char *kFooter =
    R"(Rounds go over all shapes in turn, so that a busy machine slows all alike; a figure is the median of its rounds, and the
spread is the distance of the extremes over it. GFLOP/s counts the products of pairs that take part. The bound is what
takes longest of its products, its exponentials and the bytes of its tensors, on the host at the rates that this run
measured on all threads: float32 FMA, bfloat16 dot or AMX, exp2, and reads from where the tensors fit; on a GPU at those
of the card: multiprocessors, clock, operations a clock.

Suites:
  host     what Tenon asks of its code for the host, each figure beside what it must be, then a table of shapes
  lengths  128 to 4,096 keys on the host; with --svg a picture of them
  gpu      512 to 16,384 keys in f16 and bf16 on a GPU, by --device cuda (the default) or emulator

Figures of other programs come from a file that tests/benchmarks/peers writes (--beside). A figure that is not reached is
printed as such and is no failure: the exit code is 0 where all was measured, 1 where something could not run, 2 for a
wrong command line.

Examples:
  tenon bench
  tenon bench --batch 1 --heads 8 --queries 1024 --keys 1024 --head-dim 64 --dtype bf16 --causal --device host --json
  tenon bench --head-dim 64 --queries 512 --keys 512 --device host --target host:x86-64-v3
  tenon bench --suite host --rounds 9
  tenon bench --suite host --beside peers.json --json
  tenon bench --suite lengths --svg lengths.svg --beside peers.json)";

/// To standard error: on a terminal what is measured now, in one line; else a line a round.
class Progress {
public:
  ~Progress() {
    if (terminal_)
      std::fputs("\r\033[K", stderr);
  }
  void round(int round, int rounds) {
    round_ = "round " + std::to_string(round + 1) + " of " + std::to_string(rounds);
    if (!terminal_)
      std::fprintf(stderr, "tenon: %s\n", round_.c_str());
  }
  void step(const std::string &what) const {
    if (terminal_)
      std::fprintf(stderr, "\r\033[K%s%s%s", round_.c_str(), round_.empty() ? "" : ": ",
                   what.c_str());
  }

private:
  bool terminal_ = isatty(STDERR_FILENO) == 1;
  std::string round_;
};

/// The causal kernel of this width, in float32 for the host and float16 for a GPU.
constexpr int64_t kColdWidth = 64;

Result<double> compile_causal(const char *dtype, const char *target) {
  const ShapeOptions causal = square_shape(1, 8, 512, kColdWidth, dtype, true);
  TENON_ASSIGN_OR_RETURN(const Function function, attention_function(causal.graph()));
  TENON_ASSIGN_OR_RETURN(const std::vector<Tensor> sizes, causal.tensors(DeviceKind::kHost));
  const std::vector<TensorReference> inputs(sizes.begin(), sizes.end());
  TENON_ASSIGN_OR_RETURN(const CompileRequest request, function.request(inputs, target));
  return cold_compile_milliseconds(request);
}

std::string closing_lines(const RunFigures &run) {
  char line[256];
  std::string lines = run.on_gpu ? text(run.rates) : text(run.peaks);
  std::snprintf(line, sizeof line, "a later call costs %.0f ns besides its kernel\n", run.overhead);
  lines += line;
  std::snprintf(line, sizeof line, "from the process's start to the first result %.0f ms\n",
                run.to_first_result);
  lines += line;
  if (run.compile_host == 0 || run.compile_ptx == 0)
    return lines;
  std::snprintf(line, sizeof line,
                "cold compile of the causal kernel of width %d, LLVM loaded: %.0f ms to host code "
                "(f32), %.0f ms to PTX (f16)\n",
                static_cast<int>(kColdWidth), run.compile_host, run.compile_ptx);
  return lines + line;
}

Result<void> bench_shapes(const BenchCommand &command, const std::vector<ShapeOptions> &shapes,
                          const Beside &beside) {
  std::vector<ShapeCase> cases;
  RunFigures run;
  Progress progress;
  TENON_ASSIGN_OR_RETURN(const std::string schedule, command.schedule.text());
  for (const ShapeOptions &shape : shapes) {
    progress.step("first call, " + shape.text());
    TENON_ASSIGN_OR_RETURN(ShapeCase made, make_case(shape, command.device, schedule, command.target));
    if (cases.empty())
      run.to_first_result = milliseconds_since_process_start();
    cases.push_back(std::move(made));
  }
  const int rounds = command.rounds.value_or(command.suite.empty() ? kRounds : kRoundsOfSuite);
  run.on_gpu = !cases.empty() && cases.front().timed.device;
  if (run.on_gpu)
    run.rates = cases.front().timed.device->rates();
  std::optional<HostPeakMeter> meter; // not before the first result, which it would delay
  if (!run.on_gpu)
    meter.emplace();
  for (int round = 0; round < rounds; ++round) {
    progress.round(round, rounds);
    if (meter && round < kRoundsOfPeaks)
      run.peaks.merge(meter->measure());
    // There and back, so that no shape always follows the one that heats a card most.
    for (size_t i = 0; i < cases.size(); ++i) {
      ShapeCase &made = cases[round % 2 == 0 ? i : cases.size() - 1 - i];
      progress.step(made.shape.text());
      TENON_TRY(made.timed.run_round(command.milliseconds));
    }
  }
  TENON_ASSIGN_OR_RETURN(run.overhead, measure_call_overhead());
  if (compiler_available()) {
    TENON_ASSIGN_OR_RETURN(run.compile_host, compile_causal("f32", "host"));
    TENON_ASSIGN_OR_RETURN(run.compile_ptx, compile_causal("f16", "sm_80"));
  }
  if (!command.svg.empty())
    TENON_TRY(replace_file(command.svg, length_picture(cases, run.peaks, beside)));
  if (!command.json)
    return print(shape_table(cases, run) + closing_lines(run));
  Json rows = Json::array();
  for (const ShapeCase &made : cases)
    rows.push_back(to_json(made, run));
  return print_json(rows);
}

Result<void> bench_host(const BenchCommand &command, const Beside &beside) {
  for (const std::string &name : beside.names())
    if (!HostSuite::is_measure(name))
      std::fprintf(stderr, "tenon: %s in %s: nothing is asked against it, its figures are left out\n", name.c_str(),
                   command.beside.c_str());
  RunFigures run;
  HostPeakMeter meter;
  Progress progress;
  const auto step = [&](const std::string &what) { progress.step(what); };
  TENON_ASSIGN_OR_RETURN(HostSuite suite, HostSuite::make(command.shorter, step));
  const int rounds = command.rounds.value_or(kRoundsOfSuite);
  for (int round = 0; round < rounds; ++round) {
    progress.round(round, rounds);
    if (round < kRoundsOfPeaks)
      run.peaks.merge(meter.measure());
    TENON_TRY(suite.run_round(command.milliseconds, step));
  }
  TENON_ASSIGN_OR_RETURN(run.overhead, measure_call_overhead());
  const std::vector<Requirement> requirements = suite.requirements(run, beside);
  const std::vector<ShapeCase> shapes = suite.shapes();
  if (!command.json) {
    const std::string machine = host_features().processor + ", " +
                                std::to_string(parallel_concurrency()) + " threads, " +
                                host_target() + "; " + std::to_string(rounds) + " rounds\n";
    return print(machine + requirement_table(requirements) + "\n" + shape_table(shapes, run) +
                 text(run.peaks));
  }
  Json object = {{"processor", host_features().processor},
                 {"threads", parallel_concurrency()},
                 {"target", host_target()},
                 {"rounds", rounds},
                 {"peaks", to_json(run.peaks)},
                 {"requirements", Json::array()},
                 {"shapes", Json::array()}};
  for (const Requirement &requirement : requirements)
    object["requirements"].push_back(to_json(requirement));
  for (const ShapeCase &made : shapes)
    object["shapes"].push_back(to_json(made, run));
  return print_json(object);
}

Result<void> run_bench(BenchCommand command) {
  // What is measured is what the compiler makes now.
  TENON_TRY(KernelCache::process().configure({.disk = DiskUse::kOff}));
  if (std::isnan(command.milliseconds))
    return Error::invalid_argument("--milliseconds", "nan", "a number");
  Beside beside;
  if (!command.beside.empty()) {
    TENON_ASSIGN_OR_RETURN(beside, Beside::read(command.beside));
  }
  if (!command.svg.empty())
    TENON_TRY(check_replaceable(command.svg));
  if (command.suite == "host")
    return bench_host(command, beside);
  if (command.suite == "lengths") {
    command.device = Way::kHost;
    return bench_shapes(command, length_shapes(command.shorter), beside);
  }
  if (command.suite == "gpu") {
    if (command.device == Way::kAuto)
      command.device = Way::kCuda;
    return bench_shapes(command, gpu_shapes(command.shorter), beside);
  }
  return bench_shapes(command, command.one_shape ? std::vector{command.shape} : default_shapes(),
                      beside);
}

void add_suite_options(CLI::App &bench, BenchCommand &options) {
  bench.add_option("--suite", options.suite, "host, lengths or gpu, instead of shapes")
      ->check(CLI::IsMember({"host", "lengths", "gpu"}));
  bench
      .add_option("--beside", options.beside,
                  "figures of other programs, as tests/benchmarks/peers writes them")
      ->type_name("FILE")
      ->needs("--suite");
  bench.add_option("--shorter", options.shorter, "divides the lengths of a suite: to try it out")
      ->check(CLI::Range(1, 1024))
      ->needs("--suite");
  bench.add_option("--svg", options.svg, "where --suite lengths draws GFLOP/s over length")
      ->type_name("FILE")
      ->needs("--suite");
}

// What goes with no suite, and what with one only.
void check_suite(const BenchCommand &options) {
  if (!options.suite.empty() && options.one_shape)
    throw CLI::ValidationError("--suite", "has shapes of its own");
  if (options.suite == "host" && options.by_hand)
    throw CLI::ValidationError("--suite", "host has the compiler's own schedules");
  if (options.suite == "host" && !options.target.empty())
    throw CLI::ValidationError("--suite", "host has targets of its own");
  if (options.suite == "gpu" && options.device != Way::kAuto && options.device != Way::kCuda &&
      options.device != Way::kEmulator)
    throw CLI::ValidationError("--suite", "gpu runs on cuda or on the emulator");
  if (!options.suite.empty() && options.suite != "gpu" && options.device != Way::kAuto &&
      options.device != Way::kHost)
    throw CLI::ValidationError("--suite", options.suite + " runs on the host");
  if (!options.svg.empty() && options.suite != "lengths")
    throw CLI::ValidationError("--svg", "draws --suite lengths");
}

} // namespace

void add_bench(CLI::App &app, Action &action) {
  auto options = std::make_shared<BenchCommand>();
  CLI::App *bench = app.add_subcommand(
      "bench", "How fast: a list of shapes, the one that flags describe, or a suite");
  bench->footer(kFooter);
  options->shape.add_to(*bench);
  options->schedule.add_to(*bench);
  add_device_option(*bench, options->device);
  add_target_option(*bench, options->target);
  add_suite_options(*bench, *options);
  bench->add_option("--rounds", options->rounds, "times that all is gone over; 7, of a suite 3")
      ->check(CLI::Range(1, 1000));
  bench->add_option("--milliseconds", options->milliseconds, "of each shape in each round")
      ->check(CLI::Range(0.001, 1e6))
      ->capture_default_str();
  bench->add_flag("--json", options->json, "a JSON array on stdout; of --suite host one object");
  bench->callback([options, bench, &action] {
    for (const CLI::Option *option : bench->get_options())
      options->one_shape |= option->count() > 0 &&
                            (option->get_group() == "Shape" || option->get_name() == "--causal");
    for (const CLI::Option *option : bench->get_options())
      options->by_hand |= option->count() > 0 && option->get_group().starts_with("Schedule");
    check_suite(*options);
    action = [options] { return run_bench(*options); };
  });
}

} // namespace tenon::command
