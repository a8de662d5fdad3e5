#include "EmulateArguments.h"
#include "EmulateReport.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <sstream>

namespace tenon::command {
namespace {

constexpr const char *kFooter = R"(One --arg for each parameter of the kernel, in its order:
  in.npy                  a buffer with the file's elements (.npy, .safetensors; .bin: its bytes)
  in.npy=>out.npy         the same, written to a file after the launch
  f32[64,1024]=>out.npy   a buffer never written before; reading it first is a finding
  zeros:f32[1024]         a buffer of zeros
  3   -1   0x10   0.5     a number, in the type of the parameter
  f16:0.5   u32:7         a number, in the type given; hex:00ff… for the bytes of a structure
  {0: i32:1,8; 8: in.npy} a structure by offsets in bytes: numbers with their type, buffers, and
                          tensor:in.npy as Tenon's kernels take it (address, strides, sizes); the rest is zeros
Elements: f32 f16 bf16 f64 bool i8 u8 i16 u16 i32 u32 i64 u64; .npy files have all but bf16, .safetensors none of 8 or 16
bits but bool, f16 and bf16, and any other name gets raw bytes.

Checkers: bounds, alignment, uninitialised, copies, races, divergence, progress, trap, geometry.

Examples:
  tenon emulate saxpy.ptx --list
  tenon emulate saxpy.ptx --kernel saxpy --grid 4 --block 256 --arg 1024 --arg 2.0 --arg x.npy --arg 'y.npy=>out.npy'
  tenon emulate softmax.ptx --kernel softmax --grid 8,2 --block 128 --shared 4096 --arg in.npy --arg 'f32[16,512]=>o.npy'
  tenon compile --head-dim 64 --dtype f16 --target sm_80 --emit ptx -o attention.ptx   # --json: threads, shared_bytes
  tenon emulate attention.ptx --block 128 --grid 2,4 --shared 49152 --arg '{0: i32:1,4,4,256,256; 104: f32:0.125;
    168: tensor:q.npy; 224: tensor:k.npy; 280: tensor:v.npy; 336: tensor:f16[1,4,256,64]=>o.npy}'   # see KernelImage.h
  tenon emulate k.ptx --kernel k --grid 8 --block 64 --arg 'zeros:f32[64]' --schedule random --seed 7 --check races,copies
  tenon emulate k.ptx --kernel k --block 64 --arg x.npy --arg 'f32[64]=>y.npy' --expect reference.npy --tolerance 1e-5

Exit codes: 0 it ran and nothing was found; 1 it could not run, or an output is not what was expected; 2 the command line
is wrong; 3 something was found.)";

struct EmulateOptions {
  std::string file, kernel, grid = "1", block, check = "all", card, schedule = "forward";
  std::vector<std::string> arguments, expected;
  double tolerance = 0;
  uint32_t shared = 0, seed = 1;
  uint64_t budget = 1'000'000'000; // warp instructions
  bool list = false, json = false, lines = false, perturb = false, cooperative = false;
};

/// "8", "8,2" or "8,2,1"
std::optional<std::array<unsigned, 3>> parse_extents(std::string_view text) {
  std::array<unsigned, 3> extents = {1, 1, 1};
  for (unsigned &extent : extents) {
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), extent);
    if (error != std::errc())
      return std::nullopt;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    if (text.empty())
      return extents;
    if (text[0] != ',')
      return std::nullopt;
    text.remove_prefix(1);
  }
  return std::nullopt;
}

/// What is wrong with --grid or --block; nothing where it is right.
std::string refuse_extents(const std::string &text) {
  return parse_extents(text) ? "" : "'" + text + "' is not one to three numbers: 8,2,1";
}

/// What is wrong with --check. The driver would refuse the name too, but as a launch that fails, not as wrong usage.
std::string refuse_checkers(const std::string &text) {
  constexpr std::string_view kCheckers[] = {"all",           "none",   "bounds",  "alignment",
                                            "uninitialised", "copies", "races",   "divergence",
                                            "progress",      "trap",   "geometry"};
  std::string known;
  for (const std::string_view checker : kCheckers)
    known += (known.empty() ? "" : ", ") + std::string(checker);
  std::istringstream names(text);
  for (std::string name; std::getline(names, name, ',');)
    if (std::ranges::find(kCheckers, name) == std::end(kCheckers))
      return "unknown checker '" + name + "'; there are " + known;
  return text != "none" && ("," + text + ",").find(",none,") != text.npos ? "'none' stands alone" : "";
}

// The emulator reads its settings from the environment, like any program that runs on it.
void set_environment(const EmulateOptions &options) {
  auto set = [](const char *name, const std::string &value) {
    if (!value.empty())
      setenv(name, value.c_str(), 1);
  };
  set("TENON_EMULATOR_CHECK", options.check);
  set("TENON_EMULATOR_CARD", options.card);
  set("TENON_EMULATOR_SCHEDULE",
      options.schedule == "random" ? "random:" + std::to_string(options.seed) : options.schedule);
  set("TENON_EMULATOR_BUDGET", std::to_string(options.budget));
  set("TENON_EMULATOR_PERTURB", options.perturb ? std::to_string(options.seed) : "");
}

Result<Json> describe(const EmulatedDriver &driver, const std::string &ptx) {
  Json description = Json::parse(text_of(
      [&](char *buffer, size_t room) { return driver.describe(ptx.c_str(), buffer, room); }));
  if (description.contains("error"))
    return Error(ErrorCode::kInvalidArgument, description["error"].get<std::string>());
  return description;
}

Result<std::vector<KernelParameter>> parameters_of(const Json &description, std::string &kernel) {
  std::string names;
  const Json &kernels = description["kernels"];
  if (kernel.empty() && kernels.size() == 1)
    kernel = kernels[0]["name"].get<std::string>();
  for (const Json &known : kernels) {
    names += (names.empty() ? "" : ", ") + known["name"].get<std::string>();
    if (known["name"] != kernel)
      continue;
    std::vector<KernelParameter> parameters;
    for (const Json &parameter : known["parameters"])
      parameters.push_back({parameter["name"].get<std::string>(),
                            parameter["type"].get<std::string>(),
                            parameter["bytes"].get<size_t>()});
    return parameters;
  }
  return Error(ErrorCode::kNotFound, kernel.empty()
                                         ? "choose a --kernel of " + names
                                         : "no kernel '" + kernel + "'; there are " + names);
}

Result<void *> load(const EmulatedDriver &driver, const EmulateOptions &options,
                    const std::string &ptx) {
  constexpr int kErrorLogBuffer = 5, kErrorLogBufferBytes = 6; // CUjit_option
  char log[4096] = "";
  int names[] = {kErrorLogBuffer, kErrorLogBufferBytes};
  void *values[] = {log, reinterpret_cast<void *>(sizeof log)};
  void *context = nullptr, *module = nullptr, *function = nullptr;
  TENON_TRY(driver.check("cuInit", driver.init(0)));
  TENON_TRY(driver.check("cuDevicePrimaryCtxRetain", driver.retain_context(&context, 0)));
  TENON_TRY(driver.check("cuCtxSetCurrent", driver.set_context(context)));
  if (const int status = driver.load_module(&module, ptx.c_str(), 2, names, values))
    return Error(ErrorCode::kInvalidArgument,
                 options.file + ": " + driver.check("cuModuleLoadData", status).error().message() +
                     ": " + log);
  TENON_TRY(driver.check("cuModuleGetFunction",
                         driver.get_function(&function, module, options.kernel.c_str())));
  constexpr int kMaxDynamicShared = 8; // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
  if (options.shared) // where that is refused, the launch is too, and says what the limit is
    driver.set_attribute(function, kMaxDynamicShared, static_cast<int>(options.shared));
  return function;
}

Json findings_of(const EmulatedDriver &driver) {
  Json findings = Json::array();
  std::istringstream lines(text_of(driver.findings));
  for (std::string line; std::getline(lines, line);)
    findings.push_back(Json::parse(line));
  return findings;
}

Result<ExitCode> report(const EmulatedDriver &driver, const EmulateOptions &options,
                        const std::string &ptx, const Result<void> &ran, double milliseconds,
                        const std::vector<std::string> &mismatches) {
  const Json findings = findings_of(driver), counters = Json::parse(text_of(driver.counters));
  const std::string status = ran ? "" : ran.error().message();
  if (options.json) {
    TENON_TRY(print_json({{"kernel", options.kernel},
                          {"status", status.empty() ? "CUDA_SUCCESS" : status},
                          {"milliseconds", milliseconds},
                          {"findings", findings},
                          {"mismatches", mismatches},
                          {"counters", counters}}));
  } else {
    char time[64];
    std::snprintf(time, sizeof time, "%.1f ms\n", milliseconds);
    std::string wrong;
    for (const std::string &mismatch : mismatches)
      wrong += "mismatch: " + mismatch + "\n";
    TENON_TRY(print(findings_text(findings) + wrong + counters_text(counters, ptx, options.lines) +
                    (status.empty() ? "" : status + "\n") + time));
  }
  if (!findings.empty())
    return ExitCode::kFindings;
  if (!ran)
    return ran.error();
  return mismatches.empty() ? ExitCode::kSuccess : ExitCode::kFailure;
}

/// What is wrong with the command line, beside what its parser saw.
ExitCode refuse(const std::string &why) {
  std::fprintf(stderr, "tenon: error: %s\n", why.c_str());
  return ExitCode::kUsage;
}

/// Compares outputs with what they should be, in their order, and writes them.
Result<std::vector<std::string>> finish_outputs(const EmulatedDriver &driver, const EmulateOptions &options,
                                                const std::vector<KernelArgument> &arguments) {
  std::vector<std::string> mismatches;
  size_t output = 0;
  for (const KernelArgument &argument : arguments)
    for (const DeviceBuffer &buffer : argument.buffers) {
      if (!buffer.output.empty() && output < options.expected.size()) {
        TENON_ASSIGN_OR_RETURN(std::string mismatch,
                               compare_output(driver, buffer, options.expected[output++], options.tolerance));
        if (!mismatch.empty())
          mismatches.push_back(std::move(mismatch));
      }
      TENON_TRY(write_output(driver, buffer));
    }
  return mismatches;
}

Result<ExitCode> run_kernel(const EmulatedDriver &driver, EmulateOptions options,
                            const std::string &ptx, const Json &description) {
  const Result<std::vector<KernelParameter>> known = parameters_of(description, options.kernel);
  if (!known)
    return refuse(known.error().message());
  const std::vector<KernelParameter> &parameters = *known;
  const auto grid = parse_extents(options.grid), block = parse_extents(options.block);
  if (parameters.size() != options.arguments.size())
    return refuse("kernel '" + options.kernel + "' has " + std::to_string(parameters.size()) +
                  " parameters, but --arg is given " + std::to_string(options.arguments.size()) +
                  " times; `tenon emulate " + options.file + " --list` names them");
  TENON_ASSIGN_OR_RETURN(void *const function, load(driver, options, ptx));
  std::vector<KernelArgument> arguments;
  for (size_t i = 0; i < parameters.size(); ++i) {
    TENON_ASSIGN_OR_RETURN(KernelArgument argument,
                           make_argument(driver, parameters[i], options.arguments[i]));
    arguments.push_back(std::move(argument));
  }
  size_t outputs = 0;
  for (const KernelArgument &argument : arguments)
    outputs += static_cast<size_t>(std::ranges::count_if(
        argument.buffers, [](const DeviceBuffer &buffer) { return !buffer.output.empty(); }));
  if (options.expected.size() > outputs)
    return refuse("there are more --expect than outputs: one for each '=>', in their order");
  std::vector<void *> pointers;
  for (KernelArgument &argument : arguments)
    pointers.push_back(argument.value.data());
  const int64_t begin = now_nanoseconds();
  const auto [grid_x, grid_y, grid_z] = *grid;
  const auto [block_x, block_y, block_z] = *block;
  Result<void> ran =
      options.cooperative
          ? driver.check("cuLaunchCooperativeKernel",
                         driver.launch_cooperative(function, grid_x, grid_y, grid_z, block_x, block_y, block_z,
                                                   options.shared, nullptr, pointers.data()))
          : driver.check("cuLaunchKernel",
                         driver.launch(function, grid_x, grid_y, grid_z, block_x, block_y, block_z,
                                       options.shared, nullptr, pointers.data(), nullptr));
  if (ran)
    ran = driver.check("cuCtxSynchronize", driver.synchronize());
  const double milliseconds = milliseconds_since(begin);
  std::vector<std::string> mismatches;
  if (ran) {
    TENON_ASSIGN_OR_RETURN(mismatches, finish_outputs(driver, options, arguments));
  }
  return report(driver, options, ptx, ran, milliseconds, mismatches);
}

Result<ExitCode> emulate(const EmulateOptions &options) {
  set_environment(options);
  TENON_ASSIGN_OR_RETURN(const std::string ptx, read_text(options.file));
  if (ptx.starts_with("\x7f" "ELF"))
    return Error(ErrorCode::kInvalidArgument,
                 options.file + ": this is machine code; the emulator takes PTX, as nvcc -ptx writes it");
  TENON_ASSIGN_OR_RETURN(const EmulatedDriver driver, EmulatedDriver::open());
  Result<Json> description = describe(driver, ptx);
  if (!description)
    return Error(description.error().code(), options.file + ": " + description.error().message());
  if (!options.list)
    return run_kernel(driver, options, ptx, *description);
  TENON_TRY(options.json ? print_json(*description) : print(kernels_text(*description)));
  return ExitCode::kSuccess;
}

} // namespace

void add_emulate(CLI::App &app, Action &action) {
  auto options = std::make_shared<EmulateOptions>();
  CLI::App *emulate_command =
      app.add_subcommand("emulate", "Runs a kernel of a PTX file on the emulator, and checks it");
  emulate_command->footer(kFooter);
  emulate_command->add_option("file", options->file, "PTX text")->required()->type_name("FILE");
  CLI::Option *list =
      emulate_command->add_flag("--list", options->list, "names the kernels and their parameters");
  emulate_command->add_option("--kernel", options->kernel,
                              "to run; may be left out where there is one");
  emulate_command->add_option("--grid", options->grid, "blocks: x, or x,y,z")
      ->check(refuse_extents, "")
      ->type_name("X,Y,Z");
  CLI::Option *block =
      emulate_command->add_option("--block", options->block, "threads of a block: x, or x,y,z")
          ->check(refuse_extents, "")
          ->type_name("X,Y,Z");
  emulate_command->add_option("--shared", options->shared, "bytes of dynamic shared memory");
  emulate_command
      ->add_option("--arg", options->arguments, "of the kernel; one for each parameter, see below")
      ->allow_extra_args(false)
      ->type_name("ARGUMENT");
  emulate_command->add_flag("--cooperative", options->cooperative,
                            "all blocks at once, as cuLaunchCooperativeKernel does");
  emulate_command
      ->add_option("--expect", options->expected, "what an output should be; one for each '=>', in their order")
      ->allow_extra_args(false)
      ->type_name("FILE");
  emulate_command->add_option("--tolerance", options->tolerance,
                              "that outputs may be off, times what is expected where that is above one; 0 unless told")
      ->check(CLI::NonNegativeNumber);
  emulate_command->add_option("--check", options->check, "all, none, or checkers between commas")
      ->check(refuse_checkers, "")
      ->type_name("CHECKERS");
  emulate_command->add_option("--card", options->card, "to emulate; a100 unless told")
      ->check(CLI::IsMember({"a100", "b200", "h100", "rtx4090"}));
  emulate_command->add_option("--schedule", options->schedule, "order of blocks and warps")
      ->check(CLI::IsMember({"forward", "reverse", "random"}));
  emulate_command->add_option("--seed", options->seed, "of a random schedule, and of --perturb");
  emulate_command->add_option("--budget", options->budget,
                              "warp instructions until a launch is ended; a billion unless told,"
                              " 0: no limit");
  emulate_command->add_flag("--perturb", options->perturb,
                            "changes ex2, rcp and their like within their documented error");
  emulate_command->add_flag("--lines", options->lines, "counts of every line that touches memory");
  emulate_command->add_flag("--json", options->json, "one JSON object on stdout");
  emulate_command->callback([options, list, block, &action] {
    if (list->empty() && block->empty())
      throw CLI::RequiredError("--block (or --list)");
    action = [options] { return emulate(*options); };
  });
}

} // namespace tenon::command
