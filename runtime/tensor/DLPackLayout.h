/// The binary layout of DLPack's structs, under names of our own: a program may include any
/// dlpack.h. Held against the real header by a test. Meaning of the fields:
/// https://github.com/dmlc/dlpack/blob/main/include/dlpack/dlpack.h
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenon::dlpack {

inline constexpr uint32_t kMajorVersion = 1, kMinorVersion = 0;
inline constexpr uint64_t kFlagReadOnly = 1;

enum DeviceType : int32_t { kCpu = 1, kCuda = 2, kCudaHost = 3, kCudaManaged = 13 };
enum TypeCode : uint8_t { kInt = 0, kUnsignedInt = 1, kFloat = 2, kBFloat = 4, kBool = 6 };

struct Device {
  int32_t type;
  int32_t ordinal;
};

struct ElementType {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
  bool operator==(const ElementType &) const = default;
};

struct TensorView {
  void *data;
  Device device;
  int32_t rank;
  ElementType dtype;
  int64_t *shape;
  int64_t *strides;
  uint64_t byte_offset;
};

struct Managed {
  TensorView tensor;
  void *context;
  void (*deleter)(Managed *self);
};

struct Version {
  uint32_t major, minor;
};

struct ManagedVersioned {
  Version version;
  void *context;
  void (*deleter)(ManagedVersioned *self);
  uint64_t flags;
  TensorView tensor;
};

static_assert(sizeof(TensorView) == 48 && sizeof(Managed) == 64 && sizeof(ManagedVersioned) == 80);
static_assert(offsetof(TensorView, rank) == 16 && offsetof(TensorView, dtype) == 20);
static_assert(offsetof(ManagedVersioned, deleter) == 16 && offsetof(ManagedVersioned, flags) == 24);

} // namespace tenon::dlpack
