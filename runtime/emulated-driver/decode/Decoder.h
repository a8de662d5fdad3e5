// Turns instructions into operations. Operands are numbered slots until LayOutRegisters gives them their offsets.
#pragma once
#include "decode/Program.h"
#include <map>
#include <span>
#include <tuple>

namespace tenon::emulator {

/// What an operand of an operation stands for, before registers are laid out.
struct Slot {
  enum class Kind : uint8_t { kRegister, kConstant, kFrameAddress, kSpecial, kCarry };
  Kind kind = Kind::kRegister;
  uint8_t width = 0; // bytes; 0 for a predicate
  TypeClass type = TypeClass::kBits;
  SpecialRegister special = SpecialRegister::kZero;
  uint64_t bits = 0;
  std::string name;
};

/// One read or write of a slot.
struct SlotUse {
  uint32_t op;
  uint32_t slot;
  bool writes;
};

/// A variable and its place in its space.
struct Symbol {
  Space space;
  uint64_t address;
  uint64_t size;
};
using Symbols = std::unordered_map<std::string, Symbol>;

/// Decodes one .entry or .func to a program of one function, whose calls the linker resolves.
class Decoder {
public:
  /// `shared` holds the variables of shared memory that the function may name.
  Decoder(const Kernel &kernel, const DecodeContext &context, Symbols shared);
  Program run();

private:
  friend struct OperandForms;

  [[noreturn]] void fail(Location location, std::string message) const;
  /// Refuses an operand whose sort is not that of the instruction.
  void expect_type(const Operand &operand) const;
  uint64_t window_of(const Symbol &symbol) const;
  void expect_symbol_space(const Symbol &symbol, Location location) const;
  void place_variables();
  /// Gives a variable its place in the frame; `end` grows.
  ParameterPlace place(const Variable &variable, uint64_t &end);
  void decode_instruction(uint32_t number);
  void perturb();
  std::string_view without_requirement(std::string_view form) const;
  /// Refuses `what` where the text's target is below sm_`least`.
  void require_target(int least, const std::string &what, Location location) const;
  void decode_simple(std::string_view form);
  void expect_operands(size_t least, size_t most) const;
  void finish_branches();
  uint32_t find_label(const std::string &name, uint32_t scope, Location location) const;

  /// A source operand of that width; any width where it is 255, which is then set.
  uint32_t source(const Operand &operand, uint8_t width);
  uint32_t source_any(const Operand &operand, uint8_t &width, uint8_t default_width);
  uint32_t destination(const Operand &operand, uint8_t width);
  uint32_t destination_any(const Operand &operand, uint8_t &width);
  uint32_t source_predicate(const Operand &operand, bool &negated);
  /// Base register and immediate of [a + b]; symbols become immediates.
  uint32_t address(const Operand &operand, uint8_t &width, int64_t &immediate, bool &constant);
  uint64_t integer(const Operand &operand);

  uint32_t constant(uint64_t bits, uint8_t width, Slot::Kind kind = Slot::Kind::kConstant);
  /// Its value where it is a register of this function: the address of a symbol.
  uint32_t symbol_address(const Operand &operand, uint8_t width);
  bool is_in_frame(const Symbol &symbol) const { return symbol.space == Space::kLocal && !kernel_.is_entry; }
  uint32_t special(const Operand &operand, uint8_t width);
  uint32_t carry();
  uint32_t read(uint32_t slot);
  uint32_t written(uint32_t slot);
  Symbol symbol(const std::string &name, Location location) const;

  const Kernel &kernel_;
  const DecodeContext &context_;
  Program program_;
  std::vector<Slot> slots_;
  std::vector<SlotUse> uses_;
  std::map<std::tuple<uint64_t, uint8_t, Slot::Kind>, uint32_t> constants_;
  std::map<std::pair<int, uint8_t>, uint32_t> specials_;
  Symbols symbols_;
  std::vector<uint32_t> first_op_; // of each instruction
  std::vector<uint32_t> more_at_;  // where each operation's operands start in program_.more, or kNoSlot
  std::vector<bool> more_are_targets_;
  std::unordered_map<std::string, std::vector<uint32_t>> labels_;
  uint32_t carry_ = kNoSlot;
  // The instruction at hand.
  const Instruction *instruction_ = nullptr;
  Instruction reordered_; // a copy, where the text has its modifiers in another order than the table
  TypeClass type_ = TypeClass::kBits; // of the operand that is read; kBits where the opcode names several types
  Op op_;
  int row_ = -1;
  std::vector<uint32_t> op_more_;
};

/// Gives every slot its place in a warp's registers: by liveness, so that values that never live together share one.
/// Adds checks where a path may read a register that was never written.
void lay_out_registers(Program &program, std::span<const Slot> slots, std::span<const SlotUse> uses,
                       std::vector<uint32_t> &more_at, const std::vector<bool> &more_are_targets,
                       const Executor &executor);

} // namespace tenon::emulator
