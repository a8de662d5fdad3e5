// What the checkers of the emulated driver found, in this process, while a case ran.
#pragma once
#include <string>

namespace tenon::conformance {

class EmulatorFindings {
public:
  EmulatorFindings();       ///< forgets what was found before
  std::string text() const; ///< empty where nothing was found, or no emulated driver is open
};

} // namespace tenon::conformance
