// Integer instructions at the edges of their ranges.
#include "Elementwise.h"
#include <bit>
#include <functional>

namespace tenon::emulator {
namespace {

const std::vector<uint32_t> kWords = {0,          1,          2,          31,         32,         33,         0x7fffffff, 0x80000000,
                                      0x80000001, 0xffffffff, 0xfffffffe, 0x12345678, 0xdeadbeef, 0x00ff00ff, 0x55555555, 255};
const std::vector<uint32_t> kA = spread(kWords, 1), kB = spread(kWords, 3), kC = spread(kWords, 5);
using Word = uint32_t;
int32_t s(Word x) { return static_cast<int32_t>(x); }

struct Case {
  const char *opcode;
  std::function<Word(Word, Word, Word)> expected;
  int sources = 2;
};
void PrintTo(const Case &c, std::ostream *os) { *os << c.opcode; }

class Integers32 : public testing::TestWithParam<Case> {};
TEST_P(Integers32, MatchesReference) {
  const Case &c = GetParam();
  std::string body = std::string(c.opcode) + " %d, %a0";
  for (int i = 1; i < c.sources; i++)
    body += ", %a" + std::to_string(i);
  auto result = run_lanes<Word>({"b32", "b32", "b32"}, "b32", body + ";", kA, kB, kC);
  for (int lane = 0; lane < 32; lane++)
    EXPECT_EQ(result[lane], c.expected(kA[lane], kB[lane], kC[lane]))
        << c.opcode << " of " << kA[lane] << ", " << kB[lane] << ", " << kC[lane];
}

Word shift_left(Word a, Word b) { return b > 31 ? 0 : a << b; }
Word shift_right(Word a, Word b) { return b > 31 ? 0 : a >> b; }
Word bfe_unsigned(Word a, Word b, Word c) {
  b &= 255, c &= 255;
  Word d = 0;
  for (Word i = 0; i < c && i < 32; i++)
    if (b + i < 32)
      d |= (a >> (b + i) & 1) << i;
  return d;
}
Word bfe_signed(Word a, Word b, Word c) {
  b &= 255, c &= 255;
  if (c == 0)
    return 0;
  Word sign = a >> std::min(b + c - 1, 31u) & 1, d = 0;
  for (Word i = 0; i < 32; i++)
    d |= (i < c && b + i < 32 ? a >> (b + i) & 1 : sign) << i;
  return d;
}
Word permute(Word a, Word b, Word c) {
  uint64_t bytes = uint64_t{b} << 32 | a;
  Word d = 0;
  for (int i = 0; i < 4; i++) {
    Word selector = c >> 4 * i & 15, byte = static_cast<Word>(bytes >> 8 * (selector & 7)) & 255;
    d |= (selector & 8 ? (byte & 128 ? 255 : 0) : byte) << 8 * i;
  }
  return d;
}

INSTANTIATE_TEST_SUITE_P(
    All, Integers32,
    testing::Values(
        Case{"add.s32", [](Word a, Word b, Word) { return a + b; }}, Case{"sub.u32", [](Word a, Word b, Word) { return a - b; }},
        Case{"mul.lo.s32", [](Word a, Word b, Word) { return a * b; }},
        Case{"mul.hi.u32", [](Word a, Word b, Word) { return Word(uint64_t{a} * b >> 32); }},
        Case{"mul.hi.s32", [](Word a, Word b, Word) { return Word(int64_t{s(a)} * s(b) >> 32); }},
        Case{"mad.lo.s32", [](Word a, Word b, Word c) { return a * b + c; }, 3},
        Case{"mad.hi.u32", [](Word a, Word b, Word c) { return Word(uint64_t{a} * b >> 32) + c; }, 3},
        Case{"add.sat.s32", [](Word a, Word b, Word) { return Word(std::min<int64_t>(std::max<int64_t>(int64_t{s(a)} + s(b), INT32_MIN), INT32_MAX)); }},
        Case{"div.u32", [](Word a, Word b, Word) { return b ? a / b : ~0u; }},
        Case{"div.s32", [](Word a, Word b, Word) { return b ? Word(int64_t{s(a)} / s(b)) : ~0u; }},
        Case{"rem.u32", [](Word a, Word b, Word) { return b ? a % b : a; }},
        Case{"rem.s32", [](Word a, Word b, Word) { return b ? Word(int64_t{s(a)} % s(b)) : a; }},
        Case{"min.s32", [](Word a, Word b, Word) { return Word(std::min(s(a), s(b))); }},
        Case{"max.u32", [](Word a, Word b, Word) { return std::max(a, b); }},
        Case{"and.b32", [](Word a, Word b, Word) { return a & b; }}, Case{"or.b32", [](Word a, Word b, Word) { return a | b; }},
        Case{"xor.b32", [](Word a, Word b, Word) { return a ^ b; }},
        Case{"not.b32", [](Word a, Word, Word) { return ~a; }, 1}, Case{"neg.s32", [](Word a, Word, Word) { return 0 - a; }, 1},
        Case{"abs.s32", [](Word a, Word, Word) { return s(a) < 0 ? 0 - a : a; }, 1},
        Case{"cnot.b32", [](Word a, Word, Word) { return Word(a == 0); }, 1},
        Case{"shl.b32", [](Word a, Word b, Word) { return shift_left(a, b); }},
        Case{"shr.u32", [](Word a, Word b, Word) { return shift_right(a, b); }},
        Case{"shr.s32", [](Word a, Word b, Word) { return Word(s(a) >> std::min(b, 31u)); }},
        Case{"shf.l.wrap.b32", [](Word a, Word b, Word c) { return Word(((uint64_t{b} << 32 | a) << (c & 31)) >> 32); }, 3},
        Case{"shf.r.wrap.b32", [](Word a, Word b, Word c) { return Word((uint64_t{b} << 32 | a) >> (c & 31)); }, 3},
        Case{"shf.l.clamp.b32", [](Word a, Word b, Word c) { return Word(((uint64_t{b} << 32 | a) << std::min(c, 32u)) >> 32); }, 3},
        Case{"shf.r.clamp.b32", [](Word a, Word b, Word c) { return Word((uint64_t{b} << 32 | a) >> std::min(c, 32u)); }, 3},
        Case{"popc.b32", [](Word a, Word, Word) { return Word(std::popcount(a)); }, 1},
        Case{"clz.b32", [](Word a, Word, Word) { return Word(std::countl_zero(a)); }, 1},
        Case{"brev.b32", [](Word a, Word, Word) { Word d = 0; for (int i = 0; i < 32; i++) d |= (a >> i & 1) << (31 - i); return d; }, 1},
        Case{"bfind.u32", [](Word a, Word, Word) { return a ? Word(31 - std::countl_zero(a)) : ~0u; }, 1},
        Case{"bfind.s32", [](Word a, Word, Word) { Word x = s(a) < 0 ? ~a : a; return x ? Word(31 - std::countl_zero(x)) : ~0u; }, 1},
        Case{"bfind.shiftamt.u32", [](Word a, Word, Word) { return a ? Word(std::countl_zero(a)) : ~0u; }, 1},
        Case{"bfe.u32", [](Word a, Word b, Word c) { return bfe_unsigned(a, b, c); }, 3},
        Case{"bfe.s32", [](Word a, Word b, Word c) { return bfe_signed(a, b, c); }, 3},
        Case{"prmt.b32", [](Word a, Word b, Word c) { return permute(a, b, c); }, 3},
        Case{"sad.u32", [](Word a, Word b, Word c) { return c + (a < b ? b - a : a - b); }, 3},
        Case{"slct.b32.s32", [](Word a, Word b, Word c) { return s(c) >= 0 ? a : b; }, 3},
        Case{"bmsk.clamp.b32", [](Word a, Word b, Word) { return a > 31 ? 0 : Word(((uint64_t{1} << std::min(b, 32u)) - 1) << a); }},
        Case{"dp4a.u32.u32", [](Word a, Word b, Word c) { for (int i = 0; i < 4; i++) c += (a >> 8 * i & 255) * (b >> 8 * i & 255); return c; }, 3}),
    [](const auto &c) {
      std::string name = c.param.opcode;
      std::replace(name.begin(), name.end(), '.', '_');
      return name;
    });

TEST(Integers, LogicOfThreeInputs) {
  for (int table : {0x80, 0xfe, 0x96, 0xca, 0x6a, 0x00, 0xff}) {
    auto d = run_lanes<Word>({"b32", "b32", "b32"}, "b32", "lop3.b32 %d, %a0, %a1, %a2, " + std::to_string(table) + ";", kA, kB, kC);
    for (int lane = 0; lane < 32; lane++) {
      Word expected = 0;
      for (int bit = 0; bit < 32; bit++)
        expected |= static_cast<Word>(table >> ((kA[lane] >> bit & 1) * 4 + (kB[lane] >> bit & 1) * 2 + (kC[lane] >> bit & 1)) & 1) << bit;
      ASSERT_EQ(d[lane], expected) << table;
    }
  }
}

TEST(Integers, InsertsBitFields) {
  auto position = spread<Word>({0, 5, 31, 32, 28, 255, 256}, 1), length = spread<Word>({0, 1, 8, 32, 33, 4}, 2);
  auto d = run_lanes<Word>({"b32", "b32", "b32", "b32"}, "b32", "bfi.b32 %d, %a0, %a1, %a2, %a3;", kA, kB, position, length);
  for (int lane = 0; lane < 32; lane++) {
    Word expected = kB[lane], p = position[lane] & 255, n = length[lane] & 255;
    for (Word i = 0; i < n && p + i < 32; i++)
      expected = (expected & ~(1u << (p + i))) | (kA[lane] >> i & 1) << (p + i);
    EXPECT_EQ(d[lane], expected) << p << " " << n;
  }
}

TEST(Integers, WideAndSixtyFourBits) {
  auto product = run_lanes<int64_t>({"b32", "b32"}, "b64", "mul.wide.s32 %d, %a0, %a1;", kA, kB);
  auto sum = run_lanes<uint64_t>({"b32", "b32", "b32"}, "b64", "mul.wide.u32 %y0, %a0, %a1; cvt.u64.u32 %y1, %a2; sub.s64 %d, %y0, %y1;", kA, kB, kC);
  auto shifted = run_lanes<uint64_t>({"b32", "b32", "b32"}, "b64", "mov.b64 %y0, {%a0, %a1}; shl.b64 %d, %y0, %a2;", kA, kB, kC);
  auto high = run_lanes<uint64_t>({"b32", "b32", "b32"}, "b64", "mov.b64 %y0, {%a0, %a1}; mov.b64 %y1, {%a1, %a2}; mul.hi.u64 %d, %y0, %y1;", kA, kB, kC);
  for (int i = 0; i < 32; i++) {
    EXPECT_EQ(product[i], int64_t{s(kA[i])} * s(kB[i]));
    EXPECT_EQ(sum[i], uint64_t{kA[i]} * kB[i] - kC[i]);
    uint64_t whole = uint64_t{kB[i]} << 32 | kA[i], other = uint64_t{kC[i]} << 32 | kB[i];
    EXPECT_EQ(shifted[i], kC[i] > 63 ? 0 : whole << kC[i]);
    EXPECT_EQ(high[i], static_cast<uint64_t>((static_cast<unsigned __int128>(whole) * other) >> 64));
  }
}

TEST(Integers, CarriesBetweenWords) {
  auto d = run_lanes<uint64_t>({"b32", "b32", "b32"}, "b64", "add.cc.u32 %x0, %a0, %a1; addc.u32 %x1, %a2, %a1; mov.b64 %d, {%x0, %x1};", kA, kB, kC);
  for (int i = 0; i < 32; i++)
    EXPECT_EQ(d[i], (uint64_t{kC[i]} << 32 | kA[i]) + (uint64_t{kB[i]} << 32 | kB[i]));
}

TEST(Integers, ComparesAndCombines) {
  auto d = run_lanes<Word>({"b32", "b32", "b32"}, "b32",
                           "setp.lt.s32 %p0, %a0, %a1; setp.hi.and.u32 %p1|%p2, %a1, %a2, !%p0; selp.b32 %x0, 1, 0, %p0; "
                           "selp.b32 %x1, 2, 0, %p1; selp.b32 %x2, 4, 0, %p2; or.b32 %d, %x0, %x1; or.b32 %d, %d, %x2;",
                           kA, kB, kC);
  for (int i = 0; i < 32; i++) {
    bool p0 = s(kA[i]) < s(kB[i]), p1 = kB[i] > kC[i] && !p0, p2 = !(kB[i] > kC[i]) && !p0;
    EXPECT_EQ(d[i], Word(p0 + 2 * p1 + 4 * p2));
  }
}

TEST(Integers, PredicatesAreLogicToo) {
  auto d = run_lanes<Word>({"b32", "b32"}, "pred", "setp.eq.s32 %p0, %a0, %a1; setp.gt.u32 %p1, %a0, %a1; or.pred %p2, %p0, %p1; not.pred %p3, %p2; xor.pred %d, %p3, %p0;", kA, kB);
  for (int i = 0; i < 32; i++)
    EXPECT_EQ(d[i], Word((kA[i] < kB[i]) != (kA[i] == kB[i])));
}

/// Forms that few programs have, each by the result of one lane: what two words become.
struct RareForm {
  const char *name, *body;
  uint32_t a, b, expected;
};
void PrintTo(const RareForm &form, std::ostream *os) { *os << form.name; }
class RareForms : public testing::TestWithParam<RareForm> {};
TEST_P(RareForms, GiveWhatTheIsaSays) {
  const RareForm &form = GetParam();
  Card card("h100");
  const std::string halves = "mov.b32 {%h0, %h1}, %a0; mov.b32 {%h2, %h3}, %a1; .reg .f32 %f<4>; mov.b32 %f0, %a0; mov.b32 %f1, %a1;";
  auto *kernel = card.load(elementwise({"b32", "b32"}, "b32", halves + form.body, "sm_90"));
  ASSERT_TRUE(kernel);
  const DevicePointer out = card.allocate(128);
  EXPECT_EQ(card.launch(kernel, 1, 32, 0, out, card.upload(std::vector<uint32_t>(32, form.a)), card.upload(std::vector<uint32_t>(32, form.b))), kSuccess);
  EXPECT_EQ(card.download<uint32_t>(out, 1)[0], form.expected);
  setenv("TENON_EMULATOR_CARD", "a100", 1);
}
INSTANTIATE_TEST_SUITE_P(
    All, RareForms,
    testing::Values(
        RareForm{"Mad24High", "mad24.hi.u32 %d, %a0, %a1, 5;", 0xffffff, 0xffffff, 0xfffffe00 + 5u},
        RareForm{"Mad24HighSigned", "mad24.hi.s32 %d, %a0, %a1, 5;", 0xffffff, 2, 4},
        RareForm{"MadHighOf16", "mad.hi.u16 %h4, %h0, %h2, 7; cvt.u32.u16 %d, %h4;", 0x8000, 6, 10},
        RareForm{"MadHighOfSigned16", "mad.hi.s16 %h4, %h0, %h2, 7; cvt.u32.u16 %d, %h4;", 0x8000, 6, 4},
        RareForm{"SelectBySign16", "slct.u16.s32 %h4, %h0, %h1, %a1; cvt.u32.u16 %d, %h4;", 0x00020001, 0xffffffff, 2},
        RareForm{"SelectByFloat16", "slct.b16.f32 %h4, %h0, %h1, %f1; cvt.u32.u16 %d, %h4;", 0x00020001, 0x3f800000, 1},
        RareForm{"SetOfHalves", "set.lt.f16.f16 %h4, %h0, %h2; cvt.u32.u16 %d, %h4;", 0x3c00, 0x4000, 0x3c00},
        RareForm{"SetOfHalvesToWord", "set.gt.u32.f16 %d, %h0, %h2;", 0x4000, 0x3c00, 0xffffffff},
        RareForm{"SetOfHalvesToHalf", "setp.eq.u32 %p0, %a0, 0; set.gt.or.s16.f16 %h4, %h0, %h2, %p0; cvt.u32.u16 %d, %h4;", 0x3c00, 0x4000, 0},
        RareForm{"SetOfBfloats", "set.ge.bf16.bf16 %h4, %h0, %h2; cvt.u32.u16 %d, %h4;", 0x4000, 0x3f80, 0x3f80},
        RareForm{"AddHalvesOfAWord", "add.u16x2 %d, %a0, %a1;", 0xffff0001, 0x00010002, 0x00000003},
        RareForm{"GreatestUnsignedHalves", "max.u16x2 %d, %a0, %a1;", 0x80000001, 0x00010002, 0x80000002},
        RareForm{"GreatestSignedHalves", "max.s16x2 %d, %a0, %a1;", 0x80000001, 0x00010002, 0x00010002},
        RareForm{"LeastSignedHalves", "min.s16x2 %d, %a0, %a1;", 0x80000001, 0x00010002, 0x80000001},
        RareForm{"LogicOfThreeAndAPredicate", "setp.eq.u32 %p0, %a0, %a0; lop3.and.b32 %x0|%p1, %a0, %a1, 0, 0xc0, %p0; selp.u32 %d, %x0, 77, %p1;", 12, 10, 8},
        RareForm{"LogicOfThreeOrAPredicate", "setp.ne.u32 %p0, %a0, %a0; lop3.or.b32 %x0|%p1, %a0, %a1, 0, 0xc0, %p0; selp.u32 %d, 5, 77, %p1;", 12, 3, 77},
        RareForm{"LogicOfThreeWithoutResult", "setp.ne.u32 %p0, %a0, %a0; lop3.or.b32 _|%p1, %a0, %a1, 0, 0xc0, !%p0; selp.u32 %d, 5, 77, %p1;", 12, 3, 5},
        RareForm{"SaturatedTowardsZero", "add.rz.sat.f32 %f2, %f0, %f1; mov.b32 %d, %f2;", 0x3f800000, 0x3f800000, 0x3f800000},
        RareForm{"SaturatedProductDown", "mul.rm.ftz.sat.f32 %f2, %f0, %f1; mov.b32 %d, %f2;", 0xbf800000, 0x3f800000, 0},
        RareForm{"SaturatedFusedUp", "fma.rp.sat.f32 %f2, %f0, %f1, %f1; mov.b32 %d, %f2;", 0x3e800000, 0x3f000000, 0x3f200000},
        RareForm{"ToTheSameFormat", "cvt.f16.f16 %h4, %h0; cvt.u32.u16 %d, %h4;", 0x3c01, 0, 0x3c01},
        RareForm{"FencesAndBreakpoints", "fence.mbarrier_init.release.cluster; brkpt; mov.b32 %d, %a0;", 3, 0, 3}),
    [](const auto &form) { return std::string(form.param.name); });

} // namespace
} // namespace tenon::emulator
