#include "decode/Opcodes.h"
#include <mutex>
#include <unordered_map>

namespace tenon::emulator {
namespace {

constexpr OpcodeRow kRows[] = {
#define INSTRUCTION(spelling, operands, kind, ...) {spelling, operands, OpKind::kind},
#include "execute/Instructions.def"
#undef INSTRUCTION
};
constexpr int kRowCount = static_cast<int>(sizeof(kRows) / sizeof(kRows[0]));

std::string_view mnemonic_of(std::string_view spelling) {
  return spelling.substr(0, spelling.find_first_of(".[("));
}

/// Index behind the bracket that closes the one at `open`.
size_t behind_bracket(std::string_view pattern, size_t open) {
  int depth = 0;
  for (size_t i = open; i < pattern.size(); i++) {
    depth += pattern[i] == '[' || pattern[i] == '(';
    depth -= pattern[i] == ']' || pattern[i] == ')';
    if (depth == 0)
      return i + 1;
  }
  return pattern.size();
}

bool matches(std::string_view pattern, std::string_view text);

/// Matches one of the alternatives inside brackets, then the rest.
bool matches_alternatives(std::string_view inside, std::string_view rest, std::string_view text) {
  size_t start = 0;
  for (size_t i = 0; i <= inside.size(); i++) {
    if (i < inside.size() && (inside[i] == '[' || inside[i] == '(')) {
      i = behind_bracket(inside, i) - 1;
      continue;
    }
    if (i < inside.size() && inside[i] != '|')
      continue;
    std::string joined = std::string(inside.substr(start, i - start)) + std::string(rest);
    if (matches(joined, text))
      return true;
    start = i + 1;
  }
  return false;
}

bool matches(std::string_view pattern, std::string_view text) {
  while (!pattern.empty()) {
    char c = pattern[0];
    if (c == '[' || c == '(') {
      size_t end = behind_bracket(pattern, 0);
      std::string_view inside = pattern.substr(1, end - 2), rest = pattern.substr(end);
      return matches_alternatives(inside, rest, text) || (c == '[' && matches(rest, text));
    }
    if (text.empty() || text[0] != c)
      return false;
    pattern.remove_prefix(1);
    text.remove_prefix(1);
  }
  return text.empty();
}

using Index = std::unordered_map<std::string_view, std::vector<int>>;
const Index &rows_by_mnemonic() {
  static const Index index = [] {
    Index rows;
    for (int i = 0; i < kRowCount; i++)
      rows[mnemonic_of(kRows[i].spelling)].push_back(i);
    return rows;
  }();
  return index;
}

} // namespace

const OpcodeRow &opcode_row(int number) { return kRows[number]; }
int opcode_row_count() { return kRowCount; }

bool is_known_mnemonic(std::string_view mnemonic) {
  return rows_by_mnemonic().count(mnemonic.substr(0, mnemonic.find('.'))) != 0;
}

int find_opcode(std::string_view opcode) {
  static std::mutex mutex;
  static std::unordered_map<std::string, int> known;
  std::lock_guard lock(mutex);
  auto seen = known.find(std::string(opcode));
  if (seen != known.end())
    return seen->second;
  int found = -1;
  auto rows = rows_by_mnemonic().find(mnemonic_of(opcode));
  if (rows != rows_by_mnemonic().end())
    for (int row : rows->second)
      if (matches(kRows[row].spelling, opcode)) {
        found = row;
        break;
      }
  if (known.size() < 65536)
    known.emplace(opcode, found);
  return found;
}

} // namespace tenon::emulator
