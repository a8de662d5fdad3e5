// Calls: "call (results), function, (arguments), prototype;". Registers and constants among the arguments, and registers
// among the formals, are made parameters here, so that everything behind the parser knows one convention.
#include "ptx/FunctionParser.h"

namespace tenon::emulator {
namespace {
bool is_list(const Operand &operand) { return operand.kind == Operand::Kind::kVector; }
} // namespace

Operand FunctionParser::read_call_list() {
  Operand list;
  list.kind = Operand::Kind::kVector;
  list.location = reader_.token_.location;
  reader_.expect("(");
  while (!reader_.accept(")")) {
    list.parts.push_back(read_simple_operand());
    if (!reader_.is(")"))
      reader_.expect(",");
  }
  return list;
}

void FunctionParser::read_call(Instruction call) {
  Operand results, arguments, callee;
  results.kind = arguments.kind = Operand::Kind::kVector;
  if (reader_.is("(")) {
    results = read_call_list();
    reader_.expect(",");
  }
  callee = read_simple_operand();
  if (reader_.accept(",")) {
    if (reader_.is("("))
      arguments = read_call_list();
    else
      call.operands.push_back(read_simple_operand());
  }
  if (is_list(arguments) && reader_.accept(","))
    call.operands.push_back(read_simple_operand());
  reader_.expect(";");
  call.operands.insert(call.operands.begin(), {std::move(results), callee, std::move(arguments)});
  int number = callee.kind == Operand::Kind::kSymbol ? module_.find_function(callee.name) : -1;
  const Kernel *known = number >= 0 ? &module_.functions[static_cast<size_t>(number)] : nullptr;
  if (callee.kind == Operand::Kind::kSymbol && callee.name == kernel_.name)
    known = &kernel_;
  if (callee.kind == Operand::Kind::kSymbol && !known)
    throw Diagnostic{callee.location, "unknown function '" + callee.name + "'"};
  pass_registers(call, known);
}

std::string FunctionParser::hidden_parameter(uint8_t width) {
  Variable variable;
  variable.name = "@argument" + std::to_string(kernel_.variables.size());
  variable.space = Space::kParam;
  variable.alignment = variable.size = width;
  kernel_.variables.push_back(variable);
  return variable.name;
}

Instruction FunctionParser::parameter_access(const Instruction &like, const char *what, uint8_t width,
                                             const std::string &name, Operand value) const {
  Instruction access;
  access.location = like.location;
  access.guard = like.guard;
  access.guard_negated = like.guard_negated;
  access.scope = like.scope;
  access.source_file = like.source_file;
  access.source_line = like.source_line;
  access.opcode = std::string(what) + ".param.b" + std::to_string(width * 8);
  Operand base;
  base.kind = Operand::Kind::kSymbol;
  base.location = value.location;
  base.name = name;
  Operand address;
  address.kind = Operand::Kind::kAddress;
  address.location = value.location;
  address.parts.push_back(std::move(base));
  access.operands = {std::move(value), std::move(address)};
  if (access.opcode.starts_with("st"))
    std::swap(access.operands[0], access.operands[1]);
  return access;
}

void FunctionParser::pass_registers(Instruction &call, const Kernel *callee) {
  std::vector<Instruction> after;
  auto replace = [&](Operand &operand, const std::vector<Variable> *formals, size_t i, bool result) {
    if (operand.kind == Operand::Kind::kSymbol)
      return;
    uint8_t width = 0;
    if (operand.kind == Operand::Kind::kRegister)
      width = kernel_.registers[operand.index].width;
    else if (formals && i < formals->size())
      width = static_cast<uint8_t>((*formals)[i].size);
    if (width == 0 || width > 8 || (result && operand.kind == Operand::Kind::kInteger))
      throw Diagnostic{operand.location, "expected a parameter, or a register of 8 to 64 bits"};
    std::string name = hidden_parameter(width);
    if (!result)
      append(parameter_access(call, "st", width, name, operand));
    else if (operand.kind == Operand::Kind::kRegister)
      after.push_back(parameter_access(call, "ld", width, name, operand));
    operand.kind = Operand::Kind::kSymbol;
    operand.name = name;
  };
  for (size_t i = 0; i < call.operands[0].parts.size(); i++)
    replace(call.operands[0].parts[i], callee ? &callee->results : nullptr, i, true);
  for (size_t i = 0; i < call.operands[2].parts.size(); i++)
    replace(call.operands[2].parts[i], callee ? &callee->parameters : nullptr, i, false);
  append(std::move(call));
  for (Instruction &load : after)
    append(std::move(load));
}

void FunctionParser::load_register_formals() {
  Instruction start;
  start.location = kernel_.location;
  for (const RegisterFormal &formal : register_formals_) {
    Operand value;
    value.kind = Operand::Kind::kRegister;
    value.location = kernel_.location;
    value.index = formal.number;
    if (!formal.result)
      append(parameter_access(start, "ld", formal.width, formal.parameter, value));
  }
}

void FunctionParser::store_register_results(const Instruction &before) {
  for (const RegisterFormal &formal : register_formals_) {
    Operand value;
    value.kind = Operand::Kind::kRegister;
    value.location = before.location;
    value.index = formal.number;
    if (formal.result)
      append(parameter_access(before, "st", formal.width, formal.parameter, value));
  }
}

} // namespace tenon::emulator
