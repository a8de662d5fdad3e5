#include "driver/Jit.h"
#include <algorithm>
#include <cstring>

namespace tenon::emulator {

Status JitOptions::read(unsigned count, const int *options, void **values) {
  if (count && (!options || !values))
    return kInvalidValue;
  for (unsigned i = 0; i < count; i++) {
    if (options[i] < 0 || options[i] >= kJitLastOption)
      return kInvalidValue;
    auto number = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(values[i]));
    Log &log = options[i] == kJitInfoLogBuffer || options[i] == kJitInfoLogBufferBytes ? info_ : error_;
    switch (options[i]) {
    case kJitMaxRegisters:
      most_registers = number;
      break;
    case kJitInfoLogBuffer:
    case kJitErrorLogBuffer:
      log.buffer = static_cast<char *>(values[i]);
      break;
    case kJitInfoLogBufferBytes:
    case kJitErrorLogBufferBytes:
      log.room = number;
      log.written = &values[i];
      break;
    case kJitLogVerbose:
      verbose_ = number != 0;
      break;
    case kJitWallTime:
      wall_time_ = &values[i];
      break;
    default: // how to optimise, what to keep for a debugger: nothing is assembled
      break;
    }
  }
  return kSuccess;
}

void JitOptions::write(const Log &log, const std::string &text) {
  size_t kept = 0;
  if (log.buffer && log.room) {
    kept = std::min(text.size(), log.room - 1);
    std::memcpy(log.buffer, text.data(), kept);
    log.buffer[kept] = 0;
  }
  if (log.written)
    *log.written = reinterpret_cast<void *>(kept);
}

void JitOptions::write(const std::string &error, const ModuleObject *module) const {
  std::string info;
  if (verbose_ && module)
    for (const auto &function : module->functions)
      info += "info    : Function properties for '" + function->kernel->name + "': used " +
              std::to_string(function->registers) + " registers, " + std::to_string(function->program.static_shared) +
              " bytes smem, " + std::to_string(function->program.local_bytes) + " bytes lmem\n";
  write(error_, error);
  write(info_, info);
  if (wall_time_)
    *wall_time_ = nullptr; // as a float: no time to speak of
}

} // namespace tenon::emulator
