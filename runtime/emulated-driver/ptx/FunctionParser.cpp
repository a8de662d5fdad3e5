#include "ptx/FunctionParser.h"
#include "memory/Alignment.h"
#include <charconv>

namespace tenon::emulator {
namespace {
constexpr uint32_t kLargestParameterBytes = 32764; // PTX ISA 8.1, sm_70 and later
constexpr uint64_t kLargestRegisterCount = 1u << 20;
} // namespace

Kernel FunctionParser::entry(bool external) {
  kernel_.location = reader_.token_.location;
  kernel_.name = std::string(reader_.expect_word("the name of a kernel"));
  for (const Kernel &other : module_.kernels)
    if (other.name == kernel_.name)
      throw Diagnostic{kernel_.location, "kernel '" + kernel_.name + "' is defined twice"};
  if (reader_.accept("("))
    read_formals(kernel_.parameters, false);
  read_launch_directives();
  if (external)
    reader_.fail("a kernel cannot be .extern");
  read_body();
  return std::move(kernel_);
}

Kernel FunctionParser::function() {
  kernel_.is_entry = false;
  if (reader_.accept("("))
    read_formals(kernel_.results, true);
  read_launch_directives();
  kernel_.location = reader_.token_.location;
  kernel_.name = std::string(reader_.expect_word("the name of a function"));
  if (reader_.accept("("))
    read_formals(kernel_.parameters, false);
  read_launch_directives();
  kernel_.has_body = !reader_.accept(";");
  if (kernel_.has_body)
    read_body();
  return std::move(kernel_);
}

void FunctionParser::read_formals(std::vector<Variable> &into, bool results) {
  uint32_t end = 0;
  while (!reader_.accept(")")) {
    bool is_register = !kernel_.is_entry && reader_.accept(".reg");
    if (!is_register)
      reader_.expect(".param");
    Variable parameter = reader_.read_variable_head(Space::kParam);
    if (is_register) {
      auto width = static_cast<uint8_t>(parameter.size);
      uint32_t number = new_register(parameter.name, width, TypeClass::kBits);
      Declared declared{width, TypeClass::kBits, 0, {{0, number}}};
      formals_.registers.insert_or_assign(parameter.name, std::move(declared));
      parameter.name += "@formal";
      register_formals_.push_back({number, width, parameter.name, results});
    } else if (!formals_.variables.emplace(parameter.name, parameter.name).second) {
      throw Diagnostic{parameter.location, "parameter '" + parameter.name + "' is declared twice"};
    }
    parameter.offset = static_cast<uint32_t>(align_up(end, parameter.alignment));
    if (parameter.offset + parameter.size > kLargestParameterBytes)
      throw Diagnostic{parameter.location, "parameters take more than 32764 bytes"};
    end = static_cast<uint32_t>(parameter.offset + parameter.size);
    into.push_back(std::move(parameter));
    if (!reader_.is(")"))
      reader_.expect(",");
  }
  if (!results)
    kernel_.parameter_bytes = end;
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
               reader_.accept(".maxnreg") || reader_.accept(".maxclusterrank")) {
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
  scopes_.push_back(std::move(formals_));
  kernel_.scope_parents.push_back(0);
  load_register_formals();
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
    reader_.fail("the body of '" + kernel_.name + "' is not closed");
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
  static constexpr std::pair<std::string_view, Space> kSpaces[] = {
      {".shared", Space::kShared}, {".local", Space::kLocal}, {".param", Space::kParam}};
  for (auto [name, space] : kSpaces)
    if (reader_.accept(name))
      return read_body_variables(space);
  if (reader_.accept(".pragma")) {
    while (!reader_.accept(";"))
      reader_.advance_or_fail();
    return;
  }
  if (reader_.accept(".loc"))
    return read_location();
  if (reader_.is(".branchtargets") || reader_.is(".calltargets"))
    return read_label_list();
  if (reader_.is(".callprototype"))
    return read_prototype();
  reader_.fail("directive '" + std::string(reader_.token_.text) + "' is not supported here");
}

void FunctionParser::read_location() {
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
}

void FunctionParser::read_label_list() {
  bool calls = reader_.is(".calltargets");
  if (kernel_.labels.empty())
    reader_.fail(std::string(reader_.token_.text) + " needs a label");
  reader_.advance();
  kernel_.labels.back().is_prototype = calls;
  do
    kernel_.labels.back().targets.emplace_back(reader_.expect_word("a label"));
  while (reader_.accept(","));
  reader_.expect(";");
}

/// "label: .callprototype (.param .b32 _) _ (.param .b64 _);": the arguments of the call say the same.
void FunctionParser::read_prototype() {
  reader_.expect(".callprototype");
  if (kernel_.labels.empty())
    reader_.fail(".callprototype needs a label");
  kernel_.labels.back().is_prototype = true;
  while (!reader_.accept(";"))
    reader_.advance_or_fail();
}

void FunctionParser::read_body_variables(Space space) {
  std::vector<Variable> fresh;
  reader_.read_variables(space, false, fresh);
  Scope &scope = scopes_.back();
  for (Variable &variable : fresh) {
    std::string name = variable.name;
    if (scopes_.size() > 1) // seen in its braces alone
      variable.name += "@" + std::to_string(kernel_.variables.size());
    if (!scope.variables.emplace(name, variable.name).second)
      throw Diagnostic{variable.location, "variable '" + name + "' is declared twice"};
    kernel_.variables.push_back(std::move(variable));
  }
}

void FunctionParser::read_registers() {
  int width = reader_.token_.kind == Token::Kind::kDirective ? type_width(reader_.token_.text) : -1;
  if (width < 0)
    reader_.fail("expected the type of a register, found '" + std::string(reader_.token_.text) + "'");
  if (width > 8)
    reader_.fail("registers of 128 bits are not supported");
  TypeClass type = type_class(reader_.token_.text);
  reader_.advance();
  do {
    std::string name(reader_.expect_word("the name of a register"));
    Declared declared;
    declared.type = type;
    declared.width = static_cast<uint8_t>(width);
    if (reader_.accept("<")) {
      declared.count = reader_.expect_integer();
      if (declared.count > kLargestRegisterCount)
        reader_.fail("too many registers");
      reader_.expect(">");
    } else {
      declared.numbers[0] = new_register(name, declared.width, type);
    }
    scopes_.back().registers.insert_or_assign(std::move(name), std::move(declared));
  } while (reader_.accept(","));
  reader_.expect(";");
}

uint32_t FunctionParser::new_register(std::string_view name, uint8_t width, TypeClass type) {
  kernel_.registers.push_back({std::string(name), width, type});
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
      at->second = new_register(name, range->second.width, range->second.type);
    return at->second;
  }
  return -1;
}

} // namespace tenon::emulator
