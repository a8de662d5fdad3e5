#include "tenon/DLPack.h"

#include "tensor/DLPackLayout.h"

#include <array>

namespace tenon {
namespace {

constexpr int kMaximumRank = 64;

struct TypeEntry {
  DataType dtype;
  uint8_t code, bits;
};
constexpr std::array<TypeEntry, 7> kTypes = {{{DataType::kFloat32, dlpack::kFloat, 32},
                                              {DataType::kFloat16, dlpack::kFloat, 16},
                                              {DataType::kBFloat16, dlpack::kBfloat, 16},
                                              {DataType::kBool, dlpack::kBool, 8},
                                              {DataType::kInt32, dlpack::kInt, 32},
                                              {DataType::kInt64, dlpack::kInt, 64},
                                              {DataType::kFloat64, dlpack::kFloat, 64}}};

Result<DataType> data_type_of(dlpack::ElementType type) {
  for (const TypeEntry &entry : kTypes)
    if (entry.code == type.code && entry.bits == type.bits && type.lanes == 1)
      return entry.dtype;
  return Error::unsupported_type("dlpack dtype",
                                 "code " + std::to_string(type.code) + ", " + std::to_string(type.bits) +
                                     " bits, " + std::to_string(type.lanes) + " lanes",
                                 "f32, f16, bf16, f64, bool, i32 or i64 with 1 lane");
}

Result<DeviceLocation> location_of(dlpack::Device device) {
  switch (device.type) {
  case dlpack::kCpu:
  case dlpack::kCudaHost:
    return DeviceLocation{};
  case dlpack::kCuda:
  case dlpack::kCudaManaged:
    return DeviceLocation{DeviceKind::kCuda, device.ordinal};
  }
  return Error(ErrorCode::kUnsupported,
               "dlpack device: was type " + std::to_string(device.type) + ", must be CPU or CUDA");
}

Result<Tensor> import(const dlpack::TensorLayout &source, std::function<void(void *)> deleter) {
  TENON_ASSIGN_OR_RETURN(DataType dtype, data_type_of(source.dtype));
  TENON_ASSIGN_OR_RETURN(DeviceLocation location, location_of(source.device));
  if (source.rank < 0 || source.rank > kMaximumRank || (source.rank > 0 && !source.shape))
    return Error::invalid_argument("dlpack rank", std::to_string(source.rank) + (source.shape ? "" : " without a shape"),
                                   "0 to 64 dimensions with their sizes");
  Shape shape(source.shape, source.shape + source.rank);
  std::vector<int64_t> strides;
  if (source.strides)
    strides.assign(source.strides, source.strides + source.rank);
  auto *data = static_cast<char *>(source.data);
  return Tensor::wrap(data ? data + source.byte_offset : nullptr, std::move(shape), std::move(strides), dtype,
                      location, std::move(deleter));
}

// What an exported structure keeps alive: the tensor, and the sizes that it points to.
template <class Structure> struct Exported {
  Structure structure;
  Tensor tensor;
  Shape shape;
  std::vector<int64_t> strides;
};

template <class Structure> Result<Exported<Structure> *> exported(const Tensor &tensor) {
  if (!tensor.defined())
    return Error::invalid_argument("tensor", "no tensor", "one with memory");
  if (tensor.device().kind == DeviceKind::kEmulator)
    return Error(ErrorCode::kUnsupported, "dlpack device: was emulator, must be host or cuda");
  auto *result = new Exported<Structure>{{}, tensor, tensor.shape(), tensor.strides()};
  const TypeEntry &type = kTypes.at(static_cast<size_t>(tensor.dtype()));
  auto device = tensor.device();
  result->structure.context = result;
  result->structure.tensor = {tensor.data(),
                              {device.kind == DeviceKind::kHost ? dlpack::kCpu : dlpack::kCuda, device.ordinal},
                              tensor.rank(),
                              {type.code, type.bits, 1},
                              result->shape.data(),
                              result->strides.data(),
                              0};
  return result;
}

} // namespace

Result<Tensor> from_dlpack(DLManagedTensor *managed) {
  if (!managed)
    return Error::invalid_argument("managed", "null", "a DLManagedTensor");
  auto *structure = reinterpret_cast<dlpack::Managed *>(managed);
  return import(structure->tensor, [managed, deleter = structure->deleter](void *) {
    if (deleter)
      deleter(managed);
  });
}

Result<Tensor> from_dlpack(DLManagedTensorVersioned *managed) {
  if (!managed)
    return Error::invalid_argument("managed", "null", "a DLManagedTensorVersioned");
  auto *structure = reinterpret_cast<dlpack::ManagedVersioned *>(managed);
  // Only the version and the deleter may be read where the major version is another.
  if (structure->major != dlpack::kMajorVersion)
    return Error(ErrorCode::kUnsupported,
                 "dlpack version: was " + std::to_string(structure->major) + ", must be 1");
  return import(structure->tensor, [managed, deleter = structure->deleter](void *) {
    if (deleter)
      deleter(managed);
  });
}

bool dlpack_is_read_only(const DLManagedTensorVersioned *managed) {
  return reinterpret_cast<const dlpack::ManagedVersioned *>(managed)->flags & dlpack::kReadOnly;
}

Result<DLManagedTensor *> to_dlpack(const Tensor &tensor) {
  TENON_ASSIGN_OR_RETURN(auto *result, exported<dlpack::Managed>(tensor));
  result->structure.deleter = [](DLManagedTensor *managed) {
    delete static_cast<Exported<dlpack::Managed> *>(reinterpret_cast<dlpack::Managed *>(managed)->context);
  };
  return reinterpret_cast<DLManagedTensor *>(&result->structure);
}

Result<DLManagedTensorVersioned *> to_dlpack_versioned(const Tensor &tensor) {
  TENON_ASSIGN_OR_RETURN(auto *result, exported<dlpack::ManagedVersioned>(tensor));
  result->structure.major = dlpack::kMajorVersion;
  result->structure.minor = dlpack::kMinorVersion;
  result->structure.flags = 0;
  result->structure.deleter = [](DLManagedTensorVersioned *managed) {
    delete static_cast<Exported<dlpack::ManagedVersioned> *>(
        reinterpret_cast<dlpack::ManagedVersioned *>(managed)->context);
  };
  return reinterpret_cast<DLManagedTensorVersioned *>(&result->structure);
}

} // namespace tenon
