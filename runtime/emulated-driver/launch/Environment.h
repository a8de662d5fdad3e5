// What the environment asks of launches, and whether what it asks of the emulator makes sense: a typing error must not become
// a test of something else. TENON_EMULATOR_CHECK and TENON_EMULATOR_REPORT are the report's (launch/Report.h).
#pragma once
#include "launch/Schedule.h"

namespace tenon::emulator {

struct LaunchSettings {
  Schedule schedule;            // TENON_EMULATOR_SCHEDULE
  uint64_t timeout_seconds = 600; // TENON_EMULATOR_TIMEOUT
  uint64_t budget = 0;          // TENON_EMULATOR_BUDGET: warp instructions that one host thread may execute; 0: no limit
};

/// What the environment says now; the defaults where it says nothing, or nothing that makes sense.
LaunchSettings launch_settings();
/// TENON_EMULATOR_THREADS, or 0.
unsigned threads_of_environment();
/// False, and each told on standard error, where variables have values that make no sense.
bool environment_makes_sense();

} // namespace tenon::emulator
