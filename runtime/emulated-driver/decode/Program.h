// A kernel made ready to run: operations with handlers, registers laid out, constants and special registers in place.
#pragma once
#include "decode/Opcodes.h"
#include "execute/Execute.h"
#include "ptx/Module.h"
#include <memory>
#include <unordered_map>
#include <variant>

namespace tenon::emulator {

enum class SpecialRegister : uint8_t {
  kThreadX, kThreadY, kThreadZ, kThreadsX, kThreadsY, kThreadsZ,
  kBlockX, kBlockY, kBlockZ, kBlocksX, kBlocksY, kBlocksZ,
  kLane, kWarp, kWarps, kMultiprocessor, kMultiprocessors, kGrid,
  kMaskEqual, kMaskLessEqual, kMaskLess, kMaskGreaterEqual, kMaskGreater,
  kDynamicShared, kTotalShared, kZero, kOne,
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
};

/// A pseudo-operation that the decoder adds is not counted and belongs to the instruction behind it.
inline constexpr uint8_t kPseudo = 255;

struct Program {
  std::vector<Op> ops;
  std::vector<uint32_t> more; // operands that Op::more points to
  std::vector<int16_t> rows;  // of the table of opcodes, for each operation; -1 for what the decoder added
  std::vector<ConstantSlot> constants;
  std::vector<SpecialSlot> specials;
  std::vector<uint32_t> written_masks; // zeroed when a warp starts
  std::vector<std::string> suspect_registers; // registers that a path reads unwritten, for findings
  uint32_t register_bytes = 0; // of one warp
  uint32_t register_count = 0; // 32-bit registers a thread would need without reuse across classes
  uint64_t static_shared = 0;
  uint64_t local_bytes = 0;
  uint32_t parameter_bytes = 0;
  bool has_dynamic_shared = false;
};

/// What the decoder must know of its surroundings.
struct DecodeContext {
  const Module *module = nullptr;
  const Executor *executor = nullptr;
  bool tensor_cores_fuse_whole_k = false;
  std::unordered_map<std::string, uint64_t> global_addresses; // device addresses of the module's variables
};

std::variant<Program, Diagnostic> decode(const Kernel &kernel, const DecodeContext &context);

} // namespace tenon::emulator
