// A kernel made ready to run: operations with handlers, registers laid out, constants and special registers in place.
#pragma once
#include "decode/Opcodes.h"
#include "execute/Execute.h"
#include "ptx/Module.h"
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <variant>

namespace tenon::emulator {

enum class SpecialRegister : uint8_t {
  kThreadX, kThreadY, kThreadZ, kThreadsX, kThreadsY, kThreadsZ,
  kBlockX, kBlockY, kBlockZ, kBlocksX, kBlocksY, kBlocksZ,
  kLane, kWarp, kWarps, kMultiprocessor, kMultiprocessors, kGrid,
  kMaskEqual, kMaskLessEqual, kMaskLess, kMaskGreaterEqual, kMaskGreater,
  kDynamicShared, kTotalShared, kZero, kOne,
  kGridWorkspaceLow, kGridWorkspaceHigh, // of a cooperative launch: where its blocks count who came to a grid barrier
  kReservedEnd, kReservedSecond, // of the shared memory that the system keeps, %reserved_smem_offset_end and _1
};

/// A special register or a constant that the start of a warp puts at `offset` of its registers.
struct SpecialSlot {
  SpecialRegister which;
  uint8_t width;
  uint32_t offset;
};
struct ConstantSlot {
  uint64_t bits;
  uint8_t width;
  uint32_t offset;
  bool in_frame; // an address in local memory: what a call's frame starts at is added
};

/// A pseudo-operation that the decoder adds is not counted and belongs to the instruction behind it.
inline constexpr uint8_t kPseudo = 255;

inline constexpr uint64_t kFrameAlignment = 16; // of a call's local memory

/// Shared memory that the system keeps for itself: 1 KB from sm_80 on, CUDA programming guide, table of technical
/// specifications. Cooperative groups of several warps have their barriers there. Here it stands in front of a block's own, of
/// the kernels that name it; those of all others begin at 0.
inline constexpr uint64_t kSystemShared = 1024, kSecondReserved = 512; // _1 of %reserved_smem_offset_<2> is at the second

/// Bytes of local memory that carry an argument or a result.
struct ParameterPlace {
  uint32_t offset;
  uint32_t bytes;
};

/// Functions that the driver provides: a program declares and calls them.
enum class Builtin : uint8_t { kNone, kPrint, kAssert };

/// One .entry or .func of a program, and what one call of it needs.
struct FunctionCode {
  const Kernel *source = nullptr;
  Builtin builtin = Builtin::kNone;
  uint32_t first_op = 0, end_op = 0;
  std::vector<ConstantSlot> constants;
  std::vector<SpecialSlot> specials;
  std::vector<uint32_t> written_masks;  // zeroed when lanes enter
  uint32_t register_bytes = 0;          // of one warp
  uint64_t local_bytes = 0;             // of its frame
  std::vector<ParameterPlace> parameters, results; // in its frame
};

/// What follows a call's operation in Op::more: the number of results, for each its place in the caller's frame, then the
/// same for the arguments.
inline constexpr uint32_t kNoFunction = ~0u; // Op::target of an indirect call

struct Program {
  std::vector<Op> ops;
  std::vector<uint32_t> more; // operands that Op::more points to
  std::vector<int16_t> rows;  // of the table of opcodes, for each operation; -1 for what the decoder added
  std::vector<const Instruction *> instructions; // of all functions; Op::instruction is an index, the kernel's come first
  std::vector<FunctionCode> functions;           // the kernel is the first
  std::vector<uint32_t> function_at;             // for each function of the module its number here, or kNoFunction
  std::vector<std::string> suspect_registers; // registers that a path reads unwritten, for findings
  uint32_t register_count = 0; // 32-bit registers a thread would need without reuse across classes
  uint64_t reserved_shared = 0; // kSystemShared or none; not counted in what follows
  uint64_t static_shared = 0;
  uint64_t local_bytes = 0; // of one thread: the kernel's, and the stack of its calls
  uint32_t parameter_bytes = 0;
  bool has_dynamic_shared = false;

  const FunctionCode &kernel() const { return functions.front(); }
  bool reads(SpecialRegister which) const {
    for (const FunctionCode &function : functions)
      for (const SpecialSlot &slot : function.specials)
        if (slot.which == which)
          return true;
    return false;
  }
  /// The return that the decoder adds where a function's text ends.
  bool is_added_return(size_t op) const {
    for (const FunctionCode &function : functions)
      if (function.end_op == op + 1)
        return true;
    return false;
  }
  /// The instruction of an operation, for findings and counts; nullptr in an empty kernel.
  const Instruction *instruction(const Op &op) const {
    return op.instruction < instructions.size() ? instructions[op.instruction] : nullptr;
  }
};

std::optional<uint64_t> perturbation_of_environment();

/// What the decoder must know of its surroundings.
struct DecodeContext {
  const Module *module = nullptr;
  const Executor *executor = nullptr;
  bool tensor_cores_fuse_whole_k = false;
  /// Approximate instructions err within their bounds, by this seed: TENON_EMULATOR_PERTURB.
  std::optional<uint64_t> perturbation = perturbation_of_environment();
  std::unordered_map<std::string, uint64_t> global_addresses; // device addresses of the module's variables
};

/// The kernel with every function that it may call.
std::variant<Program, Diagnostic> decode(const Kernel &kernel, const DecodeContext &context);
/// The first refusal of a function of the module that no kernel calls, if any.
std::optional<Diagnostic> check_functions(const DecodeContext &context);
/// Fills in what initialisers say of addresses; `bytes(variable)` is where a variable's lie.
std::optional<Diagnostic> relocate(const DecodeContext &context, const std::function<std::byte *(const Variable &)> &bytes);

} // namespace tenon::emulator
