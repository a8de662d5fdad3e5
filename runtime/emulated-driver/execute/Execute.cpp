// Compiled once for each part of the table of opcodes and each instruction set: TENON_ISA names the set, TENON_PART the
// part, of TENON_EXECUTOR_PARTS.
#define TENON_TEXT_OF(x) #x
#define TENON_TEXT(x) TENON_TEXT_OF(x)
#define TENON_JOIN_OF(a, b) a##b
#define TENON_JOIN(a, b) TENON_JOIN_OF(a, b)

#include "execute/Execute.h"
#include "execute/Barrier.h"
#include "execute/Control.h"
#include "execute/Convert.h"
#include "execute/Float.h"
#include "execute/Integer.h"
#include "execute/Memory.h"
#include "execute/MatrixMove.h"
#include "execute/Perturb.h"
#include "execute/RunWarp.h"
#include "execute/TensorCore.h"
#include "execute/TensorCoreIntegers.h"
#include "execute/Wmma.h"

namespace tenon::emulator {
namespace TENON_ISA {
namespace {
constexpr Handler kHandlers[] = {
#define INSTRUCTION(spelling, operands, kind, ...) &__VA_ARGS__,
#include TENON_TEXT(execute/TENON_PART.def)
#undef INSTRUCTION
};
} // namespace
HandlerTable TENON_JOIN(TENON_PART, Handlers)() {
  return {kHandlers, static_cast<int>(sizeof(kHandlers) / sizeof(kHandlers[0]))};
}
#define TENON_DECLARE_PART(part) HandlerTable part##Handlers();
TENON_EXECUTOR_PARTS(TENON_DECLARE_PART)
} // namespace TENON_ISA

#ifdef TENON_EXECUTOR // the part that also makes the executor
const Executor &TENON_JOIN(TENON_ISA, _executor)() {
  using namespace TENON_ISA;
#define TENON_CALL_PART(part) part##Handlers(),
  static const Executor executor{
      TENON_TEXT(TENON_ISA),
      {TENON_EXECUTOR_PARTS(TENON_CALL_PART)},
      &mark_written,
      &check_written,
      {&load_parameter<u8>, &load_parameter<s8>, &load_parameter<u16>, &load_parameter<s16>, &load_parameter<u32>,
       &load_parameter<s32>, &load_parameter<u64>},
      &run_warp};
  return executor;
}
#endif

} // namespace tenon::emulator
