#include "compiler/attention/figures/GpuFigures.h"

using namespace tenon;

// NVIDIA Ada GPU Architecture, appendix A (RTX 4090): 165.2 TFLOPS of float16 with float32 accumulators, 82.6 of
// TF32 and of float32 at 2,520 MHz on 128 multiprocessors. Latency of the second-level cache: Luo et al., 2024 (see
// Ampere.cpp); its bytes a cycle are assumed.
static constexpr GpuFigures kFigures[] = {
    {.name = "sm_89", .sharedBytesOfBlock = 99 << 10, .sharedBytesOfAll = 100 << 10, .warps = 48,
     .widestOfTwoFragments = 96, .half = 256, .tf32 = 128, .float32 = 128, .special = 16, .secondLevelBytes = 12, .secondLevelLatency = 273},
};
const llvm::ArrayRef<GpuFigures> tenon::kAda = kFigures;
