/// The binary layout of DLPack, both structures; Debian's header knows only the older one.
#pragma once

#include <cstdint>

struct DLManagedTensor;
struct DLManagedTensorVersioned;

namespace tenon::dlpack {

enum DeviceType : int32_t { kCpu = 1, kCuda = 2, kCudaHost = 3, kCudaManaged = 13 };
enum TypeCode : uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4, kBool = 6 };

struct Device {
  int32_t type;
  int32_t ordinal;
};
struct ElementType {
  uint8_t code, bits;
  uint16_t lanes;
};
struct TensorLayout {
  void *data;
  Device device;
  int32_t rank;
  ElementType dtype;
  int64_t *shape;
  int64_t *strides;  ///< in elements; null means row-major
  uint64_t byte_offset;
};
struct Managed {
  TensorLayout tensor;
  void *context;
  void (*deleter)(DLManagedTensor *);
};
struct ManagedVersioned {
  uint32_t major, minor;
  void *context;
  void (*deleter)(DLManagedTensorVersioned *);
  uint64_t flags;
  TensorLayout tensor;
};
inline constexpr uint64_t kReadOnly = 1;
inline constexpr uint32_t kMajorVersion = 1, kMinorVersion = 0;

} // namespace tenon::dlpack
