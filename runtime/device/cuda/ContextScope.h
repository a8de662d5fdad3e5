/// Makes a context current for a scope; nothing is done where it is current already.
#pragma once

#include "device/cuda/DriverTable.h"

namespace tenon::cuda {

class ContextScope {
public:
  ContextScope(const DriverTable &driver, Context context) : driver_(driver) {
    Context current = nullptr;
    if (driver.context_current(&current) != kSuccess || current != context)
      pushed_ = driver.context_push(context) == kSuccess;
  }
  ~ContextScope() {
    Context popped = nullptr;
    if (pushed_)
      driver_.context_pop(&popped);
  }
  ContextScope(const ContextScope &) = delete;
  ContextScope &operator=(const ContextScope &) = delete;

private:
  const DriverTable &driver_;
  bool pushed_ = false;
};

} // namespace tenon::cuda
