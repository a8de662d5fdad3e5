/// The figures of each target that schedules are chosen by: one table of GPUs, whose cost model has more in figures/, and
/// for hosts one file a family of processors there.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <optional>
#include <string>

namespace tenon {

struct TargetFigures {
  llvm::StringLiteral name;
  bool gpu;
  int64_t lanes;            ///< float32 elements of a vector; threads of a warp
  int64_t registers;        ///< vector registers; 32-bit registers a thread
  int64_t sharedBytes;      ///< of a block's shared memory; of the first-level data cache of a core
  int64_t secondLevelBytes; ///< second-level cache: of the chip on a GPU, of a core on the host
  // Of hosts.
  int64_t tileQueries = 0;       ///< of a block: as many vectors as register tiles take
  bool bfloat16Products = false; ///< bfloat16 multiplies faster than float32
  bool tileUnits = false;        ///< by tiles of 32 columns and terms
  int64_t mostKeys = 192;        ///< of a block that vectors compute

  /// Whether a tile of so many queries multiplies as bfloat16 on the host. Tile units take 32; fewer queries wait for
  /// their keys, and need none.
  bool multipliesBFloat16(int64_t queries) const { return bfloat16Products && (!tileUnits || queries >= 32); }
};

/// By a name of tenon/Target.h. A trailing `a` (sm_90a) does not change the figures; a host's caches are those that the
/// name gives (host:x86-64-v4:l1=48K), else the level's. Nothing for an unknown name.
std::optional<TargetFigures> findTargetFigures(llvm::StringRef name);

/// The names of all targets, separated by commas.
std::string targetFigureNames();

/// Hosts by family, without their caches.
extern const llvm::ArrayRef<TargetFigures> kAvx2, kAvx512, kAmx;

} // namespace tenon
