#include "driver/DeviceModel.h"
#include "driver/CudaAbi.h"
#include <cstdio>
#include <cstdlib>
#include <string>

namespace tenon::emulator {
namespace {
// CUDA C++ programming guide, compute capabilities; data sheets of the cards.
constexpr DeviceModel kModels[] = {
    {"a100", "NVIDIA A100-SXM4-80GB (emulated)", 80, 108, 85'094'825'984, 164 * 1024, 163 * 1024, 2048, 32, 40 << 20,
     1'410'000, 1'593'000, 5120, 30 << 20, 2, 3, true, false},
    {"h100", "NVIDIA H100 80GB HBM3 (emulated)", 90, 132, 85'052'358'656, 228 * 1024, 227 * 1024, 2048, 32, 50 << 20,
     1'980'000, 2'619'000, 5120, 32 << 20, 2, 3, true, true},
    {"rtx4090", "NVIDIA GeForce RTX 4090 (emulated)", 89, 128, 25'386'352'640, 100 * 1024, 99 * 1024, 1536, 24,
     72 << 20, 2'520'000, 10'501'000, 384, 48 << 20, 64, 2, false, false},
    // How much of its cache may persist is not published: five eighths, as of an H100's. Nor is how many copies run at once.
    {"b200", "NVIDIA B200 (emulated)", 100, 148, 182'630ull << 20, 228 * 1024, 227 * 1024, 2048, 32, 253 << 19,
     1'965'000, 3'996'000, 7680, 79 << 20, 2, 4, true, true},
};
} // namespace

const DeviceModel *device_model() {
  const char *asked = std::getenv("TENON_EMULATOR_CARD");
  if (!asked || !*asked)
    return &kModels[0];
  for (const DeviceModel &model : kModels)
    if (model.key == asked)
      return &model;
  std::string known;
  for (const DeviceModel &model : kModels)
    known += (known.empty() ? "" : ", ") + std::string(model.key);
  std::fprintf(stderr, "emulator: TENON_EMULATOR_CARD: no card '%s'; known are %s\n", asked, known.c_str());
  return nullptr;
}

int device_attribute(const DeviceModel &model, int attribute) {
  struct Value {
    int attribute, value;
  };
  const Value values[] = {
      {kMaxThreadsPerBlock, 1024},
      {kMaxBlockX, 1024},
      {kMaxBlockY, 1024},
      {kMaxBlockZ, 64},
      {kMaxGridX, 2147483647},
      {kMaxGridY, 65535},
      {kMaxGridZ, 65535},
      {kMaxSharedPerBlock, kSharedPerBlock},
      {kTotalConstantMemory, 65536},
      {kWarpSize, 32},
      {kMaxPitch, 2147483647},
      {kMaxRegistersPerBlock, 65536},
      {kClockRate, model.clock_khz},
      {kTextureAlignment, 512},
      {kGpuOverlap, 1},
      {kMultiprocessorCount, model.multiprocessors},
      {kCanMapHostMemory, 1},
      {kConcurrentKernels, 1},
      {kMemoryClockRate, model.memory_clock_khz},
      {kMemoryBusWidth, model.memory_bus_bits},
      {kL2CacheSize, model.l2_bytes},
      {kMaxThreadsPerMultiprocessor, model.threads_per_multiprocessor},
      {kAsyncEngineCount, model.copy_engines},
      {kUnifiedAddressing, 1},
      {kComputeCapabilityMajor, model.capability / 10},
      {kComputeCapabilityMinor, model.capability % 10},
      {kStreamPrioritiesSupported, 1},
      {kMaxSharedPerMultiprocessor, model.shared_per_multiprocessor},
      {kMaxRegistersPerMultiprocessor, 65536},
      {kMaxSharedPerBlockOptin, model.shared_per_block_optin},
      {kMaxBlocksPerMultiprocessor, model.blocks_per_multiprocessor},
      {kReservedSharedPerBlock, kReservedShared},
      {kMemoryPoolsSupported, 1},
      {kEccEnabled, model.error_correction},
      {kGlobalL1, 1},
      {kLocalL1, 1},
      {kManagedMemory, 1},
      {kSingleToDouble, model.doubles_ratio},
      {kConcurrentManagedAccess, 1},
      {kComputePreemption, 1},
      {kCooperativeLaunch, 1},
      {kHostRegisterSupported, 1},
      {kMaxPersistingL2, model.persisting_l2_bytes},
      {kMaxAccessWindow, 134213632},
      {kSurfaceAlignment, 512},
      {kTexturePitchAlignment, 32},
      {kUnifiedFunctionPointers, 1},
  };
  for (const Value &row : values)
    if (row.attribute == attribute)
      return row.value;
  return attribute > 0 && attribute < kLastAttribute ? 0 : -1;
}

} // namespace tenon::emulator
