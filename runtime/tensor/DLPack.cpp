#include "tenon/DLPack.h"

#include "tensor/DLPackLayout.h"

#include <array>
#include <memory>

namespace tenon {
namespace {

using dlpack::ElementType;

// Far beyond any real tensor: a larger one is a damaged struct.
constexpr int32_t kMostDimensions = 64;

struct TypeEntry {
  DataType dtype;
  ElementType element;
};
constexpr std::array<TypeEntry, 7> kElementTypes = {
    {{DataType::kFloat32, {dlpack::kFloat, 32, 1}},
     {DataType::kFloat16, {dlpack::kFloat, 16, 1}},
     {DataType::kBFloat16, {dlpack::kBFloat, 16, 1}},
     {DataType::kBool, {dlpack::kBool, 8, 1}},
     {DataType::kInt32, {dlpack::kInt, 32, 1}},
     {DataType::kInt64, {dlpack::kInt, 64, 1}},
     {DataType::kFloat64, {dlpack::kFloat, 64, 1}}}};

struct DeviceEntry {
  int32_t type;
  DeviceKind kind;
};
// The first entry of a kind is the one that is given out.
constexpr std::array<DeviceEntry, 4> kDevices = {{{dlpack::kCpu, DeviceKind::kHost},
                                                  {dlpack::kCuda, DeviceKind::kCuda},
                                                  {dlpack::kCudaHost, DeviceKind::kHost},
                                                  {dlpack::kCudaManaged, DeviceKind::kCuda}}};

Result<DataType> data_type_of(ElementType element) {
  for (const TypeEntry &entry : kElementTypes)
    if (entry.element == element)
      return entry.dtype;
  return Error::unsupported_type(
      "managed->dl_tensor.dtype",
      "code " + std::to_string(element.code) + " of " + std::to_string(element.bits) +
          " bits and " + std::to_string(element.lanes) + " lanes",
      "float16, float32, float64, bfloat16, bool, int32 or int64 of one lane");
}

Result<DeviceLocation> location_of(dlpack::Device device) {
  if (device.ordinal < 0)
    return Error::invalid_argument("managed->dl_tensor.device.device_id",
                                   std::to_string(device.ordinal), "0 or more");
  for (const DeviceEntry &entry : kDevices)
    if (entry.type == device.type)
      return DeviceLocation{entry.kind, entry.kind == DeviceKind::kHost ? 0 : device.ordinal};
  return Error(ErrorCode::kUnsupported,
               "managed->dl_tensor.device.device_type: was " + std::to_string(device.type) +
                   ", must be kDLCPU, kDLCUDA, kDLCUDAHost or kDLCUDAManaged");
}

// `release` runs when the last view is gone; on an error it is still the caller's to run.
Result<Tensor> import_view(const dlpack::TensorView &view, std::function<void(void *)> release) {
  TENON_ASSIGN_OR_RETURN(DataType dtype, data_type_of(view.dtype));
  TENON_ASSIGN_OR_RETURN(DeviceLocation location, location_of(view.device));
  if (view.rank < 0 || view.rank > kMostDimensions)
    return Error::invalid_argument("managed->dl_tensor.ndim", std::to_string(view.rank),
                                   "between 0 and " + std::to_string(kMostDimensions));
  if (view.rank > 0 && !view.shape)
    return Error::invalid_argument("managed->dl_tensor.shape", "null",
                                   std::to_string(view.rank) + " sizes");
  Shape shape(view.shape, view.shape + view.rank);
  std::vector<int64_t> strides;
  if (view.strides)
    strides.assign(view.strides, view.strides + view.rank);
  uintptr_t address = 0;
  if (__builtin_add_overflow(reinterpret_cast<uintptr_t>(view.data), view.byte_offset, &address))
    return Error::invalid_argument("managed->dl_tensor.byte_offset",
                                   std::to_string(view.byte_offset), "within the address space");
  void *data = view.data ? reinterpret_cast<void *>(address) : nullptr;
  return Tensor::wrap(data, std::move(shape), std::move(strides), dtype, location,
                      std::move(release));
}

template <class Managed> void release(Managed *managed) {
  if (managed->deleter)
    managed->deleter(managed);
}

template <class Managed> Result<Tensor> import_managed(Managed *managed) {
  auto tensor = import_view(managed->tensor, [managed](void *) { release(managed); });
  if (!tensor)
    release(managed);
  return tensor;
}

// What a receiver gets; it goes away with its deleter.
template <class Managed> struct Export {
  Managed managed{};
  Tensor tensor;
  Shape shape;
  std::vector<int64_t> strides;
};

template <class Managed> Result<Managed *> export_managed(const Tensor &tensor) {
  if (!tensor.defined())
    return Error::invalid_argument("tensor", "undefined", "a tensor");
  auto exported = std::make_unique<Export<Managed>>();
  exported->tensor = tensor;
  exported->shape = tensor.shape();
  exported->strides = tensor.strides();
  dlpack::TensorView &view = exported->managed.tensor;
  view.data = tensor.element_count() ? tensor.data() : nullptr;
  view.rank = tensor.rank();
  view.shape = exported->shape.data();
  view.strides = exported->strides.data();
  for (const TypeEntry &entry : kElementTypes)
    if (entry.dtype == tensor.dtype())
      view.dtype = entry.element;
  for (const DeviceEntry &entry : kDevices)
    if (entry.kind == tensor.device().kind && view.device.type == 0)
      view.device = {entry.type, tensor.device().ordinal};
  if (view.device.type == 0)
    return Error(ErrorCode::kUnsupported,
                 "tensor: the memory of an emulated device cannot be shared; "
                 "copy it with to(DeviceLocation{}) first");
  exported->managed.context = exported.get();
  exported->managed.deleter = [](Managed *self) {
    delete static_cast<Export<Managed> *>(self->context);
  };
  return &exported.release()->managed;
}

} // namespace

Result<Tensor> from_dlpack(DLManagedTensor *managed) {
  if (!managed)
    return Error::invalid_argument("managed", "null", "a DLManagedTensor");
  return import_managed(reinterpret_cast<dlpack::Managed *>(managed));
}

Result<Tensor> from_dlpack(DLManagedTensorVersioned *managed) {
  if (!managed)
    return Error::invalid_argument("managed", "null", "a DLManagedTensorVersioned");
  auto *versioned = reinterpret_cast<dlpack::ManagedVersioned *>(managed);
  if (dlpack::Version version = versioned->version; version.major != dlpack::kMajorVersion) {
    release(versioned);
    return Error(ErrorCode::kUnsupported, "managed->version: was " + std::to_string(version.major) +
                                              "." + std::to_string(version.minor) +
                                              ", must be 1.x");
  }
  bool read_only = versioned->flags & dlpack::kFlagReadOnly;
  TENON_ASSIGN_OR_RETURN(Tensor tensor, import_managed(versioned));
  tensor.storage()->read_only = read_only;
  return tensor;
}

Result<DLManagedTensor *> to_dlpack(const Tensor &tensor) {
  if (tensor.is_read_only())
    return Error(ErrorCode::kUnsupported,
                 "tensor: it is read-only, which only to_dlpack_versioned can say");
  TENON_ASSIGN_OR_RETURN(auto *managed, export_managed<dlpack::Managed>(tensor));
  return reinterpret_cast<DLManagedTensor *>(managed);
}

Result<DLManagedTensorVersioned *> to_dlpack_versioned(const Tensor &tensor) {
  TENON_ASSIGN_OR_RETURN(auto *managed, export_managed<dlpack::ManagedVersioned>(tensor));
  managed->version = {dlpack::kMajorVersion, dlpack::kMinorVersion};
  managed->flags = tensor.is_read_only() ? dlpack::kFlagReadOnly : 0;
  return reinterpret_cast<DLManagedTensorVersioned *>(managed);
}

} // namespace tenon
