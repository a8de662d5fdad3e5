// The table of opcodes: one row says how an opcode is spelt, which operands it takes, how it counts and what executes it.
//
//   spelling   "add[.sat].(s32|u32)"  optional and alternative modifiers
//   operands   "=4 4 4"               a destination and two sources of four bytes; 'p' a predicate;
//              "@load"                read by the function of that name in decode/
//              ">90" at the end       only for targets from sm_90 on
//   kind       what the counters file it under
//   handler    a function of execute/, named in the rows of execute/Instructions.def
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::emulator {

enum class OpKind : uint8_t { integer, real, convert, move, memory, shared, async, warp, barrier, tensor, control };
inline constexpr std::string_view kOpKindNames[] = {"integer", "float",  "convert", "move",   "memory", "shared",
                                                    "async",   "warp",   "barrier", "tensor", "control"};

struct OpcodeRow {
  std::string_view spelling;
  std::string_view operands;
  OpKind kind;
};

/// Number of the row whose spelling matches the opcode with its modifiers in any order that `ptxas` takes, or -1.
/// `ordered` gets the opcode with its modifiers in the order of the row.
int find_opcode(std::string_view opcode, std::string *ordered = nullptr);
const OpcodeRow &opcode_row(int number);
int opcode_row_count();

/// What to say of an opcode that no row matches: an unknown one ("wgmma"), or a known one with unknown modifiers.
std::string why_unknown(std::string_view opcode);

} // namespace tenon::emulator
