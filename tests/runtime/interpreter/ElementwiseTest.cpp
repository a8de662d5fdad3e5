#include "Evaluate.h"

#include <functional>

namespace tenon::testing_support {
namespace {

const std::vector<double> kReals = {-kInfinity, -1e30, -3.5, -1.0, -0.25, -0.0, 0.0,       1e-30,
                                    0.5,        1.0,   2.0,  7.25, 100.0, 1e20, kInfinity, kNaN};

struct UnaryCase {
  const char *mnemonic;
  std::function<double(double)> formula;
};

TEST(Elementwise, UnaryReal) {
  const UnaryCase cases[] = {
      {"negate", [](double a) { return -a; }},
      {"exp", [](double a) { return std::exp(a); }},
      {"exp2", [](double a) { return std::exp2(a); }},
      {"log", [](double a) { return std::log(a); }},
      {"tanh", [](double a) { return std::tanh(a); }},
      {"sqrt", [](double a) { return std::sqrt(a); }},
      {"rsqrt", [](double a) { return 1.0 / std::sqrt(a); }},
      {"abs", [](double a) { return std::fabs(a); }},
      {"sigmoid", [](double a) { return 1.0 / (1.0 + std::exp(-a)); }},
      {"erf", [](double a) { return std::erf(a); }},
      {"floor", [](double a) { return std::floor(a); }},
  };
  const auto count = static_cast<int64_t>(kReals.size());
  for (const UnaryCase &test : cases) {
    const Graph graph =
        parse("%a: tensor<*xf32>", std::string("%0 = attention.") + test.mnemonic +
                                       " %a : tensor<*xf32>\nreturn %0 : tensor<*xf32>");
    std::vector<double> exact, single;
    for (const double a : kReals) {
      exact.push_back(test.formula(a));
      single.push_back(static_cast<float>(test.formula(static_cast<float>(a))));
    }
    expect_close(evaluate_one(graph, {doubles({count}, kReals)}, oracle()), exact, 0,
                 test.mnemonic);
    // The C library's float32 functions are right to an ulp or two.
    const Tensor floats = doubles({count}, kReals).to(DataType::kFloat32).value();
    expect_close(evaluate_one(graph, {floats}), single, 4e-7, test.mnemonic);
  }
}

TEST(Elementwise, SineAndCosine) {
  const std::vector<double> angles = {-100, -3, -0.5, 0, 0.25, 1.5707963, 3.1415926, 10000};
  for (const bool sine : {true, false}) {
    const Graph graph =
        parse("%a: tensor<*xf32>", std::string("%0 = attention.") + (sine ? "sin" : "cos") +
                                       " %a : tensor<*xf32>\nreturn %0 : tensor<*xf32>");
    std::vector<double> expected;
    for (const double a : angles)
      expected.push_back(sine ? std::sin(a) : std::cos(a));
    expect_close(evaluate_one(graph, {doubles({8}, angles)}, oracle()), expected, 0, "double");
  }
}

struct BinaryCase {
  const char *mnemonic;
  std::function<double(double, double)> formula;
};

/// All pairs: the first operand as a column, the second as a row.
TEST(Elementwise, BinaryReal) {
  const auto extremum = [](double a, double b, bool smaller) {
    return std::isnan(a) || std::isnan(b) ? kNaN : smaller ? std::min(a, b) : std::max(a, b);
  };
  const BinaryCase cases[] = {
      {"add", [](double a, double b) { return a + b; }},
      {"subtract", [](double a, double b) { return a - b; }},
      {"multiply", [](double a, double b) { return a * b; }},
      {"divide", [](double a, double b) { return a / b; }},
      {"minimum", [&](double a, double b) { return extremum(a, b, true); }},
      {"maximum", [&](double a, double b) { return extremum(a, b, false); }},
      {"power", [](double a, double b) { return std::pow(a, b); }},
      {"equal", [](double a, double b) { return a == b; }},
      {"not_equal", [](double a, double b) { return a != b; }},
      {"less", [](double a, double b) { return a < b; }},
      {"less_equal", [](double a, double b) { return a <= b; }},
      {"greater", [](double a, double b) { return a > b; }},
      {"greater_equal", [](double a, double b) { return a >= b; }},
  };
  const auto count = static_cast<int64_t>(kReals.size());
  const Tensor column = doubles({count, 1}, kReals), row = doubles({count}, kReals);
  const Tensor column32 = column.to(DataType::kFloat32).value(),
               row32 = row.to(DataType::kFloat32).value();
  for (const BinaryCase &test : cases) {
    const bool compares = std::string(test.mnemonic).find("equal") != std::string::npos ||
                          std::string(test.mnemonic) == "less" ||
                          std::string(test.mnemonic) == "greater";
    const std::string type = compares ? "tensor<*xi1>" : "tensor<*xf32>";
    const Graph graph =
        parse("%a: tensor<*xf32>, %b: tensor<*xf32>",
              std::string("%0 = attention.") + test.mnemonic +
                  " %a, %b : (tensor<*xf32>, tensor<*xf32>) -> " + type + "\nreturn %0 : " + type,
              type);
    std::vector<double> exact, single;
    for (const double a : kReals)
      for (const double b : kReals) {
        exact.push_back(test.formula(a, b));
        single.push_back(
            static_cast<float>(test.formula(static_cast<float>(a), static_cast<float>(b))));
      }
    expect_close(evaluate_one(graph, {column, row}, oracle()), exact, 0, test.mnemonic);
    expect_close(evaluate_one(graph, {column32, row32}), single, 4e-7, test.mnemonic);
  }
}

struct IndexCase {
  const char *mnemonic;
  std::function<int64_t(int64_t, int64_t)> formula; ///< before wrapping to 32 bits
};

TEST(Elementwise, BinaryIndex) {
  const auto floor_divide = [](int64_t a, int64_t b) -> int64_t {
    return b == 0
               ? 0
               : static_cast<int64_t>(std::floor(static_cast<double>(a) / static_cast<double>(b)));
  };
  const IndexCase cases[] = {
      {"add", [](int64_t a, int64_t b) { return a + b; }},
      {"subtract", [](int64_t a, int64_t b) { return a - b; }},
      {"multiply", [](int64_t a, int64_t b) { return a * b; }},
      {"minimum", [](int64_t a, int64_t b) { return std::min(a, b); }},
      {"maximum", [](int64_t a, int64_t b) { return std::max(a, b); }},
      {"floor_divide", floor_divide},
      {"modulo", [&](int64_t a, int64_t b) { return b == 0 ? 0 : a - b * floor_divide(a, b); }},
      {"equal", [](int64_t a, int64_t b) { return a == b; }},
      {"not_equal", [](int64_t a, int64_t b) { return a != b; }},
      {"less", [](int64_t a, int64_t b) { return a < b; }},
      {"less_equal", [](int64_t a, int64_t b) { return a <= b; }},
      {"greater", [](int64_t a, int64_t b) { return a > b; }},
      {"greater_equal", [](int64_t a, int64_t b) { return a >= b; }},
  };
  const std::vector<int32_t> values = {INT32_MIN, -2147483647, -100, -7, -3, -1,    0,
                                       1,         2,           3,    7,  64, 65536, INT32_MAX};
  const auto count = static_cast<int64_t>(values.size());
  for (const IndexCase &test : cases) {
    const std::string mnemonic = test.mnemonic;
    const bool compares =
        mnemonic.find("equal") != std::string::npos || mnemonic == "less" || mnemonic == "greater";
    const std::string type = compares ? "tensor<*xi1>" : "tensor<*xi32>";
    const Graph graph =
        parse("%a: tensor<*xi32>, %b: tensor<*xi32>",
              "%0 = attention." + mnemonic + " %a, %b : (tensor<*xi32>, tensor<*xi32>) -> " + type +
                  "\nreturn %0 : " + type,
              type);
    std::vector<double> expected;
    for (const int32_t a : values)
      for (const int32_t b : values)
        expected.push_back(static_cast<int32_t>(static_cast<uint32_t>(test.formula(a, b))));
    for (const auto &options : {InterpreterOptions{}, oracle()})
      expect_close(
          evaluate_one(graph, {indices({count, 1}, values), indices({count}, values)}, options),
          expected, 0, mnemonic);
  }
}

TEST(Elementwise, Masks) {
  const Graph graph =
      parse("%a: tensor<*xi1>, %b: tensor<*xi1>",
            "%0 = attention.and %a, %b : (tensor<*xi1>, tensor<*xi1>) -> tensor<*xi1>\n"
            "%1 = attention.or %a, %b : (tensor<*xi1>, tensor<*xi1>) -> tensor<*xi1>\n"
            "%2 = attention.not %a : tensor<*xi1>\n"
            "return %0, %1, %2 : tensor<*xi1>, tensor<*xi1>, tensor<*xi1>",
            "(tensor<*xi1>, tensor<*xi1>, tensor<*xi1>)");
  const auto results = evaluate(graph, {mask({2, 1}, {0, 1}), mask({2}, {0, 1})});
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(elements(results[0]), (std::vector<double>{0, 0, 0, 1}));
  EXPECT_EQ(elements(results[1]), (std::vector<double>{0, 1, 1, 1}));
  EXPECT_EQ(elements(results[2]), (std::vector<double>{1, 0}));
  EXPECT_EQ(results[0].dtype(), DataType::kBool);
}

TEST(Elementwise, AnyByteBut0IsTrue) {
  unsigned char bytes[] = {0, 1, 2, 255};
  const Tensor wrapped = Tensor::wrap(bytes, {4}, {}, DataType::kBool).value();
  const Graph graph = parse(
      "%a: tensor<*xi1>",
      "%0 = attention.convert %a : (tensor<*xi1>) -> tensor<*xf32>\nreturn %0 : tensor<*xf32>");
  EXPECT_EQ(evaluate_one(graph, {wrapped}), (std::vector<double>{0, 1, 1, 1}));
}

TEST(Elementwise, ConvertRealToIndexSaturates) {
  const Graph graph = parse(
      "%a: tensor<*xf32>",
      "%0 = attention.convert %a : (tensor<*xf32>) -> tensor<*xi32>\nreturn %0 : tensor<*xi32>",
      "tensor<*xi32>");
  const std::vector<double> reals = {-kInfinity, -3e9,         -2147483648.0, -2.9,      -0.5, 0.5,
                                     2.9,        2147483648.0, 1e30,          kInfinity, kNaN};
  const std::vector<double> expected = {-2147483648.0, -2147483648.0, -2147483648.0, -2, 0, 0, 2,
                                        2147483647.0,  2147483647.0,  2147483647.0,  0};
  const Tensor tensor = doubles({11}, reals);
  EXPECT_EQ(evaluate_one(graph, {tensor}, oracle()), expected);
  EXPECT_EQ(evaluate_one(graph, {tensor.to(DataType::kFloat32).value()}), expected);
}

TEST(Elementwise, ConvertIndexToReal) {
  const Graph graph = parse(
      "%a: tensor<*xi32>",
      "%0 = attention.convert %a : (tensor<*xi32>) -> tensor<*xf32>\nreturn %0 : tensor<*xf32>");
  const Tensor tensor = indices({3}, {-5, 16777217, INT32_MIN});
  EXPECT_EQ(evaluate_one(graph, {tensor}, oracle()),
            (std::vector<double>{-5, 16777217, -2147483648.0}));
  EXPECT_EQ(evaluate_one(graph, {tensor}), (std::vector<double>{-5, 16777216, -2147483648.0}));
}

TEST(Elementwise, WhereSelectsAndNeverMultiplies) {
  const Graph graph = parse(
      "%m: tensor<*xi1>, %a: tensor<*xf32>",
      "%0 = attention.constant 0.0 : f32\n"
      "%1 = attention.where %m, %a, %0 : (tensor<*xi1>, tensor<*xf32>, f32) -> tensor<*xf32>\n"
      "return %1 : tensor<*xf32>");
  const Tensor values = doubles({1, 4}, {1, kNaN, kInfinity, -kInfinity});
  EXPECT_EQ(evaluate_one(graph, {mask({4}, {1, 0, 0, 0}), values}),
            (std::vector<double>{1, 0, 0, 0}));
}

TEST(Elementwise, WhereOfEveryKind) {
  const Graph graph = parse(
      "%m: tensor<*xi1>, %i: tensor<*xi32>, %k: i32",
      "%0 = attention.where %m, %i, %k : (tensor<*xi1>, tensor<*xi32>, i32) -> tensor<*xi32>\n"
      "%1 = attention.not %m : tensor<*xi1>\n"
      "%2 = attention.where %m, %1, %m : (tensor<*xi1>, tensor<*xi1>, tensor<*xi1>) -> "
      "tensor<*xi1>\n"
      "return %0, %2 : tensor<*xi32>, tensor<*xi1>",
      "(tensor<*xi32>, tensor<*xi1>)");
  const auto results =
      evaluate(graph, {mask({3}, {1, 0, 1}), indices({3}, {10, 20, 30}), indices({}, {7})});
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(elements(results[0]), (std::vector<double>{10, 7, 30}));
  EXPECT_EQ(elements(results[1]), (std::vector<double>{0, 0, 0}));
}

TEST(Elementwise, BroadcastOverEveryDimension) {
  const Graph graph =
      parse("%a: tensor<*xf32>, %b: tensor<*xf32>",
            "%0 = attention.subtract %a, %b : (tensor<*xf32>, tensor<*xf32>) -> tensor<*xf32>\n"
            "return %0 : tensor<*xf32>");
  constexpr int64_t kSizes[4] = {2, 3, 4, 300}; // columns beyond one block of evaluation
  for (int left = 0; left < 16; ++left)
    for (int right = 0; right < 16; ++right) {
      Shape a(4), b(4);
      for (int d = 0; d < 4; ++d) {
        a[static_cast<size_t>(d)] = left >> d & 1 ? kSizes[d] : 1;
        b[static_cast<size_t>(d)] = right >> d & 1 ? kSizes[d] : 1;
      }
      const Tensor first = random(a, 1), second = random(b, 2);
      const auto results = evaluate(graph, {first, second});
      ASSERT_EQ(results.size(), 1u);
      const Shape &shape = results[0].shape();
      const Tensor expanded_first = first.expand(shape).value(),
                   expanded_second = second.expand(shape).value();
      const std::vector<double> x = elements(expanded_first), y = elements(expanded_second),
                                z = elements(results[0]);
      for (size_t i = 0; i < z.size(); ++i)
        ASSERT_EQ(z[i], static_cast<float>(x[i]) - static_cast<float>(y[i]));
    }
}

TEST(Elementwise, StridedInputs) {
  const Graph graph =
      parse("%a: tensor<*xf32>, %b: tensor<*xf32>",
            "%0 = attention.add %a, %b : (tensor<*xf32>, tensor<*xf32>) -> tensor<*xf32>\n"
            "return %0 : tensor<*xf32>");
  const Tensor base = random({1, 2, 6, 6}, 3);
  const Tensor transposed = base.transpose(2, 3).value(),
               reversed = base.slice(2, 1, 4).value().slice(3, 0, 6, 2).value();
  EXPECT_EQ(evaluate_one(graph, {base, transposed}),
            evaluate_one(graph, {base, transposed.contiguous().value()}));
  EXPECT_EQ(evaluate_one(graph, {reversed, reversed}),
            evaluate_one(graph, {reversed.contiguous().value(), reversed.contiguous().value()}));
}

TEST(Elementwise, LowPrecisionInputsAreWidenedExactly) {
  const Graph graph =
      parse("%a: tensor<*xf32>, %s: f32",
            "%0 = attention.multiply %a, %s : (tensor<*xf32>, f32) -> tensor<*xf32>\n"
            "return %0 : tensor<*xf32>");
  for (const DataType dtype : {DataType::kFloat16, DataType::kBFloat16}) {
    const Tensor low = random({3, 50}, 4, dtype);
    const std::vector<double> values = elements(low);
    std::vector<double> expected;
    for (const double value : values)
      expected.push_back(value * 3);
    EXPECT_EQ(evaluate_one(graph, {low, floats({}, {3})}, oracle()), expected);
    InterpreterOptions options;
    options.output = dtype;
    const auto results = evaluate(graph, {low, floats({}, {1})}, options);
    ASSERT_EQ(results.size(), 1u);
    EXPECT_EQ(results[0].dtype(), dtype);
    EXPECT_EQ(elements(results[0]), values);
  }
}

} // namespace
} // namespace tenon::testing_support
