/// Attention from a ready cache in a program that links the runtime and nothing else of Tenon.
///
///     runtime_alone manifest        prints what it needs, for `tenon cache build`
///     runtime_alone attend DIR      attention by kernels in DIR, held to the interpreter in float64, then by several
///                                   threads at once, held to its bits
///
/// It may not compile, and ends with 1 where it did, where the answer is wrong, or where a library of a compiler or of
/// the CUDA toolkit is part of the process.
#include "tenon/Device.h"
#include "tenon/Graph.h"
#include "tenon/Interpreter.h"
#include "tenon/KernelCache.h"
#include "tenon/Signature.h"

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace tenon;

constexpr int64_t kHeads = 4, kWidth = 64;

struct Case {
  const char *name;
  DataType dtype;
  bool causal;
  int64_t queries, keys;
  /// Of weights that sum to 1 and values below 1: a few ulps of float32; of bfloat16, whose weights err by up to 6e-3 each
  /// and by less together, the rounding of the result and as much again.
  double tolerance;
};
constexpr Case kCases[] = {
    {"causal, float32", DataType::kFloat32, true, 75, 75, 2e-6},
    {"causal, bfloat16", DataType::kBFloat16, true, 200, 200, 4e-3},
    // Keys in chunks, whose results a second phase finds in what the phases share.
    {"one query, float32", DataType::kFloat32, false, 1, 2000, 2e-6},
    {"a piece of a prompt, float32", DataType::kFloat32, false, 40, 4200, 2e-6},
    {"one query, bfloat16", DataType::kBFloat16, false, 1, 2000, 4e-3},
    {"many queries, bfloat16", DataType::kBFloat16, false, 300, 700, 4e-3}, // which keep keys and values
};

// softmax(query · keyᵀ / 8) · value, or softmax(where(query >= key, …, -∞)) · value
Result<Graph> attention(bool causal) {
  Graph graph;
  TENON_ASSIGN_OR_RETURN(const ValueId query, graph.add_input("query", kRealTensor));
  TENON_ASSIGN_OR_RETURN(const ValueId key, graph.add_input("key", kRealTensor));
  TENON_ASSIGN_OR_RETURN(const ValueId value, graph.add_input("value", kRealTensor));
  TENON_ASSIGN_OR_RETURN(const ValueId transposed, graph.add(Operation::kTranspose, {key}));
  TENON_ASSIGN_OR_RETURN(const ValueId products, graph.add(Operation::kMatmul, {query, transposed}));
  TENON_ASSIGN_OR_RETURN(const ValueId scores, graph.add(Operation::kMultiply, {products, graph.constant(0.125f)}));
  ValueId shown = scores;
  if (causal) {
    TENON_ASSIGN_OR_RETURN(const ValueId row, graph.add(Operation::kQueryIndex));
    TENON_ASSIGN_OR_RETURN(const ValueId column, graph.add(Operation::kKeyIndex));
    TENON_ASSIGN_OR_RETURN(const ValueId open, graph.add(Operation::kGreaterEqual, {row, column}));
    TENON_ASSIGN_OR_RETURN(shown, graph.add(Operation::kWhere, {open, scores, graph.constant(-INFINITY)}));
  }
  TENON_ASSIGN_OR_RETURN(const ValueId weights, graph.add(Operation::kSoftmax, {shown}));
  TENON_ASSIGN_OR_RETURN(const ValueId output, graph.add(Operation::kMatmul, {weights, value}));
  TENON_TRY(graph.set_results({output}));
  return graph.canonical();
}

Signature signature(DataType dtype) {
  Signature made;
  made.output = dtype;
  for (const char *name : {"query", "key", "value"})
    made.inputs.push_back({name, dtype, kWidth, tenon::Layout::kAligned});
  return made;
}

std::string json_string(const std::string &text) {
  std::string quoted = "\"";
  for (char letter : text)
    quoted += letter == '\n' ? "\\n" : letter == '"' ? "\\\"" : std::string(1, letter);
  return quoted + "\"";
}

TensorArgument argument_of(const Tensor &tensor) {
  TensorArgument argument{.data = tensor.data(), .strides = {}, .sizes = {}};
  for (size_t i = 0; i < 4; ++i) {
    argument.sizes[i] = static_cast<int32_t>(tensor.shape()[i]);
    argument.strides[i] = tensor.strides()[i];
  }
  return argument;
}

Result<std::shared_ptr<const LoadedKernel>> kernel_for(const Graph &graph, DataType dtype, Device &device) {
  KernelCache &cache = KernelCache::process();
  const KernelKey key({graph.hash(), signature(dtype).text(), device.target().text(), "{}", graph.text()});
  auto build = [] { return Result<CompileOutcome>(Error(ErrorCode::kInternal, "asked to compile")); };
  TENON_ASSIGN_OR_RETURN(const auto cached, cache.lookup_or_compile(key, build, device.executable_targets()));
  std::printf("%s\n", cached->choice().c_str());
  return cached->loaded_on(device);
}

Result<Tensor> launch(Device &device, const LoadedKernel &kernel, const std::vector<Tensor> &inputs) {
  TENON_ASSIGN_OR_RETURN(const Tensor output, Tensor::zeros(inputs[0].shape(), inputs[0].dtype()));
  KernelArguments arguments = {};
  arguments.batch = 1;
  arguments.heads = arguments.key_heads = kHeads;
  arguments.query_length = static_cast<int32_t>(inputs[0].shape()[2]);
  arguments.key_length = static_cast<int32_t>(inputs[1].shape()[2]);
  const std::vector<TensorSlot> &slots = kernel.description().tensors;
  for (size_t slot = 0; slot < slots.size(); ++slot)
    if (slots[slot].role != TensorRole::kWorkspace)
      arguments.tensors[slot] = argument_of(
          slots[slot].role == TensorRole::kOutput ? output : inputs[static_cast<size_t>(slots[slot].index)]);
  TENON_TRY(device.prepare(kernel, arguments, 0));
  TENON_TRY(device.launch(kernel, arguments, 0));
  return output;
}

// Whether threads that launch at once get the bits of `expected`.
Result<void> launch_at_once(Device &device, const LoadedKernel &kernel, const std::vector<Tensor> &inputs,
                            const Tensor &expected) {
  constexpr int kThreads = 4, kLaunches = 5;
  std::atomic<int> wrong{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i)
      threads.emplace_back([&] {
        for (int each = 0; each < kLaunches; ++each) {
          const Result<Tensor> output = launch(device, kernel, inputs);
          const auto bytes = static_cast<size_t>(expected.element_count()) * size_in_bytes(expected.dtype());
          wrong += !output || std::memcmp(output->data(), expected.data(), bytes) != 0;
        }
      });
  }
  if (wrong != 0)
    return Error(ErrorCode::kInternal, std::to_string(wrong) + " launches by several threads were wrong");
  return {};
}

Result<double> largest_error(const Graph &graph, const std::vector<Tensor> &inputs, const Tensor &output) {
  std::vector<Tensor> exact;
  for (const Tensor &input : inputs) {
    TENON_ASSIGN_OR_RETURN(Tensor wide, input.to(DataType::kFloat64));
    exact.push_back(std::move(wide));
  }
  TENON_ASSIGN_OR_RETURN(const std::vector<Tensor> right,
                         interpret(graph, exact, {.precision = Precision::kFloat64}));
  TENON_ASSIGN_OR_RETURN(const Tensor ours, output.to(DataType::kFloat64));
  double largest = 0;
  for (int64_t i = 0; i < ours.element_count(); ++i)
    if (const double error = std::fabs(ours.data_as<double>()[i] - right[0].data_as<double>()[i]);
        std::isnan(error) || error > largest)
      largest = error; // nothing is greater than a NaN, which stays
  return largest;
}

// /proc/self/maps: none of them may be part of the process.
int count_forbidden_libraries() {
  int count = 0;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    for (const char *name : {"LLVM", "MLIR", "tenon-compiler", "libtenon.so", "libcuda", "nvrtc", "nvJitLink"})
      if (line.find(name) != std::string::npos) {
        std::fprintf(stderr, "part of the process: %s\n", line.c_str());
        ++count;
      }
  return maps.eof() ? count : 1;
}

Result<void> attend(const Case &each, Device &device) {
  TENON_ASSIGN_OR_RETURN(const Graph graph, attention(each.causal));
  std::vector<Tensor> inputs;
  for (uint64_t seed : {1, 2, 3}) {
    const Shape shape{1, kHeads, seed == 1 ? each.queries : each.keys, kWidth};
    TENON_ASSIGN_OR_RETURN(Tensor input, Tensor::random(shape, each.dtype, seed, Distribution::kUniform));
    inputs.push_back(std::move(input));
  }
  TENON_ASSIGN_OR_RETURN(const auto kernel, kernel_for(graph, each.dtype, device));
  TENON_ASSIGN_OR_RETURN(const Tensor output, launch(device, *kernel, inputs));
  TENON_TRY(launch_at_once(device, *kernel, inputs, output));
  TENON_ASSIGN_OR_RETURN(const double error, largest_error(graph, inputs, output));
  std::printf("%s: largest error %.2g\n", each.name, error);
  if (!(error <= each.tolerance))
    return Error(ErrorCode::kInternal, "wrong: see above");
  return {};
}

Result<void> attend_all(const std::string &directory) {
  TENON_TRY(KernelCache::process().configure({.disk = DiskUse::kOff, .path = {directory}, .policy = CachePolicy::kMustHit}));
  TENON_ASSIGN_OR_RETURN(Device *const device, Device::open(DeviceKind::kHost));
  for (const Case &each : kCases)
    TENON_TRY(attend(each, *device));
  if (count_forbidden_libraries() != 0)
    return Error(ErrorCode::kInternal, "libraries of a compiler: see above");
  return {};
}

Result<void> print_manifest() {
  std::string kernels;
  for (const auto &[causal, dtype] : {std::pair{true, DataType::kFloat32}, {true, DataType::kBFloat16},
                                      {false, DataType::kFloat32}, {false, DataType::kBFloat16}}) {
    TENON_ASSIGN_OR_RETURN(const Graph graph, attention(causal));
    kernels += (kernels.empty() ? "" : ", ") + ("{\"graph\": " + json_string(graph.text())) +
               ", \"signature\": " + signature(dtype).text() + "}";
  }
  std::printf("{\"tenon_manifest\": 1, \"kernels\": [%s]}\n", kernels.c_str());
  return {};
}

} // namespace

int main(int count, char **arguments) {
  const bool attends = count == 3 && std::strcmp(arguments[1], "attend") == 0;
  const Result<void> done = attends ? attend_all(arguments[2]) : print_manifest();
  if (!done)
    std::fprintf(stderr, "%s\n", done.error().message().c_str());
  return done ? 0 : 1;
}
