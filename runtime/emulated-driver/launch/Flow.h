// Which operations of a function may follow others: what checkers ask of the text where an order of lanes alone says nothing.
#pragma once
#include "decode/Program.h"

namespace tenon::emulator {

/// Whether each operation of the function may run after `from` did; the lanes that come to `around` go no further.
inline constexpr uint64_t kNoOperation = ~uint64_t{0};
std::vector<bool> reached_from(const Program &program, uint64_t from, uint64_t around = kNoOperation);

/// Whether lanes that stand before `from` cannot leave the function but through `through`, of the same function.
bool must_pass(const Program &program, uint64_t from, uint64_t through);

/// Whether the function may end at an operation.
bool may_end_at(const Program &program, uint64_t op);

/// Whether a load looks at its word over and over until another thread has written it: it stands in a loop, and a branch of
/// that loop depends on what it loaded. A function that gives what it loaded to its caller may be called so.
bool polls(const Program &program, uint64_t load);

/// Registers that an operand names, but for those of an address.
void add_registers(const Operand &operand, std::vector<uint32_t> &registers);
bool names_any(const Operand &operand, const std::vector<uint32_t> &registers);
/// Adds to `made` the registers that `body` makes of those there.
void add_made(const std::vector<const Instruction *> &body, std::vector<uint32_t> &made);

} // namespace tenon::emulator
