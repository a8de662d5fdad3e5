/// Static figures of the loop of a kernel that holds most tensor-core work, from SASS.
///
/// The text is that of `nvdisasm -c -hex`. A loop's *usual path* is the way through it with the most asynchronous
/// copies, then the fewest instructions, so that code which is skipped almost always is not counted.
#pragma once

#include <optional>
#include <string>

namespace tenon::benchmarks {

struct SassLoop {
  int instructions = 0; ///< of the usual path
  int products = 0;     ///< mma.m16n8k16 of it
  int stall = 0;        ///< sum of the stall counts: the least cycles that a lone warp needs for a turn
  double fragments = 0; ///< ldmatrix.x4

  /// Warp instructions for each (query, key) that a lane owns.
  double perScore(double scores) const { return instructions / scores; }
  /// The share of the tensor cores' peak that one warp alone could reach; `width` of query, key and value.
  double lone(double scores, int width) const { return useful(scores, width) / stall; }
  /// Cycles of shared memory over cycles of tensor cores: 512 bytes of ldmatrix.x4 for four quarters of a
  /// multiprocessor at 128 bytes a cycle.
  double sharedMemory(double scores, int width) const { return 16 * fragments / useful(scores, width); }
  /// Cycles of the products that the algorithm needs: a score of 32 lanes takes 2 · width multiply-adds for each, an
  /// mma.m16n8k16 does 2048 in 8 cycles.
  static double useful(double scores, int width) { return scores * width / 32 * 8; }
};

/// Of the loop with most products in the text of a cubin, which may hold kernels for few queries besides; nothing where no
/// loop has tensor-core work.
std::optional<SassLoop> mainLoop(const std::string &sass);

} // namespace tenon::benchmarks
