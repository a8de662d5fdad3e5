/// GFLOP/s over length as a picture, for READMEs: SVG, with nothing to load and no script.
#pragma once

#include "bench/Beside.h"
#include "bench/Measurement.h"

#include <string>
#include <vector>

namespace tenon::command {

/// One panel for each combination of type and mask among the cases: the bound, Tenon, and whoever stands beside.
std::string length_picture(const std::vector<ShapeCase> &cases, const HostPeaks &peaks,
                           const Beside &beside);

} // namespace tenon::command
