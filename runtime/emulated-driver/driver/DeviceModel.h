// The card that is emulated: its limits, and how its tensor cores add. One row a card; TENON_EMULATOR_CARD names it.
#pragma once
#include <cstdint>
#include <string_view>

namespace tenon::emulator {

struct DeviceModel {
  std::string_view key;  // what TENON_EMULATOR_CARD says
  std::string_view name; // what cuDeviceGetName says
  int capability;        // 80 is 8.0
  int multiprocessors;
  uint64_t memory_bytes;
  int shared_per_multiprocessor;
  int shared_per_block_optin;
  int threads_per_multiprocessor;
  int blocks_per_multiprocessor;
  int l2_bytes;
  int clock_khz;
  int memory_clock_khz;
  int memory_bus_bits;
  int persisting_l2_bytes;
  int doubles_ratio; // float32 operations for one of float64
  int copy_engines;  // copies that run beside kernels and each other
  bool error_correction;
  bool tensor_cores_fuse_whole_k; // Hopper and later; see execute/TensorCore.h
};

// The same on every card that is emulated.
inline constexpr int kThreadsPerBlock = 1024; // at most
inline constexpr int kThreadsPerWarp = 32;
inline constexpr uint32_t kRegistersPerMultiprocessor = 65536;
inline constexpr int kSharedPerBlock = 48 * 1024; // without opting in
inline constexpr int kReservedShared = 1024;      // of each block, by the system

/// The card chosen by TENON_EMULATOR_CARD, an A100 where it is not set, nullptr where it names none.
const DeviceModel *device_model();
/// The value of a CUdevice_attribute, or -1 where the number is no attribute.
int device_attribute(const DeviceModel &model, int attribute);

} // namespace tenon::emulator
