#include "tenon/DataType.h"

#include "tenon/Half.h"
#include "tenon/Tensor.h"

#include <array>
#include <cmath>
#include <cstring>
#include <limits>

namespace tenon {
namespace {

struct Entry {
  DataType dtype;
  std::string_view name;
  size_t bytes;
  bool floating;
};
constexpr std::array<Entry, 7> kTypes = {{{DataType::kFloat32, "f32", 4, true},
                                          {DataType::kFloat16, "f16", 2, true},
                                          {DataType::kBFloat16, "bf16", 2, true},
                                          {DataType::kBool, "bool", 1, false},
                                          {DataType::kInt32, "i32", 4, false},
                                          {DataType::kInt64, "i64", 8, false},
                                          {DataType::kFloat64, "f64", 8, true}}};
const Entry &entry(DataType dtype) {
  return kTypes.at(static_cast<size_t>(dtype));
}

template <class T> T read(const void *element) {
  T value;
  std::memcpy(&value, element, sizeof value);
  return value;
}
template <class T> void write(void *element, T value) {
  std::memcpy(element, &value, sizeof value);
}

// Truncates toward zero and saturates, as no plain cast may.
template <class T> T to_integer(double value) {
  if (std::isnan(value))
    return 0;
  if (value <= static_cast<double>(std::numeric_limits<T>::min()))
    return std::numeric_limits<T>::min();
  if (value >= static_cast<double>(std::numeric_limits<T>::max()))
    return std::numeric_limits<T>::max();
  return static_cast<T>(value);
}

// A double rounded to float32 and then to 16 bits could be rounded twice: round to odd first.
float round_to_odd(double value) {
  float rounded = static_cast<float>(value);
  if (static_cast<double>(rounded) == value || std::isnan(value) || std::isinf(rounded))
    return rounded;
  if (std::abs(static_cast<double>(rounded)) > std::abs(value))
    rounded = std::nextafter(rounded, 0.0f);
  return std::bit_cast<float>(std::bit_cast<uint32_t>(rounded) | 1u);
}

} // namespace

size_t size_in_bytes(DataType dtype) {
  return entry(dtype).bytes;
}
std::string_view name(DataType dtype) {
  return entry(dtype).name;
}
bool is_floating_point(DataType dtype) {
  return entry(dtype).floating;
}

Result<DataType> parse_data_type(std::string_view text) {
  for (const Entry &type : kTypes)
    if (type.name == text)
      return type.dtype;
  return Error::invalid_argument("dtype", "'" + std::string(text) + "'",
                                 "one of f32, f16, bf16, bool, i32, i64, f64");
}

double load_as_double(const void *element, DataType dtype) {
  switch (dtype) {
  case DataType::kFloat32:
    return read<float>(element);
  case DataType::kFloat16:
    return float_from_float16(read<uint16_t>(element));
  case DataType::kBFloat16:
    return float_from_bfloat16(read<uint16_t>(element));
  case DataType::kBool:
    return read<uint8_t>(element) != 0;
  case DataType::kInt32:
    return read<int32_t>(element);
  case DataType::kInt64:
    return static_cast<double>(read<int64_t>(element));
  case DataType::kFloat64:
    return read<double>(element);
  }
  return 0;
}

void store_from_double(void *element, DataType dtype, double value) {
  switch (dtype) {
  case DataType::kFloat32:
    return write(element, static_cast<float>(value));
  case DataType::kFloat16:
    return write(element, float16_from_float(round_to_odd(value)));
  case DataType::kBFloat16:
    return write(element, bfloat16_from_float(round_to_odd(value)));
  case DataType::kBool:
    return write(element, static_cast<uint8_t>(value != 0));
  case DataType::kInt32:
    return write(element, to_integer<int32_t>(value));
  case DataType::kInt64:
    return write(element, to_integer<int64_t>(value));
  case DataType::kFloat64:
    return write(element, value);
  }
}

} // namespace tenon
