#pragma once
#include "ptx/Module.h"
#include <variant>

namespace tenon::emulator {

/// Parses PTX text. Text the emulator does not take is refused with its line and column; no text crashes.
std::variant<Module, Diagnostic> parse_ptx(std::string_view text);

} // namespace tenon::emulator
