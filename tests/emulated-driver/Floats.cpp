// Floating point: exact instructions bit by bit, approximate ones within the bounds of the PTX ISA.
#include "Elementwise.h"
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

namespace tenon::emulator {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
const std::vector<float> kFloats = {0.0f,    -0.0f, 1.0f,    -1.5f,         3.14159274f, 1e-40f, -1e-45f,      1e30f,
                                    -3e38f,  kInf,  -kInf,   kNan,          0.333333343f, 65504, 1.17549435e-38f, 7.5f};
const std::vector<float> kA = spread(kFloats, 1), kB = spread(kFloats, 3), kC = spread(kFloats, 5);

/// Equal bits, where every NaN is the hardware's.
void expect_same(float actual, float expected, const std::string &what) {
  uint32_t bits = std::isnan(expected) ? 0x7fffffffu : std::bit_cast<uint32_t>(expected);
  EXPECT_EQ(std::bit_cast<uint32_t>(actual), bits) << what << ": " << actual << " for " << expected;
}
float flush(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x; }
float least(float a, float b) { return std::isnan(a) ? b : std::isnan(b) ? a : a == b ? (std::signbit(a) ? a : b) : std::min(a, b); }

struct Case {
  const char *opcode;
  std::function<float(float, float, float)> expected;
  int sources = 2;
};
void PrintTo(const Case &c, std::ostream *os) { *os << c.opcode; }
class Floats32 : public testing::TestWithParam<Case> {};
TEST_P(Floats32, MatchesReference) {
  const Case &c = GetParam();
  std::string body = std::string(c.opcode) + " %d, %a0";
  for (int i = 1; i < c.sources; i++)
    body += ", %a" + std::to_string(i);
  auto d = run_lanes<float>({"f32", "f32", "f32"}, "f32", body + ";", kA, kB, kC);
  for (int i = 0; i < 32; i++)
    expect_same(d[i], c.expected(kA[i], kB[i], kC[i]),
                std::string(c.opcode) + " of " + std::to_string(kA[i]) + ", " + std::to_string(kB[i]) + ", " + std::to_string(kC[i]));
}
INSTANTIATE_TEST_SUITE_P(
    All, Floats32,
    testing::Values(Case{"add.f32", [](float a, float b, float) { return a + b; }},
                    Case{"sub.rn.f32", [](float a, float b, float) { return a - b; }},
                    Case{"mul.f32", [](float a, float b, float) { return a * b; }},
                    Case{"mul.ftz.f32", [](float a, float b, float) { return flush(flush(a) * flush(b)); }},
                    Case{"add.sat.f32", [](float a, float b, float) { float x = a + b; return x > 0 ? std::min(x, 1.0f) : 0.0f; }},
                    Case{"fma.rn.f32", [](float a, float b, float c) { return std::fma(a, b, c); }, 3},
                    Case{"fma.rn.ftz.f32", [](float a, float b, float c) { return flush(std::fma(flush(a), flush(b), flush(c))); }, 3},
                    Case{"div.rn.f32", [](float a, float b, float) { return a / b; }},
                    Case{"sqrt.rn.f32", [](float a, float, float) { return std::sqrt(a); }, 1},
                    Case{"rcp.rn.f32", [](float a, float, float) { return 1 / a; }, 1},
                    Case{"min.f32", [](float a, float b, float) { return least(a, b); }},
                    Case{"max.f32", [](float a, float b, float) { return -least(-a, -b); }},
                    Case{"max.NaN.f32", [](float a, float b, float) { return std::isnan(a) || std::isnan(b) ? kNan : -least(-a, -b); }},
                    Case{"copysign.f32", [](float a, float b, float) { return std::isnan(b) ? kNan : std::copysign(b, a); }}),
    [](const auto &c) {
      std::string name = c.param.opcode;
      std::replace(name.begin(), name.end(), '.', '_');
      return name;
    });

TEST(Floats, SignsTouchOneBit) {
  auto d = run_lanes<uint32_t>({"f32"}, "b32", "neg.f32 %x0, %a0; abs.f32 %x1, %a0; xor.b32 %d, %x0, %x1;", kA);
  for (int i = 0; i < 32; i++)
    EXPECT_EQ(d[i], std::signbit(kA[i]) ? 0u : 0x80000000u);
}

TEST(Floats, RoundsInFourDirections) {
  auto a = spread<float>({1.0f, 16777216.0f, -1.0f, 0.1f}, 1), b = spread<float>({1e-10f, 1.0f, -3e-9f}, 2);
  for (auto [mode, direction] : {std::pair{"rz", 0}, {"rm", -1}, {"rp", 1}}) {
    auto d = run_lanes<float>({"f32", "f32"}, "f32", std::string("add.") + mode + ".f32 %d, %a0, %a1;", a, b);
    for (int i = 0; i < 32; i++) {
      double exact = double{a[i]} + b[i];
      float expected = static_cast<float>(exact);
      bool down = direction < 0 || (direction == 0 && exact > 0);
      if (down && expected > exact)
        expected = std::nextafter(expected, -kInf);
      if (!down && expected < exact)
        expected = std::nextafter(expected, kInf);
      EXPECT_EQ(d[i], expected) << mode;
    }
  }
}

/// |error| in units of the last place of the expected value.
double ulps(float actual, double expected) {
  if (std::isnan(expected))
    return std::isnan(actual) ? 0 : 1e9;
  if (std::isinf(static_cast<float>(expected)))
    return actual == static_cast<float>(expected) ? 0 : 1e9;
  float magnitude = std::max(std::fabs(static_cast<float>(expected)), std::numeric_limits<float>::min());
  return std::fabs(actual - expected) / (std::nextafter(magnitude, kInf) - magnitude);
}
TEST(Floats, ApproximationsKeepTheirBounds) {
  struct Approximation {
    const char *opcode;
    double (*function)(double);
    double bound;
  };
  const Approximation kApproximations[] = {
      {"ex2.approx.f32", [](double x) { return std::exp2(x); }, 2}, {"lg2.approx.f32", [](double x) { return std::log2(x); }, 2},
      {"rcp.approx.f32", [](double x) { return 1 / x; }, 1},        {"rsqrt.approx.f32", [](double x) { return 1 / std::sqrt(x); }, 2},
      {"sqrt.approx.f32", [](double x) { return std::sqrt(x); }, 1}, {"sin.approx.f32", [](double x) { return std::sin(x); }, 2},
      {"cos.approx.f32", [](double x) { return std::cos(x); }, 2},   {"tanh.approx.f32", [](double x) { return std::tanh(x); }, 2}};
  std::vector<float> x;
  for (int i = 0; i < 32; i++)
    x.push_back(0.01f + static_cast<float>(i * i) * 0.13f);
  for (const auto &approximation : kApproximations) {
    auto d = run_lanes<float>({"f32"}, "f32", std::string(approximation.opcode) + " %d, %a0;", x);
    for (int i = 0; i < 32; i++)
      EXPECT_LE(ulps(d[i], approximation.function(x[i])), approximation.bound) << approximation.opcode << " of " << x[i];
  }
  auto special = run_lanes<float>({"f32"}, "f32", "ex2.approx.ftz.f32 %d, %a0;", spread<float>({-kInf, kInf, kNan, -150, 130, 0}, 1));
  EXPECT_EQ(special[0], 0);
  EXPECT_EQ(special[1], kInf);
  EXPECT_TRUE(std::isnan(special[2]));
  EXPECT_EQ(special[3], 0);
  EXPECT_EQ(special[4], kInf);
  EXPECT_EQ(special[5], 1);
}

TEST(Floats, ComparisonsAreOrderedOrNot) {
  struct Comparison {
    const char *name;
    bool (*holds)(float, float);
  };
  const Comparison kComparisons[] = {
      {"eq", [](float a, float b) { return a == b; }}, {"ne", [](float a, float b) { return a < b || a > b; }},
      {"lt", [](float a, float b) { return a < b; }},  {"ge", [](float a, float b) { return a >= b; }},
      {"equ", [](float a, float b) { return !(a < b || a > b); }}, {"neu", [](float a, float b) { return a != b; }},
      {"ltu", [](float a, float b) { return !(a >= b); }}, {"geu", [](float a, float b) { return !(a < b); }},
      {"num", [](float a, float b) { return a == a && b == b; }}, {"nan", [](float a, float b) { return a != a || b != b; }}};
  for (const auto &comparison : kComparisons) {
    auto d = run_lanes<uint32_t>({"f32", "f32"}, "pred", std::string("setp.") + comparison.name + ".f32 %d, %a0, %a1;", kA, kB);
    for (int i = 0; i < 32; i++)
      EXPECT_EQ(d[i], comparison.holds(kA[i], kB[i])) << comparison.name << " of " << kA[i] << ", " << kB[i];
  }
}

TEST(Floats, DoublesAreExact) {
  std::vector<double> a, b, c;
  for (int i = 0; i < 32; i++) {
    a.push_back(1.0 / (i + 1));
    b.push_back(i - 7.25);
    c.push_back(1e-17 * i);
  }
  auto d = run_lanes<double>({"f64", "f64", "f64"}, "f64", "fma.rn.f64 %d, %a0, %a1, %a2; div.rn.f64 %d, %d, 0d4008000000000000; max.f64 %d, %d, %a2;", a, b, c);
  for (int i = 0; i < 32; i++)
    EXPECT_EQ(d[i], std::max(std::fma(a[i], b[i], c[i]) / 3.0, c[i]));
}

/// Two float16 in a register: sums of small integers are exact.
TEST(Floats, PackedHalves) {
  auto half = [](int x) -> uint32_t { // |x| < 2048
    if (x == 0)
      return 0;
    int magnitude = std::abs(x), exponent = std::bit_width(static_cast<unsigned>(magnitude)) - 1;
    return (x < 0 ? 0x8000u : 0u) | static_cast<uint32_t>(exponent + 15) << 10 | (static_cast<uint32_t>(magnitude) << (10 - exponent) & 0x3ff);
  };
  std::vector<uint32_t> a, b;
  for (int i = 0; i < 32; i++) {
    a.push_back(half(i - 9) | half(3 * i) << 16);
    b.push_back(half(7 - i) | half(-i) << 16);
  }
  auto sum = run_lanes<uint32_t>({"b32", "b32"}, "b32", "add.f16x2 %d, %a0, %a1;", a, b);
  auto fused = run_lanes<uint32_t>({"b32", "b32"}, "b32", "fma.rn.f16x2 %d, %a0, %a1, %a0;", a, b);
  auto most = run_lanes<uint32_t>({"b32", "b32"}, "b32", "max.f16x2 %d, %a0, %a1;", a, b);
  auto below = run_lanes<uint32_t>({"b32", "b32"}, "b32", "set.lt.u32.f16x2 %d, %a0, %a1;", a, b);
  for (int i = 0; i < 32; i++) {
    EXPECT_EQ(sum[i], half(-2) | half(2 * i) << 16);
    int low = (i - 9) * (7 - i) + i - 9, high = -3 * i * i + 3 * i;
    if (std::abs(high) < 2048)
      EXPECT_EQ(fused[i], half(low) | half(high) << 16) << i;
    EXPECT_EQ(most[i], half(std::max(i - 9, 7 - i)) | half(3 * i) << 16);
    EXPECT_EQ(below[i], (i - 9 < 7 - i ? 0xffffu : 0u) | (3 * i < -i ? 0xffff0000u : 0u));
  }
}

TEST(Floats, TestsClasses) {
  auto d = run_lanes<uint32_t>({"f32"}, "b32",
                               "testp.finite.f32 %p0, %a0; testp.notanumber.f32 %p1, %a0; testp.subnormal.f32 %p2, %a0; "
                               "selp.b32 %x0, 1, 0, %p0; selp.b32 %x1, 2, 0, %p1; selp.b32 %x2, 4, 0, %p2; or.b32 %d, %x0, %x1; or.b32 %d, %d, %x2;",
                               kA);
  for (int i = 0; i < 32; i++) {
    bool small = std::fpclassify(kA[i]) == FP_SUBNORMAL || kA[i] == 0;
    EXPECT_EQ(d[i], uint32_t(std::isfinite(kA[i])) + 2 * std::isnan(kA[i]) + 4 * small) << kA[i];
  }
}

} // namespace
} // namespace tenon::emulator
