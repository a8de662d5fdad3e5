/// Attention from a ready cache in a program that links the runtime and nothing else of Tenon.
///
///     runtime_alone manifest        prints what it needs, for `tenon cache build`
///     runtime_alone attend DIR      attention by a kernel in DIR, held to the interpreter in float64, then by several
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

constexpr int64_t kHeads = 4, kQueries = 75, kWidth = 64;
constexpr double kTolerance = 2e-6; // weights sum to 1 and values are below 1: a few ulps of float32

// softmax(where(query >= key, query · keyᵀ / 8, -∞)) · value
Result<Graph> causal_attention() {
  Graph graph;
  TENON_ASSIGN_OR_RETURN(const ValueId query, graph.add_input("query", kRealTensor));
  TENON_ASSIGN_OR_RETURN(const ValueId key, graph.add_input("key", kRealTensor));
  TENON_ASSIGN_OR_RETURN(const ValueId value, graph.add_input("value", kRealTensor));
  TENON_ASSIGN_OR_RETURN(const ValueId transposed, graph.add(Operation::kTranspose, {key}));
  TENON_ASSIGN_OR_RETURN(const ValueId products, graph.add(Operation::kMatmul, {query, transposed}));
  TENON_ASSIGN_OR_RETURN(const ValueId scores, graph.add(Operation::kMultiply, {products, graph.constant(0.125f)}));
  TENON_ASSIGN_OR_RETURN(const ValueId row, graph.add(Operation::kQueryIndex));
  TENON_ASSIGN_OR_RETURN(const ValueId column, graph.add(Operation::kKeyIndex));
  TENON_ASSIGN_OR_RETURN(const ValueId open, graph.add(Operation::kGreaterEqual, {row, column}));
  TENON_ASSIGN_OR_RETURN(const ValueId masked,
                         graph.add(Operation::kWhere, {open, scores, graph.constant(-INFINITY)}));
  TENON_ASSIGN_OR_RETURN(const ValueId weights, graph.add(Operation::kSoftmax, {masked}));
  TENON_ASSIGN_OR_RETURN(const ValueId output, graph.add(Operation::kMatmul, {weights, value}));
  TENON_TRY(graph.set_results({output}));
  return graph.canonical();
}

Signature signature() {
  Signature made;
  for (const char *name : {"query", "key", "value"})
    made.inputs.push_back({name, DataType::kFloat32, kWidth, tenon::Layout::kAligned});
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

Result<std::shared_ptr<const LoadedKernel>> kernel_from(const std::string &directory, const Graph &graph,
                                                        Device &device) {
  KernelCache &cache = KernelCache::process();
  TENON_TRY(cache.configure({.disk = DiskUse::kOff, .path = {directory}, .policy = CachePolicy::kMustHit}));
  const KernelKey key({graph.hash(), signature().text(), device.target().text(), "{}", graph.text()});
  auto build = [] { return Result<CompileOutcome>(Error(ErrorCode::kInternal, "asked to compile")); };
  TENON_ASSIGN_OR_RETURN(const auto cached, cache.lookup_or_compile(key, build, device.executable_targets()));
  std::printf("%s\n", cached->choice().c_str());
  return cached->loaded_on(device);
}

Result<Tensor> launch(Device &device, const LoadedKernel &kernel, const std::vector<Tensor> &inputs) {
  TENON_ASSIGN_OR_RETURN(const Tensor output, Tensor::zeros(inputs[0].shape()));
  KernelArguments arguments = {};
  arguments.batch = 1;
  arguments.heads = arguments.key_heads = kHeads;
  arguments.query_length = arguments.key_length = kQueries;
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
          const auto bytes = static_cast<size_t>(expected.element_count()) * sizeof(float);
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
  double largest = 0;
  for (int64_t i = 0; i < output.element_count(); ++i)
    largest = std::fmax(largest, std::fabs(output.data_as<float>()[i] - right[0].data_as<double>()[i]));
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

Result<void> attend(const std::string &directory) {
  TENON_ASSIGN_OR_RETURN(const Graph graph, causal_attention());
  std::vector<Tensor> inputs;
  for (uint64_t seed : {1, 2, 3}) {
    TENON_ASSIGN_OR_RETURN(Tensor input, Tensor::random({1, kHeads, kQueries, kWidth}, DataType::kFloat32, seed,
                                                        Distribution::kUniform));
    inputs.push_back(std::move(input));
  }
  TENON_ASSIGN_OR_RETURN(Device *const device, Device::open(DeviceKind::kHost));
  TENON_ASSIGN_OR_RETURN(const auto kernel, kernel_from(directory, graph, *device));
  TENON_ASSIGN_OR_RETURN(const Tensor output, launch(*device, *kernel, inputs));
  TENON_TRY(launch_at_once(*device, *kernel, inputs, output));
  TENON_ASSIGN_OR_RETURN(const double error, largest_error(graph, inputs, output));
  const int forbidden = count_forbidden_libraries();
  std::printf("largest error %.2g, libraries of a compiler %d\n", error, forbidden);
  if (!(error <= kTolerance) || forbidden != 0)
    return Error(ErrorCode::kInternal, "wrong: see above");
  return {};
}

Result<void> print_manifest() {
  TENON_ASSIGN_OR_RETURN(const Graph graph, causal_attention());
  std::printf("{\"tenon_manifest\": 1, \"kernels\": [{\"graph\": %s, \"signature\": %s}]}\n",
              json_string(graph.text()).c_str(), signature().text().c_str());
  return {};
}

} // namespace

int main(int count, char **arguments) {
  const bool attends = count == 3 && std::strcmp(arguments[1], "attend") == 0;
  const Result<void> done = attends ? attend(arguments[2]) : print_manifest();
  if (!done)
    std::fprintf(stderr, "%s\n", done.error().message().c_str());
  return done ? 0 : 1;
}
