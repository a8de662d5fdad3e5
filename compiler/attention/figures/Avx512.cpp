#include "compiler/attention/Targets.h"

using namespace tenon;

// 32 registers of 16 lanes: four of queries, up to 6 columns of four sums each (host/RegisterTiles.cpp). Zen 4 and 5 multiply
// bfloat16 at twice the rate of float32 by vdpbf16ps (AMD 57647, "Floating-point execution unit").
static constexpr TargetFigures kFigures[] = {
    {.name = "host:x86-64-v4", .gpu = false, .lanes = 16, .registers = 32, .sharedBytes = 0, .secondLevelBytes = 0,
     .tileQueries = 64},
    {.name = "host:x86-64-v4+bf16", .gpu = false, .lanes = 16, .registers = 32, .sharedBytes = 0, .secondLevelBytes = 0,
     .tileQueries = 64, .bfloat16Products = true},
};
const llvm::ArrayRef<TargetFigures> tenon::kAvx512 = kFigures;
