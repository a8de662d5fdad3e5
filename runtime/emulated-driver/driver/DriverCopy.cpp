// Copies and fills. All are boxes of rows: one row is a plain copy.
#include "driver/Work.h"
#include "execute/Warp.h"
#include "launch/Report.h"
#include <algorithm>
#include <cstring>

using namespace tenon::emulator;

namespace tenon::emulator {
namespace {

/// One side of a copy: a box within rows of `pitch` bytes and planes of `height` rows.
struct Box {
  uint64_t begin;
  size_t pitch, plane;
  std::byte *bytes = nullptr;
  uint8_t *shadow = nullptr; // nullptr where it is not memory of the card
  bool host = false;         // the host reads what is copied there
};

/// Where the host finds an address; nullptr where the address is not what the type says.
bool locate(Call &call, Box &box, unsigned type, size_t extent) {
  const DeviceMemory &memory = call.context->memory;
  if (!memory.contains(box.begin)) {
    box.bytes = reinterpret_cast<std::byte *>(box.begin);
    box.host = true;
    return type != kMemoryTypeDevice && box.begin != 0;
  }
  const Allocation *allocation = memory.find(box.begin, extent);
  if (!allocation || (type == kMemoryTypeHost && !allocation->host_visible()))
    return false;
  box.bytes = memory.data(box.begin);
  box.host = allocation->host_visible();
  box.shadow = memory.shadow(box.begin);
  return true;
}

struct Side {
  unsigned type;
  const void *host;
  DevicePointer device;
  size_t x, y, z, level, pitch, height;
};

Status make_box(Call &call, const Side &side, const Copy3D &shape, Box &box) {
  if (side.type == kMemoryTypeArray)
    return kNotSupported;
  if (side.type < kMemoryTypeHost || side.type > kMemoryTypeUnified || side.level)
    return kInvalidValue;
  bool rows = shape.height > 1 || shape.depth > 1 || side.y || side.z;
  size_t pitch = side.pitch ? side.pitch : rows ? 0 : side.x + shape.width;
  size_t height = side.height ? side.height : shape.height;
  size_t most = call.context->memory.capacity(); // keeps the products below from overflowing
  if (pitch < side.x + shape.width || (shape.depth > 1 && height < shape.height) || pitch > INT32_MAX * size_t{64} ||
      shape.width > most || shape.height > most / pitch || shape.depth > most / (pitch * std::max<size_t>(height, 1)))
    return kInvalidValue;
  box.pitch = pitch;
  box.plane = pitch * height;
  box.begin = (side.type == kMemoryTypeHost ? reinterpret_cast<uint64_t>(side.host) : side.device) + side.x +
              side.y * pitch + side.z * box.plane;
  size_t extent = (shape.depth - 1) * box.plane + (shape.height - 1) * pitch + shape.width;
  return locate(call, box, side.type, extent) ? kSuccess : kInvalidValue;
}

Status make_boxes(Call &call, const Copy3D &shape, Box &source, Box &target) {
  Side from{shape.source_type, shape.source_host,  shape.source_device, shape.source_x,     shape.source_y,
            shape.source_z,    shape.source_level, shape.source_pitch,  shape.source_height};
  Side to{shape.target_type, shape.target_host,  shape.target_device, shape.target_x,     shape.target_y,
          shape.target_z,    shape.target_level, shape.target_pitch,  shape.target_height};
  if (Status status = make_box(call, from, shape, source))
    return status;
  return make_box(call, to, shape, target);
}

bool empty(const Copy3D &shape) { return shape.width == 0 || shape.height == 0 || shape.depth == 0; }

Copy3D line(unsigned target_type, DevicePointer to, unsigned source_type, DevicePointer from, size_t bytes) {
  Copy3D shape{};
  shape.source_type = source_type;
  shape.source_host = reinterpret_cast<const void *>(from);
  shape.source_device = from;
  shape.target_type = target_type;
  shape.target_host = reinterpret_cast<void *>(to);
  shape.target_device = to;
  shape.width = bytes;
  shape.height = shape.depth = 1;
  return shape;
}

Copy3D flat(const Copy2D &copy) {
  Copy3D shape{};
  shape.source_x = copy.source_x;
  shape.source_y = copy.source_y;
  shape.source_type = copy.source_type;
  shape.source_host = copy.source_host;
  shape.source_device = copy.source_device;
  shape.source_pitch = copy.source_pitch;
  shape.target_x = copy.target_x;
  shape.target_y = copy.target_y;
  shape.target_type = copy.target_type;
  shape.target_host = copy.target_host;
  shape.target_device = copy.target_device;
  shape.target_pitch = copy.target_pitch;
  shape.width = copy.width;
  shape.height = copy.height;
  shape.depth = 1;
  return shape;
}

uint64_t number(const void *pointer) { return reinterpret_cast<uint64_t>(pointer); }

template <class Shape> Status copy(const Shape *shape, StreamObject *stream) {
  if (!shape)
    return kInvalidValue;
  if constexpr (std::is_same_v<Shape, Copy2D>)
    return submit(stream, CopyWork{flat(*shape)});
  else
    return submit(stream, CopyWork{*shape});
}

Status fill(DevicePointer to, size_t pitch, unsigned value, unsigned bytes, size_t width, size_t height,
            StreamObject *stream) {
  return submit(stream, FillWork{{to, pitch, value, bytes, width, height}});
}
} // namespace

Status check_copy(Call &call, const CopyWork &work) {
  Box source, target;
  return empty(work.shape) ? kSuccess : make_boxes(call, work.shape, source, target);
}

namespace {
/// Bytes that nobody wrote, of those that a copy gives to the host.
struct Unwritten {
  uint64_t count = 0, first = 0; // address
  void look(uint64_t address, const uint8_t *shadow, size_t bytes) {
    const auto missing = static_cast<uint64_t>(std::count(shadow, shadow + bytes, kNeverWritten));
    if (missing && !count)
      first = address + static_cast<uint64_t>(std::find(shadow, shadow + bytes, kNeverWritten) - shadow);
    count += missing;
  }
  void report(const DeviceMemory &memory, size_t bytes) const {
    if (!count || !(chosen_kinds() & kind_bit(FindingKind::kUninitialisedMemory)))
      return;
    Finding finding;
    finding.kind = FindingKind::kUninitialisedMemory;
    finding.allocation = memory.describe(first);
    finding.detail = "copy of " + std::to_string(bytes) + " bytes to the host: " + std::to_string(count) +
                     " of them nobody wrote, the first " + finding.allocation;
    finding.text = "uninitialised memory: " + finding.detail;
    finding.access = AccessRecord{Space::kGlobal, AccessKind::kRead, first, 1};
    Report::instance().add(std::move(finding));
  }
};
} // namespace

Status run_copy(Call &call, const CopyWork &work) {
  const Copy3D &shape = work.shape;
  Box source, target;
  if (empty(shape))
    return kSuccess;
  if (Status status = make_boxes(call, shape, source, target))
    return status;
  Unwritten unwritten;
  for (size_t z = 0; z < shape.depth; z++)
    for (size_t y = 0; y < shape.height; y++) {
      size_t from = z * source.plane + y * source.pitch, to = z * target.plane + y * target.pitch;
      std::memmove(target.bytes + to, source.bytes + from, shape.width);
      if (target.host && source.shadow)
        unwritten.look(source.begin + from, source.shadow + from, shape.width);
      if (target.shadow && source.shadow && !target.host)
        std::memmove(target.shadow + to, source.shadow + from, shape.width);
      else if (target.shadow)
        std::memset(target.shadow + to, kWritten, shape.width);
    }
  unwritten.report(call.context->memory, shape.width * shape.height * shape.depth);
  return kSuccess;
}

Status check_fill(Call &call, const FillWork &work) {
  const Fill2D &shape = work.shape;
  unsigned bytes = shape.element_bytes;
  size_t most = call.context->memory.capacity();
  if (bytes != 1 && bytes != 2 && bytes != 4)
    return kInvalidValue;
  if (shape.width == 0 || shape.height == 0)
    return kSuccess;
  if (shape.target % bytes || shape.width > most / bytes)
    return kInvalidValue;
  size_t row = shape.width * bytes, pitch = shape.height > 1 ? shape.pitch : row;
  if (pitch < row || pitch % bytes || shape.height > most / pitch)
    return kInvalidValue;
  return call.context->memory.find(shape.target, (shape.height - 1) * pitch + row) ? kSuccess : kInvalidValue;
}

Status run_fill(Call &call, const FillWork &work) {
  const Fill2D &shape = work.shape;
  if (Status status = check_fill(call, work))
    return status;
  const DeviceMemory &memory = call.context->memory;
  for (size_t y = 0; y < shape.height; y++) {
    DevicePointer row = shape.target + y * shape.pitch;
    std::byte *at = memory.data(row);
    for (size_t x = 0; x < shape.width; x++, at += shape.element_bytes)
      std::memcpy(at, &shape.value, shape.element_bytes); // the low bytes come first
    std::memset(memory.shadow(row), kWritten, shape.width * shape.element_bytes);
  }
  return kSuccess;
}
} // namespace tenon::emulator

TENON_DRIVER_ENTRY Status cuMemcpyHtoDAsync_v2(DevicePointer to, const void *from, size_t bytes, StreamObject *stream) {
  return submit(stream, CopyWork{line(kMemoryTypeDevice, to, kMemoryTypeHost, number(from), bytes)});
}
TENON_DRIVER_ENTRY Status cuMemcpyHtoD_v2(DevicePointer to, const void *from, size_t bytes) {
  return cuMemcpyHtoDAsync_v2(to, from, bytes, nullptr);
}
TENON_DRIVER_ENTRY Status cuMemcpyDtoHAsync_v2(void *to, DevicePointer from, size_t bytes, StreamObject *stream) {
  return submit(stream, CopyWork{line(kMemoryTypeHost, number(to), kMemoryTypeDevice, from, bytes)});
}
TENON_DRIVER_ENTRY Status cuMemcpyDtoH_v2(void *to, DevicePointer from, size_t bytes) {
  return cuMemcpyDtoHAsync_v2(to, from, bytes, nullptr);
}
TENON_DRIVER_ENTRY Status cuMemcpyDtoDAsync_v2(DevicePointer to, DevicePointer from, size_t bytes,
                                               StreamObject *stream) {
  return submit(stream, CopyWork{line(kMemoryTypeDevice, to, kMemoryTypeDevice, from, bytes)});
}
TENON_DRIVER_ENTRY Status cuMemcpyDtoD_v2(DevicePointer to, DevicePointer from, size_t bytes) {
  return cuMemcpyDtoDAsync_v2(to, from, bytes, nullptr);
}
/// There is one card, and one context of it: its own peer.
TENON_DRIVER_ENTRY Status cuMemcpyPeerAsync(DevicePointer to, ContextObject *to_context, DevicePointer from,
                                            ContextObject *from_context, size_t bytes, StreamObject *stream) {
  {
    TENON_BEGIN(Call::Needs::kContext);
    if (to_context != call.context || from_context != call.context)
      return kInvalidContext;
  }
  return cuMemcpyDtoDAsync_v2(to, from, bytes, stream);
}
TENON_DRIVER_ENTRY Status cuMemcpyPeer(DevicePointer to, ContextObject *to_context, DevicePointer from,
                                       ContextObject *from_context, size_t bytes) {
  return cuMemcpyPeerAsync(to, to_context, from, from_context, bytes, nullptr);
}
TENON_DRIVER_ENTRY Status cuMemcpyAsync(DevicePointer to, DevicePointer from, size_t bytes, StreamObject *stream) {
  return submit(stream, CopyWork{line(kMemoryTypeUnified, to, kMemoryTypeUnified, from, bytes)});
}
TENON_DRIVER_ENTRY Status cuMemcpy(DevicePointer to, DevicePointer from, size_t bytes) {
  return cuMemcpyAsync(to, from, bytes, nullptr);
}

TENON_DRIVER_ENTRY Status cuMemcpy2DAsync_v2(const Copy2D *shape, StreamObject *stream) { return copy(shape, stream); }
TENON_DRIVER_ENTRY Status cuMemcpy2D_v2(const Copy2D *shape) { return copy(shape, nullptr); }
TENON_DRIVER_ENTRY Status cuMemcpy2DUnaligned_v2(const Copy2D *shape) { return copy(shape, nullptr); }
TENON_DRIVER_ENTRY Status cuMemcpy3DAsync_v2(const Copy3D *shape, StreamObject *stream) { return copy(shape, stream); }
TENON_DRIVER_ENTRY Status cuMemcpy3D_v2(const Copy3D *shape) { return copy(shape, nullptr); }

TENON_DRIVER_ENTRY Status cuMemsetD8Async(DevicePointer to, unsigned char value, size_t count, StreamObject *stream) {
  return fill(to, 0, value, 1, count, 1, stream);
}
TENON_DRIVER_ENTRY Status cuMemsetD16Async(DevicePointer to, unsigned short value, size_t count, StreamObject *stream) {
  return fill(to, 0, value, 2, count, 1, stream);
}
TENON_DRIVER_ENTRY Status cuMemsetD32Async(DevicePointer to, unsigned value, size_t count, StreamObject *stream) {
  return fill(to, 0, value, 4, count, 1, stream);
}
TENON_DRIVER_ENTRY Status cuMemsetD2D8Async(DevicePointer to, size_t pitch, unsigned char value, size_t width,
                                            size_t height, StreamObject *stream) {
  return fill(to, pitch, value, 1, width, height, stream);
}
TENON_DRIVER_ENTRY Status cuMemsetD2D16Async(DevicePointer to, size_t pitch, unsigned short value, size_t width,
                                             size_t height, StreamObject *stream) {
  return fill(to, pitch, value, 2, width, height, stream);
}
TENON_DRIVER_ENTRY Status cuMemsetD2D32Async(DevicePointer to, size_t pitch, unsigned value, size_t width,
                                             size_t height, StreamObject *stream) {
  return fill(to, pitch, value, 4, width, height, stream);
}
TENON_DRIVER_ENTRY Status cuMemsetD8_v2(DevicePointer to, unsigned char value, size_t count) {
  return cuMemsetD8Async(to, value, count, nullptr);
}
TENON_DRIVER_ENTRY Status cuMemsetD16_v2(DevicePointer to, unsigned short value, size_t count) {
  return cuMemsetD16Async(to, value, count, nullptr);
}
TENON_DRIVER_ENTRY Status cuMemsetD32_v2(DevicePointer to, unsigned value, size_t count) {
  return cuMemsetD32Async(to, value, count, nullptr);
}
TENON_DRIVER_ENTRY Status cuMemsetD2D8_v2(DevicePointer to, size_t pitch, unsigned char value, size_t width,
                                          size_t height) {
  return cuMemsetD2D8Async(to, pitch, value, width, height, nullptr);
}
TENON_DRIVER_ENTRY Status cuMemsetD2D16_v2(DevicePointer to, size_t pitch, unsigned short value, size_t width,
                                           size_t height) {
  return cuMemsetD2D16Async(to, pitch, value, width, height, nullptr);
}
TENON_DRIVER_ENTRY Status cuMemsetD2D32_v2(DevicePointer to, size_t pitch, unsigned value, size_t width,
                                           size_t height) {
  return cuMemsetD2D32Async(to, pitch, value, width, height, nullptr);
}
