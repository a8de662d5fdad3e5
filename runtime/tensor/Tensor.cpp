#include "tenon/Tensor.h"

#include "tensor/DeviceMemoryTable.h"
#include "tensor/Sizes.h"

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace tenon {
namespace {

constexpr size_t kAlignment = 64; // one cache line, and one AVX-512 vector

std::array<std::atomic<DeviceMemory *>, 3> device_memories;

Result<std::shared_ptr<Tensor::Storage>> allocate(size_t bytes, DeviceLocation location) {
  auto storage = std::make_shared<Tensor::Storage>();
  storage->bytes = bytes;
  storage->location = location;
  if (location.kind == DeviceKind::kHost) {
    size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    storage->data = std::aligned_alloc(kAlignment, rounded ? rounded : kAlignment);
    if (!storage->data)
      return Error(ErrorCode::kOutOfMemory, "cannot allocate " + std::to_string(bytes) + " bytes");
    storage->deleter = [](void *data) { std::free(data); };
    return storage;
  }
  TENON_ASSIGN_OR_RETURN(DeviceMemory * memory, device_memory(location.kind));
  TENON_ASSIGN_OR_RETURN(storage->data, memory->allocate(bytes, location.ordinal));
  storage->deleter = [memory, location](void *data) { memory->free(data, location.ordinal); };
  return storage;
}

} // namespace

std::string to_string(std::span<const int64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

std::string_view name(DeviceKind kind) {
  static constexpr std::array<std::string_view, 3> kNames = {"host", "cuda", "emulator"};
  return kNames.at(static_cast<size_t>(kind));
}

void register_device_memory(DeviceKind kind, DeviceMemory *memory) {
  device_memories.at(static_cast<size_t>(kind)) = memory;
}

Result<DeviceMemory *> device_memory(DeviceKind kind) {
  if (DeviceMemory *memory = device_memories.at(static_cast<size_t>(kind)))
    return memory;
  return Error(ErrorCode::kDevice, "device " + std::string(name(kind)) + " has not been opened");
}

Result<int64_t> checked_count(std::span<const int64_t> shape, DataType dtype) {
  if (dtype > DataType::kFloat64)
    return Error::invalid_argument("dtype", std::to_string(static_cast<int>(dtype)), "a DataType");
  TENON_ASSIGN_OR_RETURN(const size_t bytes, checked_bytes_of(shape, size_in_bytes(dtype)));
  return static_cast<int64_t>(bytes / size_in_bytes(dtype));
}

Result<size_t> checked_bytes_of(std::span<const int64_t> shape, size_t element_bytes) {
  int64_t count = 1, bytes = 0;
  for (int64_t size : shape)
    if (size < 0)
      return Error::invalid_argument("shape", to_string(shape), "sizes of 0 or more");
  for (int64_t size : shape)
    if (__builtin_mul_overflow(count, size, &count)) {
      count = -1;
      break;
    }
  // Sizes beside a zero may be huge without harm.
  for (int64_t size : shape)
    if (size == 0)
      return 0;
  if (count < 0 ||
      __builtin_mul_overflow(count, static_cast<int64_t>(element_bytes), &bytes))
    return Error::invalid_argument("shape", to_string(shape), "below 2^63 bytes in all");
  return static_cast<size_t>(bytes);
}

std::vector<int64_t> contiguous_strides(std::span<const int64_t> shape) {
  std::vector<int64_t> strides(shape.size());
  uint64_t stride = 1; // may wrap beside a dimension of size 0, where it is never used
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = static_cast<int64_t>(stride);
    stride *= static_cast<uint64_t>(shape[i]);
  }
  return strides;
}

Status require_defined(const Tensor &tensor, std::string_view argument) {
  if (tensor.defined())
    return {};
  return Error::invalid_argument(std::string(argument), "undefined", "a tensor");
}

void misused(std::string_view what) {
  std::fprintf(stderr, "tenon: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

Tensor::Storage::~Storage() {
  if (deleter)
    deleter(data);
}

Result<Tensor> Tensor::empty(Shape shape, DataType dtype, DeviceLocation location) {
  TENON_ASSIGN_OR_RETURN(int64_t count, checked_count(shape, dtype));
  Tensor tensor;
  TENON_ASSIGN_OR_RETURN(tensor.storage_,
                         allocate(static_cast<size_t>(count) * size_in_bytes(dtype), location));
  tensor.data_ = tensor.storage_->data;
  tensor.strides_ = contiguous_strides(shape);
  tensor.shape_ = std::move(shape);
  tensor.dtype_ = dtype;
  return tensor;
}

Result<Tensor> Tensor::zeros(Shape shape, DataType dtype) {
  TENON_ASSIGN_OR_RETURN(Tensor tensor, empty(std::move(shape), dtype));
  std::memset(tensor.data_, 0, tensor.storage_->bytes);
  return tensor;
}

Result<Tensor> Tensor::full(Shape shape, double value, DataType dtype) {
  TENON_ASSIGN_OR_RETURN(Tensor tensor, empty(std::move(shape), dtype));
  auto *bytes = tensor.data_as<char>();
  size_t size = size_in_bytes(dtype);
  for (int64_t i = 0, count = tensor.element_count(); i < count; ++i)
    store_from_double(bytes + static_cast<size_t>(i) * size, dtype, value);
  return tensor;
}

Result<Tensor> Tensor::wrap(void *data, Shape shape, std::vector<int64_t> strides, DataType dtype,
                            DeviceLocation location, std::function<void(void *)> deleter) {
  TENON_ASSIGN_OR_RETURN(int64_t count, checked_count(shape, dtype));
  if (strides.empty())
    strides = contiguous_strides(shape);
  if (strides.size() != shape.size())
    return Error::invalid_argument("strides", to_string(strides),
                                   "as many as the shape " + to_string(shape) + " has");
  if (!data && count > 0)
    return Error::invalid_argument("data", "null",
                                   "memory of " + std::to_string(count) + " elements");
  if (count > 0 && reinterpret_cast<uintptr_t>(data) % size_in_bytes(dtype) != 0)
    return Error::invalid_argument("data", "not aligned",
                                   "aligned to the " + std::to_string(size_in_bytes(dtype)) +
                                       " bytes of an element");
  // The furthest element reached must have an address.
  int64_t reach = 0;
  for (size_t i = 0; i < shape.size() && count > 0; ++i) {
    int64_t step = 0, bytes = 0;
    if (strides[i] == INT64_MIN ||
        __builtin_mul_overflow(shape[i] - 1, std::abs(strides[i]), &step) ||
        __builtin_add_overflow(reach, step, &reach) ||
        __builtin_mul_overflow(reach, static_cast<int64_t>(size_in_bytes(dtype)), &bytes))
      return Error::invalid_argument("strides", to_string(strides), "within the address space");
  }
  Tensor tensor;
  tensor.storage_ = std::make_shared<Storage>();
  tensor.storage_->data = data;
  tensor.storage_->bytes = count ? static_cast<size_t>(reach + 1) * size_in_bytes(dtype) : 0;
  tensor.storage_->location = location;
  tensor.storage_->deleter = std::move(deleter);
  tensor.data_ = data;
  tensor.shape_ = std::move(shape);
  tensor.strides_ = std::move(strides);
  tensor.dtype_ = dtype;
  return tensor;
}

template <class T> struct DataTypeOf;
template <> struct DataTypeOf<float> { static constexpr DataType value = DataType::kFloat32; };
template <> struct DataTypeOf<double> { static constexpr DataType value = DataType::kFloat64; };
template <> struct DataTypeOf<int32_t> { static constexpr DataType value = DataType::kInt32; };
template <> struct DataTypeOf<int64_t> { static constexpr DataType value = DataType::kInt64; };
template <> struct DataTypeOf<bool> { static constexpr DataType value = DataType::kBool; };

template <class T> Result<Tensor> Tensor::from_values(Shape shape, std::span<const T> values) {
  TENON_ASSIGN_OR_RETURN(Tensor tensor, empty(std::move(shape), DataTypeOf<T>::value));
  if (static_cast<size_t>(tensor.element_count()) != values.size())
    return Error::shape_mismatch("values", std::to_string(values.size()) + " values",
                                 std::to_string(tensor.element_count()) + " for shape " +
                                     to_string(tensor.shape_));
  static_assert(sizeof(bool) == 1);
  if (!values.empty())
    std::memcpy(tensor.data_, values.data(), values.size_bytes());
  return tensor;
}
template TENON_API Result<Tensor> Tensor::from_values<float>(Shape, std::span<const float>);
template TENON_API Result<Tensor> Tensor::from_values<double>(Shape, std::span<const double>);
template TENON_API Result<Tensor> Tensor::from_values<int32_t>(Shape, std::span<const int32_t>);
template TENON_API Result<Tensor> Tensor::from_values<int64_t>(Shape, std::span<const int64_t>);
template TENON_API Result<Tensor> Tensor::from_values<bool>(Shape, std::span<const bool>);

int64_t Tensor::size(int dimension) const {
  int wrapped = dimension < 0 ? dimension + rank() : dimension;
  if (wrapped < 0 || wrapped >= rank())
    misused("size() of dimension " + std::to_string(dimension) + " of shape " + to_string(shape_));
  return shape_[wrapped];
}

int64_t Tensor::element_count() const {
  int64_t count = 1;
  if (!defined())
    return 0;
  for (int64_t size : shape_)
    if (size == 0)
      return 0;
  for (int64_t size : shape_)
    count *= size;
  return count;
}

bool Tensor::is_contiguous() const {
  int64_t stride = 1;
  if (element_count() == 0)
    return true;
  for (size_t i = shape_.size(); i-- > 0;) {
    if (shape_[i] != 1 && strides_[i] != stride)
      return false;
    stride *= shape_[i];
  }
  return true;
}

} // namespace tenon
