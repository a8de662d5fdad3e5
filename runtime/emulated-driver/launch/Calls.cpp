// Calls, as the executor asks for them.
#include "launch/Builtins.h"
#include "launch/Frames.h"
#include "launch/Launch.h"
#include <bit>
#include <cstring>

namespace tenon::emulator {
namespace {
const Program &program_of(const Warp &warp) { return *static_cast<Launch *>(warp.block->launch)->request().program; }

/// Number of the function at an address, or kNoFunction.
uint32_t function_at(const Program &program, uint64_t address) {
  uint64_t number = (address - kCodeWindow) / kCodeStride - 1;
  bool exact = address >= kCodeWindow + kCodeStride && address % kCodeStride == 0;
  return exact && number < program.function_at.size() ? program.function_at[number] : kNoFunction;
}

/// True if the call passes what the function takes and gives: a call through a pointer may not.
bool agrees(const uint32_t *places, const std::vector<ParameterPlace> &formals) {
  bool same = places[0] == formals.size();
  for (size_t i = 0; same && i < formals.size(); i++)
    same = places[2 + 2 * i] == 0 || places[2 + 2 * i] == formals[i].bytes;
  return same;
}

/// Bytes of local memory, and whether they were written.
void copy_local(Warp &warp, std::byte *to, const std::byte *from, uint32_t bytes) {
  std::memcpy(to, from, bytes);
  uint8_t *shadow = warp.block->local_shadow;
  std::memcpy(shadow + (to - warp.block->local), shadow + (from - warp.block->local), bytes);
}
/// A call's variables are fresh: what an earlier call left there was not written by this one.
void forget_local(Warp &warp, const std::byte *begin, uint64_t bytes) {
  std::memset(warp.block->local_shadow + (begin - warp.block->local), kNeverWritten, bytes);
}
} // namespace

const Op *enter_function(Warp &warp, const Op *op, uint32_t mask, uint64_t address, Frame *&frame) {
  const Program &program = program_of(warp);
  uint32_t number = op->target != kNoFunction ? op->target : function_at(program, address);
  auto refuse = [&](const char *why) -> const Op * {
    report_operation(warp, op, FindingKind::kTrap, mask, why);
    return nullptr;
  };
  if (number == kNoFunction)
    return refuse("the call's address is not that of a function");
  const FunctionCode &callee = program.functions[number];
  const uint32_t *arguments = arguments_of(op);
  if (op->target == kNoFunction && (!agrees(op->more, callee.results) || !agrees(arguments, callee.parameters)))
    return refuse("the function takes other parameters than the call passes");
  if (callee.builtin != Builtin::kNone) {
    warp.block->changes++;
    run_builtin(warp, op, mask, callee.builtin);
    return warp.stop == Stop::kFault ? nullptr : op + 1;
  }
  Frame *entered = warp.frames->enter(*warp.frame, op, number, mask);
  if (!entered)
    return refuse("the calls are too deep: the stack of local memory is full");
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    int lane = std::countr_zero(rest);
    std::byte *from = local_memory(warp, *warp.frame, lane), *to = local_memory(warp, *entered, lane);
    forget_local(warp, to, callee.local_bytes);
    for (uint32_t i = 0; i < arguments[0]; i++)
      copy_local(warp, to + callee.parameters[i].offset, from + arguments[1 + 2 * i], arguments[2 + 2 * i]);
  }
  frame = entered;
  return program.ops.data() + callee.first_op;
}

void leave_function(Warp &warp, uint32_t mask) {
  Frame &frame = *warp.frame;
  const FunctionCode &callee = program_of(warp).functions[frame.function];
  const uint32_t *results = frame.call->more;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    int lane = std::countr_zero(rest);
    std::byte *to = local_memory(warp, *frame.caller, lane), *from = local_memory(warp, frame, lane);
    for (uint32_t i = 0; i < results[0]; i++)
      copy_local(warp, to + results[1 + 2 * i], from + callee.results[i].offset, results[2 + 2 * i]);
  }
  warp.frames->leave(frame, mask);
}

void leave_all_functions(Warp &warp, uint32_t mask) {
  for (Frame *frame = warp.frame; frame->caller;) {
    Frame *caller = frame->caller;
    warp.frames->leave(*frame, mask);
    frame = caller;
  }
}

} // namespace tenon::emulator
