// How many warp instructions a second the emulated driver executes, every checker on, by one thread.
//
//     build/bin/benchmarks/emulator_speed
//     TENON_EMULATOR_ISA=avx2 build/bin/benchmarks/emulator_speed     # or baseline
//     TENON_EMULATOR_THREADS=2 build/bin/benchmarks/emulator_speed    # so many threads
//
// The figures to hold with AVX-512: 6 million a second on flash attention with tensor cores bit by bit, 100 million in a
// loop of arithmetic. TENON_EMULATOR_CARD=h100 adds as Hopper does.
#include "Checkout.h"
#include "execute/Execute.h"
#include "tenon/Attention.h"
#include "tenon/Tensor.h"

#include <benchmark/benchmark.h>
#include <cstdlib>
#include <dlfcn.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

namespace {

/// The emulated driver as a library: the entries that this program needs.
struct Driver {
  Driver() {
    library = dlopen(TENON_EMULATED_DRIVER, RTLD_NOW | RTLD_LOCAL);
    if (!library)
      std::abort();
    entry<int(unsigned)>("cuInit")(0);
    void *context = nullptr;
    entry<int(void **, int)>("cuDevicePrimaryCtxRetain")(&context, 0);
    entry<int(void *)>("cuCtxSetCurrent")(context);
  }
  template <class F> F *entry(const char *name) const { return reinterpret_cast<F *>(dlsym(library, name)); }

  double warp_instructions() const {
    auto counters = entry<size_t(char *, size_t)>("tenonEmulatorCounters");
    std::string json(counters(nullptr, 0), '\0');
    counters(json.data(), json.size());
    return nlohmann::json::parse(json.c_str()).at("warp_instructions").get<double>();
  }
  bool found_nothing() const {
    char report[64] = "";
    entry<size_t(char *, size_t)>("tenonEmulatorReport")(report, sizeof(report));
    return std::string(report).starts_with("nothing found");
  }
  void *library = nullptr;
};
const Driver &driver() {
  static const Driver *made = new Driver;
  return *made;
}

void finish(benchmark::State &state, double before) {
  state.counters["warp_instructions"] =
      benchmark::Counter(driver().warp_instructions() - before, benchmark::Counter::kIsRate);
  if (!driver().found_nothing())
    state.SkipWithError("the checkers found something");
}

/// A grid of one-dimensional blocks of a kernel that takes two buffers of `bytes`.
void run_ptx(benchmark::State &state, const std::string &text, const char *name, unsigned blocks, unsigned threads, size_t bytes) {
  const Driver &cuda = driver();
  void *module = nullptr, *kernel = nullptr;
  if (cuda.entry<int(void **, const void *)>("cuModuleLoadData")(&module, text.c_str()) != 0 ||
      cuda.entry<int(void **, void *, const char *)>("cuModuleGetFunction")(&kernel, module, name) != 0)
    return state.SkipWithError("the module does not load");
  uint64_t buffers[2];
  for (uint64_t &buffer : buffers) {
    cuda.entry<int(uint64_t *, size_t)>("cuMemAlloc_v2")(&buffer, bytes);
    cuda.entry<int(uint64_t, unsigned char, size_t)>("cuMemsetD8_v2")(buffer, 0, bytes);
  }
  float scale = 1;
  void *arguments[] = {&buffers[0], &buffers[1], &scale};
  auto launch = cuda.entry<int(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **)>(
      "cuLaunchKernel");
  double before = cuda.warp_instructions();
  for (auto _ : state)
    launch(kernel, blocks, 1, 1, threads, 1, 1, 0, nullptr, arguments, nullptr);
  finish(state, before);
  cuda.entry<int(void *)>("cuModuleUnload")(module);
}

void alu_loop(benchmark::State &state) {
  run_ptx(state, R"(.version 8.7
.target sm_80
.address_size 64
.visible .entry loop(.param .u64 out, .param .u64 in) {
  .reg .b32 %r<8>; .reg .f32 %f<8>; .reg .pred %p; .reg .b64 %rd<4>;
  mov.u32 %r1, %tid.x; mov.u32 %r2, 0; cvt.rn.f32.u32 %f1, %r1; mov.f32 %f2, 0f3F800001;
LOOP:
  fma.rn.f32 %f1, %f1, %f2, %f2; mad.lo.s32 %r3, %r1, 3, %r2; xor.b32 %r1, %r1, %r3; add.f32 %f3, %f1, %f2;
  shl.b32 %r4, %r3, 3; add.s32 %r1, %r1, %r4; mul.f32 %f2, %f3, 0f3F000000; max.f32 %f1, %f1, %f3;
  add.s32 %r2, %r2, 1; setp.lt.u32 %p, %r2, 2000; @%p bra LOOP;
  ld.param.u64 %rd1, [out]; mov.u32 %r5, %tid.x; mul.wide.u32 %rd2, %r5, 4; add.s64 %rd1, %rd1, %rd2; st.global.f32 [%rd1], %f1; ret;
})", "loop", 4, 256, 1024);
}
BENCHMARK(alu_loop)->Unit(benchmark::kMillisecond);

void softmax(benchmark::State &state) {
  std::ifstream file(TENON_SOURCE_DIR "/tests/emulated-driver/data/softmax.ptx");
  std::stringstream text;
  text << file.rdbuf();
  run_ptx(state, text.str(), "softmax", 1000, 32, 1000 * 128 * 4);
}
BENCHMARK(softmax)->Unit(benchmark::kMillisecond);

/// One head of 512 queries and keys, width 64, float16: what Tenon's compiler makes of it.
void flash_attention(benchmark::State &state) {
  using namespace tenon;
  auto input = [](uint64_t seed) { return Tensor::random({1, 1, 512, 64}, DataType::kFloat16, seed).value(); };
  Tensor query = input(1), key = input(2), value = input(3);
  AttentionOptions options;
  options.device = Way::kEmulator;
  auto first = scaled_dot_product_attention(query, key, value, options); // compiles
  if (!first)
    return state.SkipWithError(first.error().message().c_str());
  double before = driver().warp_instructions();
  for (auto _ : state)
    benchmark::DoNotOptimize(scaled_dot_product_attention(query, key, value, options));
  finish(state, before);
}
BENCHMARK(flash_attention)->Unit(benchmark::kMillisecond);

} // namespace

int main(int argc, char **argv) {
  setenv("TENON_EMULATOR_THREADS", "1", 0);
  benchmark::Initialize(&argc, argv);
  benchmark::AddCustomContext("executor", tenon::emulator::executor().name);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
