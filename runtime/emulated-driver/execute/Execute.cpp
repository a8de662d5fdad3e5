// Compiled once for each instruction set, with TENON_ISA naming it.
#define TENON_CONCATENATE(a, b) a##b
#define TENON_EXECUTOR(isa) TENON_CONCATENATE(isa, _executor)
#define TENON_TEXT(x) #x
#define TENON_NAME(isa) TENON_TEXT(isa)

#include "execute/Execute.h"
#include "execute/Control.h"
#include "execute/Convert.h"
#include "execute/Float.h"
#include "execute/Integer.h"
#include "execute/Memory.h"
#include "execute/TensorCore.h"

namespace tenon::emulator {
namespace TENON_ISA {
namespace {
const Handler kHandlers[] = {
#define INSTRUCTION(spelling, operands, kind, ...) &__VA_ARGS__,
#include "execute/Instructions.def"
#undef INSTRUCTION
};
} // namespace
} // namespace TENON_ISA

const Executor &TENON_EXECUTOR(TENON_ISA)() {
  using namespace TENON_ISA;
  static constexpr Executor executor{
      TENON_NAME(TENON_ISA), kHandlers, &mark_written, &check_written,
      {&load_parameter<u8>, &load_parameter<s8>, &load_parameter<u16>, &load_parameter<s16>,
       &load_parameter<u32>, &load_parameter<s32>, &load_parameter<u64>}, &run_warp};
  return executor;
}

} // namespace tenon::emulator
