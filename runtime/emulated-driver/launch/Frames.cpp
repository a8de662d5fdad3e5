#include "launch/Frames.h"
#include "launch/Launch.h"
#include <algorithm>
#include <cstring>
#include <new>

namespace tenon::emulator {
namespace {
constexpr size_t kLargestDepth = 4096; // of calls without local memory of their own
} // namespace

void FreeAligned::operator()(std::byte *at) const { ::operator delete[](at, std::align_val_t(64)); }

AlignedBytes aligned_bytes(size_t size) {
  size = std::max<size_t>(size, 64);
  auto *at = static_cast<std::byte *>(::operator new[](size, std::align_val_t(64)));
  std::memset(at, 0, size);
  return AlignedBytes(at);
}

void fill_registers(const LaunchRequest &request, const Block &block, uint32_t warp, const FunctionCode &code,
                    std::byte *registers, uint64_t local, bool block_only) {
  const uint32_t *grid = request.grid, *shape = request.block, *index = block.index;
  const auto total = static_cast<uint32_t>(block.shared_bytes - request.program->reserved_shared);
  const uint32_t multiprocessor = (index[0] + index[1] + index[2]) % request.multiprocessors;
  auto put = [](std::byte *at, uint8_t width, uint32_t lane, uint64_t value) {
    std::memcpy(at + size_t{lane} * width, &value, width);
  };
  for (const SpecialSlot &slot : code.specials)
    for (uint32_t lane = 0; lane < kLanes; lane++) {
      uint32_t thread = warp * kLanes + lane, bit = 1u << lane;
      const uint64_t values[] = {
          thread % shape[0], thread / shape[0] % shape[1], thread / shape[0] / shape[1],
          shape[0], shape[1], shape[2], index[0], index[1], index[2], grid[0], grid[1], grid[2],
          lane, warp, block.warp_count, multiprocessor, request.multiprocessors, 0,
          bit, bit | (bit - 1), bit - 1, ~(bit - 1), ~(bit | (bit - 1)), request.dynamic_shared, total, 0, 1,
          request.grid_workspace & 0xffffffff, request.grid_workspace >> 32, kSystemShared, kSecondReserved};
      put(registers + slot.offset, slot.width, lane, values[static_cast<size_t>(slot.which)]);
    }
  if (block_only)
    return;
  for (const ConstantSlot &slot : code.constants) {
    uint64_t bits = slot.bits + (slot.in_frame ? local : 0);
    if (slot.width == 0)
      std::memcpy(registers + slot.offset, &bits, 4);
    for (uint32_t lane = 0; slot.width && lane < kLanes; lane++)
      put(registers + slot.offset, slot.width, lane, bits);
  }
}

FramePool::FramePool(const LaunchRequest &request, const Block &block, uint32_t warp, std::byte *registers)
    : request_(request), block_(block), warp_(warp) {
  kernel_.registers = registers;
}

Frame *FramePool::start_block(uint32_t lanes) {
  const FunctionCode &code = request_.program->kernel();
  fill_registers(request_, block_, warp_, code, kernel_.registers, 0, block_number_ != 0);
  for (uint32_t mask : code.written_masks)
    std::memset(kernel_.registers + mask, 0, 4);
  kernel_.mask = lanes;
  block_number_++;
  for (auto &owned : frames_)
    owned->live = false;
  return &kernel_;
}

FramePool::Owned &FramePool::fresh(uint32_t function) {
  for (auto &owned : frames_)
    if (!owned->live && owned->frame.function == function)
      return *owned;
  Owned &owned = *frames_.emplace_back(std::make_unique<Owned>());
  owned.frame.function = function;
  owned.registers = aligned_bytes(request_.program->functions[function].register_bytes);
  owned.frame.registers = owned.registers.get();
  return owned;
}

Frame *FramePool::enter(Frame &caller, const Op *call, uint32_t function, uint32_t lanes) {
  const FunctionCode &code = request_.program->functions[function];
  Frame *frame = nullptr;
  for (auto &owned : frames_)
    if (owned->live && owned->frame.caller == &caller && owned->frame.call == call && owned->frame.function == function)
      frame = &owned->frame;
  if (!frame) {
    uint64_t of_caller = request_.program->functions[caller.function].local_bytes;
    uint64_t local = caller.local + of_caller;
    if (local + code.local_bytes > block_.local_bytes || caller.depth >= kLargestDepth)
      return nullptr;
    Owned &owned = fresh(function);
    frame = &owned.frame;
    bool moved = frame->local != local || owned.block == 0;
    frame->caller = &caller;
    frame->call = call;
    frame->depth = caller.depth + 1;
    frame->local = local;
    frame->mask = 0;
    if (moved || owned.block != block_number_)
      fill_registers(request_, block_, warp_, code, frame->registers, local, !moved);
    owned.block = block_number_;
    owned.live = true;
  }
  frame->mask |= lanes;
  for (uint32_t slot : code.written_masks) {
    uint32_t written;
    std::memcpy(&written, frame->registers + slot, 4);
    written &= ~lanes;
    std::memcpy(frame->registers + slot, &written, 4);
  }
  return frame;
}

void FramePool::leave(Frame &frame, uint32_t lanes) {
  frame.mask &= ~lanes;
  for (auto &owned : frames_)
    if (&owned->frame == &frame)
      owned->live = frame.mask != 0;
}

} // namespace tenon::emulator
