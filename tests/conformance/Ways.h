/// How the cases are run: every way, and of the host every level that this machine executes.
#pragma once

#include "Cases.h"

namespace tenon::conformance {

struct RunWay {
  std::string name;    ///< an identifier
  Way way;
  std::string target;  ///< "" for the device's best
  std::string missing; ///< why this machine cannot run it; "" where it can
};

inline void PrintTo(const RunWay &way, std::ostream *out) { *out << way.name; }

const std::vector<RunWay> &ways();
std::vector<RunWay> host_ways(); ///< those by the host's code

} // namespace tenon::conformance
