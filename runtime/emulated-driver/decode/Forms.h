#pragma once
#include <string_view>

namespace tenon::emulator {
class Decoder;

/// Reads the operands of an instruction whose row says "@name arguments".
void decode_form(Decoder &decoder, std::string_view form);

} // namespace tenon::emulator
