// Instructions on parts of a word: bytes and halves side by side, bit fields, packing with saturation.
#include "Elementwise.h"
#include <functional>
#include <random>

namespace tenon::emulator {
namespace {

using Word = uint32_t;
int part(Word word, int index, int bits, bool is_signed) {
  int value = static_cast<int>(word >> (index * bits) & ((1u << bits) - 1));
  return is_signed && value >> (bits - 1) ? value - (1 << bits) : value;
}
int clamped(int64_t value, int bits, bool is_signed) {
  int64_t most = is_signed ? (1 << (bits - 1)) - 1 : (1 << bits) - 1, least = is_signed ? -(1 << (bits - 1)) : 0;
  return static_cast<int>(std::min(std::max(value, least), most));
}
std::vector<Word> values(unsigned seed) {
  std::mt19937 random(seed);
  const Word edges[] = {0, ~0u, 0x80008000, 0x7fff7fff, 0x80808080, 0x7f7f7f7f, 1, 0x01010101, 31, 32};
  std::vector<Word> all;
  for (int i = 0; i < 512; i++) {
    Word draw = static_cast<Word>(random());
    all.push_back(draw % 4 ? static_cast<Word>(random()) : edges[draw / 4 % std::size(edges)]);
  }
  return all;
}

struct Case {
  std::string opcode;
  std::function<Word(Word, Word, Word)> expected;
  int sources = 3;
};
void PrintTo(const Case &c, std::ostream *os) { *os << c.opcode; }

/// vadd4.u32.u32.u32 and its like: each part by `f`, cut or saturated; with .add the sum of all parts and c.
void add_video(std::vector<Case> &cases, const char *name, int (*f)(int, int)) {
  for (int parts : {2, 4})
    for (bool is_signed : {false, true})
      for (const char *mode : {"", ".sat", ".add"}) {
        std::string type = is_signed ? ".s32" : ".u32", how = mode;
        int bits = 32 / parts;
        cases.push_back({name + std::to_string(parts) + type + type + type + mode, [=](Word a, Word b, Word c) {
                           Word result = 0;
                           for (int i = 0; i < parts; i++) {
                             int value = f(part(a, i, bits, is_signed), part(b, i, bits, is_signed));
                             if (how == ".add")
                               c += static_cast<Word>(value);
                             if (how == ".sat")
                               value = clamped(value, bits, is_signed);
                             result |= (static_cast<Word>(value) & ((1u << bits) - 1)) << (i * bits);
                           }
                           return how == ".add" ? c : result;
                         }});
      }
}
std::vector<Case> cases() {
  std::vector<Case> all;
  add_video(all, "vadd", [](int a, int b) { return a + b; });
  add_video(all, "vsub", [](int a, int b) { return a - b; });
  add_video(all, "vabsdiff", [](int a, int b) { return std::abs(a - b); });
  add_video(all, "vmin", [](int a, int b) { return std::min(a, b); });
  add_video(all, "vmax", [](int a, int b) { return std::max(a, b); });
  for (bool high : {false, true})
    for (bool is_signed : {false, true})
      all.push_back({std::string("dp2a.") + (high ? "hi" : "lo") + (is_signed ? ".s32.s32" : ".u32.u32"), [=](Word a, Word b, Word c) {
                       for (int i = 0; i < 2; i++)
                         c += static_cast<Word>(part(a, i, 16, is_signed) * part(b, i + 2 * high, 8, is_signed));
                       return c;
                     }});
  for (bool is_signed : {false, true})
    all.push_back({std::string("dp4a") + (is_signed ? ".s32.s32" : ".u32.u32"), [=](Word a, Word b, Word c) {
                     for (int i = 0; i < 4; i++)
                       c += static_cast<Word>(part(a, i, 8, is_signed) * part(b, i, 8, is_signed));
                     return c;
                   }});
  for (int bits : {2, 4, 8})
    for (bool is_signed : {false, true})
      all.push_back({std::string("cvt.pack.sat.") + (is_signed ? "s" : "u") + std::to_string(bits) + ".s32.b32", [=](Word a, Word b, Word c) {
                       auto field = [&](Word x) { return static_cast<Word>(clamped(static_cast<int32_t>(x), bits, is_signed)) & ((1u << bits) - 1); };
                       return static_cast<Word>(uint64_t{c} << (2 * bits)) | field(a) << bits | field(b);
                     }});
  all.push_back({"cvt.pack.sat.s16.s32", [](Word a, Word b, Word) {
                   auto field = [](Word x) { return static_cast<Word>(clamped(static_cast<int32_t>(x), 16, true)) & 0xffff; };
                   return field(a) << 16 | field(b);
                 }, 2});
  all.push_back({"szext.wrap.s32", [](Word a, Word b, Word) {
                   int kept = static_cast<int>(b & 31);
                   return kept == 0 ? 0 : static_cast<Word>(static_cast<int32_t>(a << (32 - kept)) >> (32 - kept));
                 }, 2});
  all.push_back({"szext.clamp.u32", [](Word a, Word b, Word) { return b >= 32 ? a : a & ((1u << b) - 1); }, 2});
  return all;
}

class WordParts : public testing::TestWithParam<Case> {};
TEST_P(WordParts, MatchesReference) {
  const Case &c = GetParam();
  auto a = values(1), b = values(2), third = values(3);
  auto d = run_many<Word>({"b32", "b32", "b32"}, "b32", c.opcode + " %d, %a0, %a1" + (c.sources > 2 ? ", %a2;" : ";"), a, b, third);
  for (size_t i = 0; i < d.size(); i++)
    ASSERT_EQ(d[i], c.expected(a[i], b[i], third[i])) << std::hex << c.opcode << " of " << a[i] << ", " << b[i] << ", " << third[i];
}
INSTANTIATE_TEST_SUITE_P(All, WordParts, testing::ValuesIn(cases()), [](const auto &info) {
  std::string name = info.param.opcode;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
});

TEST(WordParts, FindsTheNthBit) {
  auto bits = values(4);
  std::vector<Word> base;
  std::vector<int32_t> n;
  for (size_t i = 0; i < bits.size(); i++) {
    base.push_back(static_cast<Word>(i * 7 % 32));
    n.push_back(static_cast<int32_t>(i % 9) - 4);
  }
  auto d = run_many<Word>({"b32", "b32", "b32"}, "b32", "fns.b32 %d, %a0, %a1, %a2;", bits, base, n);
  for (size_t i = 0; i < bits.size(); i++) {
    Word expected = ~0u;
    int left = std::abs(n[i]), at = static_cast<int>(base[i]);
    if (n[i] == 0)
      expected = bits[i] >> at & 1 ? base[i] : ~0u;
    for (; n[i] != 0 && at >= 0 && at < 32; at += n[i] > 0 ? 1 : -1)
      if (bits[i] >> at & 1 && --left == 0) {
        expected = static_cast<Word>(at);
        break;
      }
    ASSERT_EQ(d[i], expected) << std::hex << bits[i] << " from " << base[i] << ", " << n[i];
  }
}

} // namespace
} // namespace tenon::emulator
