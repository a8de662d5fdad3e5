#include "EmulateArguments.h"

#include "tenon/Half.h"
#include "tenon/TensorFile.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

namespace tenon::command {
namespace {

/// Elements by name; `tensor` is what a file of tensors calls the same bits.
struct Element {
  std::string_view name;
  size_t bytes;
  std::string_view tensor;
};
constexpr Element kElements[] = {
    {"f32", 4, "f32"}, {"f16", 2, "f16"}, {"bf16", 2, "bf16"}, {"f64", 8, "f64"}, {"i32", 4, "i32"},
    {"s32", 4, "i32"}, {"u32", 4, "i32"}, {"b32", 4, "i32"},   {"i64", 8, "i64"}, {"s64", 8, "i64"},
    {"u64", 8, "i64"}, {"b64", 8, "i64"}, {"bool", 1, "bool"}, {"u8", 1, ""},     {"s8", 1, ""},
    {"b8", 1, ""},     {"u16", 2, ""},    {"s16", 2, ""},      {"b16", 2, ""}};

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

Result<void> place(const EmulatedDriver &driver, KernelArgument &argument, const void *from) {
  TENON_TRY(driver.check(
      "cuMemAlloc", driver.allocate(&argument.buffer, std::max<size_t>(argument.buffer_bytes, 1))));
  if (from && argument.buffer_bytes)
    TENON_TRY(
        driver.check("cuMemcpyHtoD", driver.copy_in(argument.buffer, from, argument.buffer_bytes)));
  argument.value = bytes_of(argument.buffer);
  return {};
}

Result<KernelArgument> file_buffer(const EmulatedDriver &driver, const std::string &path) {
  KernelArgument argument;
  TENON_ASSIGN_OR_RETURN(const Tensor loaded, load_tensor(path));
  TENON_ASSIGN_OR_RETURN(const Tensor tensor, loaded.contiguous());
  argument.shape = tensor.shape();
  argument.element = name(tensor.dtype());
  argument.buffer_bytes = size_in_bytes(tensor.dtype());
  for (int64_t extent : tensor.shape())
    argument.buffer_bytes *= static_cast<size_t>(extent);
  TENON_TRY(place(driver, argument, tensor.data()));
  return argument;
}

/// "f32[4,1024]" or "zeros:f32[1024]"
Result<KernelArgument> fresh_buffer(const EmulatedDriver &driver, const KernelParameter &parameter,
                                    const std::string &text) {
  constexpr std::string_view kZeros = "zeros:";
  constexpr uint64_t kMostBytes = uint64_t{1} << 40;
  KernelArgument argument;
  std::string_view rest = text;
  const bool zeros = rest.starts_with(kZeros);
  rest.remove_prefix(zeros ? kZeros.size() : 0);
  const size_t open = rest.find('[');
  const Element *element = find_element(rest.substr(0, open));
  if (!element || !rest.ends_with(']'))
    return wrong(parameter, text, "a buffer is written as f32[1024]");
  argument.element = element->name;
  uint64_t bytes = element->bytes;
  for (rest = rest.substr(open + 1); !rest.empty();) {
    int64_t extent = 0;
    auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), extent);
    if (error != std::errc() || extent < 0 || (*end != ',' && *end != ']') ||
        (extent && bytes > kMostBytes / static_cast<uint64_t>(extent)))
      return wrong(parameter, text,
                   "extents are numbers between commas, and a buffer has at most 1 TiB");
    bytes *= static_cast<uint64_t>(extent);
    argument.shape.push_back(extent);
    rest.remove_prefix(static_cast<size_t>(end - rest.data()) + 1);
  }
  argument.buffer_bytes = bytes;
  TENON_TRY(place(driver, argument, nullptr));
  if (zeros && bytes)
    TENON_TRY(driver.check("cuMemsetD8", driver.set_bytes(argument.buffer, 0, bytes)));
  return argument;
}

} // namespace

Result<KernelArgument> make_argument(const EmulatedDriver &driver, const KernelParameter &parameter,
                                     const std::string &text) {
  const size_t arrow = text.find("=>");
  const std::string input = text.substr(0, arrow);
  const bool file = is_tensor_file(input), buffer = file || input.find('[') != input.npos;
  if (!buffer && arrow != text.npos)
    return wrong(parameter, text, "only a buffer can be written to a file");
  if (!buffer)
    return scalar(parameter, input);
  if (parameter.bytes != sizeof(uint64_t))
    return wrong(parameter, text, "a buffer needs a parameter of 8 bytes");
  TENON_ASSIGN_OR_RETURN(KernelArgument argument, file ? file_buffer(driver, input)
                                                       : fresh_buffer(driver, parameter, input));
  if (arrow != text.npos) {
    argument.output = text.substr(arrow + 2);
    const Element *element = find_element(argument.element);
    if (is_tensor_file(argument.output) && element->tensor.empty())
      return wrong(parameter, text,
                   "tensors of " + argument.element +
                       " have no file format here; write to a .bin file");
    if (is_tensor_file(argument.output))
      TENON_TRY(check_writable(argument.output, parse_data_type(element->tensor).value()));
    else
      TENON_TRY(check_replaceable(argument.output));
  }
  return argument;
}

Result<void> write_output(const EmulatedDriver &driver, const KernelArgument &argument) {
  if (argument.output.empty())
    return {};
  std::string bytes(argument.buffer_bytes, '\0');
  if (!bytes.empty())
    TENON_TRY(
        driver.check("cuMemcpyDtoH", driver.copy_out(bytes.data(), argument.buffer, bytes.size())));
  if (!is_tensor_file(argument.output))
    return replace_file(argument.output, bytes);
  TENON_ASSIGN_OR_RETURN(const DataType dtype,
                         parse_data_type(find_element(argument.element)->tensor));
  TENON_ASSIGN_OR_RETURN(Tensor tensor, Tensor::empty(argument.shape, dtype));
  std::memcpy(tensor.data(), bytes.data(), bytes.size());
  return save_tensor(argument.output, tensor);
}

} // namespace tenon::command
