// Functions of float32 against float64, over the whole range of float32, in units in the last
// place.
#include "CompiledKernel.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>

using namespace tenon;
using namespace tenon::test;

namespace {

constexpr int32_t kRows = 16, kColumns = 64;
constexpr uint32_t kStride =
    40013; // of bit patterns: a prime, so that all mantissas have their turn

struct Function {
  const char *name;
  double (*reference)(double);
  double ulp;     // largest error
  double largest; // |x|
};
void PrintTo(const Function &function, std::ostream *out) {
  *out << function.name;
}

const Function kFunctions[] = {
    {"exp2", std::exp2, 3, INFINITY}, {"exp", std::exp, 2, INFINITY},
    {"log2", std::log2, 2, INFINITY}, {"log", std::log, 2, INFINITY},
    {"tanh", std::tanh, 3, INFINITY}, {"erf", std::erf, 8, INFINITY},
    {"sin", std::sin, 2, 0x1p26},     {"cos", std::cos, 2, 0x1p26},
    {"sqrt", std::sqrt, 1, INFINITY}, {"floor", std::floor, 0, INFINITY}};

std::string kernelText(const std::string &operation) {
  return R"(func.func @kernel() attributes {tile.kernel} {
  %in = tile.tensor 0 : !tile.tensor<f32>
  %other = tile.tensor 1 : !tile.tensor<f32>
  %out = tile.tensor 2 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %rows = arith.constant 16 : i32
  %x = tile.load %in[%zero, %zero, %zero] rows %rows width 64 layout 0 : !tile.tensor<f32> -> tensor<16x64xf32>
  %y = tile.load %other[%zero, %zero, %zero] rows %rows width 64 layout 0 : !tile.tensor<f32> -> tensor<16x64xf32>
  %z = )" +
         operation + R"( : tensor<16x64xf32>
  tile.store %z, %out[%zero, %zero, %zero] rows %rows width 64 layout 0 : tensor<16x64xf32>, !tile.tensor<f32>
  return
})";
}

using Elements = std::array<float, kRows * kColumns>;

KernelArguments argumentsOf(Elements &x, Elements &y, Elements &z) {
  KernelArguments arguments{};
  int slot = 0;
  for (Elements *elements : {&x, &y, &z})
    arguments.tensors[slot++] = {elements->data(), {0, 0, kColumns, 1}, {1, 1, kRows, kColumns}};
  return arguments;
}

// In units of the last place of a normal float32 near the reference.
double error(float result, double reference) {
  if (std::isnan(reference))
    return std::isnan(result) ? 0 : INFINITY;
  if (static_cast<float>(reference) == result)
    return 0;
  if (std::isinf(static_cast<float>(reference)) || !std::isfinite(result))
    return INFINITY;
  double ulp = std::ldexp(1, std::max(std::ilogb(reference), -126) - 23);
  if (std::abs(reference) < 0x1p-126 && result == 0)
    return 0; // exp2 flushes
  return std::abs(result - reference) / ulp;
}

class MathFunctionsTest : public testing::TestWithParam<Function> {};

TEST_P(MathFunctionsTest, FewUnitsInTheLastPlace) {
  auto [name, reference, ulp, largest] = GetParam();
  auto context = makeContext();
  for (const std::string &target : runnableTargets()) {
    CompiledKernel kernel(*context, kernelText(std::string("math.") + name + " %x"), target);
    Elements x{}, z{};
    KernelArguments arguments = argumentsOf(x, x, z);
    double worst = 0;
    float where = 0;
    for (uint64_t bits = 0; bits < 1ull << 32; bits += uint64_t{kStride} * x.size()) {
      for (size_t i = 0; i < x.size(); ++i)
        x[i] = std::bit_cast<float>(static_cast<uint32_t>(bits + i * kStride));
      kernel.run(arguments);
      for (size_t i = 0; i < x.size(); ++i)
        if (!(std::abs(x[i]) > largest))
          if (double e = error(z[i], reference(x[i])); e > worst)
            worst = e, where = x[i];
    }
    EXPECT_LE(worst, ulp) << target << " " << name << "(" << where << ")";
  }
}
INSTANTIATE_TEST_SUITE_P(All, MathFunctionsTest, testing::ValuesIn(kFunctions));

TEST(MathFunctionsTest, PowersOfAllSigns) {
  const float specials[] = {0.f,  -0.f,  1.f,    -1.f,   2.f,    -2.f,     3.f,       -3.f,
                            0.5f, -0.5f, 1e-40f, 1e30f,  100.5f, INFINITY, -INFINITY, NAN,
                            33.f, -33.f, 0.999f, 1.001f, -1.5f,  7e4f};
  auto context = makeContext();
  for (const std::string &target : runnableTargets()) {
    CompiledKernel kernel(*context, kernelText("math.powf %x, %y"), target);
    Elements x{}, y{}, z{};
    size_t n = std::size(specials);
    for (size_t i = 0; i < n * n; ++i)
      x[i] = specials[i / n], y[i] = specials[i % n];
    for (size_t i = n * n; i < x.size(); ++i)
      x[i] = 0.01f * static_cast<float>(i), y[i] = 0.37f * static_cast<float>(i % 41) - 7;
    kernel.run(argumentsOf(x, y, z));
    for (size_t i = 0; i < x.size(); ++i)
      EXPECT_LE(error(z[i], std::pow(double{x[i]}, double{y[i]})), 1)
          << target << " " << x[i] << "^" << y[i] << " = " << z[i];
  }
}

TEST(MathFunctionsTest, SinesOfGreatNumbersStayWithinOne) {
  auto context = makeContext();
  for (const std::string &target : runnableTargets())
    for (const char *name : {"sin", "cos"}) {
      CompiledKernel kernel(*context, kernelText(std::string("math.") + name + " %x"), target);
      Elements x{1e20f, -3e38f, 0x1p60f, NAN, INFINITY, 151980605440.f, 1997533085696.f}, z{};
      kernel.run(argumentsOf(x, x, z));
      for (int i : {0, 1, 2})
        EXPECT_LE(std::abs(z[i]), 1) << target << " " << name << "(" << x[i] << ")";
      EXPECT_TRUE(std::isnan(z[3]) && std::isnan(z[4])) << target << " " << name;
      for (int i : {5, 6}) {
        const double right = name == std::string_view("sin") ? std::sin(double{x[i]}) : std::cos(double{x[i]});
        EXPECT_LE(error(z[i], right), 2) << target << " " << name << "(" << x[i] << ")";
      }
    }
}

TEST(MathFunctionsTest, WhatSoftmaxRestsUpon) {
  auto context = makeContext();
  for (const std::string &target : runnableTargets()) {
    CompiledKernel kernel(*context, kernelText("math.exp2 %x"), target);
    Elements x{0.f, -INFINITY, NAN, -200.f}, z{};
    kernel.run(argumentsOf(x, x, z));
    EXPECT_EQ(z[0], 1.f);
    EXPECT_EQ(z[1], 0.f);
    EXPECT_TRUE(std::isnan(z[2]));
    EXPECT_EQ(z[3], 0.f);
  }
}

} // namespace
