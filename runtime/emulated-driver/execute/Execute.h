// One executor for each instruction set of the host; the best that the processor has is chosen when first asked for.
#pragma once
#include "execute/Warp.h"
#include <initializer_list>

namespace tenon::emulator {

/// Handlers of the rows of one part of the table of opcodes.
struct HandlerTable {
  const Handler *handlers;
  int count;
};

struct Executor {
  const char *name; // "avx512", "avx2", "baseline"
  HandlerTable integers, floats, conversions, memory, control; // in the order of Instructions.def
  Handler mark_written;      // operand 0: the mask of lanes that have written a register
  Handler check_written;
  Handler load_parameter[7]; // of u8, s8, u16, s16, u32, s32, u64
  Stop (*run_warp)(Warp &);

  /// Handler of a row of the table of opcodes.
  Handler handler(int row) const {
    for (const HandlerTable *part : {&integers, &floats, &conversions, &memory}) {
      if (row < part->count)
        return part->handlers[row];
      row -= part->count;
    }
    return control.handlers[row];
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
