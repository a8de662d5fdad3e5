/// Inside the interpreter: a loop over rows, spread over the threads of the host program.
#pragma once

#include "tenon/FloatingPointMode.h"
#include "tenon/Parallel.h"

#include <algorithm>
#include <cstdint>

namespace tenon::interpreter {

/// Calls body(first, last) on parts that cover [0, count) once. `cost`: about how many elementary
/// steps one of `count` takes; a part has at least kStepsPerPart of them, so that little work stays
/// here.
template <typename Body> void for_blocks(int64_t count, int64_t cost, const Body &body) {
  constexpr int64_t kStepsPerPart = 1 << 16;
  const int64_t part = std::max<int64_t>(1, kStepsPerPart / std::max<int64_t>(1, cost));
  const int64_t parts = (count + part - 1) / part;
  parallel_for(parts, [&](int64_t i) {
    const FloatingPointMode mode(Subnormals::kKept); // of this thread
    body(i * part, std::min(count, (i + 1) * part));
  });
}

} // namespace tenon::interpreter
