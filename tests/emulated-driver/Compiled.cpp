// Kernels as compilers write them: text that LLVM made, kept beside the tests, and CUDA C++ compiled when the test runs.
#include "Checkout.h"
#include "Emulator.h"
#include "Nvcc.h"
#include <cmath>
#include <random>

namespace tenon::emulator {
namespace {

std::vector<float> random_floats(size_t count) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> uniform(-2, 2);
  std::vector<float> values(count);
  for (float &value : values)
    value = uniform(random);
  return values;
}

void expect_softmax(const std::vector<float> &out, const std::vector<float> &in, size_t columns, double scale) {
  for (size_t row = 0; row < in.size() / columns; row++) {
    double sum = 0;
    for (size_t i = 0; i < columns; i++)
      sum += std::exp2(in[row * columns + i] * scale);
    for (size_t i = 0; i < columns; i++) {
      double expected = std::exp2(in[row * columns + i] * scale) / sum;
      ASSERT_NEAR(out[row * columns + i], expected, expected * 4e-6); // a few roundings of float32
    }
  }
}

TEST(Compiled, SoftmaxByLlvm) {
  Card card;
  auto *kernel = card.load(read_text(TENON_SOURCE_DIR "/tests/emulated-driver/data/softmax.ptx"), "softmax");
  ASSERT_TRUE(kernel);
  auto in = random_floats(128 * 20);
  auto out = card.allocate(in.size() * 4);
  ASSERT_EQ(card.launch(kernel, 20, 32, 0, out, card.upload(in), 1.5f), kSuccess);
  expect_softmax(card.download<float>(out, in.size()), in, 128, 1.5);
  EXPECT_EQ(Card::report(), "nothing found\n");
}

TEST(Compiled, SoftmaxByNvcc) {
  std::string text = compile(R"(
extern "C" __global__ void softmax(float *out, const float *in, int columns) {
  __shared__ float partial[8];
  __shared__ float whole;
  const float *row = in + (size_t)blockIdx.x * columns;
  auto reduce = [&](float x, auto combine) {
    for (int step = 16; step; step /= 2) x = combine(x, __shfl_xor_sync(~0u, x, step));
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = x;
    __syncthreads();
    if (threadIdx.x == 0) { float y = partial[0]; for (int i = 1; i < 8; i++) y = combine(y, partial[i]); whole = y; }
    __syncthreads();
    float result = whole;
    __syncthreads();
    return result;
  };
  float most = -INFINITY, sum = 0;
  for (int i = threadIdx.x; i < columns; i += 256) most = fmaxf(most, row[i]);
  most = reduce(most, [](float a, float b) { return fmaxf(a, b); });
  for (int i = threadIdx.x; i < columns; i += 256) sum += exp2f(row[i] - most);
  sum = reduce(sum, [](float a, float b) { return a + b; });
  for (int i = threadIdx.x; i < columns; i += 256) out[(size_t)blockIdx.x * columns + i] = exp2f(row[i] - most) / sum;
})");
  NEEDS_NVCC(text);
  Card card;
  auto *kernel = card.load(text, "softmax");
  ASSERT_TRUE(kernel);
  auto in = random_floats(1000 * 7);
  auto out = card.allocate(in.size() * 4);
  ASSERT_EQ(card.launch(kernel, 7, 256, 0, out, card.upload(in), 1000), kSuccess) << Card::report();
  expect_softmax(card.download<float>(out, in.size()), in, 1000, 1);
  EXPECT_EQ(Card::report(), "nothing found\n");
}

/// Tiles in shared memory by asynchronous copies, ldmatrix, mma: what flash attention is made of.
TEST(Compiled, MatrixProductByNvcc) {
  std::string text = compile(R"(
#include <cuda_fp16.h>
extern "C" __global__ void __launch_bounds__(128) product(float *c, const __half *a, const __half *b, int n, int k) {
  __shared__ __align__(16) __half ta[2][64][24], tb[2][16][72];
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, m0 = blockIdx.y * 64, n0 = blockIdx.x * 64;
  float d[8][4] = {};
  auto address = [](const void *p) { return (unsigned)__cvta_generic_to_shared(p); };
  auto load = [&](int stage, int k0) {
    const __half *from = a + (size_t)(m0 + threadIdx.x / 2) * k + k0 + threadIdx.x % 2 * 8;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address(&ta[stage][threadIdx.x / 2][threadIdx.x % 2 * 8])), "l"(from));
    from = b + (size_t)(k0 + threadIdx.x / 8) * n + n0 + threadIdx.x % 8 * 8;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address(&tb[stage][threadIdx.x / 8][threadIdx.x % 8 * 8])), "l"(from));
    asm volatile("cp.async.commit_group;");
  };
  load(0, 0);
  for (int k0 = 0; k0 < k; k0 += 16) {
    int stage = k0 / 16 % 2;
    if (k0 + 16 < k) { load(stage ^ 1, k0 + 16); asm volatile("cp.async.wait_group 1;" ::: "memory"); }
    else asm volatile("cp.async.wait_all;" ::: "memory");
    __syncthreads();
    unsigned fa[4];
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(fa[0]), "=r"(fa[1]), "=r"(fa[2]), "=r"(fa[3]) : "r"(address(&ta[stage][warp * 16 + lane % 16][lane / 16 * 8])));
    for (int j = 0; j < 8; j++) {
      unsigned fb[2];
      asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];" : "=r"(fb[0]), "=r"(fb[1]) : "r"(address(&tb[stage][lane % 16][j * 8])));
      asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};" : "+f"(d[j][0]), "+f"(d[j][1]), "+f"(d[j][2]), "+f"(d[j][3]) : "r"(fa[0]), "r"(fa[1]), "r"(fa[2]), "r"(fa[3]), "r"(fb[0]), "r"(fb[1]));
    }
    __syncthreads();
  }
  for (int j = 0; j < 8; j++) for (int e = 0; e < 4; e++)
    c[(size_t)(m0 + warp * 16 + lane / 4 + e / 2 * 8) * n + n0 + j * 8 + lane % 4 * 2 + e % 2] = d[j][e];
})");
  NEEDS_NVCC(text);
  constexpr int kM = 128, kN = 192, kK = 96;
  std::mt19937 random(5);
  auto small = [&](std::vector<int> &values, std::vector<uint16_t> &halves) { // integers from -2 to 2: exact
    static constexpr uint16_t kHalves[] = {0xc000, 0xbc00, 0, 0x3c00, 0x4000};
    for (size_t i = 0; i < values.size(); i++) {
      values[i] = static_cast<int>(random() % 5) - 2;
      halves[i] = kHalves[values[i] + 2];
    }
  };
  std::vector<int> a(kM * kK), b(kK * kN);
  std::vector<uint16_t> ha(a.size()), hb(b.size());
  small(a, ha);
  small(b, hb);
  Card card;
  auto *kernel = card.load(text, "product");
  ASSERT_TRUE(kernel);
  DevicePointer c = card.allocate(kM * kN * 4), pa = card.upload(ha), pb = card.upload(hb);
  int n = kN, k = kK;
  void *arguments[] = {&c, &pa, &pb, &n, &k};
  ASSERT_EQ(cuLaunchKernel(kernel, kN / 64, kM / 64, 1, 128, 1, 1, 0, nullptr, arguments, nullptr), kSuccess);
  ASSERT_EQ(cuCtxSynchronize(), kSuccess) << Card::report();
  auto d = card.download<float>(c, kM * kN);
  for (int i = 0; i < kM; i++)
    for (int j = 0; j < kN; j++) {
      int expected = 0;
      for (int x = 0; x < kK; x++)
        expected += a[i * kK + x] * b[x * kN + j];
      ASSERT_EQ(d[i * kN + j], static_cast<float>(expected)) << i << "," << j;
    }
  EXPECT_EQ(Card::report(), "nothing found\n");
}

/// Cooperative groups: every block reads what the others wrote before the grid's barrier, several times over.
TEST(Compiled, GridBarriersByNvcc) {
  std::string text = compile(R"(
#include <cooperative_groups.h>
extern "C" __global__ void scan(unsigned *out, unsigned *words, int rounds) {
  auto grid = cooperative_groups::this_grid();
  unsigned count = (unsigned)grid.size(), me = (unsigned)grid.thread_rank(), *from = words, *to = words + count;
  for (int round = 0; round < rounds; round++) {
    to[me] = from[me] + (me >= (1u << round) ? from[me - (1u << round)] : 0);
    grid.sync();
    unsigned *next = from;
    from = to;
    to = next;
  }
  out[me] = from[me];
})");
  NEEDS_NVCC(text);
  constexpr unsigned kBlocks = 6, kThreads = 64;
  Card card;
  auto *kernel = card.load(text, "scan");
  ASSERT_TRUE(kernel);
  std::vector<uint32_t> words(2 * kBlocks * kThreads);
  for (uint32_t i = 0; i < kBlocks * kThreads; i++)
    words[i] = i * 7 + 3;
  DevicePointer out = card.allocate(kBlocks * kThreads * 4), at = card.upload(words);
  int rounds = 9; // 384 threads
  void *arguments[] = {&out, &at, &rounds};
  for (int launch = 0; launch < 2; launch++) { // the barrier starts anew
    ASSERT_EQ(cuMemcpyHtoD_v2(at, words.data(), words.size() * 4), kSuccess);
    ASSERT_EQ(cuLaunchCooperativeKernel(kernel, kBlocks, 1, 1, kThreads, 1, 1, 0, nullptr, arguments), kSuccess);
    ASSERT_EQ(cuCtxSynchronize(), kSuccess) << Card::report();
    auto sums = card.download<uint32_t>(out, kBlocks * kThreads);
    uint32_t expected = 0;
    for (uint32_t i = 0; i < kBlocks * kThreads; i++)
      ASSERT_EQ(sums[i], expected += words[i]) << i;
    EXPECT_EQ(Card::report(), "nothing found\n");
  }
  ASSERT_EQ(cuLaunchKernel(kernel, kBlocks, 1, 1, kThreads, 1, 1, 0, nullptr, arguments, nullptr), kSuccess);
  EXPECT_EQ(cuCtxSynchronize(), kLaunchFailed) << "a launch that is not cooperative has no grid barrier";
  EXPECT_NE(Card::report().find("trap"), std::string::npos);
}

} // namespace
} // namespace tenon::emulator
