// Integer arithmetic of every width against arithmetic of 128 bits, on edges and on random numbers.
#include "Elementwise.h"
#include <cmath>
#include <random>

namespace tenon::emulator {
namespace {

using Wide = __int128;

struct Type {
  const char *name;
  int bits;
  bool is_signed;

  Wide value(uint64_t raw) const {
    raw = bits == 64 ? raw : raw & ((uint64_t{1} << bits) - 1);
    bool negative = is_signed && raw >> (bits - 1) & 1;
    return negative ? static_cast<Wide>(raw) - (static_cast<Wide>(1) << bits) : static_cast<Wide>(raw);
  }
  uint64_t raw(Wide value) const {
    auto low = static_cast<uint64_t>(value);
    return bits == 64 ? low : low & ((uint64_t{1} << bits) - 1);
  }
};
constexpr Type kTypes[] = {{"u16", 16, false}, {"s16", 16, true}, {"u32", 32, false},
                           {"s32", 32, true},  {"u64", 64, false}, {"s64", 64, true}};

struct Operation {
  const char *name;
  int operands;
  Wide (*exact)(Wide a, Wide b, Wide c, int bits);
  int least_bits = 16;
};
const Operation kOperations[] = {
    {"add", 2, [](Wide a, Wide b, Wide, int) { return a + b; }},
    {"sub", 2, [](Wide a, Wide b, Wide, int) { return a - b; }},
    {"mul.lo", 2, [](Wide a, Wide b, Wide, int) { return static_cast<Wide>(static_cast<unsigned __int128>(a) * static_cast<unsigned __int128>(b)); }},
    {"mul.hi", 2, [](Wide a, Wide b, Wide, int bits) { return bits == 64 && a > 0 && b > 0 ? static_cast<Wide>(static_cast<unsigned __int128>(a) * static_cast<unsigned __int128>(b) >> 64) : a * b >> bits; }},
    {"mad.lo", 3, [](Wide a, Wide b, Wide c, int) { return static_cast<Wide>(static_cast<unsigned __int128>(a) * static_cast<unsigned __int128>(b) + static_cast<unsigned __int128>(c)); }},
    {"mad.hi", 3, [](Wide a, Wide b, Wide c, int bits) { return (bits == 64 && a > 0 && b > 0 ? static_cast<Wide>(static_cast<unsigned __int128>(a) * static_cast<unsigned __int128>(b) >> 64) : a * b >> bits) + c; }, 32},
    {"min", 2, [](Wide a, Wide b, Wide, int) { return std::min(a, b); }},
    {"max", 2, [](Wide a, Wide b, Wide, int) { return std::max(a, b); }},
    {"div", 2, [](Wide a, Wide b, Wide, int) { return b == 0 ? Wide(-1) : a / b; }}, // by zero: all ones, as the hardware's routine
    {"rem", 2, [](Wide a, Wide b, Wide, int) { return b == 0 ? a : a % b; }},
    {"sad", 3, [](Wide a, Wide b, Wide c, int) { return c + (a < b ? b - a : a - b); }},
};

std::vector<uint64_t> values(unsigned seed) {
  std::mt19937_64 random(seed);
  const uint64_t edges[] = {0, 1, 2, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x7fffffffffffffff, 0x8000000000000000, ~0ull};
  std::vector<uint64_t> all;
  for (int i = 0; i < 512; i++) {
    uint64_t draw = random();
    all.push_back(draw % 3 == 0 ? edges[draw / 3 % std::size(edges)] : draw % 3 == 1 ? random() : random() >> (draw / 3 % 64));
  }
  return all;
}

class IntegerWidths : public testing::TestWithParam<std::tuple<Type, Operation>> {};
TEST_P(IntegerWidths, MatchExactArithmetic) {
  const auto &[type, operation] = GetParam();
  if (type.bits < operation.least_bits)
    GTEST_SKIP() << "there is no such instruction";
  auto a = values(1), b = values(2), c = values(3);
  std::string storage = "b" + std::to_string(type.bits), body = std::string(operation.name) + "." + type.name + " %d, %a0, %a1";
  body += operation.operands > 2 ? ", %a2;" : ";";
  auto check = [&]<class T>(T) {
    auto narrow = [](const std::vector<uint64_t> &from) { return std::vector<T>(from.begin(), from.end()); };
    auto d = run_many<T>({storage, storage, storage}, storage, body, narrow(a), narrow(b), narrow(c));
    for (size_t i = 0; i < d.size(); i++) {
      Wide exact = operation.exact(type.value(a[i]), type.value(b[i]), type.value(c[i]), type.bits);
      ASSERT_EQ(d[i], type.raw(exact)) << body << " of " << a[i] << ", " << b[i] << ", " << c[i];
    }
  };
  type.bits == 16 ? check(uint16_t{}) : type.bits == 32 ? check(uint32_t{}) : check(uint64_t{});
}
INSTANTIATE_TEST_SUITE_P(All, IntegerWidths, testing::Combine(testing::ValuesIn(kTypes), testing::ValuesIn(kOperations)),
                         [](const auto &info) {
                           std::string name = std::string(std::get<1>(info.param).name) + "_" + std::get<0>(info.param).name;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

class Comparisons : public testing::TestWithParam<Type> {};
TEST_P(Comparisons, MatchExactArithmetic) {
  const Type &type = GetParam();
  struct Comparison {
    const char *name;
    bool (*holds)(Wide, Wide);
  };
  const Comparison comparisons[] = {{"eq", [](Wide a, Wide b) { return a == b; }}, {"ne", [](Wide a, Wide b) { return a != b; }},
                                    {"lt", [](Wide a, Wide b) { return a < b; }},  {"le", [](Wide a, Wide b) { return a <= b; }},
                                    {"gt", [](Wide a, Wide b) { return a > b; }},  {"ge", [](Wide a, Wide b) { return a >= b; }}};
  auto a = values(4), b = values(5);
  for (size_t i = 0; i < b.size(); i += 5)
    b[i] = a[i];
  std::string storage = "b" + std::to_string(type.bits);
  for (const Comparison &comparison : comparisons) {
    auto check = [&]<class T>(T) {
      std::vector<T> x(a.begin(), a.end()), y(b.begin(), b.end());
      auto d = run_many<uint32_t>({storage, storage}, "pred", std::string("setp.") + comparison.name + "." + type.name + " %d, %a0, %a1;", x, y);
      for (size_t i = 0; i < d.size(); i++)
        ASSERT_EQ(d[i], comparison.holds(type.value(a[i]), type.value(b[i]))) << comparison.name << " of " << a[i] << ", " << b[i];
    };
    type.bits == 16 ? check(uint16_t{}) : type.bits == 32 ? check(uint32_t{}) : check(uint64_t{});
  }
}
INSTANTIATE_TEST_SUITE_P(All, Comparisons, testing::ValuesIn(kTypes), [](const auto &info) { return std::string(info.param.name); });

/// set gives one or nothing as a float, of doubles too.
TEST(Comparisons, OfDoublesGiveFloats) {
  std::vector<double> a, b;
  for (int i = 0; i < 64; i++) {
    a.push_back(i % 7 == 0 ? NAN : i % 5);
    b.push_back(i % 3);
  }
  auto d = run_many<float>({"f64", "f64"}, "f32", "setp.eq.f64 %p0, %a1, %a1; pmevent 3; set.lt.and.f32.f64 %d, %a0, %a1, %p0;", a, b);
  auto unordered = run_many<float>({"f64", "f64"}, "f32", "set.geu.f32.f64 %d, %a0, %a1; pmevent.mask 65535;", a, b);
  for (size_t i = 0; i < d.size(); i++) {
    EXPECT_EQ(d[i], a[i] < b[i] ? 1.0f : 0.0f);
    EXPECT_EQ(unordered[i], a[i] < b[i] ? 0.0f : 1.0f);
  }
}

/// A product of 64 by 64 bits from halves, as compilers make it with carries.
TEST(Carries, JoinHalvesOfProducts) {
  auto a = values(6), b = values(7);
  auto d = run_many<uint64_t>({"b64", "b64"}, "b64",
                              "mov.b64 {%x0, %x1}, %a0; mov.b64 {%x2, %x3}, %a1;\n"
                              "mul.lo.u32 %x4, %x0, %x2; mul.hi.u32 %x5, %x0, %x2;\n"                      // low product
                              "mad.lo.cc.u32 %x5, %x1, %x2, %x5; madc.hi.u32 %x6, %x1, %x2, 0;\n"          // + a1 b0
                              "mad.lo.cc.u32 %x5, %x0, %x3, %x5; madc.hi.cc.u32 %x6, %x0, %x3, %x6; addc.u32 %x7, 0, 0;\n"
                              "mad.lo.cc.u32 %x6, %x1, %x3, %x6; madc.hi.u32 %x7, %x1, %x3, %x7;\n"
                              "mov.b64 %d, {%x6, %x7};",
                              a, b);
  for (size_t i = 0; i < d.size(); i++)
    ASSERT_EQ(d[i], static_cast<uint64_t>(static_cast<unsigned __int128>(a[i]) * b[i] >> 64)) << a[i] << " " << b[i];
}

/// Differences and sums share the carry: sub.cc leaves 1 where nothing is borrowed (ptxas: IADD3 with a predicate, which
/// addc selects by), and subc takes one away where the carry is 0, whoever left it. nvcc divides 128 bits so.
struct Mixed {
  const char *name, *first, *second;
  uint64_t (*exact)(uint64_t a, uint64_t b);
};
class MixedCarries : public testing::TestWithParam<Mixed> {};
TEST_P(MixedCarries, OfSumsAndDifferences) {
  auto a = values(8), b = values(9);
  for (size_t i = 0; i < b.size(); i += 5)
    b[i] = a[i];
  const std::string first = GetParam().first, second = GetParam().second;
  auto d = run_many<uint64_t>({"b64", "b64"}, "b64", first + ".u64 %y0, %a0, %a1; " + second + ".u64 %d, %a0, %a1;", a, b);
  for (size_t i = 0; i < d.size(); i++)
    ASSERT_EQ(d[i], GetParam().exact(a[i], b[i])) << a[i] << " " << b[i];
  auto narrow = run_many<uint32_t>({"b32", "b32"}, "b32", first + ".u32 %x0, %a0, %a1; " + second + ".u32 %d, %a0, %a1;",
                                   std::vector<uint32_t>(a.begin(), a.end()), std::vector<uint32_t>(b.begin(), b.end()));
  for (size_t i = 0; i < narrow.size(); i++) { // the high halves of words of 64 bits carry alike
    const uint64_t x = a[i] << 32, y = b[i] << 32;
    const bool carries = first == "add.cc" ? x + y < x : x >= y;
    ASSERT_EQ(narrow[i], static_cast<uint32_t>(second == "addc" ? a[i] + b[i] + carries : a[i] - b[i] - !carries));
  }
}
const Mixed kMixed[] = {
    {"DifferenceThenSum", "sub.cc", "addc", [](uint64_t a, uint64_t b) { return a + b + (a >= b); }},
    {"DifferenceThenDifference", "sub.cc", "subc", [](uint64_t a, uint64_t b) { return a - b - (a < b); }},
    {"SumThenDifference", "add.cc", "subc", [](uint64_t a, uint64_t b) { return a - b - (a + b >= a); }},
    {"SumThenSum", "add.cc", "addc", [](uint64_t a, uint64_t b) { return a + b + (a + b < a); }},
};
INSTANTIATE_TEST_SUITE_P(All, MixedCarries, testing::ValuesIn(kMixed), [](const auto &info) { return std::string(info.param.name); });

/// The remainder of a long difference: subc.cc passes on what it takes.
TEST(Carries, PassThroughLongDifferences) {
  auto a = values(10), b = values(11), c = values(12);
  auto d = run_many<uint64_t>({"b64", "b64", "b64"}, "b64",
                              "sub.cc.u64 %y0, %a0, %a1; subc.cc.u64 %y1, %a1, %a2; subc.cc.u64 %y2, %a2, %a0; addc.u64 %d, 0, 0;",
                              a, b, c);
  for (size_t i = 0; i < d.size(); i++) {
    bool borrows = a[i] < b[i];
    borrows = b[i] < c[i] || (b[i] == c[i] && borrows);
    borrows = c[i] < a[i] || (c[i] == a[i] && borrows);
    ASSERT_EQ(d[i], uint64_t{!borrows}) << a[i] << " " << b[i] << " " << c[i];
  }
}

} // namespace
} // namespace tenon::emulator
