#include "compiler/attention/figures/GpuFigures.h"

using namespace tenon;

// NVIDIA A100 Tensor Core GPU Architecture, table 1: 312 TFLOPS of float16, 156 of TF32, 19.5 of float32 at
// 1,410 MHz on 108 multiprocessors. NVIDIA Ampere GA102 GPU Architecture, appendix A (RTX 3090): 71 TFLOPS of
// float16 with float32 accumulators, 35.6 of TF32 and of float32 at 1,695 MHz on 82. Second-level cache of A100:
// 5,120 bytes a cycle (the same paper); latency as measured by Luo et al., "Benchmarking and Dissecting the Nvidia
// Hopper GPU Architecture via Microbenchmarking", 2024. Nobody gives the cache of the smaller chips: two thirds of
// A100's bytes are assumed, and its latency; of sm_87 (Orin) half the tensor cores of A100.
static constexpr GpuFigures kFigures[] = {
    {.name = "sm_80", .sharedBytesOfBlock = 163 << 10, .sharedBytesOfAll = 164 << 10, .warps = 64,
     .twoFragmentsDrop = true, .half = 1024, .tf32 = 512, .float32 = 64, .special = 16, .secondLevelBytes = 47, .secondLevelLatency = 262},
    {.name = "sm_86", .sharedBytesOfBlock = 99 << 10, .sharedBytesOfAll = 100 << 10, .warps = 48,
     .widestOfTwoFragments = 96, .half = 256, .tf32 = 128, .float32 = 128, .special = 16, .secondLevelBytes = 31, .secondLevelLatency = 262},
    {.name = "sm_87", .sharedBytesOfBlock = 163 << 10, .sharedBytesOfAll = 164 << 10, .warps = 48,
     .twoFragmentsDrop = true, .half = 512, .tf32 = 256, .float32 = 128, .special = 16, .secondLevelBytes = 31, .secondLevelLatency = 262},
};
const llvm::ArrayRef<GpuFigures> tenon::kAmpere = kFigures;
