// TENON_EMULATOR_PERTURB: approximate instructions err, within their documented bounds, the same way for the same seed.
#include "Elementwise.h"
#include <bit>
#include <cmath>
#include <set>

namespace tenon::emulator {
namespace {

class Perturbed {
public:
  explicit Perturbed(const char *seed) { setenv("TENON_EMULATOR_PERTURB", seed, 1); }
  ~Perturbed() { unsetenv("TENON_EMULATOR_PERTURB"); }
};

double ulp_of(double value) { return std::ldexp(1.0, std::max(std::ilogb(value), -126) - 23); }

struct Approximation {
  const char *name, *body;
  double (*exact)(double, double);
  double (*bound)(double value); // the ISA's
};
void PrintTo(const Approximation &approximation, std::ostream *os) { *os << approximation.name; }
class Perturbation : public testing::TestWithParam<Approximation> {};

TEST_P(Perturbation, StaysWithinTheBoundAndDependsOnTheSeed) {
  const Approximation &approximation = GetParam();
  size_t changed = 0;
  std::set<std::vector<uint32_t>> results;
  for (int block = 0; block < 16; block++) {
    std::vector<float> x, y;
    for (int i = 0; i < 32; i++) {
      x.push_back(0.011f + 0.19f * static_cast<float>(i) + 0.0113f * static_cast<float>(block));
      y.push_back(1.7f + 0.37f * static_cast<float>(i));
    }
    auto plain = run_lanes<float>({"f32", "f32"}, "f32", approximation.body, x, y);
    std::vector<uint32_t> bits;
    for (const char *seed : {"1", "2", "1"}) {
      Perturbed perturbed(seed);
      auto d = run_lanes<float>({"f32", "f32"}, "f32", approximation.body, x, y);
      for (size_t i = 0; i < 32; i++) {
        double exact = approximation.exact(x[i], y[i]);
        EXPECT_LE(std::fabs(d[i] - exact), approximation.bound(exact) * (1 + 1e-9)) << approximation.name << " of " << x[i];
        changed += d[i] != plain[i];
        bits.push_back(std::bit_cast<uint32_t>(d[i]));
      }
    }
    EXPECT_TRUE(std::equal(bits.begin(), bits.begin() + 32, bits.begin() + 64)) << "seed 1 gives what it gave";
    results.insert(std::vector<uint32_t>(bits.begin(), bits.begin() + 32));
    results.insert(std::vector<uint32_t>(bits.begin() + 32, bits.begin() + 64));
  }
  EXPECT_EQ(results.size(), 32u) << "seeds 1 and 2 differ";
  EXPECT_GT(changed, 16u * 32 * 3 * 15 / 100); // a bound of one ulp leaves half of one beside the rounding
}

// PTX ISA, ex2.approx: "+0.0" and "-0.0" give "+1.0", so that a row which keeps its reference keeps its sums.
TEST(PerturbationOfPowers, KeepsThoseOfZero) {
  std::vector<float> x(32, 0.0f), unused(32);
  std::fill(x.begin() + 16, x.end(), -0.0f);
  for (int seed = 0; seed < 20; seed++) {
    Perturbed perturbed(std::to_string(seed).c_str());
    EXPECT_EQ(run_lanes<float>({"f32", "f32"}, "f32", "ex2.approx.ftz.f32 %d, %a0;", x, unused), std::vector<float>(32, 1.0f))
        << seed;
  }
}

double one_ulp(double value) { return ulp_of(value); }
double two_ulps(double value) { return 2 * ulp_of(value); }
INSTANTIATE_TEST_SUITE_P(
    All, Perturbation,
    testing::Values(
        Approximation{"rcp", "rcp.approx.f32 %d, %a0;", [](double x, double) { return 1 / x; }, one_ulp},
        Approximation{"sqrt", "sqrt.approx.f32 %d, %a0;", [](double x, double) { return std::sqrt(x); }, [](double v) { return std::ldexp(v, -23); }},
        Approximation{"rsqrt", "rsqrt.approx.ftz.f32 %d, %a0;", [](double x, double) { return 1 / std::sqrt(x); }, [](double v) { return v * std::exp2(-22.9); }},
        Approximation{"ex2", "ex2.approx.ftz.f32 %d, %a0;", [](double x, double) { return std::exp2(x); }, two_ulps},
        Approximation{"lg2", "lg2.approx.f32 %d, %a0;", [](double x, double) { return std::log2(x); }, [](double) { return std::exp2(-22); }},
        Approximation{"sin", "sin.approx.f32 %d, %a0;", [](double x, double) { return std::sin(x); }, [](double) { return std::exp2(-20.5); }},
        Approximation{"cos", "cos.approx.f32 %d, %a0;", [](double x, double) { return std::cos(x); }, [](double) { return std::exp2(-20.5); }},
        Approximation{"tanh", "tanh.approx.f32 %d, %a0;", [](double x, double) { return std::tanh(x); }, [](double v) { return std::ldexp(std::fabs(v), -11); }},
        Approximation{"div_approx", "div.approx.f32 %d, %a0, %a1;", [](double x, double y) { return x / y; }, two_ulps},
        Approximation{"div_full", "div.full.ftz.f32 %d, %a0, %a1;", [](double x, double y) { return x / y; }, two_ulps}),
    [](const auto &approximation) { return std::string(approximation.param.name); });

TEST(Perturbation, LeavesExactInstructionsAndSpecialValuesAlone) {
  Perturbed perturbed("7");
  std::vector<float> x = spread<float>({0.0f, -0.0f, INFINITY, -INFINITY, 1.0f, 3.0f}, 1);
  auto exact = run_lanes<float>({"f32"}, "f32", "rcp.rn.f32 %d, %a0;", x);
  auto power = run_lanes<float>({"f32"}, "f32", "ex2.approx.f32 %d, %a0;", x);
  for (size_t i = 0; i < 32; i++) {
    EXPECT_EQ(exact[i], 1 / x[i]);
    if (std::isinf(x[i]))
      EXPECT_EQ(power[i], x[i] > 0 ? INFINITY : 0.0f);
  }
}

} // namespace
} // namespace tenon::emulator
