#include "EmulateArguments.h"
#include "EmulateElements.h"

#include "tenon/Files.h"
#include "tenon/Half.h"
#include "tenon/KernelImage.h"
#include "tenon/TensorFile.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

namespace tenon::command {
namespace {

Error wrong(const KernelParameter &parameter, const std::string &text, const std::string &why) {
  return Error(ErrorCode::kInvalidArgument,
               "argument '" + text + "' for parameter '" + parameter.name + "' (" + parameter.type +
                   ", " + std::to_string(parameter.bytes) + " bytes): " + why);
}

/// What a buffer can be filled from: beside those raw bytes.
bool is_buffer_file(std::string_view text) {
  return is_tensor_file(text) || text.ends_with(".bin");
}

template <class T> std::vector<std::byte> bytes_of(T value) {
  std::vector<std::byte> bytes(sizeof(T));
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

/// A number in the bits of an element; empty where it is none, or does not fit.
std::vector<std::byte> scalar_bytes(const Element &element, std::string_view text) {
  if (element.name.find('f') != element.name.npos) {
    double number = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size())
      return {};
    const double largest = element.name == "f16"   ? 65504
                           : element.name == "f64" ? std::numeric_limits<double>::max()
                                                   : std::numeric_limits<float>::max();
    if (std::isfinite(number) && std::abs(number) > largest)
      return {};
    return element.name == "f64"   ? bytes_of(number)
           : element.name == "f32" ? bytes_of(static_cast<float>(number))
           : element.name == "f16" ? bytes_of(float16_from_float(static_cast<float>(number)))
                                   : bytes_of(bfloat16_from_float(static_cast<float>(number)));
  }
  int base = text.starts_with("0x") ? 16 : 10;
  std::string_view digits = base == 16 ? text.substr(2) : text;
  uint64_t bits = 0;
  int64_t negative = 0;
  auto parsed = digits.starts_with('-')
                    ? std::from_chars(digits.data(), digits.data() + digits.size(), negative, base)
                    : std::from_chars(digits.data(), digits.data() + digits.size(), bits, base);
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size())
    return {};
  const size_t width = element.bytes * 8;
  if (negative ? width < 64 && negative < -(int64_t{1} << (width - 1))
               : width < 64 && bits >> width)
    return {};
  bits = negative ? static_cast<uint64_t>(negative) : bits;
  std::vector<std::byte> bytes = bytes_of(bits);
  bytes.resize(element.bytes);
  return bytes;
}

Result<KernelArgument> scalar(const KernelParameter &parameter, const std::string &text) {
  KernelArgument argument;
  if (text.starts_with("hex:")) {
    const std::string digits = text.substr(4);
    if (digits.size() % 2)
      return wrong(parameter, text, "a byte has two digits");
    for (size_t i = 0; i + 1 < digits.size(); i += 2) {
      unsigned value = 0;
      if (std::from_chars(&digits[i], &digits[i] + 2, value, 16).ptr != &digits[i] + 2)
        return wrong(parameter, text, "not hexadecimal digits");
      argument.value.push_back(static_cast<std::byte>(value));
    }
  } else {
    const size_t colon = text.find(':');
    const Element *element =
        find_element(colon == text.npos ? parameter.type : text.substr(0, colon));
    if (!element)
      return wrong(parameter, text, "not a file, a buffer (f32[1024]) or a number");
    argument.value = scalar_bytes(*element, colon == text.npos ? text : text.substr(colon + 1));
    // A parameter declared by its bits alone (.b32) may still be meant as a float.
    if (argument.value.empty() && colon == text.npos && parameter.type == "b32")
      argument.value = scalar_bytes(*find_element("f32"), text);
    if (argument.value.empty())
      return wrong(parameter, text, "not a number of that type");
  }
  if (argument.value.size() != parameter.bytes)
    return wrong(parameter, text, "it has " + std::to_string(argument.value.size()) + " bytes");
  return argument;
}

Result<void> place(const EmulatedDriver &driver, DeviceBuffer &buffer, const void *from) {
  TENON_TRY(driver.check("cuMemAlloc",
                         driver.allocate(&buffer.address, std::max<size_t>(buffer.bytes, 1))));
  if (from && buffer.bytes)
    TENON_TRY(driver.check("cuMemcpyHtoD", driver.copy_in(buffer.address, from, buffer.bytes)));
  return {};
}

Result<DeviceBuffer> file_buffer(const EmulatedDriver &driver, const std::string &path) {
  DeviceBuffer buffer;
  TENON_ASSIGN_OR_RETURN(const NpyArray array, load_elements(path));
  buffer.shape = array.shape;
  buffer.element = array.element;
  buffer.bytes = array.bytes.size();
  TENON_TRY(place(driver, buffer, array.bytes.data()));
  return buffer;
}

/// "f32[4,1024]" or "zeros:f32[1024]"
Result<DeviceBuffer> fresh_buffer(const EmulatedDriver &driver, const KernelParameter &parameter,
                                  const std::string &text) {
  constexpr std::string_view kZeros = "zeros:";
  constexpr uint64_t kMostBytes = uint64_t{1} << 40;
  DeviceBuffer buffer;
  std::string_view rest = text;
  const bool zeros = rest.starts_with(kZeros);
  rest.remove_prefix(zeros ? kZeros.size() : 0);
  const size_t open = rest.find('[');
  const Element *element = find_element(rest.substr(0, open));
  if (!element || !rest.ends_with(']'))
    return wrong(parameter, text, "a buffer is written as f32[1024]");
  buffer.element = element->name;
  uint64_t bytes = element->bytes;
  for (rest = rest.substr(open + 1); !rest.empty();) {
    int64_t extent = 0;
    auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), extent);
    if (error != std::errc() || extent < 0 || (*end != ',' && *end != ']') ||
        static_cast<uint64_t>(extent) > kMostBytes ||
        (extent && bytes > kMostBytes / static_cast<uint64_t>(extent)))
      return wrong(parameter, text,
                   "extents are numbers between commas, and a buffer has at most 1 TiB");
    bytes *= static_cast<uint64_t>(extent);
    buffer.shape.push_back(extent);
    rest.remove_prefix(static_cast<size_t>(end - rest.data()) + 1);
  }
  buffer.bytes = bytes;
  TENON_TRY(place(driver, buffer, nullptr));
  if (zeros && bytes)
    TENON_TRY(driver.check("cuMemsetD8", driver.set_bytes(buffer.address, 0, bytes)));
  return buffer;
}

bool is_buffer(std::string_view text) {
  const std::string_view input = text.substr(0, text.find("=>"));
  return is_buffer_file(input) || input.find('[') != input.npos;
}

Result<DeviceBuffer> make_buffer(const EmulatedDriver &driver, const KernelParameter &parameter,
                                 const std::string &text) {
  const size_t arrow = text.find("=>");
  const std::string input = text.substr(0, arrow);
  TENON_ASSIGN_OR_RETURN(DeviceBuffer buffer, is_buffer_file(input)
                                                  ? file_buffer(driver, input)
                                                  : fresh_buffer(driver, parameter, input));
  if (arrow == text.npos)
    return buffer;
  buffer.output = text.substr(arrow + 2);
  const Element *element = find_element(buffer.element);
  const bool npy = buffer.output.ends_with(".npy");
  if (is_tensor_file(buffer.output) && (npy ? element->array : element->tensor).empty())
    return wrong(parameter, text,
                 std::string(npy ? ".npy" : ".safetensors") + " cannot hold " + buffer.element + "; write to a " +
                     (npy ? ".safetensors" : ".npy") + " file, or raw bytes to a .bin file");
  if (is_tensor_file(buffer.output) && !npy)
    TENON_TRY(check_writable(buffer.output, parse_data_type(element->tensor).value()));
  else
    TENON_TRY(check_replaceable(buffer.output));
  return buffer;
}

/// A contiguous tensor as Tenon's kernels take it: [batch, heads, rows, width], or fewer of the last.
Result<TensorArgument> tensor_argument(const KernelParameter &parameter, const std::string &text,
                                       const DeviceBuffer &buffer) {
  TensorArgument tensor = {};
  if (buffer.shape.size() > std::size(tensor.sizes))
    return wrong(parameter, text, "a tensor has at most four dimensions");
  tensor.data = std::bit_cast<void *>(buffer.address);
  std::fill(std::begin(tensor.sizes), std::end(tensor.sizes), 1);
  int64_t stride = 1;
  for (size_t back = 1; back <= buffer.shape.size(); ++back) {
    const size_t at = std::size(tensor.sizes) - back;
    const int64_t extent = buffer.shape[buffer.shape.size() - back];
    if (extent > std::numeric_limits<int32_t>::max())
      return wrong(parameter, text, "an extent of a tensor is below 2^31");
    tensor.sizes[at] = static_cast<int32_t>(extent);
    if (buffer.bytes == 0) // nothing is read, and the product of the extents may be any number
      continue;
    tensor.strides[at] = extent == 1 ? 0 : stride;
    stride *= extent;
  }
  return tensor;
}

/// "i32:1,8": numbers of one type.
Result<std::vector<std::byte>> numbers(const KernelParameter &parameter, const std::string &text) {
  const size_t colon = text.find(':');
  const Element *element = find_element(text.substr(0, colon));
  if (!element || colon == text.npos)
    return wrong(parameter, text, "within a structure a number needs its type: i32:8");
  std::vector<std::byte> bytes;
  for (size_t at = colon + 1; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    const std::vector<std::byte> one =
        scalar_bytes(*element, std::string_view(text).substr(at, comma - at));
    if (one.empty())
      return wrong(parameter, text, "not numbers of that type");
    bytes.insert(bytes.end(), one.begin(), one.end());
    at = comma + 1;
  }
  return bytes;
}

std::string trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\n";
  const size_t begin = text.find_first_not_of(kBlanks), end = text.find_last_not_of(kBlanks);
  return begin == text.npos ? "" : std::string(text.substr(begin, end - begin + 1));
}

/// The bytes of one field, and the buffer that it points to, which joins those of `argument`.
Result<std::vector<std::byte>> field_bytes(const EmulatedDriver &driver,
                                           const KernelParameter &parameter, std::string text,
                                           KernelArgument &argument) {
  constexpr std::string_view kTensor = "tensor:";
  const bool tensor = text.starts_with(kTensor);
  if (tensor)
    text.erase(0, kTensor.size());
  if (!is_buffer(text))
    return tensor ? Result<std::vector<std::byte>>(
                        wrong(parameter, text, "a tensor is a file or a buffer"))
                  : numbers(parameter, text);
  TENON_ASSIGN_OR_RETURN(DeviceBuffer buffer, make_buffer(driver, parameter, text));
  std::vector<std::byte> bytes = bytes_of(buffer.address);
  if (tensor) {
    TENON_ASSIGN_OR_RETURN(const TensorArgument described,
                           tensor_argument(parameter, text, buffer));
    bytes = bytes_of(described);
  }
  argument.buffers.push_back(std::move(buffer));
  return bytes;
}

/// "{0: i32:1,8; 8: in.npy; 168: tensor:in.npy=>out.npy}"
Result<KernelArgument> structure(const EmulatedDriver &driver, const KernelParameter &parameter,
                                 const std::string &text) {
  if (!text.ends_with('}'))
    return wrong(parameter, text, "a structure ends with }");
  KernelArgument argument;
  argument.value.resize(parameter.bytes);
  std::vector<bool> given(parameter.bytes);
  const std::string_view fields = std::string_view(text).substr(1, text.size() - 2);
  for (size_t at = 0; at <= fields.size();) {
    const size_t end = std::min(fields.find(';', at), fields.size());
    const std::string field = trimmed(fields.substr(at, end - at));
    at = end + 1;
    if (field.empty())
      continue;
    size_t offset = 0;
    const auto [colon, error] = std::from_chars(field.data(), field.data() + field.size(), offset);
    if (error != std::errc() || colon == field.data() + field.size() || *colon != ':')
      return wrong(parameter, field, "a field begins with its offset in bytes: 8: in.npy");
    TENON_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes,
                           field_bytes(driver, parameter, trimmed(colon + 1), argument));
    if (offset > parameter.bytes || bytes.size() > parameter.bytes - offset)
      return wrong(parameter, field,
                   "it has " + std::to_string(bytes.size()) +
                       " bytes and ends beyond the structure");
    for (size_t i = 0; i < bytes.size(); ++i) {
      if (given[offset + i])
        return wrong(parameter, field, "byte " + std::to_string(offset + i) + " is given twice");
      given[offset + i] = true;
      argument.value[offset + i] = bytes[i];
    }
  }
  return argument;
}

} // namespace

Result<KernelArgument> make_argument(const EmulatedDriver &driver, const KernelParameter &parameter,
                                     const std::string &text) {
  if (text.starts_with('{'))
    return structure(driver, parameter, text);
  if (!is_buffer(text))
    return text.find("=>") == text.npos
               ? scalar(parameter, text)
               : Result<KernelArgument>(
                     wrong(parameter, text, "only a buffer can be written to a file"));
  if (parameter.bytes != sizeof(uint64_t))
    return wrong(parameter, text,
                 "a buffer needs a parameter of 8 bytes; a structure is written as {8: in.npy}");
  TENON_ASSIGN_OR_RETURN(DeviceBuffer buffer, make_buffer(driver, parameter, text));
  KernelArgument argument;
  argument.value = bytes_of(buffer.address);
  argument.buffers.push_back(std::move(buffer));
  return argument;
}

} // namespace tenon::command
