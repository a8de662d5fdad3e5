// Parses one .entry: parameters, launch directives, body with nested scopes.
#pragma once
#include "ptx/TokenReader.h"
#include <unordered_map>

namespace tenon::emulator {

class FunctionParser {
public:
  FunctionParser(TokenReader &reader, const Module &module) : reader_(reader), module_(module) {}

  /// Reads what follows ".entry", up to the closing brace.
  Kernel entry(bool external);

private:
  /// ".reg .b32 %r<100>" declares a prefix with a count, ".reg .b32 %x" one name (count 0).
  struct Declared {
    uint8_t width = 0;
    uint64_t count = 0;
    std::unordered_map<uint32_t, uint32_t> numbers; // suffix → register
  };
  struct Scope {
    uint32_t number = 0;
    std::unordered_map<std::string, Declared> registers;
  };

  void read_parameters();
  void read_launch_directives();
  void read_three(uint32_t (&into)[3]);
  void read_body();
  void read_statement();
  void read_directive();
  void read_registers();
  void read_instruction(int32_t guard, bool negated);
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
  uint32_t new_register(std::string_view name, uint8_t width);

  TokenReader &reader_;
  const Module &module_;
  Kernel kernel_;
  std::vector<Scope> scopes_;
  uint32_t source_file_ = 0, source_line_ = 0; // of the last .loc
};

} // namespace tenon::emulator
