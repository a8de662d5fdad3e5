// Products of integers, bits and float64 by mma, and the shapes and types of wmma, against sums made here.
#include "Emulator.h"
#include <bit>
#include <random>

namespace tenon::emulator {
namespace {

std::string register_list(int first, int count) {
  std::string items = "{";
  for (int i = 0; i < count; i++)
    items += (i ? ", %r" : "%r") + std::to_string(first + i);
  return items + "}";
}

struct Shape {
  const char *opcode; // behind "mma.sync.aligned."
  int m, k, bits;
  bool signed_a, signed_b;
  int bitwise = 0; // 1: xor, 2: and
};
void PrintTo(const Shape &shape, std::ostream *os) { *os << shape.opcode; }
class IntegerProducts : public testing::TestWithParam<Shape> {};

int element(const std::vector<uint32_t> &words, size_t index, int bits, bool is_signed) {
  size_t per = 32 / static_cast<size_t>(bits);
  uint32_t value = words[index / per] >> (index % per * static_cast<size_t>(bits)) & (bits == 32 ? ~0u : (1u << bits) - 1);
  return is_signed && value >> (bits - 1) ? static_cast<int>(value) - (1 << bits) : static_cast<int>(value);
}

/// A by rows and B by columns, K together, are words whose place in the fragments the ISA gives.
TEST_P(IntegerProducts, AreExact) {
  const Shape &shape = GetParam();
  std::mt19937 random(5);
  const int words = shape.k * shape.bits / 32, steps = words / 4, halves = shape.m / 8, results = 2 * halves;
  std::vector<uint32_t> a(static_cast<size_t>(shape.m * words)), b(static_cast<size_t>(8 * words)), c(static_cast<size_t>(shape.m * 8));
  for (auto *matrix : {&a, &b, &c})
    for (uint32_t &word : *matrix)
      word = static_cast<uint32_t>(random());
  std::string text = ptx_header() + ".visible .entry kernel(.param .u64 out, .param .u64 pa, .param .u64 pb, .param .u64 pc) {\n"
                     ".reg .b32 %r<64>; .reg .b64 %rd<8>; mov.u32 %r0, %tid.x;\n";
  auto fragment = [&](const char *parameter, int count, int first, bool store) {
    text += std::string("ld.param.u64 %rd0, [") + parameter + "]; mul.wide.u32 %rd1, %r0, " + std::to_string(4 * count) + "; add.u64 %rd0, %rd0, %rd1;\n";
    for (int i = 0; i < count; i++)
      text += store ? "st.global.b32 [%rd0+" + std::to_string(4 * i) + "], %r" + std::to_string(first + i) + ";\n"
                    : "ld.global.b32 %r" + std::to_string(first + i) + ", [%rd0+" + std::to_string(4 * i) + "];\n";
  };
  fragment("pa", steps * halves, 10, false);
  fragment("pb", steps, 20, false);
  fragment("pc", results, 30, false);
  text += "mma.sync.aligned." + std::string(shape.opcode) + " " + register_list(40, results) + ", " + register_list(10, steps * halves) +
          ", " + register_list(20, steps) + ", " + register_list(30, results) + ";\n";
  fragment("out", results, 40, true);
  text += "ret; }\n";
  std::vector<uint32_t> fa, fb, fc;
  for (int lane = 0; lane < 32; lane++) {
    for (int step = 0; step < steps; step++)
      for (int half = 0; half < halves; half++)
        fa.push_back(a[static_cast<size_t>((lane / 4 + 8 * half) * words + step * 4 + lane % 4)]);
    for (int step = 0; step < steps; step++)
      fb.push_back(b[static_cast<size_t>(lane / 4 * words + step * 4 + lane % 4)]);
    for (int e = 0; e < results; e++)
      fc.push_back(c[static_cast<size_t>((lane / 4 + 8 * (e / 2)) * 8 + lane % 4 * 2 + e % 2)]);
  }
  Card card;
  auto *kernel = card.load(text);
  ASSERT_TRUE(kernel);
  auto out = card.allocate(fc.size() * 4);
  ASSERT_EQ(card.launch(kernel, 1, 32, 0, out, card.upload(fa), card.upload(fb), card.upload(fc)), kSuccess) << Card::report();
  auto d = card.download<uint32_t>(out, fc.size());
  bool saturates = std::string(shape.opcode).find("satfinite") != std::string::npos;
  for (int row = 0; row < shape.m; row++)
    for (int column = 0; column < 8; column++) {
      int64_t sum = static_cast<int32_t>(c[static_cast<size_t>(row * 8 + column)]);
      for (int w = 0; shape.bitwise && w < words; w++) {
        uint32_t x = a[static_cast<size_t>(row * words + w)], y = b[static_cast<size_t>(column * words + w)];
        sum += std::popcount(shape.bitwise == 1 ? x ^ y : x & y);
      }
      for (int k = 0; !shape.bitwise && k < shape.k; k++)
        sum += int64_t{element(a, static_cast<size_t>(row * shape.k + k), shape.bits, shape.signed_a)} *
               element(b, static_cast<size_t>(column * shape.k + k), shape.bits, shape.signed_b);
      if (saturates)
        sum = std::min<int64_t>(std::max<int64_t>(sum, INT32_MIN), INT32_MAX);
      size_t lane = static_cast<size_t>(row % 8 * 4 + column / 2), e = static_cast<size_t>(row / 8 * 2 + column % 2);
      EXPECT_EQ(d[lane * static_cast<size_t>(results) + e], static_cast<uint32_t>(sum)) << row << ", " << column;
    }
}
INSTANTIATE_TEST_SUITE_P(
    All, IntegerProducts,
    testing::Values(Shape{"m8n8k16.row.col.s32.s8.s8.s32", 8, 16, 8, true, true}, Shape{"m16n8k16.row.col.satfinite.s32.u8.s8.s32", 16, 16, 8, false, true},
                    Shape{"m16n8k32.row.col.s32.s8.u8.s32", 16, 32, 8, true, false}, Shape{"m16n8k32.row.col.satfinite.s32.u8.u8.s32", 16, 32, 8, false, false},
                    Shape{"m8n8k32.row.col.s32.s4.s4.s32", 8, 32, 4, true, true}, Shape{"m16n8k32.row.col.s32.u4.s4.s32", 16, 32, 4, false, true},
                    Shape{"m16n8k64.row.col.satfinite.s32.s4.u4.s32", 16, 64, 4, true, false},
                    Shape{"m8n8k128.row.col.s32.b1.b1.s32.xor.popc", 8, 128, 1, false, false, 1},
                    Shape{"m16n8k256.row.col.s32.b1.b1.s32.and.popc", 16, 256, 1, false, false, 2}),
    [](const auto &info) {
      std::string name = info.param.opcode;
      std::replace(name.begin(), name.end(), '.', '_');
      return name;
    });

TEST(WholeMatrices, ProductsOfDoubles) {
  Card card;
  auto *kernel = card.load(ptx_header() + R"(.visible .entry kernel(.param .u64 out, .param .u64 pa, .param .u64 pb) {
  .reg .f64 %a, %b, %c0, %c1; .reg .b64 %rd<4>; .reg .b32 %r; mov.u32 %r, %tid.x; mul.wide.u32 %rd1, %r, 8; mul.wide.u32 %rd3, %r, 16;
  ld.param.u64 %rd0, [pa]; add.u64 %rd0, %rd0, %rd1; ld.global.f64 %a, [%rd0]; ld.param.u64 %rd0, [pb]; add.u64 %rd0, %rd0, %rd1; ld.global.f64 %b, [%rd0];
  mov.f64 %c0, 0d3FF0000000000000; mov.f64 %c1, 0d4000000000000000;
  mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%c0, %c1}, {%a}, {%b}, {%c0, %c1};
  ld.param.u64 %rd0, [out]; add.u64 %rd0, %rd0, %rd3; st.global.v2.f64 [%rd0], {%c0, %c1}; ret; })");
  ASSERT_TRUE(kernel);
  std::vector<double> a, b; // lane l holds A[l / 4][l % 4] and B[l % 4][l / 4]
  for (int i = 0; i < 32; i++) {
    a.push_back(i * 0.5 - 3);
    b.push_back(7 - i * 0.25);
  }
  auto out = card.allocate(512);
  ASSERT_EQ(card.launch(kernel, 1, 32, 0, out, card.upload(a), card.upload(b)), kSuccess);
  auto d = card.download<double>(out, 64);
  for (size_t row = 0; row < 8; row++)
    for (size_t column = 0; column < 8; column++) {
      double sum = 1 + static_cast<double>(column % 2);
      for (size_t k = 0; k < 4; k++)
        sum += a[row * 4 + k] * b[column * 4 + k];
      EXPECT_EQ(d[row * 8 + column], sum);
    }
}

struct Wmma {
  const char *shape, *layout_a, *layout_b;
  int m, n;
};
class WmmaShapes : public testing::TestWithParam<Wmma> {};
/// Small integers in every layout, through shared memory on the way in and global memory on the way out.
TEST_P(WmmaShapes, MultiplyInEveryLayout) {
  const Wmma &shape = GetParam();
  constexpr int kK = 16;
  const bool by_rows_a = shape.layout_a[0] == 'r', by_rows_b = shape.layout_b[0] == 'r';
  const int stride_a = (by_rows_a ? kK : shape.m) + 8, stride_b = (by_rows_b ? shape.n : kK) + 8;
  std::mt19937 random(2);
  auto halves = [&](int count) {
    static constexpr uint16_t kValues[] = {0xc000, 0xbc00, 0, 0x3c00, 0x4000};
    std::vector<uint16_t> bits;
    for (int i = 0; i < count; i++)
      bits.push_back(kValues[random() % 5]);
    return bits;
  };
  auto number = [](uint16_t bits) { return bits == 0 ? 0 : (bits & 0x8000 ? -1 : 1) * (bits & 0x4000 ? 2 : 1); };
  auto a = halves(stride_a * (by_rows_a ? shape.m : kK)), b = halves(stride_b * (by_rows_b ? kK : shape.n));
  std::string layout = std::string(shape.layout_a) + "." + shape.layout_b, name = shape.shape;
  std::string text = ptx_header() + ".visible .entry kernel(.param .u64 out, .param .u64 pa, .param .u64 pb) {\n.reg .b32 %r<64>; .reg .b64 %rd<8>; .reg .f32 %f<8>;\n"
                     "ld.param.u64 %rd1, [pa]; ld.param.u64 %rd2, [pb]; ld.param.u64 %rd3, [out]; mov.f32 %f0, 0f3F800000;\n"
                     "wmma.load.a.sync.aligned." + std::string(shape.layout_a) + "." + name + ".f16 " + register_list(0, 8) + ", [%rd1], " + std::to_string(stride_a) + ";\n"
                     "wmma.load.b.sync.aligned." + shape.layout_b + "." + name + ".global.f16 " + register_list(10, 8) + ", [%rd2], " + std::to_string(stride_b) + ";\n"
                     "wmma.mma.sync.aligned." + layout + "." + name + ".f32.f32 {%f0, %f1, %f2, %f3, %f4, %f5, %f6, %f7}, " + register_list(0, 8) + ", " + register_list(10, 8) + ", {%f0, %f0, %f0, %f0, %f0, %f0, %f0, %f0};\n"
                     "wmma.store.d.sync.aligned.col." + name + ".global.f32 [%rd3], {%f0, %f1, %f2, %f3, %f4, %f5, %f6, %f7}, " + std::to_string(shape.m + 4) + ";\nret; }\n";
  Card card;
  auto *kernel = card.load(text);
  ASSERT_TRUE(kernel);
  const size_t count = static_cast<size_t>((shape.m + 4) * shape.n);
  auto out = card.upload(std::vector<float>(count));
  ASSERT_EQ(card.launch(kernel, 1, 32, 0, out, card.upload(a), card.upload(b)), kSuccess) << Card::report();
  auto d = card.download<float>(out, count);
  for (int i = 0; i < shape.m; i++)
    for (int j = 0; j < shape.n; j++) {
      int sum = 1;
      for (int k = 0; k < kK; k++)
        sum += number(a[static_cast<size_t>(by_rows_a ? i * stride_a + k : k * stride_a + i)]) *
               number(b[static_cast<size_t>(by_rows_b ? k * stride_b + j : j * stride_b + k)]);
      EXPECT_EQ(d[static_cast<size_t>(j * (shape.m + 4) + i)], static_cast<float>(sum)) << i << ", " << j;
    }
  EXPECT_EQ(Card::report(), "nothing found\n");
}
INSTANTIATE_TEST_SUITE_P(All, WmmaShapes,
                         testing::Values(Wmma{"m16n16k16", "row", "row", 16, 16}, Wmma{"m16n16k16", "col", "col", 16, 16},
                                         Wmma{"m32n8k16", "row", "col", 32, 8}, Wmma{"m8n32k16", "col", "row", 8, 32}),
                         [](const auto &info) {
                           return std::string(info.param.shape) + "_" + info.param.layout_a + "_" + info.param.layout_b;
                         });

} // namespace
} // namespace tenon::emulator
