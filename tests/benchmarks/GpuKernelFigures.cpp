// Figures of the GPU kernels, without a GPU: what the assembler makes of them, and what the emulated driver counts.
//
//     [NVDISASM=…] build/bin/benchmarks/gpu_kernel_figures [FOLDER]
//
// float16, widths 64 and 128, S = 1024, sm_80. Of the loop over open blocks by its SASS (Sass.h), beside
// FlashAttention-2's: instructions a score, lone, shared memory. Of the whole kernel, as it ran on the emulated driver:
// warp instructions of PTX for each visible score of a lane, bank conflicts in that loop and in all, sectors beyond the
// ideal, findings. Registers and spills by ptxas, for each target. How often a warp left the loop's usual path because
// a row had outgrown its reference: on the activations in FOLDER (by default tests/data/minilm-activations), on scores
// that rise, and with ALiBi.
//
// What must hold is compared: the program names what does not, and ends with 1. Without ptxas or nvdisasm ($NVDISASM,
// else on PATH) it says so and leaves their figures out.
#include "Checkout.h"
#include "Command.h"
#include "EmulatedRun.h"
#include "Ptxas.h"
#include "Sass.h"
#include "Subprocess.h"

#include "tenon/Tenon.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

namespace tenon::benchmarks {
namespace {

using nlohmann::json;

constexpr int64_t kLength = 1024, kLanes = 32;
constexpr double kDropout = 0.1;
constexpr const char *kTarget = "sm_80";
constexpr const char *kTargets[] = {"sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"};

struct LoopFigures {
  double perScore, lone, sharedMemory;
};

/// FlashAttention-2 of September 2026 by nvcc and ptxas 13.0, by the same measure, and what Tenon must hold; 0 where it
/// is not known, or nothing is asked.
struct Shape {
  int width;
  bool causal, dropout;
  LoopFigures flashAttention2, asked;
};
constexpr Shape kShapes[] = {
    {64, false, false, {9.26, .56, .56}, {7.0, .72, .7}},    {64, true, false, {9.12, .61, .56}, {7.0, .72, .7}},
    {128, false, false, {14.70, .71, .62}, {10.5, .76, .7}}, {128, true, false, {14.28, .71, .62}, {10.5, .76, .7}},
    {64, false, true, {14.06, .59, .62}, {13.0, 0, 0}},      {64, true, true, {14.06, .59, .62}, {13.0, 0, 0}},
    {128, false, true, {0, 0, 0}, {16.5, 0, 0}},             {128, true, true, {0, 0, 0}, {16.5, 0, 0}}};

std::string name(const Shape &shape) {
  return "D" + std::to_string(shape.width) + (shape.causal ? " causal" : "") + (shape.dropout ? " dropout" : "");
}

/// A function, what it is called with, and its kernel for a target.
struct Call {
  Function function;
  Tensor query, key, value;
  LaunchOptions options;
  std::array<TensorReference, 3> inputs() const { return {query, key, value}; }
};

struct Kernel {
  std::string ptx;
  json schedule;
  double scores() const { // of a lane and a turn
    return schedule["tile_queries"].get<double>() * schedule["tile_keys"].get<double>() / schedule["threads"].get<double>();
  }
};

Result<Kernel> kernelOf(const Call &call, const char *target) {
  TENON_ASSIGN_OR_RETURN(const CompileRequest request, call.function.request(call.inputs(), target));
  TENON_ASSIGN_OR_RETURN(const CompileOutcome outcome, compile_kernel(request));
  TENON_ASSIGN_OR_RETURN(const KernelImage image, KernelImage::parse(outcome.bytes));
  const ImageSection *ptx = image.find(SectionKind::kPtx);
  return Kernel{{reinterpret_cast<const char *>(ptx->bytes.data()), ptx->bytes.size()}, json::parse(image.schedule)};
}

Result<Call> callOf(const Shape &shape) {
  Call call;
  TENON_ASSIGN_OR_RETURN(call.function, attention_function({.causal = shape.causal, .dropout = shape.dropout},
                                                           {.device = Way::kEmulator}));
  Tensor *tensors[] = {&call.query, &call.key, &call.value};
  for (uint64_t seed = 0; seed < 3; ++seed) {
    TENON_ASSIGN_OR_RETURN(*tensors[seed], Tensor::random({1, 1, kLength, shape.width}, DataType::kFloat16, seed));
  }
  call.options.scalars.add({"scale", 1 / std::sqrt(shape.width)});
  if (shape.dropout)
    call.options.scalars.add({"probability", kDropout});
  return call;
}

int64_t visibleScores(bool causal) { return causal ? kLength * (kLength + 1) / 2 : kLength * kLength; }

class Figures {
public:
  Result<void> print(const std::string &activations);
  bool hold() const { return misses_.empty(); }

private:
  Result<void> printLoop(const Shape &shape);
  void printSass(const Shape &shape, const Kernel &kernel);
  Result<void> printSpills(const Shape &shape);
  Result<void> printRare(const std::string &title, const Call &call);
  Result<void> printActivations(const std::string &folder);
  Result<void> printRising();
  Result<void> printAlibi();
  Result<EmulatedRun> run(const Call &call, const Kernel &kernel);
  Result<std::string> disassembled(const Kernel &kernel);
  void expect(bool holds, const std::string &what) {
    if (!holds)
      misses_ += "  " + what + "\n";
  }

  Emulator emulator_;
  std::string nvdisasm_, misses_;
  bool ptxas_ = false;
};

std::string number(double value, int digits = 2) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

/// The device opens the emulated driver; until then there is nothing to count with.
Result<EmulatedRun> Figures::run(const Call &call, const Kernel &kernel) {
  TENON_TRY(call.function.prepare(call.inputs(), call.options));
  const char *given = std::getenv("TENON_EMULATED_DRIVER");
  if (!emulator_.open(given ? given : TENON_EMULATED_DRIVER_LIBRARY))
    return Error(ErrorCode::kUnsupported, "the emulated driver is not the one that was built with this program");
  emulator_.clear();
  TENON_TRY(call.function.call(call.inputs(), call.options));
  return emulator_.read(kernel.ptx);
}

Result<std::string> Figures::disassembled(const Kernel &kernel) {
  TENON_ASSIGN_OR_RETURN(const command::Assembled assembled, command::assemble(kernel.ptx, kTarget));
  const command::Scratch scratch;
  const std::string cubin = scratch.path() + "/kernel.cubin", text = scratch.path() + "/kernel.sass";
  TENON_TRY(replace_file(cubin, assembled.cubin));
  if (command::run_program({nvdisasm_, "-c", "-hex", cubin}, text) != 0)
    return Error(ErrorCode::kUnsupported, "nvdisasm failed");
  return read_text(text);
}

void Figures::printSass(const Shape &shape, const Kernel &kernel) {
  Result<std::string> sass = disassembled(kernel);
  std::optional<SassLoop> loop = sass ? mainLoop(*sass) : std::nullopt;
  if (!loop)
    return expect(false, name(shape) + ": no loop with products in its SASS");
  const double scores = kernel.scores();
  const LoopFigures own{loop->perScore(scores), loop->lone(scores, shape.width), loop->sharedMemory(scores, shape.width)};
  const LoopFigures &other = shape.flashAttention2, &asked = shape.asked;
  std::printf("  %5.2f (%5.2f)  %.2f (%.2f)  %.2f (%.2f)", own.perScore, other.perScore, own.lone, other.lone, own.sharedMemory,
              other.sharedMemory);
  expect(own.perScore <= asked.perScore,
         name(shape) + ": " + number(own.perScore) + " instructions a score, at most " + number(asked.perScore));
  expect(own.lone >= asked.lone, name(shape) + ": lone is " + number(own.lone) + ", at least " + number(asked.lone));
  expect(asked.sharedMemory == 0 || own.sharedMemory <= asked.sharedMemory,
         name(shape) + ": shared memory takes " + number(own.sharedMemory) + ", at most " + number(asked.sharedMemory));
}

Result<void> Figures::printLoop(const Shape &shape) {
  TENON_ASSIGN_OR_RETURN(const Call call, callOf(shape));
  TENON_ASSIGN_OR_RETURN(const Kernel kernel, kernelOf(call, kTarget));
  TENON_ASSIGN_OR_RETURN(const EmulatedRun ran, run(call, kernel));
  const json &s = kernel.schedule;
  std::printf("%-19s %3d x %-2d %-14s", name(shape).c_str(), s["tile_queries"].get<int>(), s["tile_keys"].get<int>(),
              s["rescaling"].get<std::string>().c_str());
  const double visible = static_cast<double>(visibleScores(shape.causal));
  std::printf(" %7.2f %6ju %9ju %7ju %5td", static_cast<double>(ran.warpInstructions) * kLanes / visible,
              static_cast<uintmax_t>(ran.shared.excess()), static_cast<uintmax_t>(ran.sharedInLoop.excess()),
              static_cast<uintmax_t>(ran.global.excess()), std::count(ran.findings.begin(), ran.findings.end(), '\n'));
  expect(ran.sharedInLoop.used != 0 && ran.sharedInLoop.excess() == 0, name(shape) + ": bank conflicts in the loop");
  expect(ran.global.used != 0 && ran.global.excess() == 0, name(shape) + ": more sectors than the ideal");
  expect(ran.findings.empty(), name(shape) + ": " + ran.findings);
  if (ptxas_ && !nvdisasm_.empty())
    printSass(shape, kernel);
  std::printf("\n");
  return {};
}

Result<void> Figures::printSpills(const Shape &shape) {
  TENON_ASSIGN_OR_RETURN(const Call call, callOf(shape));
  std::printf("%-19s", name(shape).c_str());
  for (const char *target : kTargets) {
    TENON_ASSIGN_OR_RETURN(const Kernel kernel, kernelOf(call, target));
    TENON_ASSIGN_OR_RETURN(const command::Assembled assembled, command::assemble(kernel.ptx, target));
    std::printf("  %3d %4d", assembled.registers, assembled.spill_store_bytes);
    expect(assembled.spill_store_bytes == 0, name(shape) + ": spills on " + target);
  }
  std::printf("\n");
  return {};
}

/// Turns of the loop over open blocks, of a warp, that left the usual path; the schedule's reason besides.
Result<void> Figures::printRare(const std::string &title, const Call &call) {
  TENON_ASSIGN_OR_RETURN(const Kernel kernel, kernelOf(call, kTarget));
  TENON_ASSIGN_OR_RETURN(const EmulatedRun ran, run(call, kernel));
  const std::string why = kernel.schedule["explanation"].get<std::string>();
  std::printf("%-40s", title.c_str());
  if (ran.turns != 0)
    std::printf(" %7ju of %6ju", static_cast<uintmax_t>(ran.rare), static_cast<uintmax_t>(ran.turns));
  else
    std::printf("        every turn");
  const size_t last = why.rfind("; ");
  std::printf("  %s\n", why.substr(last == std::string::npos ? 0 : last + 2).c_str());
  expect(ran.findings.empty(), title + ": " + ran.findings);
  return {};
}

Result<void> Figures::printActivations(const std::string &folder) {
  for (bool causal : {false, true}) {
    Call call;
    TENON_ASSIGN_OR_RETURN(call.function, attention_function({.causal = causal}, {.device = Way::kEmulator}));
    for (auto [file, tensor] : {std::pair{"query", &call.query}, {"key", &call.key}, {"value", &call.value}}) {
      TENON_ASSIGN_OR_RETURN(const Tensor loaded, load_tensor(folder + "/" + file + ".npy"));
      TENON_ASSIGN_OR_RETURN(*tensor, loaded.to(DataType::kFloat16));
    }
    call.options.scalars.add({"scale", 1 / std::sqrt(call.query.size(-1))});
    TENON_TRY(printRare(std::string("activations of an encoder") + (causal ? ", causal" : ""), call));
  }
  return {};
}

/// Scores that grow by 96 nats with the key, or with its distance from the last one: the worst, since keys are walked
/// from the last; and normal ones.
Result<void> Figures::printRising() {
  for (int width : {64, 128}) {
    TENON_ASSIGN_OR_RETURN(Call call, callOf({width, false, false, {}, {}}));
    const std::string title = "D" + std::to_string(width);
    TENON_TRY(printRare(title + ", normal", call));
    for (bool falling : {false, true}) {
      TENON_ASSIGN_OR_RETURN(call.query, Tensor::full(call.query.shape(), 1, DataType::kFloat16));
      std::vector<float> rising(static_cast<size_t>(kLength * width));
      const float step = 96 / std::sqrt(static_cast<float>(width)) / kLength;
      for (int64_t i = 0; i < kLength * width; ++i)
        rising[static_cast<size_t>(i)] = step * static_cast<float>(falling ? kLength - i / width : i / width);
      TENON_ASSIGN_OR_RETURN(const Tensor keys, Tensor::from_values<float>({1, 1, kLength, width}, rising));
      TENON_ASSIGN_OR_RETURN(call.key, keys.to(DataType::kFloat16));
      TENON_TRY(printRare(title + (falling ? ", falling with the key" : ", rising with the key"), call));
    }
  }
  return {};
}

Result<void> Figures::printAlibi() {
  for (bool causal : {true, false})
    for (double slope : {0.5, 0.0625, 0.0039}) {
      TENON_ASSIGN_OR_RETURN(Call call, callOf({64, false, false, {}, {}}));
      call.options.scalars = {};
      auto attention = [causal, slope](Value q, Value k, Value v) {
        Value distance = causal ? query_index() - key_index() : abs(query_index() - key_index());
        Value scores = matmul(q, transpose(k)) * 0.125 - distance * slope;
        if (causal)
          scores = where(query_index() >= key_index(), scores, -inf);
        return matmul(softmax(scores), v);
      };
      TENON_ASSIGN_OR_RETURN(call.function, compile(attention, {.device = Way::kEmulator}));
      TENON_TRY(printRare("D64, ALiBi of slope " + number(slope, 4) + (causal ? ", causal" : ""), call));
    }
  return {};
}

Result<void> Figures::print(const std::string &activations) {
  const char *given = std::getenv("NVDISASM");
  nvdisasm_ = given ? given : command::find_program("nvdisasm");
  ptxas_ = command::find_ptxas().ok();
  std::printf("float16, S = %jd, %s; in brackets FlashAttention-2, 0 where it was not measured\n",
              static_cast<intmax_t>(kLength), kTarget);
  std::printf("%-42s %-37s  %s\n", "", "the emulator, of the whole kernel", "SASS of the loop");
  std::printf("%-19s %-22s %7s %6s %9s %7s %5s  %-13s  %-11s  %s\n", "", "tile", "a score", "banks", "(in loop)", "sectors",
              "found", "a score", "lone", "shared");
  for (const Shape &shape : kShapes)
    TENON_TRY(printLoop(shape));
  if (nvdisasm_.empty())
    std::printf("(no nvdisasm on PATH or in NVDISASM: no figures of SASS)\n");
  std::printf("\nregisters, bytes spilled:%s\n", ptxas_ ? "" : " no ptxas");
  if (ptxas_) {
    std::printf("%-19s", "");
    for (const char *target : kTargets)
      std::printf("  %8s", target);
    std::printf("\n");
    for (const Shape &shape : kShapes)
      TENON_TRY(printSpills(shape));
  }
  std::printf("\nturns of the loop in which a row had outgrown its reference\n");
  TENON_TRY(printActivations(activations));
  TENON_TRY(printRising());
  TENON_TRY(printAlibi());
  std::printf("\n%s%s", misses_.empty() ? "all that is asked holds\n" : "what is asked and does not hold\n", misses_.c_str());
  return {};
}

} // namespace
} // namespace tenon::benchmarks

int main(int count, char **arguments) {
  tenon::benchmarks::Figures figures;
  tenon::Result<void> result =
      figures.print(count > 1 ? arguments[1] : TENON_SOURCE_DIR "/tests/data/minilm-activations");
  if (!result)
    std::fprintf(stderr, "%s\n", std::string(result.error().message()).c_str());
  return result && figures.hold() ? 0 : 1;
}
