/// What the emulated driver counted of one kernel while it ran, set against the text of its PTX.
#pragma once

#include <cstdint>
#include <string>

namespace tenon::benchmarks {

struct Traffic {
  uint64_t used = 0, ideal = 0; ///< wavefronts of shared memory, or sectors of 32 bytes of global memory
  uint64_t excess() const { return used - ideal; }
};

struct EmulatedRun {
  uint64_t warpInstructions = 0;   ///< of the whole kernel, as PTX
  Traffic shared, sharedInLoop;    ///< excess: bank conflicts
  Traffic global;
  uint64_t turns = 0, rare = 0;    ///< of a warp in the loop of open blocks: all; those that left the usual path
  std::string findings;            ///< of the checkers, one a line; empty where there are none
};

/// The emulated driver that the device opened in this process.
class Emulator {
public:
  /// Opens the library at `path`, which the device has open. False: it is not there.
  bool open(const std::string &path);
  /// Forgets what was counted and found.
  void clear() const;
  /// Since then. `ptx` is the text of the one kernel that ran.
  EmulatedRun read(const std::string &ptx) const;

private:
  std::string text(const char *entry) const;
  void *library_ = nullptr;
};

} // namespace tenon::benchmarks
