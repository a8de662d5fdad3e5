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

/// Words that belong to the name of an instruction: they stand right behind its first word, and nowhere else.
constexpr std::pair<std::string_view, std::string_view> kNames[] = {
    {"mul", ".lo.hi.wide."},     {"mul24", ".lo.hi."},     {"mad", ".lo.hi.wide."},  {"mad24", ".lo.hi."},
    {"madc", ".lo.hi."},         {"dp2a", ".lo.hi."},      {"div", ".full."},        {"shf", ".l.r."},
    {"cvta", ".to."},            {"cvt", ".pack."},        {"fence", ".proxy.mbarrier_init."},     {"membar", ".proxy."},
    {"bar", ".cta.warp.red.arrive."},
    {"barrier", ".cta.cluster.red.arrive."},
    {"cp", ".async.commit_group.wait_group.wait_all.mbarrier.arrive."},
    {"createpolicy", ".fractional.range.cvt."},
    {"mbarrier", ".init.inval.arrive.arrive_drop.expect_tx.complete_tx.test_wait.try_wait.parity.pending_count."},
    {"wmma", ".load.store.mma.a.b.c.d."}};

std::string_view names_behind(std::string_view mnemonic) {
  for (auto [name, words] : kNames)
    if (name == mnemonic)
      return words;
  return {};
}

/// What a modifier is, where two of its kind may not change places.
enum class Kind { type, layout, space, priority, reduction, other };
Kind kind_of(std::string_view modifier) {
  constexpr std::string_view kSpaces[] = {".global", ".shared", ".local", ".param", ".const"};
  if (modifier == ".row" || modifier == ".col")
    return Kind::layout;
  if (modifier.starts_with(".L2::evict"))
    return Kind::priority;
  if (modifier == ".xor" || modifier == ".and" || modifier == ".popc")
    return Kind::reduction;
  for (std::string_view space : kSpaces)
    if (modifier.starts_with(space))
      return Kind::space;
  std::string_view type = modifier.substr(1);
  if (type.starts_with("tf") || type.starts_with("bf"))
    type.remove_prefix(1);
  size_t digits = type.find_first_not_of("0123456789", 1);
  bool is_type = type.size() > 1 && std::string_view("usbfe").find(type[0]) != std::string_view::npos && digits != 1 &&
                 (digits == std::string_view::npos || type[digits] == 'x' || type[0] == 'e');
  return is_type ? Kind::type : Kind::other;
}

/// Matches an opcode with a spelling. Modifiers may stand in any order, as `ptxas` takes them: types among themselves,
/// layouts, spaces, priorities and the two operations of a bitwise mma keep theirs, and so does what belongs to the name.
class Matcher {
public:
  explicit Matcher(std::string_view opcode) {
    std::string_view mnemonic = mnemonic_of(opcode), names = names_behind(mnemonic);
    size_t end = mnemonic.size();
    bool in_name = true;
    while (end < opcode.size()) {
      size_t next = std::min(opcode.find('.', end + 1), opcode.size());
      std::string_view word = opcode.substr(end, next - end);
      bool names_it = names.find(std::string(word) + ".") != std::string_view::npos;
      in_name = in_name && names_it;
      if (in_name)
        name_ = opcode.substr(0, next);
      else
        modifiers_.push_back(word);
      possible_ = possible_ && in_name == names_it;
      end = next;
    }
    if (name_.empty())
      name_ = mnemonic;
    possible_ = possible_ && modifiers_.size() <= kMostModifiers;
    taken_.resize(modifiers_.size());
  }
  bool matches(std::string_view pattern) {
    order_.clear();
    return possible_ && matches(pattern, name_);
  }
  /// The opcode with its modifiers in the order of the spelling that was matched last.
  std::string ordered() const {
    std::string text(name_);
    for (size_t modifier : order_)
      text += modifiers_[modifier];
    return text;
  }

private:
  static constexpr size_t kMostModifiers = 16; // wmma has 11

  /// `text` is what is left of the word at hand.
  bool matches(std::string_view pattern, std::string_view text) {
    while (!pattern.empty()) {
      char c = pattern[0];
      if (c == '[' || c == '(') {
        size_t end = behind_bracket(pattern, 0);
        std::string_view inside = pattern.substr(1, end - 2), rest = pattern.substr(end);
        return matches_alternatives(inside, rest, text) || (c == '[' && matches(rest, text));
      }
      if (text.empty())
        return c == '.' && matches_next(pattern);
      if (text[0] != c)
        return false;
      pattern.remove_prefix(1);
      text.remove_prefix(1);
    }
    return text.empty() && order_.size() == modifiers_.size();
  }
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
  /// Matches a pattern that begins with a modifier with one of those that are left, the first of its kind.
  bool matches_next(std::string_view pattern) {
    for (size_t i = 0; i < modifiers_.size(); i++) {
      if (taken_[i] || !is_first_of_kind(i))
        continue;
      taken_[i] = true;
      order_.push_back(i);
      if (matches(pattern, modifiers_[i]))
        return true;
      order_.pop_back();
      taken_[i] = false;
    }
    return false;
  }
  bool is_first_of_kind(size_t modifier) const {
    Kind kind = kind_of(modifiers_[modifier]);
    for (size_t i = 0; kind != Kind::other && i < modifier; i++)
      if (!taken_[i] && kind_of(modifiers_[i]) == kind)
        return false;
    return true;
  }

  std::string_view name_;
  std::vector<std::string_view> modifiers_;
  std::vector<bool> taken_;
  std::vector<size_t> order_; // of the modifiers, as the spelling has them
  bool possible_ = true;
};

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

std::string why_unknown(std::string_view opcode) {
  bool known = rows_by_mnemonic().count(opcode.substr(0, opcode.find('.'))) != 0;
  return (known ? "unsupported form of opcode '" : "unknown opcode '") + std::string(opcode) + "'";
}

int find_opcode(std::string_view opcode, std::string *ordered) {
  struct Known {
    int row = -1;
    std::string ordered;
  };
  static std::mutex mutex;
  static std::unordered_map<std::string, Known> all_known;
  std::lock_guard lock(mutex);
  auto seen = all_known.find(std::string(opcode));
  Known known;
  if (seen != all_known.end()) {
    known = seen->second;
  } else {
    Matcher matcher(opcode);
    auto rows = rows_by_mnemonic().find(mnemonic_of(opcode));
    if (rows != rows_by_mnemonic().end())
      for (int row : rows->second)
        if (matcher.matches(kRows[row].spelling)) {
          known = {row, matcher.ordered()};
          break;
        }
    if (all_known.size() < 65536)
      all_known.emplace(opcode, known);
  }
  if (ordered && known.row >= 0)
    *ordered = known.ordered;
  return known.row;
}

} // namespace tenon::emulator
