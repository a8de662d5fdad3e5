#include "compiler/attention/figures/GpuFigures.h"

using namespace tenon;

// NVIDIA H100 Tensor Core GPU Architecture, table 3: 989 TFLOPS of float16, 494 of TF32, 67 of float32 at
// 1,830 MHz on 132 multiprocessors, by wgmma; mma.sync reaches 62 % of it, and the second-level cache has this latency
// (Luo et al., 2024: see Ampere.cpp); its bytes a cycle are assumed.
static constexpr GpuFigures kFigures[] = {
    {.name = "sm_90", .sharedBytesOfBlock = 227 << 10, .sharedBytesOfAll = 228 << 10, .warps = 64,
     .twoFragmentsDrop = true, .half = 1270, .tf32 = 635, .float32 = 128, .special = 16, .secondLevelBytes = 32, .secondLevelLatency = 261},
};
const llvm::ArrayRef<GpuFigures> tenon::kHopper = kFigures;
