/// Tensors: shape, strides, element type, place, and shared ownership of the memory behind.
///
/// Copies of a Tensor share its memory, and so do views; `contiguous`, `to` and `clone` make new
/// memory. Strides count elements and may be zero or negative. A tensor with a dimension of size 0
/// is legal.
#pragma once

#include "tenon/Api.h"
#include "tenon/DataType.h"
#include "tenon/Result.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tenon {

using Shape = std::vector<int64_t>;

/// "[2, 12, 256, 32]"
TENON_API std::string to_string(std::span<const int64_t> shape);

enum class DeviceKind : uint8_t { kHost, kCuda, kEmulator };
TENON_API std::string_view name(DeviceKind kind); ///< "host", "cuda", "emulator"

struct DeviceLocation {
  DeviceKind kind = DeviceKind::kHost;
  int ordinal = 0;
  bool operator==(const DeviceLocation &) const = default;
};

/// How tensors reach the memory of a device: implemented by the devices, which register themselves.
class TENON_API DeviceMemory {
public:
  virtual ~DeviceMemory() = default;
  virtual Result<void *> allocate(size_t bytes, int ordinal) = 0;
  virtual void free(void *memory, int ordinal) = 0;
  /// Complete when they return.
  virtual Status copy_to_device(void *device, const void *host, size_t bytes, int ordinal) = 0;
  virtual Status copy_to_host(void *host, const void *device, size_t bytes, int ordinal) = 0;
};
TENON_API void register_device_memory(DeviceKind kind, DeviceMemory *memory);

enum class Distribution : uint8_t { kNormal, kUniform }; ///< N(0, 1), or [0, 1)

class TENON_API Tensor {
public:
  /// The memory that tensors share.
  struct Storage {
    void *data = nullptr;
    size_t bytes = 0;
    DeviceLocation location;
    std::function<void(void *)> deleter;
    bool read_only = false; ///< whoever lent the memory forbids writing
    Storage() = default;
    Storage(const Storage &) = delete;
    Storage &operator=(const Storage &) = delete;
    ~Storage();
  };

  Tensor() = default; ///< no tensor: defined() is false

  // New tensors. Errors: kInvalidArgument for negative or overflowing sizes, kOutOfMemory.
  static Result<Tensor> empty(Shape shape, DataType dtype = DataType::kFloat32,
                              DeviceLocation location = {});
  static Result<Tensor> zeros(Shape shape, DataType dtype = DataType::kFloat32);
  static Result<Tensor> full(Shape shape, double value, DataType dtype = DataType::kFloat32);
  /// The same numbers on every platform: element i is a function of (seed, i), rounded to the type.
  /// For bool a fair coin, whatever the distribution. Errors: kUnsupportedType for integers.
  static Result<Tensor> random(Shape shape, DataType dtype, uint64_t seed,
                               Distribution distribution = Distribution::kNormal);
  /// Memory that the caller owns. `deleter` (may be empty) runs when the last view is gone, and not
  /// where this returns an error. `strides` empty means contiguous. The memory must be aligned to
  /// the size of an element.
  static Result<Tensor> wrap(void *data, Shape shape, std::vector<int64_t> strides, DataType dtype,
                             DeviceLocation location = {},
                             std::function<void(void *)> deleter = {});
  /// float, double, int32_t, int64_t, bool
  template <class T> static Result<Tensor> from_values(Shape shape, std::span<const T> values);
  template <class T>
  static Result<Tensor> from_values(Shape shape, std::initializer_list<T> values) {
    return from_values<T>(std::move(shape), std::span<const T>(values.begin(), values.size()));
  }

  bool defined() const { return storage_ != nullptr; }
  const Shape &shape() const { return shape_; }
  int64_t size(int dimension) const; ///< negative dimensions count from the last; must exist
  const std::vector<int64_t> &strides() const { return strides_; }
  int rank() const { return static_cast<int>(shape_.size()); }
  DataType dtype() const { return dtype_; }
  DeviceLocation device() const { return storage_ ? storage_->location : DeviceLocation{}; }
  bool on_host() const { return device().kind == DeviceKind::kHost; }
  bool is_read_only() const { return storage_ && storage_->read_only; }
  void *data() const { return data_; } ///< of element [0, 0, …]
  template <class T> T *data_as() const { return static_cast<T *>(data_); }
  int64_t element_count() const; ///< 0 of no tensor
  bool is_contiguous() const;
  const std::shared_ptr<Storage> &storage() const { return storage_; }

  // Views: the same memory, seen otherwise. Errors name the argument.
  Result<Tensor> transpose(int first, int second) const;
  Result<Tensor> permute(std::span<const int> order) const;
  Result<Tensor> slice(int dimension, int64_t begin, int64_t end, int64_t step = 1) const;
  Result<Tensor> reshape(Shape shape) const; ///< kInvalidArgument where it would need a copy
  Result<Tensor> expand(Shape shape) const;  ///< broadcast: stride 0
  Result<Tensor> unsqueeze(int dimension) const;
  Result<Tensor> squeeze(int dimension) const;

  // Copies. Tensors off the host are refused (kUnsupported) but by to(location), which wants them
  // dense.
  Result<Tensor> contiguous() const; ///< itself where it is contiguous already
  Result<Tensor> clone() const;
  Result<Tensor>
  to(DataType dtype) const; ///< rounded to nearest even; itself where it is so already
  Result<Tensor> to(DeviceLocation location) const;
  /// Writes the elements of `source`, of the same shape, converted. Either may be strided, and they
  /// may overlap. Refused where this is read-only, or an expanded view whose elements share memory.
  Status copy_from(const Tensor &source);

  /// The element at `index`, on the host, as a double (exact but for i64 beyond 2^53). Another
  /// index or place is a defect of the program, which ends with a message.
  double element_as_double(std::span<const int64_t> index) const;
  /// Of a tensor with one element, on the host; another tensor ends the program in the same way.
  double item() const;
  template <class T> T item() const { return static_cast<T>(item()); }

private:
  std::shared_ptr<Storage> storage_;
  void *data_ = nullptr;
  Shape shape_;
  std::vector<int64_t> strides_;
  DataType dtype_ = DataType::kFloat32;
};

/// One element in memory as a double, and back (rounded to nearest even; NaN to integers is 0).
TENON_API double load_as_double(const void *element, DataType dtype);
TENON_API void store_from_double(void *element, DataType dtype, double value);

} // namespace tenon
