/// The figures of each target that schedules are chosen by: one table, one entry a target.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>

namespace tenon {

struct TargetFigures {
  llvm::StringLiteral name;
  bool gpu;
  int64_t lanes;            ///< float32 elements of a vector; threads of a warp
  int64_t registers;        ///< vector registers; 32-bit registers a thread
  int64_t sharedBytes;      ///< of a block's shared memory; of the first-level data cache of a core
  int64_t secondLevelBytes; ///< second-level cache: of the chip on a GPU, of a core on the host
  int64_t tileQueries;      ///< preferred tiles
  int64_t tileKeys;
  bool bfloat16Products = false; ///< host: bfloat16 multiplies faster than float32
  bool tileUnits = false;        ///< host: by tiles of 32 columns and terms

  /// Whether a tile of so many queries multiplies as bfloat16 on the host. Tile units take 32; fewer queries wait for
  /// their keys, and need none.
  bool multipliesBFloat16(int64_t queries) const { return bfloat16Products && (!tileUnits || queries >= 32); }
};

/// GPUs: CUDA C++ Programming Guide 13.0, "Technical Specifications per Compute Capability" (maximum
/// shared memory per thread block), and the chips' white papers for the caches. Hosts: the smallest caches
/// of the processors of that level (Intel optimization manual, chapter 2; AMD 57647, chapter 2).
llvm::ArrayRef<TargetFigures> allTargetFigures();

/// By name; a trailing `a` (sm_90a) does not change the figures. Null for an unknown name.
const TargetFigures *findTargetFigures(llvm::StringRef name);

/// The names of the table, separated by commas.
std::string targetFigureNames();

} // namespace tenon
