#include "compiler/attention/Targets.h"

using namespace tenon;

// 16 registers of 8 lanes: two of queries, 6 columns of two sums each (host/RegisterTiles.cpp).
static constexpr TargetFigures kFigures[] = {
    {.name = "host:x86-64-v3", .gpu = false, .lanes = 8, .registers = 16, .sharedBytes = 0, .secondLevelBytes = 0,
     .tileQueries = 16},
};
const llvm::ArrayRef<TargetFigures> tenon::kAvx2 = kFigures;
