// mma against outputs recorded on tensor cores, bit by bit, and against products computed here.
#include "Checkout.h"
#include "Mma.h"
#include <algorithm>
#include <bit>
#include <cmath>
#include <filesystem>
#include <random>
#include <zlib.h>

namespace tenon::emulator {
namespace {

std::string read_compressed(const std::filesystem::path &path) {
  std::string text;
  gzFile file = gzopen(path.c_str(), "rb");
  if (!file)
    return text;
  char buffer[1 << 16];
  for (int read; (read = gzread(file, buffer, sizeof(buffer))) > 0;)
    text.append(buffer, static_cast<size_t>(read));
  gzclose(file);
  return text;
}

std::vector<uint32_t> numbers(const std::string &text, int base) {
  std::vector<uint32_t> values;
  for (size_t at = 0; at < text.size();) {
    if (std::isspace(static_cast<unsigned char>(text[at]))) {
      at++;
      continue;
    }
    size_t end = text.find_first_of(" \t\r\n", at);
    end = std::min(end, text.size());
    values.push_back(static_cast<uint32_t>(std::stoul(text.substr(at, end - at), nullptr, base)));
    at = end;
  }
  return values;
}

uint16_t to_half_bits(float value) { // exact: records hold float16 values
  uint32_t bits = std::bit_cast<uint32_t>(value), sign = bits >> 16 & 0x8000;
  float magnitude = std::fabs(value);
  if (magnitude == 0)
    return static_cast<uint16_t>(sign);
  int exponent = std::ilogb(magnitude);
  if (exponent < -14)
    return static_cast<uint16_t>(sign | static_cast<uint32_t>(std::ldexp(magnitude, 24)));
  return static_cast<uint16_t>(sign | static_cast<uint32_t>(exponent + 15) << 10 | (bits >> 13 & 0x3ff));
}

struct Records {
  const char *prefix, *device, *target, *types;
};
class TensorCoreRecords : public testing::TestWithParam<Records> {};

TEST_P(TensorCoreRecords, EveryBitIsTheHardwares) {
  const char *data = std::getenv("TENON_TEST_DATA");
  std::filesystem::path folder = std::filesystem::path(data ? data : TENON_SOURCE_DIR "/../shared/data") / "tensor-core";
  std::string prefix = GetParam().prefix;
  if (!std::filesystem::exists(folder / (prefix + "_a.txt.gz")))
    GTEST_SKIP() << "no records at " << folder << "; set TENON_TEST_DATA";
  auto a = numbers(read_compressed(folder / (prefix + "_a.txt.gz")), 16);
  auto b = numbers(read_compressed(folder / (prefix + "_b.txt.gz")), 16);
  auto c = numbers(read_compressed(folder / (prefix + "_c.txt.gz")), 2);
  auto d = numbers(read_compressed(folder / (prefix + "_d.txt.gz")), 2);
  size_t cases = d.size(), length = a.size() / cases;
  ASSERT_EQ(cases, 5000u);
  ASSERT_EQ(a.size(), cases * length);
  ASSERT_TRUE(length == 8 || length == 16) << length;
  bool bf16 = prefix.find("bf16") != std::string::npos;
  auto narrow = [&](uint32_t bits) {
    return bf16 ? static_cast<uint16_t>(bits >> 16) : to_half_bits(std::bit_cast<float>(bits));
  };
  // Eight cases a product, on its diagonal: row i of A and column i of B.
  size_t blocks = (cases + 7) / 8;
  int a_count = length == 16 ? 4 : 2, b_count = length == 16 ? 2 : 1;
  std::vector<uint32_t> pa(blocks * 32 * a_count), pb(blocks * 32 * b_count), pc(blocks * 32 * 4);
  for (size_t i = 0; i < cases; i++) {
    size_t block = i / 8, row = i % 8;
    for (size_t pair = 0; pair < length / 2; pair++) {
      auto two = [&](const std::vector<uint32_t> &from) {
        return narrow(from[i * length + 2 * pair]) | uint32_t{narrow(from[i * length + 2 * pair + 1])} << 16;
      };
      size_t lane = block * 32 + row * 4 + pair % 4, step = pair / 4;
      pa[lane * a_count + 2 * step] = two(a);
      pb[lane * b_count + step] = two(b);
    }
    pc[(block * 32 + row * 4 + row / 2) * 4 + row % 2] = c[i];
  }
  Card card(GetParam().device);
  std::string text = mma_kernel(length == 16 ? "m16n8k16" : "m16n8k8", GetParam().types, a_count, b_count, 4, 4, "sm_80");
  auto out = card.allocate(pc.size() * 4);
  auto *kernel = card.load(text);
  ASSERT_TRUE(kernel);
  ASSERT_EQ(card.launch(kernel, static_cast<unsigned>(blocks), 32, 0, out, card.upload(pa), card.upload(pb), card.upload(pc)),
            kSuccess);
  auto result = card.download<uint32_t>(out, pc.size());
  size_t same = 0;
  for (size_t i = 0; i < cases; i++) {
    size_t row = i % 8;
    same += result[(i / 8 * 32 + row * 4 + row / 2) * 4 + row % 2] == d[i];
  }
  EXPECT_EQ(same, cases);
}

constexpr const char *kF16 = "f32.f16.f16.f32", *kBf16 = "f32.bf16.bf16.f32";
// A B200 adds as an H100 does; Ada (RTX 4090) as an A100.
INSTANTIATE_TEST_SUITE_P(Recorded, TensorCoreRecords,
                         testing::Values(Records{"A100_fp16", "a100", "sm_80", kF16}, Records{"A100_bf16", "a100", "sm_80", kBf16},
                                         Records{"A100_fp16", "rtx4090", "sm_80", kF16},
                                         Records{"H100_fp16", "h100", "sm_80", kF16}, Records{"H100_bf16", "h100", "sm_80", kBf16},
                                         Records{"B200_fp16", "b200", "sm_80", kF16}, Records{"B200_bf16", "b200", "sm_80", kBf16}),
                         [](const auto &record) {
                           return std::string(record.param.prefix) + "_on_" + record.param.device;
                         });

struct Shape {
  const char *shape, *types, *element;
  int k, a, b, c;
};
class TensorCoreShapes : public testing::TestWithParam<Shape> {};

uint32_t encode(const std::string &element, float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  return element == "tf32" ? bits : element == "bf16" ? bits >> 16 : to_half_bits(value);
}

/// Small integers: the product is exact, so only the places of the elements matter.
TEST_P(TensorCoreShapes, PutsEveryElementInItsPlace) {
  const Shape &shape = GetParam();
  bool pairs = std::string(shape.element) != "tf32", half_result = shape.c == 2;
  std::mt19937 random(1);
  auto draw = [&] { return static_cast<float>(static_cast<int>(random() % 9) - 4); };
  float a[16][16], b[16][8], c[16][8];
  for (auto &row : a)
    for (float &x : row)
      x = draw();
  for (auto &row : b)
    for (float &x : row)
      x = draw();
  for (auto &row : c)
    for (float &x : row)
      x = draw();
  std::vector<uint32_t> pa(32 * shape.a), pb(32 * shape.b), pc(32 * shape.c);
  auto e = [&](float x) { return encode(shape.element, x); };
  for (int lane = 0; lane < 32; lane++) {
    int group = lane / 4, pair = lane % 4;
    for (int i = 0; i < shape.a; i++) {
      int row = group + 8 * (i % 2), k = (pairs ? 8 : 4) * (i / 2) + pair * (pairs ? 2 : 1);
      pa[lane * shape.a + i] = pairs ? e(a[row][k]) | e(a[row][k + 1]) << 16 : e(a[row][k]);
    }
    for (int i = 0; i < shape.b; i++) {
      int k = (pairs ? 8 : 4) * i + pair * (pairs ? 2 : 1);
      pb[lane * shape.b + i] = pairs ? e(b[k][group]) | e(b[k + 1][group]) << 16 : e(b[k][group]);
    }
    for (int i = 0; i < shape.c; i++) {
      if (half_result)
        pc[lane * 2 + i] = to_half_bits(c[group + 8 * i][2 * pair]) | uint32_t{to_half_bits(c[group + 8 * i][2 * pair + 1])} << 16;
      else
        pc[lane * 4 + i] = std::bit_cast<uint32_t>(c[group + 8 * (i / 2)][2 * pair + i % 2]);
    }
  }
  for (const char *device : {"a100", "h100"}) {
    Card card(device);
    auto out = card.allocate(pc.size() * 4);
    auto *kernel = card.load(mma_kernel(shape.shape, shape.types, shape.a, shape.b, shape.c, shape.c, "sm_80"));
    ASSERT_TRUE(kernel);
    ASSERT_EQ(card.launch(kernel, 1, 32, 0, out, card.upload(pa), card.upload(pb), card.upload(pc)), kSuccess);
    auto d = card.download<uint32_t>(out, pc.size());
    for (int row = 0; row < 16; row++)
      for (int column = 0; column < 8; column++) {
        float expected = c[row][column];
        for (int k = 0; k < shape.k; k++)
          expected += a[row][k] * b[k][column];
        int lane = row % 8 * 4 + column / 2, half = row / 8;
        if (half_result)
          EXPECT_EQ(d[lane * 2 + half] >> (column % 2 * 16) & 0xffff, to_half_bits(expected)) << row << "," << column;
        else
          EXPECT_EQ(std::bit_cast<float>(d[lane * 4 + half * 2 + column % 2]), expected) << row << "," << column;
      }
    EXPECT_EQ(Card::report(), "nothing found\n");
  }
}
INSTANTIATE_TEST_SUITE_P(All, TensorCoreShapes,
                         testing::Values(Shape{"m16n8k16", "f32.f16.f16.f32", "f16", 16, 4, 2, 4},
                                         Shape{"m16n8k16", "f32.bf16.bf16.f32", "bf16", 16, 4, 2, 4},
                                         Shape{"m16n8k16", "f16.f16.f16.f16", "f16", 16, 4, 2, 2},
                                         Shape{"m16n8k8", "f32.f16.f16.f32", "f16", 8, 2, 1, 4},
                                         Shape{"m16n8k8", "f32.bf16.bf16.f32", "bf16", 8, 2, 1, 4},
                                         Shape{"m16n8k8", "f16.f16.f16.f16", "f16", 8, 2, 1, 2},
                                         Shape{"m16n8k8", "f32.tf32.tf32.f32", "tf32", 8, 4, 2, 4},
                                         Shape{"m16n8k4", "f32.tf32.tf32.f32", "tf32", 4, 2, 1, 4}),
                         [](const auto &shape) {
                           std::string name = std::string(shape.param.shape) + "_" + shape.param.types;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

/// Infinities and NaN in one element touch its row or column and nothing else.
TEST(TensorCore, SpecialValuesStayInTheirRow) {
  Card card;
  std::vector<uint32_t> a(128, 0x3c003c00), b(64, 0x3c003c00), c(128, 0);
  a[0] = 0x3c007c00;                                   // row 0 holds +inf
  a[4 * 4] = 0x3c007e00;                               // row 1 NaN
  c[2 * 16] = std::bit_cast<uint32_t>(-INFINITY);      // row 2... lane 8: row 2, column 0
  auto out = card.allocate(512);
  auto *kernel = card.load(mma_kernel("m16n8k16", "f32.f16.f16.f32", 4, 2, 4, 4, "sm_80"));
  ASSERT_EQ(card.launch(kernel, 1, 32, 0, out, card.upload(a), card.upload(b), card.upload(c)), kSuccess);
  auto d = card.download<float>(out, 128);
  EXPECT_EQ(d[0], INFINITY);
  EXPECT_TRUE(std::isnan(d[4 * 4]));
  EXPECT_EQ(d[8 * 4], -INFINITY);
  EXPECT_EQ(d[8 * 4 + 1], 16);
  EXPECT_EQ(d[12 * 4], 16);
}

} // namespace
} // namespace tenon::emulator
