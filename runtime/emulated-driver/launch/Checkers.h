// The checkers by name, and what the environment says of them. TENON_EMULATOR_CHECK chooses: "all", "none", or names.
#pragma once
#include "execute/Services.h"
#include <optional>
#include <string>
#include <string_view>

namespace tenon::emulator {

/// One bit for each FindingKind.
using FindingKinds = uint32_t;
constexpr FindingKinds kind_bit(FindingKind kind) { return FindingKinds{1} << static_cast<int>(kind); }
inline constexpr FindingKinds kAllKinds = ~FindingKinds{0};
inline constexpr FindingKinds kRaceKinds = kind_bit(FindingKind::kSharedRace) | kind_bit(FindingKind::kGlobalRace) |
                                           kind_bit(FindingKind::kWarpRace);

/// "out of bounds", "use after free", …
std::string_view finding_name(FindingKind kind);
/// The checker that makes findings of that kind: "bounds", "races", …
std::string_view checker_name(FindingKind kind);

/// The kinds that a choice names; empty, with a sentence in `why`, where a name is unknown.
std::optional<FindingKinds> parse_checkers(std::string_view choice, std::string &why);
/// The kinds that TENON_EMULATOR_CHECK names; all where it is unset or wrong.
FindingKinds chosen_kinds();

} // namespace tenon::emulator
