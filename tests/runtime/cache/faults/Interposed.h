/// File calls of the library that fail when they are told to: the program's own definitions of the
/// C library's functions come first, for every library of the process.
#pragma once

#include <vector>

namespace tenon::testing {

/// While it lives, the call of this number (from 0) that this thread makes fails with `error`.
class FailingCall {
public:
  FailingCall(int number, int error);
  ~FailingCall();
  FailingCall(const FailingCall &) = delete;
  FailingCall &operator=(const FailingCall &) = delete;
  /// The name of the call that failed; "" if none did.
  static const char *failed();
};

/// False under a sanitizer, which has definitions of its own.
bool can_interpose();

} // namespace tenon::testing
