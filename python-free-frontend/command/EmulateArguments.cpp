#include "EmulateArguments.h"

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

/// Elements by name; what a .npy file calls them, and what tensors and so .safetensors do.
struct Element {
  std::string_view name;
  size_t bytes;
  std::string_view array, tensor;
};
constexpr Element kElements[] = {
    {"f32", 4, "f32", "f32"}, {"f16", 2, "f16", "f16"}, {"bf16", 2, "", "bf16"},  {"f64", 8, "f64", "f64"},
    {"i32", 4, "i32", "i32"}, {"s32", 4, "i32", "i32"}, {"u32", 4, "u32", "i32"}, {"b32", 4, "u32", "i32"},
    {"i64", 8, "i64", "i64"}, {"s64", 8, "i64", "i64"}, {"u64", 8, "u64", "i64"}, {"b64", 8, "u64", "i64"},
    {"bool", 1, "bool", "bool"}, {"u8", 1, "u8", ""},   {"i8", 1, "i8", ""},      {"s8", 1, "i8", ""},
    {"b8", 1, "u8", ""},      {"u16", 2, "u16", ""},    {"i16", 2, "i16", ""},    {"s16", 2, "i16", ""},
    {"b16", 2, "u16", ""}};

const Element *find_element(std::string_view name) {
  const Element *found = std::find_if(std::begin(kElements), std::end(kElements),
                                      [&](const Element &element) { return element.name == name; });
  return found == std::end(kElements) ? nullptr : found;
}

Error wrong(const KernelParameter &parameter, const std::string &text, const std::string &why) {
  return Error(ErrorCode::kInvalidArgument,
               "argument '" + text + "' for parameter '" + parameter.name + "' (" + parameter.type +
                   ", " + std::to_string(parameter.bytes) + " bytes): " + why);
}

bool is_tensor_file(std::string_view text) {
  return text.ends_with(".npy") || text.ends_with(".safetensors");
}
/// What a buffer can be filled from: beside those raw bytes.
bool is_buffer_file(std::string_view text) {
  return is_tensor_file(text) || text.ends_with(".bin");
}

/// The elements of a file, row-major: .npy of any number, .safetensors, or raw bytes.
Result<NpyArray> load_elements(const std::string &path) {
  if (path.ends_with(".npy"))
    return read_npy_array(path);
  if (path.ends_with(".bin")) {
    TENON_ASSIGN_OR_RETURN(std::vector<std::byte> bytes, read_file(path));
    return NpyArray{"b8", {static_cast<int64_t>(bytes.size())}, std::move(bytes)};
  }
  TENON_ASSIGN_OR_RETURN(const Tensor loaded, load_tensor(path));
  TENON_ASSIGN_OR_RETURN(const Tensor tensor, loaded.contiguous());
  const auto *first = tensor.data_as<std::byte>();
  const auto bytes = tensor.element_count() * static_cast<int64_t>(size_in_bytes(tensor.dtype()));
  return NpyArray{std::string(name(tensor.dtype())), tensor.shape(), {first, first + bytes}};
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
