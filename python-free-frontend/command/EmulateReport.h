/// What `tenon emulate` prints: findings in the manner of compute-sanitizer, and counts.
#pragma once

#include "Command.h"

namespace tenon::command {

/// `findings`: an array of what the emulator reported. Ends with a line that says how many there
/// are.
std::string findings_text(const Json &findings);

/// Instructions by kind, divergence, use of shared and global memory; for lines that take more
/// wavefronts or sectors than they need, or for all that touch memory, one row each with the text
/// of the line.
std::string counters_text(const Json &counters, const std::string &ptx, bool all_lines);

/// Of a description by tenonEmulatorDescribe: each kernel with its parameters.
std::string kernels_text(const Json &description);

} // namespace tenon::command
