#include "EmulateArguments.h"
#include "EmulateElements.h"

#include "tenon/Files.h"
#include "tenon/Half.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace tenon::command {
namespace {
Result<std::string> read_output(const EmulatedDriver &driver, const DeviceBuffer &buffer) {
  std::string bytes(buffer.bytes, '\0');
  if (!bytes.empty())
    TENON_TRY(
        driver.check("cuMemcpyDtoH", driver.copy_out(bytes.data(), buffer.address, bytes.size())));
  return bytes;
}

/// An element as a number.
double number_at(std::string_view element, const void *bytes, size_t index) {
  auto at = [&]<class T>(T value) {
    std::memcpy(&value, static_cast<const std::byte *>(bytes) + index * sizeof(T), sizeof(T));
    return value;
  };
  return element == "f32"    ? static_cast<double>(at(float{}))
         : element == "f64"  ? at(double{})
         : element == "f16"  ? static_cast<double>(float_from_float16(at(uint16_t{})))
         : element == "bf16" ? static_cast<double>(float_from_bfloat16(at(uint16_t{})))
         : element == "i32"  ? static_cast<double>(at(int32_t{}))
         : element == "i64"  ? static_cast<double>(at(int64_t{}))
         : element == "u32"  ? static_cast<double>(at(uint32_t{}))
         : element == "u64"  ? static_cast<double>(at(uint64_t{}))
         : element == "i16"  ? static_cast<double>(at(int16_t{}))
         : element == "u16"  ? static_cast<double>(at(uint16_t{}))
         : element == "i8"   ? static_cast<double>(at(int8_t{}))
                             : static_cast<double>(at(uint8_t{}));
}

/// The element's name in number_at.
std::string_view stored_as(const Element &element) {
  return element.array.empty() ? element.tensor : element.array;
}
} // namespace

Result<std::string> compare_output(const EmulatedDriver &driver, const DeviceBuffer &buffer,
                                   const std::string &expected, double tolerance) {
  TENON_ASSIGN_OR_RETURN(const NpyArray wanted_array, load_elements(expected));
  const Element &made = *find_element(buffer.element), &given = *find_element(wanted_array.element);
  const bool raw = expected.ends_with(".bin");
  const bool same_type = stored_as(made) == stored_as(given) ||
                         (!made.tensor.empty() && made.tensor == given.tensor) || // .safetensors has no unsigned ones
                         (made.name == "bool" && given.name == "u8");
  if (raw ? wanted_array.bytes.size() != buffer.bytes : !same_type || wanted_array.shape != buffer.shape)
    return Error(ErrorCode::kInvalidArgument,
                 expected + ": its shape or type is not that of '" + buffer.output + "'");
  const std::string_view element = stored_as(made);
  const bool integers = element.find('f') == element.npos;
  const void *const wanted_bytes = wanted_array.bytes.data();
  TENON_ASSIGN_OR_RETURN(const std::string bytes, read_output(driver, buffer));
  const size_t count = buffer.bytes / made.bytes;
  size_t wrong = 0, worst = 0;
  double worst_error = -1;
  for (size_t i = 0; i < count; ++i) {
    const double got = number_at(element, bytes.data(), i), wanted = number_at(element, wanted_bytes, i);
    // Integers of 64 bits may be the same number here, and others.
    const bool equal = integers ? std::memcmp(&bytes[i * made.bytes], &wanted_array.bytes[i * made.bytes], made.bytes) == 0
                                : got == wanted || (std::isnan(got) && std::isnan(wanted));
    const double distance = std::abs(got - wanted) / std::max(1.0, std::abs(wanted));
    const double error = equal ? 0 : std::max(distance, std::numeric_limits<double>::min());
    if (error <= tolerance) // not so of what is not a number
      continue;
    ++wrong;
    const double size = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
    if (size <= worst_error)
      continue;
    worst_error = size;
    worst = i;
  }
  if (!wrong)
    return std::string();
  char text[256];
  std::snprintf(text, sizeof text, "%zu of %zu elements are off by more than %g, the worst is element %zu: %.9g where %.9g is expected",
                wrong, count, tolerance, worst, number_at(element, bytes.data(), worst),
                number_at(element, wanted_bytes, worst));
  return buffer.output + " is not " + expected + ": " + text;
}

Result<void> write_output(const EmulatedDriver &driver, const DeviceBuffer &buffer) {
  if (buffer.output.empty())
    return {};
  TENON_ASSIGN_OR_RETURN(const std::string bytes, read_output(driver, buffer));
  if (!is_tensor_file(buffer.output))
    return replace_file(buffer.output, bytes);
  const Element &element = *find_element(buffer.element);
  if (buffer.output.ends_with(".npy")) {
    const auto *first = reinterpret_cast<const std::byte *>(bytes.data());
    return write_npy_array(buffer.output, {std::string(element.array), buffer.shape, {first, first + bytes.size()}});
  }
  TENON_ASSIGN_OR_RETURN(const DataType dtype, parse_data_type(element.tensor));
  TENON_ASSIGN_OR_RETURN(Tensor tensor, Tensor::empty(buffer.shape, dtype));
  std::memcpy(tensor.data(), bytes.data(), bytes.size());
  return save_tensor(buffer.output, tensor);
}

} // namespace tenon::command
