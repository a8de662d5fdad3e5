/// File calls of the library that fail when they are told to: the program's own definitions of the C
/// library's functions come first, for every library of the process.
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
  /// How many calls were made so far, and the name of the one that failed ("" if none did).
  static int calls();
  static const char *failed();
};

/// False under a sanitizer, which has definitions of its own.
bool can_interpose();

} // namespace tenon::testing
