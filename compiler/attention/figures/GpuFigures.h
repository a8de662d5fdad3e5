/// What a GPU can do, by multiprocessor and clock cycle: the figures that GpuCost.h weighs tiles by. One file a
/// family of targets beside this one.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>

namespace tenon {

struct GpuFigures {
  llvm::StringLiteral name;

  // CUDA C++ Programming Guide 13.0, "Technical Specifications per Compute Capability".
  int64_t sharedBytesOfBlock, sharedBytesOfAll; ///< shared memory of a block; of all blocks of a multiprocessor
  int64_t warps;                                ///< that reside at once
  int64_t registers = 65536, registersOfThread = 255;
  int64_t widestOfTwoFragments = 128;           ///< beyond it ptxas 13.0 spills with 32 rows a warp
  bool twoFragmentsDrop = false;                ///< and does not with dropout

  // Multiply-adds a cycle. Tensor cores by mma.sync, with float32 accumulators.
  double half, tf32, float32;
  double special;              ///< ex2.approx a cycle: "Throughput of Native Arithmetic Instructions"
  double secondLevelBytes;     ///< from the second-level cache a cycle, all multiprocessors reading
  double sharedBytes = 128;    ///< 32 banks of 4 bytes
  double instructions = 128;   ///< of a lane: 4 schedulers of 32 lanes
  double secondLevelLatency;   ///< cycles

};

extern const llvm::ArrayRef<GpuFigures> kAmpere, kAda, kHopper, kBlackwell;

/// Null for a name that no family has.
const GpuFigures *findGpuFigures(llvm::StringRef name);

} // namespace tenon
