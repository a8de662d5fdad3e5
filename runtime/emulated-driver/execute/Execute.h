// One executor for each instruction set of the host; the best that the processor has is chosen when first asked for.
#pragma once
#include "execute/Warp.h"

namespace tenon::emulator {

/// Handlers of the rows of one part of the table of opcodes.
struct HandlerTable {
  const Handler *handlers;
  int count;
};

/// In the order of Instructions.def.
#define TENON_EXECUTOR_PARTS(PART) \
  PART(Integer) PART(Float) PART(Half) PART(Compare) PART(Convert) PART(Memory) PART(Atomic) PART(Control) PART(Warp) PART(Tensor) PART(Perturb)
#define TENON_COUNT_PART(part) +1
inline constexpr int kExecutorParts = 0 TENON_EXECUTOR_PARTS(TENON_COUNT_PART);

struct Executor {
  const char *name; // "avx512", "avx2", "baseline"
  HandlerTable parts[kExecutorParts];
  Handler mark_written;      // operand 0: the mask of lanes that have written a register
  Handler check_written;
  Handler load_parameter[7]; // of u8, s8, u16, s16, u32, s32, u64
  Stop (*run_warp)(Warp &);

  /// Handler of a row of the table of opcodes.
  Handler handler(int row) const {
    for (const HandlerTable &part : parts) {
      if (row < part.count)
        return part.handlers[row];
      row -= part.count;
    }
    return nullptr;
  }
};

/// The executor for this processor, or the one named by TENON_EMULATOR_ISA if the processor can run it.
const Executor &executor();
/// The one of that name, or nullptr where the processor cannot run it.
const Executor *executor_named(const char *name);

const Executor &baseline_executor();
#if defined(__x86_64__)
const Executor &avx2_executor();
const Executor &avx512_executor();
#endif

} // namespace tenon::emulator
