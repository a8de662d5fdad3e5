// The options of the just-in-time assembler, as cuModuleLoadDataEx, cuLinkCreate and cuLibraryLoadData take them.
#pragma once
#include "driver/Driver.h"

namespace tenon::emulator {

class JitOptions {
public:
  /// kInvalidValue for an option that does not exist.
  Status read(unsigned count, const int *options, void **values);
  /// Fills the buffers: what was refused, or, where it was asked for, what was assembled.
  void write(const std::string &error, const ModuleObject *module) const;

  uint32_t most_registers = 0; // 0: no limit

private:
  struct Log {
    char *buffer = nullptr;
    size_t room = 0;
    void **written = nullptr; // gets the number of bytes
  };
  static void write(const Log &log, const std::string &text);
  Log info_, error_;
  void **wall_time_ = nullptr;
  bool verbose_ = false;
};

} // namespace tenon::emulator
