// Every row of the table of opcodes, spelt out with operands of its form, is an instruction that `ptxas` knows, for the
// least target that the row names.
#include "Checkout.h"
#include "Nvcc.h"
#include "decode/Opcodes.h"
#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <regex>
#include <vector>

namespace tenon::emulator {
namespace {

/// All opcodes that a spelling stands for, at most some thousands.
class Spelling {
public:
  static std::vector<std::string> expand(std::string_view pattern) {
    size_t at = 0;
    return alternatives(pattern, at, '\0');
  }

private:
  static std::vector<std::string> alternatives(std::string_view pattern, size_t &at, char end) {
    constexpr size_t kMost = 4000;
    std::vector<std::string> all, current = {""};
    for (; at < pattern.size() && pattern[at] != end; at++) {
      char c = pattern[at];
      if (c == '|') {
        all.insert(all.end(), current.begin(), current.end());
        current = {""};
      } else if (c == '[' || c == '(') {
        std::vector<std::string> inside = alternatives(pattern, ++at, c == '[' ? ']' : ')'), joined;
        if (c == '[')
          inside.insert(inside.begin(), "");
        for (const std::string &before : current)
          for (const std::string &part : inside)
            if (joined.size() < kMost)
              joined.push_back(before + part);
        current = std::move(joined);
      } else {
        for (std::string &text : current)
          text += c;
      }
    }
    all.insert(all.end(), current.begin(), current.end());
    return all;
  }
};

std::vector<std::string> words(const std::string &text) {
  std::stringstream stream(text);
  std::vector<std::string> all;
  for (std::string word; stream >> word;)
    all.push_back(word);
  return all;
}

const char *prefix(char width) { return width == 'p' ? "%p" : width == '8' ? "%rd" : width == '4' ? "%r" : "%h"; }
std::string list(const char *name, int count) {
  std::string items;
  for (int i = 1; i <= count; i++)
    items += (i > 1 ? "," : "") + std::string(name) + std::to_string(i);
  return "{" + items + "}";
}
/// Registers for the type at the end of an opcode.
const char *registers_of(const std::string &type) {
  bool two = type.ends_with("x2");
  return two || type.find("32") != std::string::npos ? "%r" : type.find("64") != std::string::npos ? "%rd" : "%h";
}

/// Operands for an opcode whose row has a form of its own; empty where this test leaves it out.
std::string operands_of_form(const std::string &opcode, const std::vector<std::string> &form) {
  auto has = [&](const char *part) { return opcode.find(part) != std::string::npos; };
  std::string type = opcode.substr(opcode.rfind('.') + 1), hint = has("L2::cache_hint") ? ", %rd6" : "";
  auto reg = [&](size_t argument, int number) { return prefix(form[argument].back()) + std::to_string(number); };
  const std::map<std::string, std::string> kFixed = {
      {"@branch", "LABEL"}, {"@shuffle", "%r1|%p1, %r2, 1, 31, -1"}, {"@elect", "%r1|%p1, -1"}, {"@isspacep", "%p1, %rd1"}, {"@event", "3"}, {"@lop3", "%r1|%p1, %r2, %r3, %r4, 0x3f, %p2"},
      {"@barrier", has("arrive") ? "0, 32" : "0"}, {"@ignore", has("discard") || has("applyp") ? "[%rd7], 128" : "[%rd7]"},
      {"@policy", has("fractional") ? "%rd1, 1.0" : has("range") ? "%rd1, [%rd7], 128, 256" : "%rd1, %rd2"},
      {"@copy", "[%rd7], [%rd6], 16" + std::string(has("cache_hint") ? ", %rd5" : "")}};
  if (auto fixed = kFixed.find(form[0]); fixed != kFixed.end())
    return fixed->second;
  if (form[0] == "@load" || form[0] == "@store") {
    int count = has(".v4.") ? 4 : has(".v2.") ? 2 : 1;
    std::string values = count == 1 ? registers_of(type) + std::string("1") : list(registers_of(type), count);
    if (form[0] == "@store")
      return has(".param") ? "" : "[%rd7], " + values + hint;
    return values + (has(".param") ? ", [parameter]" : ", [%rd7]") + hint;
  }
  if (form[0] == "@atom" || form[0] == "@red")
    return (form[0] == "@atom" ? reg(1, 1) + ", " : "") + "[%rd7], " + reg(1, 2) + (form.size() > 2 ? ", " + reg(2, 3) : "") + hint;
  if (form[0] == "@cvt") {
    if (has("cvta"))
      return "%rd1, %rd2";
    std::string rest = opcode.substr(0, opcode.rfind('.'));
    return registers_of(rest.substr(rest.rfind('.') + 1)) + std::string("1, ") + registers_of(type) + "2";
  }
  if (form[0] == "@mov")
    return reg(1, 1) + ", " + reg(1, 2);
  bool third = has(".and.") || has(".or.") || has(".xor.");
  if (form[0] == "@setp")
    return "%p1, " + reg(1, 1) + ", " + reg(1, 2) + (third ? ", %p3" : "");
  if (form[0] == "@set")
    return reg(1, 1) + ", " + reg(2, 2) + ", " + reg(2, 3) + (third ? ", %p3" : "");
  if (form[0] == "@bar_red")
    return (form[1] == "p" ? "%p1" : "%r1") + std::string(", 0, %p2");
  if (form[0] == "@match")
    return "%r1|%p1, " + reg(1, 2) + ", -1";
  if (form[0] == "@ldmatrix" || form[0] == "@stmatrix") {
    std::string values = list("%r", has(".x4") ? 4 : has(".x2") ? 2 : 1);
    return form[0] == "@ldmatrix" ? values + ", [%rd7]" : "[%rd7], " + values;
  }
  if (form[0] == "@mma") {
    std::string all;
    for (size_t i = 1; i < 5; i++)
      all += (i > 1 ? ", " : "") + list(form.back() == "f64" ? "%fd" : "%r", std::atoi(form[i].c_str()));
    return all;
  }
  if (form[0] == "@mbarrier")
    return std::string(form.size() > 1 && form[1] == "state" ? "%rd1, " : "") + "[%rd7]" +
           (form.back() == "count" ? ", %r1" : ""); // "?count" may be missing
  if (form[0] == "@mbarrier_test")
    return "%p1, [%rd7], " + reg(1, 2);
  return ""; // calls, indexed branches, wmma: other tests
}

std::string operands(const std::string &opcode, const std::vector<std::string> &form) {
  if (!form.empty() && form[0][0] == '@')
    return operands_of_form(opcode, form);
  std::string all;
  int number = 0;
  for (const std::string &word : form)
    if (word != "carry") {
      char width = word[word[0] == '='];
      all += (number ? ", " : "") + (width == 'i' ? "1" : prefix(width) + std::to_string(number + 1));
      number++;
    }
  return all;
}

struct Sample {
  std::string instruction, spelling;
};

/// What ptxas says about the samples that it refuses, by their numbers; what it says of other lines has the number of samples.
std::map<size_t, std::string> refusals(const std::vector<Sample> &samples, const std::string &target, const std::filesystem::path &folder) {
  std::map<size_t, std::string> all;
#ifdef TENON_NVCC
  std::string text = ".version 9.0\n.target " + target + "\n.address_size 64\n.visible .entry kernel(.param .align 16 .b8 parameter[64]) {\n"
                     ".reg .b32 %r<20>; .reg .b64 %rd<20>; .reg .pred %p<20>; .reg .b16 %h<20>; .reg .f64 %fd<9>;\n";
  size_t first = 6;
  for (const Sample &sample : samples)
    text += sample.instruction + ";\n";
  text += "LABEL: ret; }\n";
  std::string file = (folder / "rows.ptx").string(), log = (folder / "rows.log").string();
  std::ofstream(file) << text;
  std::string ptxas = (std::filesystem::path(TENON_NVCC).parent_path() / "ptxas").string();
  if (std::system((ptxas + " -O0 -arch=" + target + " -o /dev/null " + file + " > " + log + " 2>&1").c_str()) == 0)
    return all;
  std::string said = read_text(log);
  std::regex line(R"(line (\d+); (?:error|fatal)\s*: ([^\n]*))");
  for (std::sregex_iterator at(said.begin(), said.end(), line), end; at != end; ++at) {
    auto number = static_cast<size_t>(std::stoul((*at)[1])) - first;
    all.emplace(std::min(number, samples.size()), (*at)[2].str());
  }
  if (all.empty())
    all[samples.size()] = said;
#else
  (void)samples, (void)target, (void)folder;
#endif
  return all;
}

/// The instructions of the samples that ptxas refuses, with what it says.
std::string refused(const std::vector<Sample> &samples, const std::string &target, const std::filesystem::path &folder) {
  std::string all;
  for (const auto &[number, said] : refusals(samples, target, folder))
    all += (number < samples.size() ? samples[number].instruction + "   of " + samples[number].spelling : "the frame") + ": " + said + "\n";
  return all;
}

/// Least target of a row, whose form loses what says so.
std::string target_of(std::vector<std::string> &form) {
  if (form.empty() || form.back()[0] != '>')
    return "sm_80";
  std::string target = "sm_" + form.back().substr(1);
  form.pop_back();
  return target;
}

/// The opcode with everything behind its first word in another order, but for types among themselves.
std::string shuffled(const std::string &opcode, std::mt19937 &random) {
  std::vector<std::string> parts;
  for (size_t at = 0; at < opcode.size();) {
    size_t next = std::min(opcode.find('.', at + 1), opcode.size());
    parts.push_back(opcode.substr(at, next - at));
    at = next;
  }
  static const std::regex kType(R"(\.(u|s|b|f|bf|tf|e)\d+(x\d)?)");
  auto is_type = [](const std::string &part) { return std::regex_match(part, kType); };
  std::vector<std::string> types;
  std::copy_if(parts.begin() + 1, parts.end(), std::back_inserter(types), is_type);
  std::shuffle(parts.begin() + 1, parts.end(), random);
  for (auto [part, type] = std::pair(parts.begin() + 1, types.begin()); part != parts.end(); ++part)
    if (is_type(*part)) // in another order they would be another instruction
      *part = *type++;
  std::string text;
  for (const std::string &part : parts)
    text += part;
  return text;
}

bool has_toolkit() {
#ifdef TENON_NVCC
  return std::filesystem::exists(TENON_NVCC);
#else
  return false;
#endif
}

/// data/opcodes.txt: what LLVM 22, nvcc 13, NVRTC 13 and Triton write for attention, softmax and matrix products, but for
/// what only Hopper has.
TEST(OpcodeTable, HasWhatCompilersWrite) {
  std::ifstream file(TENON_SOURCE_DIR "/tests/emulated-driver/data/opcodes.txt");
  size_t count = 0;
  for (std::string opcode; std::getline(file, opcode); count++)
    EXPECT_GE(find_opcode(opcode), 0) << opcode;
  EXPECT_GT(count, 140u);
}

TEST(OpcodeTable, EveryRowIsAnInstructionOfPtxas) {
  if (!has_toolkit())
    GTEST_SKIP() << "no CUDA toolkit";
  constexpr size_t kBatch = 150; // ptxas takes longer than in proportion
  ScratchFolder folder;
  std::map<std::string, std::vector<Sample>> by_target;
  size_t rows = 0;
  for (int i = 0; i < opcode_row_count(); i++) {
    std::string spelling(opcode_row(i).spelling);
    std::vector<std::string> form = words(std::string(opcode_row(i).operands));
    if (spelling[0] == '%') // the decoder's own
      continue;
    std::string target = target_of(form);
    std::vector<std::string> opcodes = Spelling::expand(spelling);
    bool widens = std::regex_search(spelling, std::regex(R"(^cvt\.sat\.[us]\d+\.[us]\d+$)")); // refused where every value fits
    const std::string &opcode = opcodes[0]; // without what may be left out
    std::string text = operands(opcode, form);
    if (widens || (text.empty() && !form.empty()))
      continue;
    by_target[target].push_back({opcode + " " + text, spelling});
    rows++;
  }
  for (const auto &[target, samples] : by_target)
    for (size_t first = 0; first < samples.size(); first += kBatch) {
      std::vector<Sample> batch(samples.begin() + static_cast<long>(first), samples.begin() + static_cast<long>(std::min(first + kBatch, samples.size())));
      EXPECT_EQ(refused(batch, target, folder.path()), "") << target;
    }
  EXPECT_GT(rows, 1500u);
}

/// Modifiers stand in any order, but for words of the name, types among themselves, layouts, spaces, priorities: a row's
/// opcode shuffled is known here where ptxas takes it, and unknown where it does not.
TEST(OpcodeTable, TakesModifiersInTheOrdersOfPtxas) {
  if (!has_toolkit())
    GTEST_SKIP() << "no CUDA toolkit";
  constexpr size_t kBatch = 150, kMostModifiers = 9;
  ScratchFolder folder;
  std::mt19937 random(11);
  std::map<std::string, std::vector<Sample>> by_target; // as the table has it, then shuffled
  std::map<std::string, int> of_mnemonic;
  for (int i = 0; i < opcode_row_count(); i++) {
    std::string spelling(opcode_row(i).spelling), mnemonic = spelling.substr(0, spelling.find_first_of(".[("));
    std::vector<std::string> form = words(std::string(opcode_row(i).operands));
    if (spelling[0] == '%' || of_mnemonic[mnemonic]++ % 7 > 1) // a part of the many of ld, atom, cvt
      continue;
    std::string target = target_of(form);
    std::vector<std::string> opcodes = Spelling::expand(spelling);
    for (int sample = 0; sample < 2; sample++) {
      const std::string &opcode = opcodes[random() % opcodes.size()];
      auto modifiers = static_cast<size_t>(std::count(opcode.begin(), opcode.end(), '.'));
      std::string text = operands(opcode, form), other = shuffled(opcode, random);
      if (modifiers < 2 || modifiers > kMostModifiers || other == opcode || (text.empty() && !form.empty()))
        continue;
      if (opcode.find(".cluster") != std::string::npos)
        target = "sm_90";
      by_target[target].push_back({opcode + " " + text, opcode});
      by_target[target].push_back({other + " " + text, other});
    }
  }
  int taken = 0, left = 0;
  for (const auto &[target, samples] : by_target)
    for (size_t first = 0; first < samples.size(); first += kBatch) {
      std::vector<Sample> batch(samples.begin() + static_cast<long>(first), samples.begin() + static_cast<long>(std::min(first + kBatch, samples.size())));
      auto said = refusals(batch, target, folder.path());
      EXPECT_FALSE(said.count(batch.size())) << said[batch.size()];
      for (size_t i = 0; i + 1 < batch.size(); i += 2) {
        if (said.count(i)) // the operands of this test, or a form that widens: nothing to compare
          continue;
        bool theirs = !said.count(i + 1);
        EXPECT_EQ(find_opcode(batch[i + 1].spelling) >= 0, theirs) << batch[i + 1].instruction << "\n  ptxas: " << (theirs ? "takes it" : said[i + 1]);
        (theirs ? taken : left)++;
      }
    }
  EXPECT_GT(taken, 100);
  EXPECT_GT(left, 50);
}

TEST(OpcodeTable, GivesTheOrderOfTheTable) {
  std::string ordered;
  EXPECT_GE(find_opcode("atom.global.acq_rel.cta.cas.b64", &ordered), 0);
  EXPECT_EQ(ordered, "atom.acq_rel.cta.global.cas.b64");
  EXPECT_EQ(find_opcode("mma.sync.aligned.m16n8k16.col.row.f32.f16.f16.f32"), -1);
  EXPECT_EQ(find_opcode("cvt.rn.f32.f16"), -1) << "types keep their order";
  EXPECT_EQ(find_opcode("atom.gpu.global.gpu.add.u32"), -1);
  EXPECT_EQ(find_opcode("mad.cc.lo.u32"), -1);
  std::string many = "add";
  for (int i = 0; i < 20000; i++)
    many += i % 2 ? ".sat" : ".ftz";
  EXPECT_EQ(find_opcode(many + ".f32"), -1);
}

} // namespace
} // namespace tenon::emulator
