/// The demonstration: causal attention of a real sentence encoder, from a C++ lambda to one kernel,
/// on the host and as PTX on the emulated CUDA driver, held to float64.
#include "bench/ColdStart.h"
#include "Command.h"
#include "DemoTable.h"
#include "bench/PeakRate.h"
#include "Ptxas.h"

#include "tenon/Tenon.h"
#include "tenon/Version.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <sstream>

namespace {

using namespace tenon;

constexpr const char *kAsWritten = R"(compile([&](Value query, Value key, Value value) {
  Value scores = matmul(query, transpose(key)) * scale;
  scores = where(query_index() >= key_index(), scores, -inf);
  return matmul(softmax(scores), value);
}))";

struct Demo {
  Tensor query, key, value, stored;
  double scale = 1;
  std::vector<DemoRun> runs;
  double to_first_result = 0; ///< milliseconds from the start of the process
  Tensor output;

  Result<Function> attention(CompileOptions options) const {
    return compile(
        [&](Value query, Value key, Value value) {
          Value scores = matmul(query, transpose(key)) * scale;
          scores = where(query_index() >= key_index(), scores, -inf);
          return matmul(softmax(scores), value);
        },
        std::move(options));
  }
};

Result<Demo> load(const std::string &folder) {
  Demo demo;
  TENON_ASSIGN_OR_RETURN(demo.query, load_tensor(folder + "/query.npy"));
  TENON_ASSIGN_OR_RETURN(demo.key, load_tensor(folder + "/key.npy"));
  TENON_ASSIGN_OR_RETURN(demo.value, load_tensor(folder + "/value.npy"));
  TENON_ASSIGN_OR_RETURN(demo.stored, load_tensor(folder + "/output_causal.npy"));
  demo.scale = 1 / std::sqrt(static_cast<double>(demo.query.size(-1)));
  return demo;
}

Result<double> largest_difference(const Tensor &a, const Tensor &b) {
  TENON_ASSIGN_OR_RETURN(const Tensor left, a.to(DataType::kFloat64));
  TENON_ASSIGN_OR_RETURN(const Tensor right, b.to(DataType::kFloat64));
  double largest = 0;
  for (int64_t i = 0; i < left.element_count(); ++i)
    largest = std::max(largest, std::abs(left.data_as<double>()[i] - right.data_as<double>()[i]));
  return largest;
}

double largest_value(const Tensor &tensor) {
  double largest = 0;
  for (int64_t i = 0; i < tensor.element_count(); ++i)
    largest = std::max(largest, std::abs(tensor.data_as<double>()[i]));
  return largest;
}

/// Pairs that take part, two products each, a multiplication and an addition per element of the
/// width.
double operations(const Tensor &query) {
  const double pairs =
      static_cast<double>(query.size(2)) * static_cast<double>(query.size(2) + 1) / 2;
  return 4 * pairs * static_cast<double>(query.size(0) * query.size(1) * query.size(3));
}

Result<DemoRun> run_on(Demo &demo, CompileOptions options, DataType type, int repetitions) {
  DemoRun run{
      .where = std::string(name(options.device)), .dtype = std::string(name(type)), .kernel = {}};
  const bool host = options.device == Way::kHost;
  if (!host)
    run.where = "emulated driver, " + options.target;
  TENON_ASSIGN_OR_RETURN(const Function attend, demo.attention(std::move(options)));
  TENON_ASSIGN_OR_RETURN(const Tensor query, demo.query.to(type));
  TENON_ASSIGN_OR_RETURN(const Tensor key, demo.key.to(type));
  TENON_ASSIGN_OR_RETURN(const Tensor value, demo.value.to(type));

  Tensor output;
  std::vector<double> times;
  for (int i = 0; i <= repetitions; ++i) {
    const int64_t begin = command::now_nanoseconds();
    TENON_ASSIGN_OR_RETURN(output, attend(query, key, value));
    times.push_back(command::milliseconds_since(begin));
    if (demo.to_first_result == 0)
      demo.to_first_result = command::milliseconds_since_process_start();
  }
  run.first_milliseconds = times.front();
  std::sort(times.begin() + 1, times.end());
  run.later_milliseconds = times[1 + static_cast<size_t>(repetitions) / 2];
  run.kernel = attend.explain().kernel;
  if (host)
    run.gflops = operations(demo.query) / run.later_milliseconds / 1e6;

  const Tensor exact[] = {query, key, value};
  TENON_ASSIGN_OR_RETURN(const std::vector<Tensor> reference,
                         interpret(attend.graph(), exact, {.precision = Precision::kFloat64}));
  TENON_ASSIGN_OR_RETURN(run.error_to_float64, largest_difference(output, reference[0]));
  TENON_ASSIGN_OR_RETURN(run.error_to_stored, largest_difference(output, demo.stored));
  // Sums of float32: 5e-6 on values of a few units; of float16, probabilities and results are
  // rounded to eleven bits: two units in the last place of the largest result.
  run.bound = type == DataType::kFloat32 ? 5e-6 : 2 * largest_value(reference[0]) * 0x1p-10;
  if (host)
    demo.output = output;
  return run;
}

Result<CompileRequest> request_for(const Demo &demo, DataType type, const char *target) {
  TENON_ASSIGN_OR_RETURN(const Function attend, demo.attention({}));
  TENON_ASSIGN_OR_RETURN(const Tensor query, demo.query.to(type));
  const TensorReference inputs[] = {query, query, query};
  return attend.request(inputs, target);
}

/// "compiled …": how long one waits for a kernel, and for the first result.
Result<std::string> waits(const Demo &demo) {
  TENON_ASSIGN_OR_RETURN(const CompileRequest host, request_for(demo, DataType::kFloat32, "host"));
  TENON_ASSIGN_OR_RETURN(const CompileRequest gpu, request_for(demo, DataType::kFloat16, "sm_80"));
  TENON_ASSIGN_OR_RETURN(const double to_host, command::cold_compile_milliseconds(host));
  TENON_ASSIGN_OR_RETURN(const double to_ptx, command::cold_compile_milliseconds(gpu));
  char line[200];
  std::snprintf(line, sizeof line,
                "   compiled cold, LLVM loaded, in %.0f ms to host code (f32) and %.0f ms to PTX "
                "(f16); from the process's start to the first result %.0f ms\n",
                to_host, to_ptx, demo.to_first_result);
  return std::string(line);
}

Status show_graph(const Demo &demo) {
  TENON_ASSIGN_OR_RETURN(const Function attend, demo.attention({}));
  const std::string text = attend.graph_text();
  std::cout << heading(1, "Written", "a C++ lambda on symbolic values") << indented(kAsWritten)
            << heading(
                   2, "Traced",
                   std::to_string(attend.graph().nodes().size() - attend.graph().inputs().size()) +
                       " operations of the attention dialect, free of MLIR and of lengths")
            << indented(text);
  return {};
}

Status show_kernel(const Demo &demo) {
  TENON_ASSIGN_OR_RETURN(CompileRequest request, request_for(demo, DataType::kFloat16, "sm_80"));
  TENON_ASSIGN_OR_RETURN(const CompileOutcome image_bytes, compile_kernel(request));
  TENON_ASSIGN_OR_RETURN(const KernelImage image, KernelImage::parse(image_bytes.bytes));
  const command::Json schedule = command::Json::parse(image.schedule, nullptr, false);
  std::cout << heading(3, "Fused", "all of it is one kernel, " + image.kernel);
  std::cout << "   scores and probabilities stay in registers; the mask is a function of query and "
               "key alone, so that blocks\n"
               "   of keys above the diagonal are not visited, and those below it run without mask "
               "code. Tiles:\n";
  if (schedule.is_object() && schedule.contains("explanation"))
    std::cout << indented(schedule["explanation"].get<std::string>());
  request.emit = "ptx";
  TENON_ASSIGN_OR_RETURN(const CompileOutcome outcome, compile_kernel(request));
  const std::string ptx(reinterpret_cast<const char *>(outcome.bytes.data()), outcome.bytes.size());
  std::ostringstream remark;
  remark << "for sm_80, float16: " << std::ranges::count(ptx, '\n') << " lines, "
         << ptx.size() / 1024 << " KiB";
  const Result<command::Assembled> assembled = command::assemble(ptx, "sm_80");
  if (assembled)
    remark << "; ptxas: " << assembled->registers << " registers, " << assembled->spill_store_bytes
           << " bytes spilled";
  else
    remark << "; not assembled: " << assembled.error().message();
  remark << "; "
         << image.launch.phases.front().shared_bytes + (assembled ? assembled->shared_bytes : 0)
         << " bytes shared";
  std::cout << heading(4, "PTX", remark.str()) << instructions_with(ptx, "ldmatrix", 1)
            << instructions_with(ptx, "mma.sync", 3) << instructions_with(ptx, "ex2.approx", 1);
  return {};
}

Status run_demo(const std::string &folder, const std::string &path) {
  TENON_ASSIGN_OR_RETURN(Demo demo, load(folder));
  TENON_TRY(check_writable(path, DataType::kFloat32));
  // Before anything is shown, so that the first result comes as soon as it does for a user.
  TENON_ASSIGN_OR_RETURN(DemoRun host,
                         run_on(demo, {.device = Way::kHost}, DataType::kFloat32, 21));
  demo.runs.push_back(std::move(host));
  std::cout << command::label("Tenon " + std::string(version()), 0)
            << ": causal attention, layer 3 of all-MiniLM-L6-v2, " << to_string(demo.query.shape())
            << " float32\n";
  TENON_TRY(show_graph(demo));
  TENON_TRY(show_kernel(demo));
  std::cout << heading(5, "Run",
                       "first call compiles, later calls are served from memory; largest error of "
                       "any element")
            << std::flush;

  for (DataType type : {DataType::kFloat32, DataType::kFloat16}) {
    TENON_ASSIGN_OR_RETURN(DemoRun emulated,
                           run_on(demo, {.device = Way::kEmulator, .target = "sm_80"}, type, 1));
    demo.runs.push_back(std::move(emulated));
  }
  TENON_ASSIGN_OR_RETURN(const std::string waited, waits(demo));
  const double peak = command::measure_fma_peak();
  char line[160];
  std::snprintf(line, sizeof line,
                "   peak of float32 FMAs in this run: %.0f GFLOP/s on %d threads\n", peak,
                parallel_concurrency());
  std::cout << table_of(demo.runs, peak) << line << waited;
  TENON_TRY(save_tensor(path, demo.output));
  std::cout << heading(6, "Written to", path);
  for (const DemoRun &run : demo.runs)
    if (!run.right())
      return Error(ErrorCode::kInternal,
                   run.where + " " + run.dtype + " differs from float64 by more than allowed");
  return {};
}

} // namespace

int main(int count, char **arguments) {
  CLI::App app(
      "Causal attention of real activations: from a C++ lambda to kernels, run and checked.",
      "tenon-demo");
  std::string folder = TENON_DEMO_DATA, output = "demo-output.npy";
  app.add_option("--data", folder, "folder with query, key, value and output_causal .npy")
      ->capture_default_str();
  app.add_option("--output", output, "where the result of the host goes")->capture_default_str();
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError &error) {
    app.exit(error);
    return error.get_exit_code() == 0 ? 0 : command::kUsage;
  }
  const Status done = run_demo(folder, output);
  if (!done)
    std::cerr << "tenon-demo: error: " << done.error().message() << '\n';
  return done ? 0 : command::kFailure;
}
