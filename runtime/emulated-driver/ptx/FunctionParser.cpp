#include "ptx/FunctionParser.h"
#include <bit>
#include <charconv>

namespace tenon::emulator {
namespace {
constexpr uint32_t kLargestParameterBytes = 32764; // PTX ISA 8.1, sm_70 and later
constexpr uint64_t kLargestRegisterCount = 1u << 20;
constexpr size_t kLargestInstructionCount = 1u << 22;
uint32_t align_up(uint64_t value, uint64_t alignment) {
  return static_cast<uint32_t>((value + alignment - 1) / alignment * alignment);
}
} // namespace

Kernel FunctionParser::entry(bool external) {
  kernel_.location = reader_.token_.location;
  kernel_.name = std::string(reader_.expect_word("the name of a kernel"));
  for (const Kernel &other : module_.kernels)
    if (other.name == kernel_.name)
      throw Diagnostic{kernel_.location, "kernel '" + kernel_.name + "' is defined twice"};
  if (reader_.accept("("))
    read_parameters();
  read_launch_directives();
  if (external)
    reader_.fail("a kernel cannot be .extern");
  read_body();
  return std::move(kernel_);
}

void FunctionParser::read_parameters() {
  while (!reader_.accept(")")) {
    reader_.expect(".param");
    Variable parameter = reader_.read_variable_head(Space::kParam);
    parameter.offset = align_up(kernel_.parameter_bytes, parameter.alignment);
    if (parameter.offset + parameter.size > kLargestParameterBytes)
      throw Diagnostic{parameter.location, "parameters take more than 32764 bytes"};
    kernel_.parameter_bytes = static_cast<uint32_t>(parameter.offset + parameter.size);
    kernel_.parameters.push_back(std::move(parameter));
    if (!reader_.is(")"))
      reader_.expect(",");
  }
}

void FunctionParser::read_three(uint32_t (&into)[3]) {
  for (uint32_t &value : into)
    value = 1;
  for (int i = 0; i < 3; i++) {
    into[i] = static_cast<uint32_t>(reader_.expect_integer());
    if (!reader_.accept(","))
      return;
  }
}

void FunctionParser::read_launch_directives() {
  for (;;) {
    if (reader_.accept(".maxntid")) {
      read_three(kernel_.max_threads);
    } else if (reader_.accept(".reqntid")) {
      read_three(kernel_.required_threads);
    } else if (reader_.accept(".minnctapersm") || reader_.accept(".maxnctapersm") ||
               reader_.accept(".maxnreg")) {
      reader_.expect_integer();
    } else if (reader_.accept(".pragma")) {
      while (!reader_.accept(";"))
        reader_.advance_or_fail();
    } else if (!reader_.accept(".noreturn")) {
      return;
    }
  }
}

void FunctionParser::read_body() {
  reader_.expect("{");
  scopes_.emplace_back();
  kernel_.scope_parents.push_back(0);
  while (!scopes_.empty()) {
    kernel_.last_line = reader_.token_.location.line;
    if (reader_.is("}")) {
      scopes_.pop_back();
      reader_.advance();
    } else if (reader_.accept("{")) {
      uint32_t parent = scopes_.back().number;
      scopes_.emplace_back().number = static_cast<uint32_t>(kernel_.scope_parents.size());
      kernel_.scope_parents.push_back(parent);
    } else {
      read_statement();
    }
  }
}

void FunctionParser::read_statement() {
  const Token &token = reader_.token_;
  if (token.kind == Token::Kind::kEnd)
    reader_.fail("the body of kernel '" + kernel_.name + "' is not closed");
  if (token.kind == Token::Kind::kDirective)
    return read_directive();
  if (reader_.is("@"))
    return read_guard();
  if (reader_.accept(";"))
    return;
  if (token.kind != Token::Kind::kWord)
    reader_.fail("expected an instruction, found '" + std::string(token.text) + "'");
  read_instruction(-1, false);
}

void FunctionParser::read_guard() {
  reader_.expect("@");
  bool negated = reader_.accept("!");
  Location location = reader_.token_.location;
  std::string name(reader_.expect_word("a predicate"));
  int64_t number = find_register(name);
  if (number < 0)
    throw Diagnostic{location, "unknown predicate '" + name + "'"};
  if (kernel_.registers[number].width != 0)
    throw Diagnostic{location, "'" + name + "' is not a predicate"};
  if (reader_.token_.kind != Token::Kind::kWord)
    reader_.fail("expected an instruction after the guard");
  read_instruction(static_cast<int32_t>(number), negated);
}

void FunctionParser::read_directive() {
  if (reader_.accept(".reg"))
    return read_registers();
  if (reader_.accept(".shared"))
    return reader_.read_variables(Space::kShared, false, kernel_.variables);
  if (reader_.accept(".local"))
    return reader_.read_variables(Space::kLocal, false, kernel_.variables);
  if (reader_.accept(".pragma")) {
    while (!reader_.accept(";"))
      reader_.advance_or_fail();
    return;
  }
  if (reader_.accept(".loc")) {
    source_file_ = static_cast<uint32_t>(reader_.expect_integer());
    source_line_ = static_cast<uint32_t>(reader_.expect_integer());
    reader_.expect_integer(); // column
    while (reader_.accept(",")) { // function_name label, inlined_at file line column
      bool inlined = reader_.is("inlined_at");
      reader_.advance_or_fail();
      while (reader_.token_.kind == Token::Kind::kInteger || reader_.is("+") ||
             (!inlined && reader_.token_.kind == Token::Kind::kWord))
        reader_.advance_or_fail();
    }
    return;
  }
  if (reader_.accept(".branchtargets")) {
    if (kernel_.labels.empty())
      reader_.fail(".branchtargets needs a label");
    do
      kernel_.labels.back().targets.emplace_back(reader_.expect_word("a label"));
    while (reader_.accept(","));
    return reader_.expect(";");
  }
  reader_.fail("directive '" + std::string(reader_.token_.text) + "' is not supported here");
}

void FunctionParser::read_registers() {
  int width = reader_.token_.kind == Token::Kind::kDirective ? type_width(reader_.token_.text) : -1;
  if (width < 0)
    reader_.fail("expected the type of a register, found '" + std::string(reader_.token_.text) + "'");
  if (width > 8)
    reader_.fail("registers of 128 bits are not supported");
  reader_.advance();
  do {
    std::string name(reader_.expect_word("the name of a register"));
    Declared declared;
    declared.width = static_cast<uint8_t>(width);
    if (reader_.accept("<")) {
      declared.count = reader_.expect_integer();
      if (declared.count > kLargestRegisterCount)
        reader_.fail("too many registers");
      reader_.expect(">");
    } else {
      declared.numbers[0] = new_register(name, declared.width);
    }
    scopes_.back().registers.insert_or_assign(std::move(name), std::move(declared));
  } while (reader_.accept(","));
  reader_.expect(";");
}

uint32_t FunctionParser::new_register(std::string_view name, uint8_t width) {
  kernel_.registers.push_back({std::string(name), width});
  return static_cast<uint32_t>(kernel_.registers.size() - 1);
}

int64_t FunctionParser::find_register(std::string_view name) {
  size_t digits = name.size();
  while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9')
    digits--;
  std::string whole(name), prefix(name.substr(0, digits));
  uint32_t suffix = 0;
  bool numbered = digits < name.size() && name.size() - digits < 8;
  if (numbered)
    std::from_chars(name.data() + digits, name.data() + name.size(), suffix);
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    auto exact = scope->registers.find(whole);
    if (exact != scope->registers.end() && exact->second.count == 0)
      return exact->second.numbers[0];
    auto range = numbered ? scope->registers.find(prefix) : scope->registers.end();
    if (range == scope->registers.end() || suffix >= range->second.count)
      continue;
    auto [at, fresh] = range->second.numbers.try_emplace(suffix, 0);
    if (fresh)
      at->second = new_register(name, range->second.width);
    return at->second;
  }
  return -1;
}

void FunctionParser::read_instruction(int32_t guard, bool negated) {
  Token word = reader_.token_;
  reader_.advance();
  if (guard < 0 && reader_.accept(":"))
    return read_label(word);
  if (kernel_.instructions.size() >= kLargestInstructionCount)
    reader_.fail("too many instructions");
  Instruction instruction;
  instruction.location = word.location;
  instruction.opcode = std::string(word.text);
  instruction.guard = guard;
  instruction.guard_negated = negated;
  instruction.scope = scopes_.back().number;
  instruction.source_file = source_file_;
  instruction.source_line = source_line_;
  if (!reader_.is(";")) {
    if (instruction.opcode.starts_with("call"))
      throw Diagnostic{word.location, "calls are not supported: '" + instruction.opcode + "'"};
    do
      instruction.operands.push_back(read_operand());
    while (reader_.accept(","));
  }
  reader_.expect(";");
  kernel_.instructions.push_back(std::move(instruction));
}

void FunctionParser::read_label(Token name) {
  for (const Label &other : kernel_.labels)
    if (other.name == name.text && other.scope == scopes_.back().number)
      throw Diagnostic{name.location, "label '" + std::string(name.text) + "' is defined twice"};
  kernel_.labels.push_back({std::string(name.text), scopes_.back().number,
                            static_cast<uint32_t>(kernel_.instructions.size()), {}});
}

Operand FunctionParser::read_operand() {
  Operand first = read_simple_operand();
  if (!reader_.accept("|"))
    return first;
  Operand pair;
  pair.kind = Operand::Kind::kPair;
  pair.location = first.location;
  pair.parts.push_back(std::move(first));
  pair.parts.push_back(read_simple_operand());
  return pair;
}

Operand FunctionParser::read_number(bool negative) {
  Operand operand;
  const Token &token = reader_.token_;
  operand.location = token.location;
  operand.bits = token.bits;
  operand.single = token.single;
  if (token.kind == Token::Kind::kInteger) {
    operand.kind = Operand::Kind::kInteger;
    operand.bits = negative ? 0 - operand.bits : operand.bits;
  } else if (token.kind == Token::Kind::kFloat) {
    operand.kind = Operand::Kind::kFloat;
    if (negative)
      operand.bits ^= uint64_t{1} << (token.single ? 31 : 63);
  } else {
    reader_.fail("expected an operand, found '" + std::string(token.text) + "'");
  }
  reader_.advance();
  return operand;
}

int64_t FunctionParser::read_offset() {
  int64_t total = 0;
  while (reader_.is("+") || reader_.is("-")) {
    bool negative = reader_.is("-");
    reader_.advance();
    if (reader_.accept("-")) // LLVM prints "+-16"
      negative = !negative;
    uint64_t value = reader_.expect_integer();
    total = static_cast<int64_t>(static_cast<uint64_t>(total) + (negative ? 0 - value : value));
  }
  return total;
}

Operand FunctionParser::read_simple_operand() {
  Location location = reader_.token_.location;
  if (reader_.is("["))
    return read_address();
  if (reader_.is("{"))
    return read_vector();
  if (reader_.accept("-"))
    return read_number(true);
  bool negated = reader_.accept("!");
  if (reader_.token_.kind != Token::Kind::kWord)
    return read_number(false);
  Operand operand;
  operand.location = location;
  operand.negated = negated;
  std::string name(reader_.expect_word("an operand"));
  if (name == "_")
    return operand;
  if (int64_t number = find_register(name); number >= 0) {
    operand.kind = Operand::Kind::kRegister;
    operand.index = static_cast<uint32_t>(number);
    return operand;
  }
  operand.name = std::move(name);
  operand.kind = operand.name[0] == '%' ? Operand::Kind::kSpecial : Operand::Kind::kSymbol;
  if (operand.kind == Operand::Kind::kSymbol)
    operand.offset = read_offset();
  return operand;
}

Operand FunctionParser::read_address() {
  Operand address;
  address.kind = Operand::Kind::kAddress;
  address.location = reader_.token_.location;
  reader_.expect("[");
  address.parts.push_back(read_simple_operand());
  address.offset = address.parts[0].offset + read_offset();
  reader_.expect("]");
  return address;
}

Operand FunctionParser::read_vector() {
  Operand vector;
  vector.kind = Operand::Kind::kVector;
  vector.location = reader_.token_.location;
  reader_.expect("{");
  do
    vector.parts.push_back(read_simple_operand());
  while (reader_.accept(","));
  reader_.expect("}");
  return vector;
}

} // namespace tenon::emulator
