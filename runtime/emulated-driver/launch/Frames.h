// The calls that the lanes of a warp are in. The kernel's registers belong to the launch; those of a function are made when
// it is first called at a depth, and kept for the next call.
#pragma once
#include "decode/Program.h"
#include <memory>
#include <vector>

namespace tenon::emulator {

struct LaunchRequest;

struct FreeAligned {
  void operator()(std::byte *at) const;
};
using AlignedBytes = std::unique_ptr<std::byte[], FreeAligned>;
/// Zeroed, at a multiple of 64.
AlignedBytes aligned_bytes(size_t size);

/// Puts constants and special registers into the registers of one call; those that differ from block to block alone if
/// `block_only`. `local` is where the call's local memory starts.
void fill_registers(const LaunchRequest &request, const Block &block, uint32_t warp, const FunctionCode &code,
                    std::byte *registers, uint64_t local, bool block_only);

class FramePool {
public:
  /// The registers of the kernel itself, for warp `warp`.
  FramePool(const LaunchRequest &request, const Block &block, uint32_t warp, std::byte *registers);

  /// A new block: nothing is called, and the kernel starts with these lanes.
  Frame *start_block(uint32_t lanes);
  /// The frame of this call, where `lanes` enter. nullptr: the stack is full.
  Frame *enter(Frame &caller, const Op *call, uint32_t function, uint32_t lanes);
  /// Lanes leave; a frame without lanes is free for another call.
  void leave(Frame &frame, uint32_t lanes);

private:
  struct Owned {
    Frame frame;
    AlignedBytes registers;
    uint64_t block = 0; // whose special registers it holds
    bool live = false;
  };
  Owned &fresh(uint32_t function);

  const LaunchRequest &request_;
  const Block &block_;
  uint32_t warp_;
  uint64_t block_number_ = 0;
  Frame kernel_;
  std::vector<std::unique_ptr<Owned>> frames_;
};

} // namespace tenon::emulator
