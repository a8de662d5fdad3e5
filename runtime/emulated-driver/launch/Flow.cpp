#include "launch/Flow.h"
#include <algorithm>

namespace tenon::emulator {
namespace {
std::string_view form_of(const Program &program, uint64_t op) {
  return program.rows[op] < 0 ? std::string_view() : opcode_row(program.rows[op]).operands;
}

template <class Visit> void for_each_successor(const Program &program, uint64_t at, Visit visit) {
  const Op &op = program.ops[at];
  const bool branches = form_of(program, at) == "@branch", indexed = form_of(program, at) == "@branch_indexed";
  if (branches)
    visit(op.target);
  for (uint32_t i = 0; indexed && i < op.count; i++)
    visit(op.more[i]);
  if ((!branches && !indexed && !may_end_at(program, at)) || op.guard != kNoSlot)
    visit(at + 1);
}

const FunctionCode *function_of(const Program &program, uint64_t op) {
  for (const FunctionCode &function : program.functions)
    if (op >= function.first_op && op < function.end_op)
      return &function;
  return nullptr;
}
} // namespace

bool may_end_at(const Program &program, uint64_t op) {
  if (program.rows[op] < 0)
    return false;
  const std::string_view spelling = opcode_row(program.rows[op]).spelling;
  return spelling == "exit" || spelling == "trap" || spelling.starts_with("ret");
}

std::vector<bool> reached_from(const Program &program, uint64_t from, uint64_t around) {
  std::vector<bool> reached(program.ops.size());
  std::vector<uint64_t> open{from};
  while (!open.empty()) {
    const uint64_t at = open.back();
    open.pop_back();
    if (at >= program.ops.size() || reached[at] || at == around)
      continue;
    reached[at] = true;
    for_each_successor(program, at, [&](uint64_t next) { open.push_back(next); });
  }
  return reached;
}

bool must_pass(const Program &program, uint64_t from, uint64_t through) {
  const std::vector<bool> reached = reached_from(program, from, through);
  for (uint64_t op = 0; op < reached.size(); op++)
    if (reached[op] && may_end_at(program, op))
      return false;
  return true;
}

void add_registers(const Operand &operand, std::vector<uint32_t> &registers) {
  if (operand.kind == Operand::Kind::kRegister)
    registers.push_back(operand.index);
  else if (operand.kind != Operand::Kind::kAddress)
    for (const Operand &part : operand.parts)
      add_registers(part, registers);
}

bool names_any(const Operand &operand, const std::vector<uint32_t> &registers) {
  std::vector<uint32_t> named;
  add_registers(operand, named);
  return std::ranges::any_of(named, [&](uint32_t index) { return std::ranges::find(registers, index) != registers.end(); });
}

void add_made(const std::vector<const Instruction *> &body, std::vector<uint32_t> &made) {
  for (size_t before = 0; before != made.size();) { // values may go around a loop
    before = made.size();
    for (const Instruction *instruction : body)
      for (size_t i = 1; i < instruction->operands.size(); i++)
        if (names_any(instruction->operands[i], made) && !names_any(instruction->operands[0], made))
          add_registers(instruction->operands[0], made);
  }
}

bool polls(const Program &program, uint64_t load) {
  const FunctionCode *function = function_of(program, load);
  const Instruction *loads = program.instruction(program.ops[load]);
  if (!function || !loads || !loads->opcode.starts_with("ld"))
    return false;
  std::vector<const Instruction *> body;
  for (uint64_t op = function->first_op; op < function->end_op; op++)
    if (const Instruction *instruction = program.instruction(program.ops[op]); body.empty() || body.back() != instruction)
      body.push_back(instruction);
  std::vector<uint32_t> made;
  add_registers(loads->operands[0], made);
  add_made(body, made);
  if (function != &program.functions.front())
    for (const Instruction *instruction : body)
      if (instruction->opcode.starts_with("st.param") && names_any(instruction->operands[1], made))
        return true;
  const std::vector<bool> after = reached_from(program, load + 1);
  for (uint64_t op = function->first_op; op < function->end_op; op++) {
    const Instruction *instruction = program.instruction(program.ops[op]);
    const bool decides = after[op] && instruction && instruction->guard >= 0 &&
                         (form_of(program, op) == "@branch" || may_end_at(program, op));
    if (decides && std::ranges::find(made, static_cast<uint32_t>(instruction->guard)) != made.end() &&
        reached_from(program, op)[load])
      return true;
  }
  return false;
}

} // namespace tenon::emulator
