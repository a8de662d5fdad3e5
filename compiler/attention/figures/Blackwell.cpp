#include "compiler/attention/figures/GpuFigures.h"

using namespace tenon;

// NVIDIA RTX Blackwell GPU Architecture, appendix A (RTX 5090): 209.5 TFLOPS of float16 with float32 accumulators,
// 104.8 of TF32 and of float32 at 2,407 MHz on 170 multiprocessors. sm_100 and sm_103 keep mma.sync beside
// tcgen05: no paper gives its rate, that of sm_90 is taken; sm_103 has twice the ex2 of sm_100 (NVIDIA, "Inside
// NVIDIA Blackwell Ultra", 2025).
// The second-level cache's figures are assumed.
static constexpr GpuFigures kFigures[] = {
    {.name = "sm_100", .sharedBytesOfBlock = 227 << 10, .sharedBytesOfAll = 228 << 10, .warps = 64,
     .half = 1270, .tf32 = 635, .float32 = 128, .special = 16, .secondLevelBytes = 32, .secondLevelLatency = 261},
    {.name = "sm_103", .sharedBytesOfBlock = 227 << 10, .sharedBytesOfAll = 228 << 10, .warps = 64,
     .half = 1270, .tf32 = 635, .float32 = 128, .special = 32, .secondLevelBytes = 32, .secondLevelLatency = 261},
    {.name = "sm_120", .sharedBytesOfBlock = 99 << 10, .sharedBytesOfAll = 100 << 10, .warps = 48,
     .widestOfTwoFragments = 96, .half = 256, .tf32 = 128, .float32 = 128, .special = 16, .secondLevelBytes = 16, .secondLevelLatency = 273},
};
const llvm::ArrayRef<GpuFigures> tenon::kBlackwell = kFigures;
