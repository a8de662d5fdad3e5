// cvt in all rounding modes.
#include "Elementwise.h"
#include <bit>
#include <cmath>
#include <limits>

namespace tenon::emulator {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
const std::vector<float> kFloats =
    spread<float>({0.5f, 1.5f, -2.5f, 2.7f, -0.3f, 1e10f, -1e10f, kNan, kInf, -kInf, 255.5f, -129, 65520, 1e-7f, 2147483647.0f, -0.0f}, 1);

TEST(Conversions, FloatsToIntegersRoundAndSaturate) {
  auto nearest = run_lanes<int32_t>({"f32"}, "b32", "cvt.rni.s32.f32 %d, %a0;", kFloats);
  auto zero = run_lanes<int32_t>({"f32"}, "b32", "cvt.rzi.s32.f32 %d, %a0;", kFloats);
  auto down = run_lanes<int32_t>({"f32"}, "b32", "cvt.rmi.s32.f32 %d, %a0;", kFloats);
  auto up = run_lanes<uint32_t>({"f32"}, "b32", "cvt.rpi.u32.f32 %d, %a0;", kFloats);
  auto byte = run_lanes<int32_t>({"f32"}, "b32", "cvt.rni.s8.f32 %d, %a0;", kFloats);
  for (int i = 0; i < 32; i++) {
    double x = kFloats[i];
    auto clamp = [&](double rounded, double least, double most) { return std::isnan(x) ? 0 : std::min(std::max(rounded, least), most); };
    EXPECT_EQ(nearest[i], clamp(std::nearbyint(x), INT32_MIN, INT32_MAX)) << x;
    EXPECT_EQ(zero[i], clamp(std::trunc(x), INT32_MIN, INT32_MAX)) << x;
    EXPECT_EQ(down[i], clamp(std::floor(x), INT32_MIN, INT32_MAX)) << x;
    EXPECT_EQ(up[i], clamp(std::ceil(x), 0, UINT32_MAX)) << x;
    EXPECT_EQ(byte[i], clamp(std::nearbyint(x), -128, 127)) << x;
  }
}

TEST(Conversions, IntegersToFloats) {
  auto x = spread<uint32_t>({0, 1, 16777217, 16777219, 0x7fffffff, 0x80000000, 0xffffffff, 123456789}, 1);
  auto d_signed = run_lanes<float>({"b32"}, "f32", "cvt.rn.f32.s32 %d, %a0;", x);
  auto d_unsigned = run_lanes<float>({"b32"}, "f32", "cvt.rn.f32.u32 %d, %a0;", x);
  auto truncated = run_lanes<float>({"b32"}, "f32", "cvt.rz.f32.u32 %d, %a0;", x);
  auto wide = run_lanes<double>({"b32"}, "f64", "cvt.rn.f64.s32 %d, %a0;", x);
  for (int i = 0; i < 32; i++) {
    EXPECT_EQ(d_signed[i], static_cast<float>(static_cast<int32_t>(x[i])));
    EXPECT_EQ(d_unsigned[i], static_cast<float>(x[i]));
    EXPECT_LE(truncated[i], x[i]);
    EXPECT_GT(double{std::nextafter(truncated[i], kInf)}, x[i]);
    EXPECT_EQ(wide[i], static_cast<int32_t>(x[i]));
  }
}

TEST(Conversions, IntegersExtendCutAndSaturate) {
  auto x = spread<uint32_t>({0, 127, 128, 255, 256, 0x7fff, 0x8000, 0xffff, 0x12345678, 0x80000000, 0xffffffff}, 1);
  auto byte = run_lanes<int32_t>({"b32"}, "b32", "cvt.s32.s8 %d, %a0;", x);
  auto saturated = run_lanes<int32_t>({"b32"}, "b32", "cvt.sat.s16.s32 %d, %a0;", x);
  auto wide = run_lanes<int64_t>({"b32"}, "b64", "cvt.s64.s32 %d, %a0;", x);
  auto cut = run_lanes<uint32_t>({"b32"}, "b32", "cvt.u16.u32 %h0, %a0; cvt.u32.u16 %d, %h0;", x);
  for (int i = 0; i < 32; i++) {
    int32_t value = static_cast<int32_t>(x[i]);
    EXPECT_EQ(byte[i], static_cast<int8_t>(x[i]));
    EXPECT_EQ(saturated[i], std::min(std::max(value, -32768), 32767));
    EXPECT_EQ(wide[i], value);
    EXPECT_EQ(cut[i], x[i] & 0xffff);
  }
}

/// The nearest value with `fraction` bits, or the one in the given direction; float16 and bfloat16 by search.
double half_value(uint32_t bits, int fraction, int bias) {
  int exponent = static_cast<int>(bits >> fraction & ((1u << (15 - fraction)) - 1));
  double mantissa = bits & ((1u << fraction) - 1);
  double magnitude = exponent ? std::ldexp(mantissa + (1 << fraction), exponent - bias - fraction) : std::ldexp(mantissa, 1 - bias - fraction);
  return bits & 0x8000 ? -magnitude : magnitude;
}
void check_narrowing(const std::string &type, int fraction, int bias) {
  std::vector<float> x;
  for (int i = 0; i < 32; i++)
    x.push_back(std::ldexp(1.0f + static_cast<float>(i) * 0.0371f + 1e-4f, (i * 5) % 37 - 22) * (i % 3 ? 1.0f : -1.0f));
  x[5] = 1.0f + std::ldexp(1.0f, -fraction - 1);     // a tie, to even below
  x[6] = 1.0f + 3 * std::ldexp(1.0f, -fraction - 1); // a tie, to even above
  for (auto [mode, direction] : {std::pair{"rn", 2}, {"rz", 0}}) {
    auto d = run_lanes<uint32_t>({"f32"}, "b32", std::string("cvt.") + mode + "." + type + ".f32 %h0, %a0; cvt.u32.u16 %d, %h0;", x);
    for (int i = 0; i < 32; i++) {
      double value = half_value(d[i], fraction, bias), above = half_value(d[i] + 1, fraction, bias), below = half_value(d[i] ? d[i] - 1 : 0, fraction, bias);
      double error = std::fabs(value - x[i]);
      if (direction == 2) {
        EXPECT_LE(error, std::fabs(above - x[i])) << x[i];
        EXPECT_LE(error, std::fabs(below - x[i])) << x[i];
        if (error == std::fabs(above - x[i]) || error == std::fabs(below - x[i]))
          EXPECT_EQ(d[i] & 1, 0u) << "ties go to even";
      } else {
        EXPECT_LE(std::fabs(value), std::fabs(x[i]));
        EXPECT_GT(std::fabs(above), std::fabs(x[i]));
      }
    }
  }
}
TEST(Conversions, Float16Rounds) { check_narrowing("f16", 10, 15); }
TEST(Conversions, Bfloat16Rounds) { check_narrowing("bf16", 7, 127); }

TEST(Conversions, Float16Limits) {
  auto d = run_lanes<uint32_t>({"f32"}, "b32", "cvt.rn.f16.f32 %h0, %a0; cvt.u32.u16 %d, %h0;",
                               spread<float>({65519.99f, 65520, -1e9f, kNan, 6e-8f, 2.9e-8f, -kInf, 6.1e-5f}, 1));
  const uint32_t kExpected[] = {0x7bff, 0x7c00, 0xfc00, 0x7fff, 1, 0, 0xfc00, 0x03ff};
  for (int i = 0; i < 8; i++)
    EXPECT_EQ(d[i], kExpected[i]) << i;
}

TEST(Conversions, EveryFloat16Widens) {
  Card card;
  auto *kernel = card.load(ptx_header() + ".visible .entry kernel(.param .u64 out) {\n.reg .b32 %r<4>; .reg .b16 %h; .reg .b64 %a;\n"
                           "mov.u32 %r0, %tid.x; mov.u32 %r1, %ctaid.x; mad.lo.s32 %r0, %r1, 1024, %r0; cvt.u16.u32 %h, %r0;\n"
                           "cvt.f32.f16 %r2, %h; ld.param.u64 %a, [out]; mad.wide.u32 %a, %r0, 4, %a; st.global.b32 [%a], %r2; ret; }\n");
  ASSERT_TRUE(kernel);
  auto out = card.allocate(65536 * 4);
  ASSERT_EQ(card.launch(kernel, 64, 1024, 0, out), kSuccess);
  auto d = card.download<float>(out, 65536);
  for (uint32_t h = 0; h < 65536; h++) {
    uint32_t magnitude = h & 0x7fff;
    if (magnitude > 0x7c00)
      EXPECT_TRUE(std::isnan(d[h]));
    else if (magnitude == 0x7c00)
      EXPECT_EQ(d[h], h & 0x8000 ? -kInf : kInf);
    else
      EXPECT_EQ(d[h], half_value(h, 10, 15));
  }
}

TEST(Conversions, PacksTwo) {
  std::vector<float> a, b;
  for (int i = 0; i < 32; i++) {
    a.push_back(static_cast<float>(i));
    b.push_back(static_cast<float>(-i) / 4);
  }
  auto half = run_lanes<uint32_t>({"f32", "f32"}, "b32", "cvt.rn.f16x2.f32 %d, %a0, %a1;", a, b);
  auto brain = run_lanes<uint32_t>({"f32", "f32"}, "b32", "cvt.rn.bf16x2.f32 %d, %a0, %a1;", a, b);
  auto pieces = run_lanes<uint32_t>({"f32", "f32"}, "b32", "cvt.rn.f16x2.f32 %x0, %a0, %a1; mov.b32 {%h0, %h1}, %x0; mov.b32 %d, {%h1, %h0};", a, b);
  for (int i = 0; i < 32; i++) {
    EXPECT_EQ(half_value(half[i] >> 16, 10, 15), a[i]);
    EXPECT_EQ(half_value(half[i] & 0xffff, 10, 15), b[i]);
    EXPECT_EQ(brain[i], std::bit_cast<uint32_t>(b[i]) >> 16 | (std::bit_cast<uint32_t>(a[i]) & 0xffff0000));
    EXPECT_EQ(pieces[i], std::rotl(half[i], 16));
  }
}

/// A bit pattern of float16 that is `narrowed`, cut to what is finite.
uint16_t finite(uint16_t narrowed, uint16_t infinity) { return static_cast<uint16_t>(narrowed - ((narrowed & 0x7fff) == infinity)); }

TEST(Conversions, SaturateToTheLargestNumber) {
  const std::vector<float> a = spread<float>({1, -1e30f, 65520, 65519, 0x1.ffp127f, -0x1.ffffp127f, kInf, -kInf, -65535, 0.5f}, 1);
  for (auto [type, infinity] : {std::pair{"f16", uint16_t{0x7c00}}, std::pair{"bf16", uint16_t{0x7f80}}}) {
    const std::string cvt = "cvt.rn", tail = std::string(".") + type + ".f32 %d, %a0;", pair = std::string(".") + type + "x2.f32 %d, %a0, %a1;";
    auto plain = run_lanes<uint16_t>({"f32"}, "b16", cvt + tail, a), cut = run_lanes<uint16_t>({"f32"}, "b16", cvt + ".satfinite" + tail, a);
    auto positive = run_lanes<uint16_t>({"f32"}, "b16", cvt + ".relu.satfinite" + tail, a);
    auto two = run_lanes<uint32_t>({"f32", "f32"}, "b32", cvt + ".satfinite" + pair, a, std::vector<float>(a.rbegin(), a.rend()));
    auto two_positive = run_lanes<uint32_t>({"f32", "f32"}, "b32", cvt + ".satfinite.relu" + pair, a, a);
    for (size_t i = 0; i < 32; i++) {
      EXPECT_EQ(cut[i], finite(plain[i], infinity)) << a[i];
      EXPECT_EQ(positive[i], a[i] < 0 ? 0 : cut[i]) << a[i];
      EXPECT_EQ(two[i], uint32_t{cut[i]} << 16 | cut[31 - i]) << a[i];
      EXPECT_EQ(two_positive[i], uint32_t{positive[i]} << 16 | positive[i]) << a[i];
    }
  }
}

/// .sat to a floating-point format limits to [0, 1]; what is not a number is 0 there.
TEST(Conversions, SaturateToOne) {
  const std::vector<double> a = spread<double>({0.25, -0.25, 1.5, -0.0, NAN, 1, 1e300, 0.75, -1e300}, 1);
  auto limited = [](double x) { return x > 0 ? std::min(x, 1.0) : 0.0; };
  const std::vector<float> narrow(a.begin(), a.end());
  std::vector<int32_t> whole;
  for (size_t i = 0; i < 32; i++)
    whole.push_back(static_cast<int32_t>(i) - 16);
  auto d = run_lanes<double>({"f64"}, "f64", "cvt.sat.f64.f64 %d, %a0;", a);
  auto f = run_lanes<double>({"f32"}, "f64", "cvt.sat.f64.f32 %d, %a0;", narrow);
  auto rounded = run_lanes<double>({"f64"}, "f64", "cvt.rpi.sat.f64.f64 %d, %a0;", a);
  auto half = run_lanes<uint16_t>({"f32"}, "b16", "cvt.rn.f16.f32 %h0, %a0; cvt.sat.f16.f16 %d, %h0;", narrow);
  auto half_double = run_lanes<double>({"f32"}, "f64", "cvt.rn.f16.f32 %h0, %a0; cvt.sat.f64.f16 %d, %h0;", narrow);
  auto half_rounded = run_lanes<uint16_t>({"f32"}, "b16", "cvt.rn.f16.f32 %h0, %a0; cvt.rpi.sat.f16.f16 %d, %h0;", narrow);
  auto from_integer = run_lanes<float>({"b32"}, "f32", "cvt.rn.sat.f32.s32 %d, %a0;", whole);
  auto flushed = run_lanes<float>({"b32"}, "f32", "cvt.rz.ftz.f32.s32 %d, %a0;", whole);
  auto double_from_integer = run_lanes<double>({"b32"}, "f64", "cvt.rp.sat.f64.s32 %d, %a0;", whole);
  auto half_from_integer = run_lanes<uint16_t>({"b32"}, "b16", "cvt.rn.sat.f16.s32 %d, %a0;", whole);
  for (size_t i = 0; i < 32; i++) {
    EXPECT_EQ(d[i], limited(a[i]));
    EXPECT_EQ(f[i], limited(a[i]));
    EXPECT_EQ(rounded[i], limited(std::ceil(a[i])));
    EXPECT_EQ(half_value(half[i], 10, 15), limited(a[i]));
    EXPECT_EQ(half_double[i], limited(a[i]));
    EXPECT_EQ(half_value(half_rounded[i], 10, 15), limited(std::ceil(a[i])));
    EXPECT_EQ(from_integer[i], limited(whole[i]));
    EXPECT_EQ(flushed[i], static_cast<float>(whole[i]));
    EXPECT_EQ(double_from_integer[i], limited(whole[i]));
    EXPECT_EQ(half_value(half_from_integer[i], 10, 15), limited(whole[i]));
  }
}

TEST(Conversions, OfBfloat16SaturateNothing) {
  Card card("h100");
  for (const char *body : {"cvt.rn.sat.bf16.s32 %h, %r;", "cvt.rni.sat.s32.bf16 %r, %h;", "cvt.rzi.sat.u16.bf16 %h, %h;"})
    EXPECT_NE(card.refusal(ptx_header("sm_90") + ".visible .entry kernel() { .reg .b16 %h; .reg .b32 %r; mov.b16 %h, 0; mov.b32 %r, 0;\n" + body + "\nret; }\n").find("unsupported form"), std::string::npos) << body;
}

TEST(Conversions, FloatsToIntegralFloats) {
  auto d = run_lanes<float>({"f32"}, "f32", "cvt.rmi.f32.f32 %d, %a0;", kFloats);
  auto tf32 = run_lanes<uint32_t>({"f32"}, "b32", "cvt.rna.tf32.f32 %d, %a0;", spread<float>({1.0f + 0x1p-11f, 1.0f + 0x1.8p-11f, 1.0f + 0x1p-12f}, 1));
  for (int i = 0; i < 32; i++)
    if (!std::isnan(kFloats[i]))
      EXPECT_EQ(d[i], std::floor(kFloats[i]));
  EXPECT_EQ(tf32[0], std::bit_cast<uint32_t>(1.0f + 0x1p-10f)); // a tie, away
  EXPECT_EQ(tf32[1], std::bit_cast<uint32_t>(1.0f + 0x1p-10f));
  EXPECT_EQ(tf32[2], std::bit_cast<uint32_t>(1.0f));
}

} // namespace
} // namespace tenon::emulator
