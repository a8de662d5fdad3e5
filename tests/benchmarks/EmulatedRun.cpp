#include "EmulatedRun.h"

#include <algorithm>
#include <dlfcn.h>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>
#include <sstream>
#include <vector>

namespace tenon::benchmarks {
namespace {

using nlohmann::json;
using Executed = std::map<size_t, json>; // the emulator's counts of each line of the text

struct Lines {
  size_t first, last;
  bool contain(size_t line) const { return first <= line && line <= last; }
};

/// The text by lines, the first one 1.
std::vector<std::string> linesOf(const std::string &text) {
  std::vector<std::string> lines{""};
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);)
    lines.push_back(line);
  return lines;
}

uint64_t executed(const Executed &counts, size_t line) {
  auto found = counts.find(line);
  return found == counts.end() ? 0 : found->second["executed"].get<uint64_t>();
}

std::map<std::string, size_t> labelsOf(const std::vector<std::string> &lines) {
  static const std::regex label(R"(^\s*(\$\w+):)");
  std::map<std::string, size_t> labels;
  std::smatch match;
  for (size_t i = 0; i < lines.size(); ++i)
    if (std::regex_search(lines[i], match, label))
      labels[match[1]] = i;
  return labels;
}

std::optional<size_t> targetOf(const std::string &line, const std::map<std::string, size_t> &labels) {
  static const std::regex branch(R"(\bbra(?:\.uni)?\s+(\$\w+);)");
  std::smatch match;
  if (!std::regex_search(line, match, branch) || !labels.contains(match[1]))
    return std::nullopt;
  return labels.at(match[1]);
}

/// The loop that executes most products, from its label to the branch back to it; of those that vote, if one does: in
/// short runs the loop with a mask, which need not vote, has more of them.
Lines mainLoop(const std::vector<std::string> &lines, const std::map<std::string, size_t> &labels, const Executed &counts) {
  Lines best{0, 0};
  std::pair<bool, uint64_t> most{false, 0};
  for (size_t i = 0; i < lines.size(); ++i) {
    std::optional<size_t> target = targetOf(lines[i], labels);
    if (!target || *target > i)
      continue;
    std::pair<bool, uint64_t> work{false, 0};
    for (auto line = counts.lower_bound(*target); line != counts.end() && line->first <= i; ++line) {
      const std::string opcode = line->second["opcode"].get<std::string>();
      work.first |= opcode.starts_with("vote.");
      work.second += opcode.starts_with("mma.") ? line->second["executed"].get<uint64_t>() : 0;
    }
    if (work.second != 0 && work > most)
      best = {*target, i}, most = work;
  }
  return best;
}

/// The first instruction from a line on.
size_t instructionFrom(const std::vector<std::string> &lines, size_t line) {
  static const std::regex instruction(R"(^\s*(@!?%p\d+\s+)?[a-z][\w.:]*\s)");
  while (line < lines.size() && !std::regex_search(lines[line], instruction))
    ++line;
  return line;
}

/// A warp's lanes vote whether one of them must leave the usual path:
///
///     vote.sync.any.pred %p, …;   [not.pred %q, %p;]   @%p bra rare;  or  @%q bra usual;
void countVotes(const std::vector<std::string> &lines, const std::map<std::string, size_t> &labels, const Executed &counts,
                Lines loop, EmulatedRun &run) {
  static const std::regex vote(R"(vote\.sync\.any\.pred\s+(%p\d+))"), branch(R"(@(%p\d+)\s+bra)");
  std::smatch voted, branched;
  for (size_t i = loop.first; i <= loop.last; ++i) {
    if (!std::regex_search(lines[i], voted, vote))
      continue;
    size_t at = i;
    while (at < loop.last && !std::regex_search(lines[at], branched, branch))
      ++at;
    std::optional<size_t> target = targetOf(lines[at], labels);
    if (!target)
      continue;
    bool rareIsTarget = branched[1] == voted[1];
    run.turns += executed(counts, i);
    run.rare += executed(counts, instructionFrom(lines, (rareIsTarget ? *target : at) + 1));
  }
}

void addTraffic(Traffic &sum, const json &line, const char *memory, const char *unit) {
  if (!line.contains(memory))
    return;
  sum.used += line[memory][unit].get<uint64_t>();
  sum.ideal += line[memory]["ideal"].get<uint64_t>();
}

} // namespace

bool Emulator::open(const std::string &path) {
  library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
  return library_ != nullptr;
}

void Emulator::clear() const { reinterpret_cast<void (*)()>(dlsym(library_, "tenonEmulatorClearReport"))(); }

std::string Emulator::text(const char *name) const {
  auto *entry = reinterpret_cast<size_t (*)(char *, size_t)>(dlsym(library_, name));
  std::string text(entry(nullptr, 0), '\0');
  entry(text.data(), text.size());
  text.pop_back();
  return text;
}

EmulatedRun Emulator::read(const std::string &ptx) const {
  EmulatedRun run;
  run.findings = text("tenonEmulatorFindings");
  const json counters = json::parse(text("tenonEmulatorCounters"));
  const std::vector<std::string> lines = linesOf(ptx);
  const std::map<std::string, size_t> labels = labelsOf(lines);
  for (const auto &[name, kernel] : counters["kernels"].items()) {
    run.warpInstructions += kernel["warp_instructions"].get<uint64_t>();
    Executed counts;
    for (const json &line : kernel["lines"])
      counts[line["line"].get<size_t>()] = line;
    const Lines loop = mainLoop(lines, labels, counts);
    for (const auto &[number, line] : counts) {
      addTraffic(run.shared, line, "shared", "wavefronts");
      addTraffic(run.global, line, "global", "sectors");
      if (loop.contain(number))
        addTraffic(run.sharedInLoop, line, "shared", "wavefronts");
    }
    countVotes(lines, labels, counts, loop, run);
  }
  return run;
}

} // namespace tenon::benchmarks
