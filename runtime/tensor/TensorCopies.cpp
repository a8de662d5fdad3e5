#include "tenon/Half.h"
#include "tensor/DeviceMemoryTable.h"
#include "tensor/Sizes.h"

#include <cstring>

namespace tenon {
namespace {

using CopyRow = void (*)(char *to, int64_t to_step, const char *from, int64_t from_step,
                         int64_t count);

template <size_t Bytes>
void copy_row(char *to, int64_t to_step, const char *from, int64_t from_step, int64_t count) {
  if (to_step == static_cast<int64_t>(Bytes) && from_step == to_step) {
    std::memcpy(to, from, static_cast<size_t>(count) * Bytes);
    return;
  }
  for (int64_t i = 0; i < count; ++i, to += to_step, from += from_step)
    std::memcpy(to, from, Bytes);
}

// The conversions that real work meets; every other pair goes through double.
template <float (*Widen)(uint16_t)>
void widen_row(char *to, int64_t to_step, const char *from, int64_t from_step, int64_t count) {
  for (int64_t i = 0; i < count; ++i, to += to_step, from += from_step) {
    uint16_t bits;
    std::memcpy(&bits, from, sizeof bits);
    float value = Widen(bits);
    std::memcpy(to, &value, sizeof value);
  }
}
template <uint16_t (*Narrow)(float)>
void narrow_row(char *to, int64_t to_step, const char *from, int64_t from_step, int64_t count) {
  for (int64_t i = 0; i < count; ++i, to += to_step, from += from_step) {
    float value;
    std::memcpy(&value, from, sizeof value);
    uint16_t bits = Narrow(value);
    std::memcpy(to, &bits, sizeof bits);
  }
}

CopyRow row_copier(DataType to, DataType from) {
  if (to == from)
    switch (size_in_bytes(to)) {
    case 1:
      return copy_row<1>;
    case 2:
      return copy_row<2>;
    case 4:
      return copy_row<4>;
    default:
      return copy_row<8>;
    }
  if (to == DataType::kFloat32 && from == DataType::kFloat16)
    return widen_row<float_from_float16>;
  if (to == DataType::kFloat32 && from == DataType::kBFloat16)
    return widen_row<float_from_bfloat16>;
  if (to == DataType::kFloat16 && from == DataType::kFloat32)
    return narrow_row<float16_from_float>;
  if (to == DataType::kBFloat16 && from == DataType::kFloat32)
    return narrow_row<bfloat16_from_float>;
  return nullptr;
}

int64_t integer_at(const char *element, DataType dtype) {
  int64_t wide;
  int32_t narrow;
  if (dtype == DataType::kInt64)
    return std::memcpy(&wide, element, sizeof wide), wide;
  return std::memcpy(&narrow, element, sizeof narrow), narrow;
}

void convert_element(char *to, DataType to_type, const char *from, DataType from_type) {
  // Doubles do not hold every 64-bit integer.
  if (to_type == DataType::kInt64 &&
      (from_type == DataType::kInt64 || from_type == DataType::kInt32)) {
    int64_t value = integer_at(from, from_type);
    std::memcpy(to, &value, sizeof value);
    return;
  }
  store_from_double(to, to_type, load_as_double(from, from_type));
}

// Bytes from one element of a row to the next. A row of one has no next, and its stride may be
// anything.
int64_t step_in_bytes(const Tensor &tensor) {
  auto size = static_cast<int64_t>(size_in_bytes(tensor.dtype()));
  return tensor.rank() && tensor.size(-1) > 1 ? tensor.strides().back() * size : size;
}

void copy_elements(const Tensor &to, const Tensor &from) {
  if (to.element_count() == 0)
    return;
  int64_t to_size = static_cast<int64_t>(size_in_bytes(to.dtype()));
  int64_t from_size = static_cast<int64_t>(size_in_bytes(from.dtype()));
  int rank = to.rank();
  int64_t columns = rank ? to.shape()[rank - 1] : 1, rows = to.element_count() / columns;
  int64_t to_step = step_in_bytes(to), from_step = step_in_bytes(from);
  CopyRow copy = row_copier(to.dtype(), from.dtype());
  for (int64_t row = 0; row < rows; ++row) {
    auto *target = to.data_as<char>();
    auto *source = from.data_as<char>();
    for (int64_t rest = row, i = rank - 2; i >= 0; --i) {
      int64_t index = rest % to.shape()[i];
      rest /= to.shape()[i];
      target += index * to.strides()[i] * to_size;
      source += index * from.strides()[i] * from_size;
    }
    if (copy) {
      copy(target, to_step, source, from_step, columns);
      continue;
    }
    for (int64_t i = 0; i < columns; ++i)
      convert_element(target + i * to_step, to.dtype(), source + i * from_step, from.dtype());
  }
}

// Whether two elements share memory; exact for what expand() makes.
bool is_expanded(const Tensor &tensor) {
  for (int i = 0; i < tensor.rank(); ++i)
    if (tensor.shape()[i] > 1 && tensor.strides()[i] == 0)
      return tensor.element_count() > 0;
  return false;
}

Error off_host(std::string_view what) {
  return Error(ErrorCode::kUnsupported,
               std::string(what) + " works on host tensors; copy with to(DeviceLocation{}) first");
}

} // namespace

Status Tensor::copy_from(const Tensor &source) {
  TENON_TRY(require_defined(*this, "this"));
  TENON_TRY(require_defined(source, "source"));
  if (shape_ != source.shape_)
    return Error::shape_mismatch("source", to_string(source.shape_), to_string(shape_));
  if (!on_host() || !source.on_host())
    return off_host("copy_from");
  if (is_read_only())
    return Error::invalid_argument("this", "read-only memory", "memory that may be written");
  if (is_expanded(*this))
    return Error::invalid_argument("this", "an expanded view with strides " + to_string(strides_),
                                   "a tensor whose elements have memory of their own");
  if (source.storage_ == storage_) {
    TENON_ASSIGN_OR_RETURN(Tensor apart, source.clone());
    copy_elements(*this, apart);
    return {};
  }
  copy_elements(*this, source);
  return {};
}

Result<Tensor> Tensor::clone() const {
  TENON_TRY(require_defined(*this, "this"));
  if (!on_host())
    return off_host("clone");
  TENON_ASSIGN_OR_RETURN(Tensor copy, empty(shape_, dtype_));
  TENON_TRY(copy.copy_from(*this));
  return copy;
}

Result<Tensor> Tensor::contiguous() const {
  if (is_contiguous())
    return *this;
  return clone();
}

Result<Tensor> Tensor::to(DataType dtype) const {
  if (dtype == dtype_)
    return *this;
  if (!on_host())
    return off_host("to(dtype)");
  TENON_ASSIGN_OR_RETURN(Tensor copy, empty(shape_, dtype));
  TENON_TRY(copy.copy_from(*this));
  return copy;
}

Result<Tensor> Tensor::to(DeviceLocation location) const {
  TENON_TRY(require_defined(*this, "this"));
  if (location == device())
    return *this;
  if (!on_host() && location.kind != DeviceKind::kHost) {
    TENON_ASSIGN_OR_RETURN(Tensor through_host, to(DeviceLocation{}));
    return through_host.to(location);
  }
  TENON_ASSIGN_OR_RETURN(Tensor source, contiguous());
  TENON_ASSIGN_OR_RETURN(Tensor copy, empty(shape_, dtype_, location));
  size_t bytes = static_cast<size_t>(element_count()) * size_in_bytes(dtype_);
  if (bytes == 0)
    return copy;
  if (location.kind == DeviceKind::kHost) {
    TENON_ASSIGN_OR_RETURN(DeviceMemory * memory, device_memory(device().kind));
    TENON_TRY(memory->copy_to_host(copy.data_, source.data_, bytes, device().ordinal));
  } else {
    TENON_ASSIGN_OR_RETURN(DeviceMemory * memory, device_memory(location.kind));
    TENON_TRY(memory->copy_to_device(copy.data_, source.data_, bytes, location.ordinal));
  }
  return copy;
}

double Tensor::element_as_double(std::span<const int64_t> index) const {
  bool inside = index.size() == shape_.size() && defined() && on_host();
  int64_t offset = 0;
  for (size_t i = 0; inside && i < index.size(); ++i) {
    inside = index[i] >= 0 && index[i] < shape_[i];
    offset += inside ? index[i] * strides_[i] : 0;
  }
  if (!inside)
    misused("element_as_double() of index " + to_string(index) + " in " +
            std::string(name(device().kind)) + " tensor of shape " + to_string(shape_));
  return load_as_double(data_as<char>() + offset * static_cast<int64_t>(size_in_bytes(dtype_)),
                        dtype_);
}

double Tensor::item() const {
  if (element_count() != 1 || !on_host())
    misused("item() of " + std::string(name(device().kind)) + " tensor of shape " +
            to_string(shape_));
  return load_as_double(data_, dtype_);
}

} // namespace tenon
