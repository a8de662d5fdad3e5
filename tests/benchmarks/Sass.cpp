#include "Sass.h"

#include <algorithm>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <vector>

namespace tenon::benchmarks {
namespace {

struct Instruction {
  std::string opcode, target; // target: the label of a branch
  bool guarded = false;
  int stall = 0;
};

struct Program {
  std::vector<Instruction> instructions;
  std::map<std::string, size_t> labels;
};

// The stall count is in bits 41 to 44 of an instruction's second word.
int stallOf(const std::string &word) { return static_cast<int>(std::stoull(word, nullptr, 16) >> 41 & 15); }

Program parse(const std::string &text) {
  static const std::regex label(R"(^(\.L\S*):)"), control(R"(^\s+/\* (0x[0-9a-f]{16}) \*/\s*$)");
  static const std::regex line(R"(^\s+/\*[0-9a-f]{4,}\*/\s+(@!?U?P\w+\s+)?([A-Z][\w.]*)\s*(.*?);)");
  static const std::regex target(R"(`\((\.L\S+?)\))");
  Program program;
  std::smatch match;
  std::istringstream lines(text);
  for (std::string each; std::getline(lines, each);) {
    if (std::regex_search(each, match, label)) {
      program.labels[match[1]] = program.instructions.size();
    } else if (std::regex_search(each, match, line)) {
      Instruction instruction{match[2], "", match[1].length() > 0, 0};
      std::string operands = match[3];
      if (std::smatch place; std::regex_search(operands, place, target))
        instruction.target = place[1];
      program.instructions.push_back(instruction);
    } else if (std::regex_search(each, match, control) && !program.instructions.empty()) {
      program.instructions.back().stall = stallOf(match[1]);
    }
  }
  return program;
}

bool startsWith(const Instruction &instruction, const char *name) { return instruction.opcode.rfind(name, 0) == 0; }
bool branches(const Instruction &i) { return startsWith(i, "BRA") || startsWith(i, "EXIT") || startsWith(i, "RET"); }

// Basic blocks, as ranges of instructions, with their successors.
struct Flow {
  std::vector<size_t> starts;
  std::vector<std::vector<size_t>> successors, predecessors;

  explicit Flow(const Program &program) {
    const auto &code = program.instructions;
    std::set<size_t> leaders{0};
    for (const auto &[name, place] : program.labels)
      leaders.insert(place);
    for (size_t i = 0; i < code.size(); ++i)
      if (branches(code[i]))
        leaders.insert(i + 1);
    for (size_t place : leaders)
      if (place < code.size())
        starts.push_back(place);
    starts.push_back(code.size());
    successors.resize(blocks());
    predecessors.resize(blocks());
    for (size_t block = 0; block < blocks(); ++block) {
      const Instruction &last = code[starts[block + 1] - 1];
      auto found = program.labels.find(last.target);
      if (startsWith(last, "BRA") && found != program.labels.end())
        connect(block, static_cast<size_t>(std::lower_bound(starts.begin(), starts.end(), found->second) - starts.begin()));
      if (block + 1 < blocks() && (!branches(last) || last.guarded))
        connect(block, block + 1);
    }
  }
  size_t blocks() const { return starts.size() - 1; }

private:
  void connect(size_t from, size_t to) {
    if (to >= blocks())
      return;
    successors[from].push_back(to);
    predecessors[to].push_back(from);
  }
};

std::vector<size_t> reversePostOrder(const Flow &flow) {
  std::vector<size_t> order;
  std::set<size_t> seen;
  std::function<void(size_t)> visit = [&](size_t block) {
    if (!seen.insert(block).second)
      return;
    for (size_t next : flow.successors[block])
      visit(next);
    order.push_back(block);
  };
  visit(0);
  std::reverse(order.begin(), order.end());
  return order;
}

using Blocks = std::set<size_t>;

std::map<size_t, Blocks> dominators(const Flow &flow, const std::vector<size_t> &order) {
  std::map<size_t, Blocks> result;
  for (size_t block : order)
    result[block] = block == 0 ? Blocks{0} : Blocks(order.begin(), order.end());
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t block : order) {
      if (block == 0)
        continue;
      Blocks common(order.begin(), order.end());
      for (size_t before : flow.predecessors[block]) {
        if (!result.contains(before))
          continue;
        Blocks both;
        std::set_intersection(common.begin(), common.end(), result[before].begin(), result[before].end(),
                              std::inserter(both, both.end()));
        common = both;
      }
      common.insert(block);
      changed |= common != result[block];
      result[block] = common;
    }
  }
  return result;
}

// Natural loops: header and body.
std::map<size_t, Blocks> loopsOf(const Flow &flow, const std::vector<size_t> &order, std::map<size_t, Blocks> &dominating) {
  std::map<size_t, Blocks> loops;
  for (size_t block : order)
    for (size_t header : flow.successors[block]) {
      if (!dominating[block].contains(header))
        continue;
      Blocks &body = loops.try_emplace(header, Blocks{header}).first->second;
      std::vector<size_t> work{block};
      while (!work.empty()) {
        size_t each = work.back();
        work.pop_back();
        if (body.insert(each).second)
          work.insert(work.end(), flow.predecessors[each].begin(), flow.predecessors[each].end());
      }
    }
  return loops;
}

double fragmentsOf(const std::string &opcode) {
  if (opcode.rfind("LDSM", 0) != 0)
    return 0;
  return opcode.ends_with(".4") ? 1 : opcode.ends_with(".2") ? 0.5 : 0.25;
}

SassLoop usualPath(const Program &program, const Flow &flow, const std::vector<size_t> &order, size_t header, const Blocks &body,
                   std::map<size_t, Blocks> &dominating) {
  using Score = std::pair<int, int>; // copies, fewest instructions
  std::map<size_t, std::pair<Score, size_t>> best;
  for (size_t block : order) {
    if (!body.contains(block))
      continue;
    Score own{0, 0};
    for (size_t i = flow.starts[block]; i < flow.starts[block + 1]; ++i)
      own = {own.first + startsWith(program.instructions[i], "LDGSTS"), own.second - 1};
    std::optional<std::pair<Score, size_t>> before;
    for (size_t from : flow.predecessors[block])
      if (block != header && best.contains(from) && !dominating[from].contains(block))
        before = std::max(before.value_or(std::pair(best[from].first, from)), std::pair(best[from].first, from));
    Score sum = before ? Score{own.first + before->first.first, own.second + before->first.second} : own;
    best[block] = {sum, before ? before->second : block};
  }
  size_t at = header;
  bool any = false;
  for (size_t from : flow.predecessors[header])
    if (best.contains(from) && (!any || best[from].first > best[at].first))
      at = from, any = true;
  SassLoop loop;
  while (true) {
    for (size_t i = flow.starts[at]; i < flow.starts[at + 1]; ++i) {
      const Instruction &each = program.instructions[i];
      ++loop.instructions;
      loop.stall += each.stall;
      loop.products += startsWith(each, "HMMA.16816");
      loop.fragments += fragmentsOf(each.opcode);
    }
    if (best[at].second == at)
      return loop;
    at = best[at].second;
  }
}

// The kernels of a cubin, each in a section of its own.
std::vector<std::string> functionsOf(const std::string &sass) {
  const std::string section = ".section\t.text.";
  std::vector<std::string> functions;
  for (size_t begin = sass.find(section); begin != sass.npos;) {
    const size_t end = sass.find(section, begin + 1);
    functions.push_back(sass.substr(begin, end == sass.npos ? end : end - begin));
    begin = end;
  }
  return functions;
}

} // namespace

std::optional<SassLoop> mainLoop(const std::string &sass) {
  std::optional<SassLoop> result;
  for (const std::string &function : functionsOf(sass)) {
    Program program = parse(function);
    if (program.instructions.empty())
      continue;
    Flow flow(program);
    std::vector<size_t> order = reversePostOrder(flow);
    std::map<size_t, Blocks> dominating = dominators(flow, order);
    for (const auto &[header, body] : loopsOf(flow, order, dominating)) {
      SassLoop loop = usualPath(program, flow, order, header, body, dominating);
      bool better = !result || loop.products > result->products ||
                    (loop.products == result->products && loop.instructions < result->instructions);
      if (loop.products && better)
        result = loop;
    }
  }
  return result;
}

} // namespace tenon::benchmarks
