#include "decode/Opcodes.h"
#include "ptx/FunctionParser.h"

namespace tenon::emulator {
namespace {
constexpr size_t kLargestInstructionCount = 1u << 22;
} // namespace

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
  if (instruction.opcode == "call" || instruction.opcode.starts_with("call."))
    return read_call(std::move(instruction));
  try {
    read_operands(instruction);
  } catch (const Diagnostic &) { // operands of an unknown opcode may be of a kind that is unknown too
    if (find_opcode(instruction.opcode) < 0)
      throw Diagnostic{word.location, why_unknown(instruction.opcode)};
    throw;
  }
  if (instruction.opcode.starts_with("ret"))
    store_register_results(instruction);
  append(std::move(instruction));
}

void FunctionParser::read_operands(Instruction &instruction) {
  if (!reader_.is(";")) {
    do
      instruction.operands.push_back(read_operand());
    while (reader_.accept(","));
  }
  reader_.expect(";");
}

void FunctionParser::append(Instruction instruction) {
  kernel_.instructions.push_back(std::move(instruction));
}

void FunctionParser::read_label(Token name) {
  for (const Label &other : kernel_.labels)
    if (other.name == name.text && other.scope == scopes_.back().number)
      throw Diagnostic{name.location, "label '" + std::string(name.text) + "' is defined twice"};
  kernel_.labels.push_back({std::string(name.text), scopes_.back().number,
                            static_cast<uint32_t>(kernel_.instructions.size()), {}, false});
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
  operand.as_bits = token.text.size() > 2 && token.text[0] == '0' && std::string_view("fFdD").find(token.text[1]) != std::string_view::npos;
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
  operand.kind = name[0] == '%' ? Operand::Kind::kSpecial : Operand::Kind::kSymbol;
  operand.name = find_variable(std::move(name));
  if (operand.kind == Operand::Kind::kSymbol)
    operand.offset = read_offset();
  return operand;
}

std::string FunctionParser::find_variable(std::string name) const {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope)
    if (auto found = scope->variables.find(name); found != scope->variables.end())
      return found->second;
  return name;
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
