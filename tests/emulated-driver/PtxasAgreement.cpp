// The toolkit's assembler as the judge: PTX that nvcc makes of data/*.cu, and that text damaged in one place, is accepted
// here where `ptxas` accepts it and refused where it refuses. Where the two differ on purpose a class below says why.
#include "Checkout.h"
#include "Emulator.h"
#include "Nvcc.h"
#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <regex>
#include <thread>

namespace tenon::emulator {
namespace {

constexpr int kMutations = 320; // some 20 s of ptxas on two cores

/// What `ptxas` says: empty where it accepts.
std::string ptxas_refusal(const std::string &text, const std::filesystem::path &folder, int number) {
#ifdef TENON_NVCC
  std::filesystem::path ptxas = std::filesystem::path(TENON_NVCC).parent_path() / "ptxas";
  std::string stem = (folder / std::to_string(number)).string();
  std::ofstream(stem + ".ptx") << text;
  std::string command = ptxas.string() + " -O0 -arch=sm_80 -o /dev/null " + stem + ".ptx > " + stem + ".log 2>&1";
  bool refused = std::system(command.c_str()) != 0;
  std::string log = read_text(stem + ".log");
  std::filesystem::remove(stem + ".ptx");
  return refused ? (log.empty() ? "refused" : log) : std::string();
#else
  (void)text, (void)folder, (void)number;
  return {};
#endif
}

/// A difference that is meant: the damaged line holds `line` (a regular expression), and `accepts` says who accepts it.
struct Difference {
  const char *name;
  bool emulator_accepts;
  const char *line;
  const char *why;
};
const Difference kDifferences[] = {
    {"BeyondAParameter", false, "param|retval", "ptxas lets an access reach beyond the parameter it names"},
};

/// One text, damaged in one place. The line that was damaged stands beside it.
struct Mutation {
  std::string text, line, kind;
};

std::vector<std::string> lines_of(const std::string &text) {
  std::vector<std::string> lines;
  std::stringstream stream(text);
  for (std::string line; std::getline(stream, line);)
    lines.push_back(line);
  return lines;
}

using Damage = std::string (*)(std::string line, std::mt19937 &random);
std::string replace_one(const std::string &line, const char *pattern, const std::vector<std::string> &with, std::mt19937 &random) {
  std::regex expression(pattern);
  std::vector<std::smatch> found;
  for (std::sregex_iterator at(line.begin(), line.end(), expression), end; at != end; ++at)
    found.push_back(*at);
  if (found.empty())
    return line;
  const std::smatch &chosen = found[random() % found.size()];
  std::string result = line;
  return result.replace(static_cast<size_t>(chosen.position()), static_cast<size_t>(chosen.length()), with[random() % with.size()]);
}
struct Kind {
  const char *name;
  Damage damage;
};
const Kind kKinds[] = {
    {"WrongType", [](std::string line, std::mt19937 &random) {
       return replace_one(line, R"(\.(u|s|b|f)(8|16|32|64)\b)", {".u16", ".u32", ".s64", ".b32", ".f32", ".f64", ".pred"}, random);
     }},
    {"WrongRegister", [](std::string line, std::mt19937 &random) {
       return replace_one(line, R"(%(r|rd|f|fd|p|rs)\d+)", {"%r1", "%rd1", "%f1", "%fd1", "%p1", "%rs1", "%tid.x"}, random);
     }},
    {"OperandLost", [](std::string line, std::mt19937 &random) { return replace_one(line, R"(, [^,;\]\}\)]+)", {""}, random); }},
    {"OperandMore", [](std::string line, std::mt19937 &random) { return replace_one(line, ";", {", %r1;", ", 5;"}, random); }},
    {"ModifierLost", [](std::string line, std::mt19937 &random) { return replace_one(line, R"(\.[a-z][a-z0-9]*\b)", {""}, random); }},
    {"ModifierMore", [](std::string line, std::mt19937 &random) {
       return replace_one(line, R"([a-z]\.)", {"d.sat.", "d.rn.", "d.wide.", "d.global."}, random);
     }},
    {"CharacterLost", [](std::string line, std::mt19937 &random) {
       return line.empty() ? line : line.erase(random() % line.size(), 1);
     }},
    {"CharacterChanged", [](std::string line, std::mt19937 &random) {
       if (!line.empty())
         line[random() % line.size()] = "%{}[];,.09axr@!|+-"[random() % 18];
       return line;
     }},
    {"NumberChanged", [](std::string line, std::mt19937 &random) {
       return replace_one(line, R"(\b\d+\b)", {"0", "7", "4294967296", "0x1F", "-1", "1.5"}, random);
     }},
    {"LineLost", [](std::string, std::mt19937 &) { return std::string(); }},
};

/// Damages one line with something on it of one of the texts; the same for the same number.
Mutation mutate(const std::vector<std::string> &texts, int number) {
  std::mt19937 random(static_cast<unsigned>(number) * 7919 + 1);
  for (;;) {
    std::vector<std::string> lines = lines_of(texts[random() % texts.size()]);
    size_t at = random() % lines.size();
    const Kind &kind = kKinds[static_cast<size_t>(number) % std::size(kKinds)];
    std::string before = lines[at];
    size_t first = before.find_first_not_of(" \t");
    if (first == std::string::npos || before.compare(first, 2, "//") == 0)
      continue;
    lines[at] = kind.damage(before, random);
    if (lines[at] == before)
      continue;
    std::string text;
    for (const std::string &line : lines)
      text += line + "\n";
    return {text, before + "  =>  " + lines[at], kind.name};
  }
}

/// The kernels of a text one by one would be quicker to assemble, but functions and variables belong to them: the whole
/// text of a small program.
std::vector<std::string> programs() {
  std::vector<std::string> texts;
  for (const char *name : {"warps", "calls", "wmma"})
    texts.push_back(compile_file(TENON_SOURCE_DIR "/tests/emulated-driver/data/" + std::string(name) + ".cu"));
  return texts;
}

TEST(PtxasAgreement, ProgramsAndTheirMutations) {
  std::vector<std::string> texts = programs();
  NEEDS_NVCC(texts[0]);
  ScratchFolder folder;
  Card card;
  for (size_t i = 0; i < texts.size(); i++) {
    EXPECT_EQ(card.refusal(texts[i]), "");
    EXPECT_EQ(ptxas_refusal(texts[i], folder.path(), -1 - static_cast<int>(i)), "");
  }
  std::vector<Mutation> mutations; // by one thread: the tables behind libstdc++'s regular expressions fill as they are used
  for (int i = 0; i < kMutations; i++)
    mutations.push_back(mutate(texts, i));
  std::atomic<int> next{0};
  std::vector<std::string> judged(kMutations);
  auto judge = [&] {
    for (int i; (i = next++) < kMutations;)
      judged[static_cast<size_t>(i)] = ptxas_refusal(mutations[static_cast<size_t>(i)].text, folder.path(), i);
  };
  std::thread other(judge);
  judge();
  other.join();
  std::map<std::string, int> differences;
  int refused = 0;
  for (int i = 0; i < kMutations; i++) {
    const Mutation &mutation = mutations[static_cast<size_t>(i)];
    ModuleObject *module = nullptr;
    std::string log = card.refusal(mutation.text, &module);
    if (module)
      cuModuleUnload(module);
    const std::string &theirs = judged[static_cast<size_t>(i)];
    refused += !theirs.empty();
    if (log.empty() == theirs.empty())
      continue;
    const Difference *known = nullptr;
    for (const Difference &difference : kDifferences)
      if (difference.emulator_accepts == log.empty() && std::regex_search(mutation.line, std::regex(difference.line)))
        known = &difference;
    if (known)
      differences[known->name]++;
    else
      ADD_FAILURE() << mutation.kind << " " << i << ": " << mutation.line << "\n  here: " << (log.empty() ? "accepted" : log)
                    << "\n  ptxas: " << (theirs.empty() ? "accepted" : theirs.substr(0, 300));
  }
  for (const auto &[name, count] : differences)
    RecordProperty(name, count);
  RecordProperty("refused", refused);
  EXPECT_GT(refused, kMutations / 2) << "most damage is noticed";
}

} // namespace
} // namespace tenon::emulator
