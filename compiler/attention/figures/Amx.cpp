#include "compiler/attention/Targets.h"

using namespace tenon;

// Xeons from Sapphire Rapids on: beside tile units vdpbf16ps takes the time of two multiply-adds, and is not used. In
// float32 blocks of 96 keys took 1 to 8 % less time there than those of 192, which fill the first-level cache.
static constexpr TargetFigures kFigures[] = {
    {.name = "host:x86-64-v4+amx", .gpu = false, .lanes = 16, .registers = 32, .sharedBytes = 0, .secondLevelBytes = 0,
     .tileQueries = 64, .bfloat16Products = true, .tileUnits = true, .mostKeys = 96},
    {.name = "host:x86-64-v4+amx-emulated", .gpu = false, .lanes = 16, .registers = 32, .sharedBytes = 0,
     .secondLevelBytes = 0, .tileQueries = 64, .bfloat16Products = true, .tileUnits = true, .mostKeys = 96},
};
const llvm::ArrayRef<TargetFigures> tenon::kAmx = kFigures;
