// The forms of operands that a list of widths cannot say, one function each; Forms.cpp has the table of their names.
#pragma once
#include "decode/Decoder.h"
#include "decode/Forms.h"

namespace tenon::emulator {

struct OperandForms {
  Decoder &d;
  std::vector<std::string_view> arguments;
  const Instruction &instruction = *d.instruction_;
  const std::vector<Operand> &operands = instruction.operands;
  Op &op = d.op_;

  uint8_t width(size_t argument) const { return static_cast<uint8_t>(arguments[argument].back() - '0'); }
  bool has(std::string_view modifier) const { return instruction.opcode.find(modifier) != std::string::npos; }
  void use_row(std::string_view spelling) { d.row_ = find_opcode(spelling); }
  [[noreturn]] void refuse(std::string message) const { d.fail(instruction.location, std::move(message)); }
  /// The last modifier: "b32" of "ld.global.b32".
  std::string_view type() const {
    std::string_view opcode = instruction.opcode;
    return opcode.substr(opcode.rfind('.') + 1);
  }
  uint32_t elements() const { return has(".v4.") ? 4 : has(".v2.") ? 2 : 1; }
  std::vector<const Operand *> list(const Operand &operand, size_t count) const;
  static int type_index(std::string_view type);
  static uint32_t type_bytes(int index);
  /// Registers of a load or store: all of one width, at least that of the type.
  void read_elements(const Operand &operand, bool writes, uint32_t bytes);
  /// ld.param and st.param of what belongs to calls are accesses to local memory.
  void use_frame(const Operand &address);
  void load();
  void store();
  /// Op::target becomes the bytes of an element where the access may be one to local memory, else 0.
  void note_copy();
  /// What atom and red share: the address behind `results` results, the values, an optional cache policy.
  void read_and_modify(size_t results);
  void atomic();
  void reduction();
  /// "@cvt 24": destination of 2, source of 4 bytes; '*' or nothing: whatever the register has, at least the type's.
  void convert();
  void is_space();
  void move();
  void pack(uint8_t bytes);
  void unpack(uint8_t bytes);
  void pair(const Operand &operand, uint8_t first_width, size_t first, size_t second);
  uint8_t combination() const;
  void third_predicate(size_t slot);
  void set_predicate();
  /// lop3 with .or or .and: d|p, a, b, c, table, q.
  void logic_with_predicate();
  void set_value();
  void branch();
  void branch_indexed();
  /// Results, function, arguments, prototype: see Program.h for what Op::more holds.
  void call();
  void parameter_places(const Operand &list, const std::vector<Variable> *formals, const char *what);
  void barrier();
  void shuffle();
  void match();
  void elect();
  void ignore();
  /// pmevent: a number up to the one that the form names.
  void event();
  void copy();
  void matrix(bool writes);
  void load_matrix();
  void store_matrix();
  void multiply();
  // Matrices, barriers: MatrixForms.cpp.
  void multiply_wmma();
  void move_wmma();
  void reduce_barrier();
  void mbarrier();
  void test_mbarrier();
  void policy();
};

} // namespace tenon::emulator
