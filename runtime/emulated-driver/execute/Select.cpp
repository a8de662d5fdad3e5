#include "execute/Execute.h"
#include <cstdlib>
#include <initializer_list>
#include <cstring>

namespace tenon::emulator {

const Executor *executor_named(const char *name) {
#ifdef TENON_EMULATOR_X86
  if (!std::strcmp(name, "avx512"))
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                   __builtin_cpu_supports("fma")
               ? &avx512_executor()
               : nullptr;
  if (!std::strcmp(name, "avx2"))
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &avx2_executor() : nullptr;
#endif
  return std::strcmp(name, "baseline") ? nullptr : &baseline_executor();
}

const Executor &executor() {
  static const Executor *chosen = [] {
    const char *asked = std::getenv("TENON_EMULATOR_ISA");
    const Executor *found = asked ? executor_named(asked) : nullptr;
    for (const char *name : {"avx512", "avx2", "baseline"})
      if (!found)
        found = executor_named(name);
    return found;
  }();
  return *chosen;
}

} // namespace tenon::emulator
