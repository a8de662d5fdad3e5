// What the parser makes of PTX text: variables, kernels, instructions. Names are resolved as far as registers go;
// symbols and labels are resolved when a kernel is decoded. PTX ISA 8.8, sections 4 to 7 and 11.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::emulator {

struct Location {
  uint32_t line = 0;
  uint32_t column = 0;
};

/// A refusal of PTX text: where, and why. The text becomes the log of the just-in-time assembler.
struct Diagnostic {
  Location location;
  std::string message;
  /// "ptx line 3, column 7: error: …"
  std::string text() const;
};

enum class Space : uint8_t { kGeneric, kGlobal, kShared, kLocal, kConst, kParam };

/// The text of a module, to show lines of in findings, and the names that .file gives to numbers.
struct SourceText {
  std::string text;
  std::map<uint32_t, std::string> files;
  /// Line `number`, counted from one, without blanks around it.
  std::string line(uint32_t number) const;
};

/// A place in an initialiser that holds the address of a variable or function.
struct Relocation {
  uint64_t offset = 0; // in the variable
  uint8_t width = 8;
  uint8_t shift = 0; // which bits of the address
  std::string name;
  int64_t addend = 0;
  Location location;
};

/// A variable of .global, .const, .shared, .local or .param space. Extern .shared has size 0: its size is the launch's.
struct Variable {
  std::string name;
  std::string type; // ".u64"; of an array, of its elements
  Space space = Space::kGlobal;
  uint32_t alignment = 1;
  uint64_t size = 0;
  uint64_t offset = 0;                // in its space, for .shared, .local and .param
  bool external = false;
  bool managed = false;               // .attribute(.managed): host and device share it
  std::vector<std::byte> initialiser; // shorter than size: the rest is zero
  std::vector<Relocation> relocations;
  Location location;
};

/// What a type holds: numbers of one sort go only to instructions of that sort, plain bits to all.
enum class TypeClass : uint8_t { kBits, kInteger, kReal };
/// Of ".b32", "u32", ".f16x2", …
inline TypeClass type_class(std::string_view type) {
  size_t at = type.starts_with('.') ? 1 : 0;
  char first = at < type.size() ? type[at] : 'b';
  bool bits = first == 'p' || (first == 'b' && type.substr(at, 2) != "bf");
  return bits ? TypeClass::kBits : first == 'u' || first == 's' ? TypeClass::kInteger : TypeClass::kReal;
}

/// A register: its width in bytes, 0 for a predicate.
struct Register {
  std::string name;
  uint8_t width = 0;
  TypeClass type = TypeClass::kBits;
};

struct Operand {
  enum class Kind : uint8_t {
    kRegister, kInteger, kFloat, kSymbol, kSpecial, kVector, kAddress, kPair, kSink
  };
  Kind kind = Kind::kSink;
  bool negated = false;       // !p
  bool single = false;        // kFloat: written as 0f…, a float32
  bool as_bits = false;       // kFloat: written as 0f… or 0d…
  Location location;
  uint32_t index = 0;         // kRegister: its number
  uint64_t bits = 0;          // kInteger: the value; kFloat: bits of the double, or of the float32
  int64_t offset = 0;         // kAddress and kSymbol: what is added
  std::string name;           // kSymbol, kSpecial ("%tid.x")
  std::vector<Operand> parts; // kVector: elements; kAddress: the base; kPair: the two destinations of a|b
};

struct Instruction {
  Location location;
  std::string opcode; // "ld.global.v4.b32"
  int32_t guard = -1; // number of the predicate register, or -1
  bool guard_negated = false;
  uint32_t scope = 0;
  uint32_t source_file = 0, source_line = 0; // of the last .loc; 0 where there was none
  std::vector<Operand> operands;
};

struct Label {
  std::string name;
  uint32_t scope = 0;
  uint32_t instruction = 0;         // the one that follows
  std::vector<std::string> targets; // of .branchtargets and .calltargets
  bool is_prototype = false;        // .callprototype or .calltargets
};

/// An .entry or a .func. What a .func takes and gives, and the .param variables of a body's calls, lie in local memory.
struct Kernel {
  std::string name;
  Location location;
  bool is_entry = true;
  bool has_body = true; // false: a declaration, of what is defined elsewhere
  std::vector<Variable> parameters;
  std::vector<Variable> results; // of a .func
  uint32_t parameter_bytes = 0;
  std::vector<Variable> variables; // .shared, .local and .param of this body; those of inner braces have "@number" behind their names
  std::vector<Register> registers;
  std::vector<Instruction> instructions;
  std::vector<Label> labels;
  std::vector<uint32_t> scope_parents; // scope 0 is the function's body
  uint32_t max_threads[3] = {0, 0, 0};      // .maxntid, zeros where not given
  uint32_t required_threads[3] = {0, 0, 0}; // .reqntid
  uint32_t last_line = 0;
  std::shared_ptr<const SourceText> source;
};

struct Module {
  uint32_t version = 0; // 8.7 is 87
  std::string target;   // "sm_80"
  uint32_t address_bits = 64;
  std::vector<Variable> variables; // .global, .const, and .shared of the module
  std::vector<Kernel> kernels;
  std::vector<Kernel> functions; // each name once

  /// Number of the function of that name, or -1.
  int find_function(std::string_view name) const {
    for (size_t i = 0; i < functions.size(); i++)
      if (functions[i].name == name)
        return static_cast<int>(i);
    return -1;
  }
};

/// Functions have addresses where no memory is.
inline constexpr uint64_t kCodeWindow = 0x0000'0500'0000'0000;
inline constexpr uint64_t kCodeStride = 16;
inline uint64_t code_address(int function) { return kCodeWindow + kCodeStride * static_cast<uint64_t>(function + 1); }

} // namespace tenon::emulator
