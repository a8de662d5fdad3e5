// Parses one .entry or .func: parameters, launch directives, body with nested scopes.
#pragma once
#include "ptx/TokenReader.h"
#include <unordered_map>

namespace tenon::emulator {

class FunctionParser {
public:
  FunctionParser(TokenReader &reader, const Module &module) : reader_(reader), module_(module) {}

  /// Reads what follows ".entry", up to the closing brace.
  Kernel entry(bool external);
  /// Reads what follows ".func", up to the closing brace, or the semicolon of a declaration.
  Kernel function();

private:
  /// ".reg .b32 %r<100>" declares a prefix with a count, ".reg .b32 %x" one name (count 0).
  struct Declared {
    uint8_t width = 0;
    TypeClass type = TypeClass::kBits;
    uint64_t count = 0;
    std::unordered_map<uint32_t, uint32_t> numbers; // suffix → register
  };
  struct Scope {
    uint32_t number = 0;
    std::unordered_map<std::string, Declared> registers;
    std::unordered_map<std::string, std::string> variables; // name → name in Kernel::variables
  };

  void read_parameters();
  void read_formals(std::vector<Variable> &into, bool results);
  void read_launch_directives();
  void read_three(uint32_t (&into)[3]);
  void read_body();
  void read_statement();
  void read_directive();
  void read_registers();
  void read_body_variables(Space space);
  void read_prototype();
  void read_label_list();
  void read_location();
  void read_instruction(int32_t guard, bool negated);
  void read_operands(Instruction &instruction);
  void append(Instruction instruction);
  /// Register formals travel as parameters: loaded at the start, stored before each return.
  void load_register_formals();
  void store_register_results(const Instruction &before);
  void read_call(Instruction call);
  Operand read_call_list();
  void pass_registers(Instruction &call, const Kernel *callee);
  /// A .param variable that no text names, of that width.
  std::string hidden_parameter(uint8_t width);
  Instruction parameter_access(const Instruction &like, const char *what, uint8_t width, const std::string &name,
                               Operand value) const;
  void read_label(Token name);
  void read_guard();
  Operand read_operand();
  Operand read_simple_operand();
  Operand read_address();
  Operand read_vector();
  Operand read_number(bool negative);
  int64_t read_offset();
  /// Number of the register of that name, or -1. Registers come into being when first named.
  int64_t find_register(std::string_view name);
  /// The name that a variable of this body has in Kernel::variables; other names as they are.
  std::string find_variable(std::string name) const;
  uint32_t new_register(std::string_view name, uint8_t width, TypeClass type);

  TokenReader &reader_;
  const Module &module_;
  Kernel kernel_;
  std::vector<Scope> scopes_;
  uint32_t source_file_ = 0, source_line_ = 0; // of the last .loc
  struct RegisterFormal {
    uint32_t number;
    uint8_t width;
    std::string parameter;
    bool result;
  };
  std::vector<RegisterFormal> register_formals_;
  Scope formals_; // registers that the head of a function names
};

} // namespace tenon::emulator
