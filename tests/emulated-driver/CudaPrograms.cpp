// Programs of CUDA C++, compiled when the test runs, against the same computation on the host.
#include "Checkout.h"
#include "Emulator.h"
#include "Nvcc.h"
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>

namespace tenon::emulator {
namespace {

/// The PTX of data/NAME.cu, compiled once.
const std::string &program(const std::string &name) {
  static std::map<std::string, std::string> compiled;
  auto [at, fresh] = compiled.try_emplace(name);
  if (fresh)
    at->second = compile_file(TENON_SOURCE_DIR "/tests/emulated-driver/data/" + name + ".cu");
  return at->second;
}

template <class T> std::vector<T> random_values(size_t count, T least, T most, unsigned seed = 1) {
  std::mt19937_64 random(seed);
  std::vector<T> values(count);
  for (T &value : values)
    if constexpr (std::is_floating_point_v<T>)
      value = std::uniform_real_distribution<T>(least, most)(random);
    else
      value = static_cast<T>(least + static_cast<T>(random() % (static_cast<uint64_t>(most) - static_cast<uint64_t>(least) + 1)));
  return values;
}

/// Runs a kernel of one block over `out` and the inputs and returns what it wrote.
template <class Out, class... Arguments>
std::vector<Out> run(Card &card, const std::string &text, const char *name, unsigned blocks, unsigned threads, size_t count,
                     Arguments... arguments) {
  auto *kernel = card.load(text, name);
  if (!kernel)
    return std::vector<Out>(count);
  DevicePointer out = card.upload(std::vector<Out>(count));
  EXPECT_EQ(card.launch(kernel, blocks, threads, 0, out, arguments...), kSuccess) << Card::report();
  EXPECT_EQ(Card::report(), "nothing found\n") << name;
  return card.download<Out>(out, count);
}

TEST(CudaPrograms, Reduction) {
  const std::string &text = program("warps");
  NEEDS_NVCC(text);
  Card card;
  auto in = random_values<uint32_t>(10'001, 0, ~0u);
  auto sum = run<uint64_t>(card, text, "reduce", 5, 256, 1, card.upload(in), static_cast<int>(in.size()));
  EXPECT_EQ(sum[0], std::accumulate(in.begin(), in.end(), uint64_t{0}));
}

TEST(CudaPrograms, ScanWithShuffles) {
  const std::string &text = program("warps");
  NEEDS_NVCC(text);
  Card card;
  auto in = random_values<int>(256, -1000, 1000), expected = in;
  std::partial_sum(in.begin(), in.end(), expected.begin());
  EXPECT_EQ(run<int>(card, text, "scan", 1, 256, 256, card.upload(in)), expected);
}

TEST(CudaPrograms, HistogramWithAtomics) {
  const std::string &text = program("warps");
  NEEDS_NVCC(text);
  Card card;
  auto in = random_values<uint8_t>(50'000, 0, 100);
  std::vector<uint32_t> expected(256);
  for (uint8_t x : in)
    expected[x] += 3;
  EXPECT_EQ(run<uint32_t>(card, text, "histogram", 3, 256, 256, card.upload(in), static_cast<int>(in.size())), expected);
}

TEST(CudaPrograms, VotesOfBlockAndWarp) {
  const std::string &text = program("warps");
  NEEDS_NVCC(text);
  Card card;
  auto in = random_values<int>(128, -50, 50);
  in[77] = 7;
  auto out = run<int>(card, text, "votes", 1, 128, 128, card.upload(in));
  auto count = static_cast<int>(std::count_if(in.begin(), in.end(), [](int x) { return x > 0; }));
  for (size_t i = 0; i < 128; i++) {
    auto first = in.begin() + static_cast<long>(i / 32 * 32);
    int most = *std::max_element(first, first + 32);
    auto odd = static_cast<int>(std::count_if(first, first + 32, [](int x) { return x & 1; }));
    EXPECT_EQ(out[i], count + 1000 + 2000 + 10000 * most + 1000000 * odd);
  }
}

int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
TEST(CudaPrograms, Recursion) {
  const std::string &text = program("calls");
  NEEDS_NVCC(text);
  Card card;
  auto out = run<int>(card, text, "recursion", 2, 64, 64);
  for (int i = 0; i < 64; i++)
    EXPECT_EQ(out[static_cast<size_t>(i)], fibonacci(i % 13));
}

TEST(CudaPrograms, RecursionWithArraysOnTheStack) {
  const std::string &text = program("calls");
  NEEDS_NVCC(text);
  Card card;
  std::vector<int> children(64, -1); // node i has children 2i + 1 and 2i + 2, up to node 19
  auto deepest = [&](int node, auto &self) -> int {
    int most = 0;
    for (int side = 0; side < 2; side++)
      if (int child = children[static_cast<size_t>(2 * node + side)]; child >= 0)
        most = std::max(most, 1 + self(child, self));
    return most;
  };
  for (int i = 0; i < 20; i++)
    for (int side = 0; side < 2; side++)
      if (2 * i + 1 + side < 20)
        children[static_cast<size_t>(2 * i + side)] = 2 * i + 1 + side;
  auto out = run<int>(card, text, "tree", 1, 32, 32, card.upload(children));
  for (int i = 0; i < 32; i++)
    EXPECT_EQ(out[static_cast<size_t>(i)], deepest(i % 8, deepest));
}

TEST(CudaPrograms, StructuresByValue) {
  const std::string &text = program("calls");
  NEEDS_NVCC(text);
  Card card;
  auto out = run<double>(card, text, "structures", 1, 32, 32);
  for (int i = 0; i < 32; i++) {
    double first = 0.5 * i * 3 * (i % 3 == 0 ? 2 : 1);
    EXPECT_EQ(out[static_cast<size_t>(i)], first + (i << (i % 3 == 0 ? 3 : 2)));
  }
}

TEST(CudaPrograms, PointersToFunctions) {
  const std::string &text = program("calls");
  NEEDS_NVCC(text);
  Card card;
  auto out = run<float>(card, text, "pointers", 1, 32, 32);
  auto shapes = run<float>(card, text, "virtuals", 1, 32, 32);
  for (int i = 0; i < 32; i++) {
    float x = static_cast<float>(i) + 1;
    EXPECT_EQ(out[static_cast<size_t>(i)], i % 3 == 0 ? 2 * x : i % 3 == 1 ? x * x : -x);
    EXPECT_EQ(shapes[static_cast<size_t>(i)], static_cast<float>(i * i * (i % 2 ? 1 : 3)));
  }
}

TEST(CudaPrograms, Prints) {
  const std::string &text = program("calls");
  NEEDS_NVCC(text);
  Card card;
  auto *kernel = card.load(text, "prints");
  ASSERT_TRUE(kernel);
  testing::internal::CaptureStdout();
  Status status = card.launch(kernel, 1, 32, 0, 3);
  std::fflush(stdout);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "thread 0 of block:  4.50 123456789abc z%\nthread 1 of block:  4.50 123456789abc z%\n");
  EXPECT_EQ(status, kSuccess);
  EXPECT_EQ(Card::report(), "nothing found\n");
}

TEST(CudaPrograms, AssertionsEndTheLaunch) {
  const std::string &text = program("calls");
  NEEDS_NVCC(text);
  {
    Card card;
    EXPECT_EQ(card.launch(card.load(text, "asserts"), 1, 32, 0, 5), kSuccess);
  }
  Card card;
  EXPECT_EQ(card.launch(card.load(text, "asserts"), 1, 32, 0, 6), kAssert);
  EXPECT_NE(Card::report().find("assertion 'x == 5' failed"), std::string::npos) << Card::report();
}

TEST(CudaPrograms, Doubles) {
  const std::string &text = program("numbers");
  NEEDS_NVCC(text);
  Card card;
  auto in = random_values<double>(96, -30, 30);
  auto out = run<double>(card, text, "doubles", 1, 96, 96, card.upload(in));
  const double factors[] = {1.5, -2.25, 0.0};
  for (size_t i = 0; i < in.size(); i++) {
    double x = in[i], first = std::sqrt(std::fabs(x)) / std::fma(x, x, 1.0); // nvcc contracts
    double expected = first + std::fma(x, factors[i % 3], static_cast<double>(static_cast<float>(x))) + std::floor(x) +
                      static_cast<double>(static_cast<long long>(x * 100));
    EXPECT_EQ(out[i], expected) << x;
  }
  auto functions = run<double>(card, text, "elementary", 1, 96, 96, card.upload(in));
  for (size_t i = 0; i < in.size(); i++) {
    double x = in[i], expected = std::exp(x) + std::sin(x) * std::log(std::fabs(x) + 1) + std::cbrt(x) + std::atan2(x, 2.0) +
                                 std::pow(std::fabs(x), 0.3);
    EXPECT_NEAR(functions[i], expected, 1e-13 * (1 + std::exp(x))) << x; // CUDA's functions: 2 ulp each
  }
}

uint32_t reverse(uint32_t x) {
  uint32_t result = 0;
  for (int i = 0; i < 32; i++)
    result |= (x >> i & 1) << (31 - i);
  return result;
}
TEST(CudaPrograms, SixtyFourBits) {
  const std::string &text = program("numbers");
  NEEDS_NVCC(text);
  Card card;
  auto a = random_values<int64_t>(64, -1'000'000'000'000, 1'000'000'000'000, 3), b = random_values<int64_t>(64, -5'000'000, 5'000'000, 4);
  b[5] = 0;
  auto out = run<int64_t>(card, text, "integers", 1, 64, 64, card.upload(a), card.upload(b));
  for (size_t i = 0; i < a.size(); i++) {
    int64_t x = a[i], y = b[i];
    auto u = static_cast<uint64_t>(x), v = static_cast<uint64_t>(y);
    auto low = static_cast<uint32_t>(u), other = static_cast<uint32_t>(v);
    uint64_t reversed = uint64_t{reverse(low)} << 32 | reverse(static_cast<uint32_t>(u >> 32));
    uint64_t both = uint64_t{other} << 32 | low;
    auto byte = [&](int n) { return static_cast<uint32_t>(both >> (8 * n)) & 0xff; };
    int permuted = static_cast<int>(byte(1) | byte(4) << 8 | byte(5) << 16 | byte(2) << 24);
    int funnel = static_cast<int>(other << 7 | low >> 25);
    uint64_t expected = u * v + static_cast<uint64_t>(y ? x / y : 0) + (v ? u % v : 1) +
                        static_cast<uint64_t>(static_cast<unsigned __int128>(u) * v >> 64) + static_cast<uint64_t>(x >> (y & 63)) +
                        static_cast<uint64_t>(__builtin_popcountll(u)) + static_cast<uint64_t>(v ? __builtin_clzll(v) : 64) + reversed;
    // The two of 32 bits: __byte_perm gives unsigned, __funnelshift_l too.
    expected += static_cast<uint32_t>(permuted);
    expected += static_cast<uint32_t>(funnel);
    EXPECT_EQ(static_cast<uint64_t>(out[i]), expected) << x << ", " << y;
  }
}

TEST(CudaPrograms, LocalArrays) {
  const std::string &text = program("numbers");
  NEEDS_NVCC(text);
  Card card;
  auto in = random_values<int>(64 * 16, -1000, 1000);
  auto out = run<int>(card, text, "sorted", 1, 64, 64, card.upload(in));
  for (size_t i = 0; i < 64; i++) {
    std::sort(in.begin() + static_cast<long>(i) * 16, in.begin() + static_cast<long>(i + 1) * 16);
    uint32_t sum = 0;
    for (size_t j = 0; j < 16; j++)
      sum = sum * 3 + static_cast<uint32_t>(in[i * 16 + (j + i) % 16]);
    EXPECT_EQ(static_cast<uint32_t>(out[i]), sum);
  }
}

TEST(CudaPrograms, TablesOfCasesAndConstants) {
  const std::string &text = program("numbers");
  NEEDS_NVCC(text);
  Card card;
  auto in = random_values<int>(128, 0, 8);
  auto out = run<int>(card, text, "cases", 1, 128, 128, card.upload(in));
  const int weights[] = {3, 1, 4, 1, 5};
  for (int i = 0; i < 128; i++) {
    int x = in[static_cast<size_t>(i)], sum = 0;
    for (int w = 0; w < 5; w++)
      sum += weights[w] * w;
    const int expected[] = {17, x * 5 + i, sum, weights[i % 5], -1, x ^ i, __builtin_ffs(i + 8), 99, 99};
    EXPECT_EQ(out[static_cast<size_t>(i)], expected[x]) << x;
  }
}

TEST(CudaPrograms, BytesOfWords) {
  const std::string &text = program("numbers");
  NEEDS_NVCC(text);
  Card card;
  auto in = random_values<uint32_t>(64, 0, ~0u);
  auto out = run<uint32_t>(card, text, "bytes", 1, 64, 64, card.upload(in));
  for (size_t i = 0; i < in.size(); i++) {
    uint32_t x = in[i], differences = 0, dot = 5;
    for (int b = 0; b < 4; b++) {
      int own = static_cast<int>(x >> (8 * b) & 0xff), other = 0x40 - 0x10 * b;
      differences |= static_cast<uint32_t>(std::abs(own - other)) << (8 * b);
      dot += static_cast<uint32_t>(static_cast<int8_t>(own) * (4 - b));
    }
    uint32_t twice = (x * 2 & 0xffff) | ((x & 0xffff0000) * 2);
    EXPECT_EQ(out[i], (x & 0xff) + 256 * (x >> 24) + differences + dot + twice);
  }
}

uint16_t half(float value) { // of small integers
  if (value == 0)
    return 0;
  int exponent = std::ilogb(value);
  auto fraction = static_cast<uint16_t>((std::fabs(value) / std::ldexp(1.0f, exponent) - 1) * 1024);
  return static_cast<uint16_t>((value < 0 ? 0x8000 : 0) | (exponent + 15) << 10 | fraction);
}
/// Small integers, so that every sum is exact in every type.
TEST(CudaPrograms, MatrixProductsByTensorCores) {
  const std::string &text = program("wmma");
  NEEDS_NVCC(text);
  auto a = random_values<int>(64 * 64, -2, 2, 8), b = random_values<int>(64 * 64, -2, 2, 9);
  std::vector<int> expected(64 * 64);
  for (size_t i = 0; i < 64; i++)
    for (size_t j = 0; j < 64; j++)
      for (size_t k = 0; k < 64; k++)
        expected[i * 64 + j] += a[i * 64 + k] * b[j * 64 + k];
  auto as = [](const std::vector<int> &from, auto convert) {
    std::vector<decltype(convert(0))> to;
    for (int x : from)
      to.push_back(convert(x));
    return to;
  };
  auto real = [](int x) { return static_cast<float>(x); };
  auto f16 = [](int x) { return half(static_cast<float>(x)); };
  auto bf16 = [](int x) {
    float value = static_cast<float>(x);
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return static_cast<uint16_t>(bits >> 16);
  };
  auto s8 = [](int x) { return static_cast<int8_t>(x); };
  Card card;
  auto floats = as(expected, real);
  EXPECT_EQ(run<float>(card, text, "half_to_float", 1, 512, 4096, card.upload(as(a, f16)), card.upload(as(b, f16))), floats);
  EXPECT_EQ(run<uint16_t>(card, text, "half_to_half", 1, 512, 4096, card.upload(as(a, f16)), card.upload(as(b, f16))), as(expected, f16));
  EXPECT_EQ(run<float>(card, text, "bfloat", 1, 512, 4096, card.upload(as(a, bf16)), card.upload(as(b, bf16))), floats);
  EXPECT_EQ(run<float>(card, text, "tensor_float", 1, 512, 4096, card.upload(as(a, real)), card.upload(as(b, real))), floats);
  EXPECT_EQ(run<int>(card, text, "bytes", 1, 512, 4096, card.upload(as(a, s8)), card.upload(as(b, s8))), expected);
}

} // namespace
} // namespace tenon::emulator
