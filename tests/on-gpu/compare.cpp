// The same kernels on a device and on the emulator: how many elements differ and by how much, and
// what the emulator counted. Prints one JSON object; ends with 1 where a difference is larger than
// it may be.
//
//     on_gpu_compare --device cuda|emulator [--small] [--once]
#include "tenon/Tenon.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <iostream>
#include <nlohmann/json.hpp>

namespace tenon {
namespace {

using Json = nlohmann::ordered_json;

struct Case {
  const char *name;
  DataType dtype;
  int64_t heads, queries, keys, width;
  bool causal, dropout, small;
};
constexpr DataType kF16 = DataType::kFloat16, kBf16 = DataType::kBFloat16,
                   kF32 = DataType::kFloat32;
constexpr Case kCases[] = {
    {"f16_d64", kF16, 2, 130, 200, 64, false, false, true},
    {"f16_d64_causal", kF16, 2, 256, 256, 64, true, false, true},
    {"f16_d128_causal", kF16, 4, 512, 512, 128, true, false, false},
    {"bf16_d64", kBf16, 2, 256, 300, 64, false, false, false},
    {"bf16_d128_causal", kBf16, 2, 300, 300, 128, true, false, false},
    {"f32_d64_causal", kF32, 2, 100, 100, 64, true, false, true},
    {"f16_d64_dropout", kF16, 2, 256, 256, 64, false, true, true},
    {"f16_d64_decoding", kF16, 8, 1, 1000, 64, false, false, false},
};

/// What two evaluations may differ by, beside the largest element: two units in the last place of
/// the type; of float32, whose products the emulator adds as the kernel says, what ex2.approx may
/// be off by on both sides.
double allowed_of(DataType dtype, double largest) {
  const int digits = dtype == kF16 ? 10 : dtype == kBf16 ? 7 : 18;
  return 2 * std::ldexp(largest, -digits);
}

Tensor must(Result<Tensor> result) {
  if (result)
    return *result;
  std::cerr << "on_gpu_compare: " << result.error().message() << "\n";
  std::exit(1);
}

/// Entries of the emulated driver beside those of CUDA.
struct Emulator {
  void *library = nullptr;
  void clear() const {
    if (auto *entry = reinterpret_cast<void (*)()>(dlsym(library, "tenonEmulatorClearReport")))
      entry();
  }
  std::string text(const char *name) const {
    auto *entry = reinterpret_cast<size_t (*)(char *, size_t)>(dlsym(library, name));
    std::string text(entry ? entry(nullptr, 0) : 1, '\0');
    if (entry)
      entry(text.data(), text.size());
    text.pop_back();
    return text;
  }
};

Emulator open_emulator() {
  static_cast<void>(
      Device::open(DeviceKind::kEmulator).ok()); // it finds the library, and keeps it open
  const char *given = std::getenv("TENON_EMULATED_DRIVER");
  return {dlopen(given ? given : TENON_EMULATED_DRIVER_LIBRARY, RTLD_NOW | RTLD_NOLOAD)};
}

struct Difference {
  int64_t elements = 0, different = 0;
  double largest = 0, allowed = 0;
};

Difference compare(const Tensor &left, const Tensor &right, bool exact) {
  Difference found;
  found.elements = left.element_count();
  const size_t size = size_in_bytes(left.dtype());
  double largest = 0;
  for (int64_t i = 0; i < found.elements; ++i) {
    const auto *a = left.data_as<char>() + size_t(i) * size,
               *b = right.data_as<char>() + size_t(i) * size;
    const double x = load_as_double(a, left.dtype()), y = load_as_double(b, left.dtype());
    found.different += std::memcmp(a, b, size) != 0;
    largest = std::max(largest, std::abs(x));
    if (!(std::abs(x - y) <= found.largest))
      found.largest = std::abs(x - y);
  }
  found.allowed = exact ? 0 : allowed_of(left.dtype(), largest);
  return found;
}

Tensor attention(const Case &each, Way way, const char *target) {
  const Tensor query =
      must(Tensor::random({1, each.heads, each.queries, each.width}, each.dtype, 1));
  const Tensor key = must(Tensor::random({1, each.heads, each.keys, each.width}, each.dtype, 2));
  const Tensor value = must(Tensor::random({1, each.heads, each.keys, each.width}, each.dtype, 3));
  auto attend = compile(
      [&](Value q, Value k, Value v) {
        Value scores = matmul(q, transpose(k)) * (1 / std::sqrt(double(each.width)));
        if (each.causal)
          scores = where(query_index() >= key_index(), scores, -inf);
        Value weights = softmax(scores);
        return matmul(each.dropout ? dropout(weights, 0.2) : weights, v);
      },
      {.device = way, .target = target});
  if (!attend) {
    std::cerr << "on_gpu_compare: " << each.name << ": " << attend.error().message() << "\n";
    std::exit(1);
  }
  Result<std::vector<Tensor>> results = attend->call({query, key, value}, {.seed = 7});
  return must(results ? Result<Tensor>(results->front()) : Result<Tensor>(results.error()));
}

/// One product on the tensor cores by each of 64 blocks of a warp: nothing in it is approximate, so
/// that all bits must be alike. Fragments lie in the order of the lanes.
constexpr const char *kTensorCore = R"(.version 7.0
.target sm_80
.address_size 64
.visible .entry tensor_core(.param .align 64 .b8 arguments[1600]) {
  .reg .b32 %r<8>; .reg .b64 %d<8>; .reg .f32 %f<8>;
  mov.u32 %r0, %ctaid.x; shl.b32 %r0, %r0, 5; mov.u32 %r1, %tid.x; add.u32 %r0, %r0, %r1;
  ld.param.u64 %d0, [arguments+168]; ld.param.u64 %d1, [arguments+224]; ld.param.u64 %d2, [arguments+280];
  mul.wide.u32 %d3, %r0, 16; add.u64 %d0, %d0, %d3; add.u64 %d2, %d2, %d3;
  mul.wide.u32 %d4, %r0, 8; add.u64 %d1, %d1, %d4;
  ld.global.v4.b32 {%r2, %r3, %r4, %r5}, [%d0]; ld.global.v2.b32 {%r6, %r7}, [%d1];
  mov.f32 %f0, 0f3E99999A; mov.f32 %f1, 0fC1200000; mov.f32 %f2, 0f00000000; mov.f32 %f3, 0f3F800001;
  mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f4, %f5, %f6, %f7}, {%r2, %r3, %r4, %r5}, {%r6, %r7}, {%f0, %f1, %f2, %f3};
  st.global.v4.f32 [%d2], {%f4, %f5, %f6, %f7};
  ret;
})";

Tensor tensor_core(DeviceKind kind) {
  constexpr int64_t kBlocks = 64, kLanes = 32;
  KernelImage image;
  image.kernel = "tensor_core";
  const auto *text = reinterpret_cast<const std::byte *>(kTensorCore);
  image.sections.push_back({SectionKind::kPtx, "sm_80", {text, text + std::strlen(kTensorCore)}});
  LaunchPhase phase;
  phase.entry = "tensor_core";
  phase.threads = kLanes;
  phase.grid[0] = {Dimension::kBatch, 1};
  image.launch.phases.push_back(phase);
  Device *device = Device::open(kind).value();
  const DeviceLocation location{kind, 0};
  const Tensor a = must(must(Tensor::random({kBlocks * kLanes, 8}, kF16, 4)).to(location));
  const Tensor b = must(must(Tensor::random({kBlocks * kLanes, 4}, kF16, 5)).to(location));
  const Tensor out = must(Tensor::empty({kBlocks * kLanes, 4}, kF32, location));
  KernelArguments arguments = {};
  arguments.batch = kBlocks;
  arguments.tensors[0].data = a.data();
  arguments.tensors[1].data = b.data();
  arguments.tensors[2].data = out.data();
  auto kernel = device->load(image);
  Status done = kernel ? device->launch(**kernel, arguments, 0) : Status(kernel.error());
  if (done.ok())
    done = device->synchronise(0);
  return must(done.ok() ? out.to(DeviceLocation{}) : Result<Tensor>(done.error()));
}

/// The emulated card that adds as this one does.
const char *card_like(int capability) {
  return capability >= 100 ? "b200" : capability >= 90 ? "h100" : capability == 89 ? "rtx4090" : "a100";
}

Json card_of(DeviceKind kind) {
  void *library =
      dlopen(kind == DeviceKind::kCuda ? "libcuda.so.1" : TENON_EMULATED_DRIVER_LIBRARY, RTLD_NOW);
  auto *get = reinterpret_cast<int (*)(int *, int, int)>(dlsym(library, "cuDeviceGetAttribute"));
  auto attribute = [&](int number) {
    int value = 0;
    if (get)
      get(&value, number, 0);
    return value;
  };
  return {{"name", Device::open(kind).value()->name()},
          {"compute_capability", attribute(75) * 10 + attribute(76)},
          {"multiprocessors", attribute(16)},
          {"clock_khz", attribute(13)},
          {"memory_clock_khz", attribute(36)},
          {"memory_bus_bits", attribute(37)}};
}

/// Runs a case on both sides; `emulated` says whether the first is an emulator too, and counts.
template <class Run>
Json run_case(const char *name, bool exact, bool once, const Emulator &emulator, Run run) {
  emulator.clear();
  const Tensor on_device = run(true);
  const Json device_counts = Json::parse(emulator.text("tenonEmulatorCounters"), nullptr, false);
  if (once)
    return {{"name", name}};
  emulator.clear();
  const Tensor emulated = run(false);
  const Difference found = compare(on_device, emulated, exact);
  return {{"name", name},
          {"elements", found.elements},
          {"different", found.different},
          {"largest", found.largest},
          {"allowed", found.allowed},
          {"right", found.largest <= found.allowed},
          {"findings", emulator.text("tenonEmulatorReport")},
          {"emulator_counts", Json::parse(emulator.text("tenonEmulatorCounters"), nullptr, false)},
          {"device_counts", device_counts}};
}

int main_of(int count, char **arguments) {
  std::string device_name = "cuda";
  bool small = false, once = false;
  CLI::App app("The same kernels on a device and on the emulator");
  app.add_option("--device", device_name)->check(CLI::IsMember({"cuda", "emulator"}));
  app.add_flag("--small", small, "few cases");
  app.add_flag("--once", once, "on the device alone, for a profiler");
  CLI11_PARSE(app, count, arguments);
  const DeviceKind kind = device_name == "cuda" ? DeviceKind::kCuda : DeviceKind::kEmulator;
  const Way way = kind == DeviceKind::kCuda ? Way::kCuda : Way::kEmulator;
  if (Result<Device *> device = Device::open(kind); !device) {
    std::cerr << "on_gpu_compare: " << device.error().message() << "\n";
    return 1;
  }
  Json report = {{"card", card_of(kind)}, {"cases", Json::array()}};
  setenv("TENON_EMULATOR_CARD", card_like(report["card"]["compute_capability"]), /*overwrite=*/0);
  const Emulator emulator = open_emulator();
  // Code for one target on both, so that both execute the same instructions.
  Json cases = Json::array();
  cases.push_back(run_case("tensor_core", true, once, emulator, [&](bool first) {
    return tensor_core(first ? kind : DeviceKind::kEmulator);
  }));
  for (const Case &each : kCases)
    if (each.small || !small)
      cases.push_back(run_case(each.name, false, once, emulator, [&](bool first) {
        return attention(each, first ? way : Way::kEmulator, "sm_80");
      }));
  bool right = true;
  for (const Json &each : cases)
    right &= once || (each["right"] == true && each["findings"] == "nothing found\n");
  report["cases"] = std::move(cases);
  std::cout << report.dump(1) << "\n";
  return right ? 0 : 1;
}

} // namespace
} // namespace tenon

int main(int count, char **arguments) {
  return tenon::main_of(count, arguments);
}
