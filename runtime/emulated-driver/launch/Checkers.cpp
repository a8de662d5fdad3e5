#include "launch/Checkers.h"
#include <cstdlib>

namespace tenon::emulator {
namespace {
struct KindRow {
  FindingKind kind;
  std::string_view name, checker;
};
constexpr KindRow kKinds[] = {
    {FindingKind::kOutOfBounds, "out of bounds", "bounds"},
    {FindingKind::kUseAfterFree, "use after free", "bounds"},
    {FindingKind::kMisaligned, "misaligned", "alignment"},
    {FindingKind::kUninitialisedMemory, "uninitialised memory", "uninitialised"},
    {FindingKind::kUninitialisedRegister, "uninitialised register", "uninitialised"},
    {FindingKind::kPendingCopy, "pending copy", "copies"},
    {FindingKind::kDivergentBarrier, "divergent barrier", "divergence"},
    {FindingKind::kDivergentWarp, "divergent warp", "divergence"},
    {FindingKind::kDeadlock, "deadlock", "progress"},
    {FindingKind::kTimeout, "timeout", "progress"},
    {FindingKind::kTrap, "trap", "trap"},
    {FindingKind::kGeometry, "launch geometry", "geometry"},
    {FindingKind::kSharedRace, "shared memory race", "races"},
    {FindingKind::kGlobalRace, "global memory race", "races"},
    {FindingKind::kWarpRace, "race inside a warp", "races"},
    {FindingKind::kWrongMembers, "wrong participants", "divergence"},
    {FindingKind::kMbarrierMisuse, "mbarrier misuse", "races"},
};

const KindRow &row_of(FindingKind kind) {
  for (const KindRow &row : kKinds)
    if (row.kind == kind)
      return row;
  return kKinds[0];
}

std::string known_names() {
  std::string names = "all, none";
  for (const KindRow &row : kKinds)
    if (names.find(row.checker) == names.npos)
      names += ", " + std::string(row.checker);
  return names;
}
} // namespace

std::string_view finding_name(FindingKind kind) { return row_of(kind).name; }
std::string_view checker_name(FindingKind kind) { return row_of(kind).checker; }

std::optional<FindingKinds> parse_checkers(std::string_view choice, std::string &why) {
  FindingKinds kinds = 0;
  bool chooses_none = false;
  while (!choice.empty()) {
    std::string_view name = choice.substr(0, choice.find(','));
    choice.remove_prefix(std::min(name.size() + 1, choice.size()));
    FindingKinds named = name == "all" ? kAllKinds : 0;
    for (const KindRow &row : kKinds)
      named |= row.checker == name ? kind_bit(row.kind) : 0;
    if (!named && name != "none" && !name.empty()) {
      why = "unknown checker '" + std::string(name) + "'; known are " + known_names();
      return std::nullopt;
    }
    chooses_none |= name == "none";
    kinds |= named;
  }
  if (chooses_none && kinds) {
    why = "'none' stands alone, with no other name beside it";
    return std::nullopt;
  }
  return kinds;
}

FindingKinds chosen_kinds() {
  const char *choice = std::getenv("TENON_EMULATOR_CHECK");
  std::string why;
  return choice && *choice ? parse_checkers(choice, why).value_or(kAllKinds) : kAllKinds;
}

} // namespace tenon::emulator
