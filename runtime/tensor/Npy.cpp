#include "tenon/TensorFile.h"
#include "tenon/Files.h"
#include "tensor/Sizes.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

namespace tenon {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

constexpr std::string_view kBytes = "|u1"; // a mask where all of them are 0 or 1

struct TypeDescriptor {
  std::string_view text;
  DataType dtype;
};
constexpr std::array<TypeDescriptor, 7> kDescriptors = {{{"<f4", DataType::kFloat32},
                                                         {"<f2", DataType::kFloat16},
                                                         {"<f8", DataType::kFloat64},
                                                         {"|b1", DataType::kBool},
                                                         {kBytes, DataType::kBool},
                                                         {"<i4", DataType::kInt32},
                                                         {"<i8", DataType::kInt64}}};

Error corrupt_npy(std::string text) {
  return Error(ErrorCode::kCorruptFile, "not a valid .npy: " + std::move(text));
}

// The header is a Python dictionary with three entries; this reads just that much of Python.
class HeaderReader {
public:
  explicit HeaderReader(std::string_view text) : text_(text) {}

  bool take(char symbol) {
    skip_spaces();
    if (text_.empty() || text_.front() != symbol)
      return false;
    text_.remove_prefix(1);
    return true;
  }
  std::optional<std::string_view> string() {
    skip_spaces();
    if (text_.empty() || (text_.front() != '\'' && text_.front() != '"'))
      return {};
    size_t end = text_.find(text_.front(), 1);
    if (end == text_.npos)
      return {};
    std::string_view value = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return value;
  }
  std::optional<bool> boolean() {
    skip_spaces();
    for (auto [word, value] : {std::pair{std::string_view("True"), true}, {"False", false}})
      if (text_.starts_with(word)) {
        text_.remove_prefix(word.size());
        return value;
      }
    return {};
  }
  std::optional<Shape> tuple() {
    Shape shape;
    if (!take('('))
      return {};
    while (!take(')')) {
      skip_spaces();
      int64_t size = 0;
      auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), size);
      if (error != std::errc() || shape.size() == kMostFileDimensions)
        return {};
      text_.remove_prefix(static_cast<size_t>(end - text_.data()));
      take('L'); // Python 2 wrote long integers so
      shape.push_back(size);
      if (!take(',')) {
        if (!take(')'))
          return {};
        break;
      }
    }
    return shape;
  }
  bool at_end() {
    skip_spaces();
    return text_.empty();
  }

private:
  void skip_spaces() {
    while (!text_.empty() &&
           (text_.front() == ' ' || text_.front() == '\n' || text_.front() == '\t'))
      text_.remove_prefix(1);
  }
  std::string_view text_;
};

struct Header {
  std::optional<std::string_view> descriptor;
  std::optional<bool> fortran_order;
  std::optional<Shape> shape;
};

Result<Header> parse_header(std::string_view text) {
  HeaderReader reader(text);
  Header header;
  if (!reader.take('{'))
    return corrupt_npy("its header is no dictionary");
  while (!reader.take('}')) {
    auto key = reader.string();
    if (!key || !reader.take(':'))
      return corrupt_npy("its header has an entry without a name");
    bool read = false;
    if (*key == "descr" && !header.descriptor)
      read = (header.descriptor = reader.string()).has_value();
    else if (*key == "fortran_order" && !header.fortran_order)
      read = (header.fortran_order = reader.boolean()).has_value();
    else if (*key == "shape" && !header.shape)
      read = (header.shape = reader.tuple()).has_value();
    if (!read)
      return corrupt_npy("its header's entry '" + std::string(*key) + "' cannot be read");
    if (!reader.take(',')) {
      if (!reader.take('}'))
        return corrupt_npy("its header does not end");
      break;
    }
  }
  if (!header.descriptor || !header.fortran_order || !header.shape || !reader.at_end())
    return corrupt_npy(
        "its header must hold 'descr', 'fortran_order' and 'shape' and nothing else");
  return header;
}

Result<DataType> data_type_of(std::string_view descriptor) {
  for (const TypeDescriptor &entry : kDescriptors)
    if (entry.text == descriptor)
      return entry.dtype;
  std::string why = descriptor.starts_with('>') ? "big-endian '" : "'";
  return Error(
      ErrorCode::kUnsupportedType,
      "element type " + why + std::string(descriptor) +
          "' is not read; one of <f4 <f2 <f8 |b1 <i4 <i8 is, and |u1 as a mask of 0 and 1");
}

/// Elements that tensors have, and more.
struct ArrayElement {
  std::string_view descriptor, name;
  size_t bytes;
};
constexpr ArrayElement kArrayElements[] = {{"<f4", "f32", 4}, {"<f2", "f16", 2}, {"<f8", "f64", 8}, {"|b1", "bool", 1},
                                           {"<i4", "i32", 4}, {"<i8", "i64", 8}, {"|u1", "u8", 1},  {"|i1", "i8", 1},
                                           {"<u2", "u16", 2}, {"<i2", "i16", 2}, {"<u4", "u32", 4}, {"<u8", "u64", 8}};

const ArrayElement *array_element(std::string_view ArrayElement::*field, std::string_view value) {
  const auto *found = std::ranges::find(kArrayElements, value, field);
  return found == std::end(kArrayElements) ? nullptr : found;
}

/// A header, and what follows it.
struct Contents {
  Header header;
  std::span<const std::byte> data;
};

Result<Contents> parse_contents(std::span<const std::byte> bytes) {
  auto *text = reinterpret_cast<const char *>(bytes.data());
  if (bytes.size() < 10 || std::string_view(text, kMagic.size()) != kMagic)
    return corrupt_npy("it does not begin with \\x93NUMPY");
  auto byte = [&](size_t i) { return static_cast<size_t>(bytes[i]); };
  size_t major = byte(6), length = byte(8) | byte(9) << 8, start = 10;
  if (major < 1 || major > 3)
    return corrupt_npy("version " + std::to_string(major) + " is unknown");
  if (major > 1) {
    if (bytes.size() < 12)
      return corrupt_npy("it ends within its header");
    length |= byte(10) << 16 | byte(11) << 24;
    start = 12;
  }
  if (length > bytes.size() - start)
    return corrupt_npy("it ends within its header");
  TENON_ASSIGN_OR_RETURN(Header header, parse_header({text + start, length}));
  return Contents{std::move(header), bytes.subspan(start + length)};
}

Result<size_t> checked_bytes(const Contents &contents, size_t element_bytes) {
  const Shape &shape = *contents.header.shape;
  auto expected = checked_bytes_of(shape, element_bytes);
  if (!expected)
    return corrupt_npy(expected.error().message());
  if (contents.data.size() != *expected)
    return corrupt_npy("shape " + to_string(shape) + " takes " + std::to_string(*expected) +
                       " bytes, the file holds " + std::to_string(contents.data.size()));
  return *expected;
}

Status write_rows(const std::string &path, std::string_view descriptor, const Shape &shape,
                  std::span<const std::byte> bytes) {
  std::string header =
      "{'descr': '" + std::string(descriptor) + "', 'fortran_order': False, 'shape': (";
  for (int64_t size : shape)
    header += std::to_string(size) + ", ";
  header += "), }";
  // The data begin at a multiple of 64, and the header ends with a newline.
  header.append(64 - (10 + header.size() + 1) % 64, ' ');
  header += '\n';
  std::string prefix(kMagic);
  prefix += {'\x01', '\x00', static_cast<char>(header.size() & 0xff),
             static_cast<char>(header.size() >> 8)};
  prefix += header;
  std::span<const std::byte> parts[] = {std::as_bytes(std::span(prefix)), bytes};
  return replace_file(path, parts);
}

/// Of columns that are adjacent ("Fortran order").
void by_rows(NpyArray &array, size_t element_bytes) {
  const std::vector<std::byte> columns = std::exchange(array.bytes, std::vector<std::byte>(array.bytes.size()));
  std::vector<size_t> index(array.shape.size());
  for (size_t at = 0; at < columns.size(); at += element_bytes) {
    size_t from = 0;
    for (size_t dimension = index.size(); dimension-- > 0;)
      from = from * static_cast<size_t>(array.shape[dimension]) + index[dimension];
    std::memcpy(&array.bytes[at], &columns[from * element_bytes], element_bytes);
    for (size_t dimension = index.size(); dimension-- > 0;)
      if (++index[dimension] < static_cast<size_t>(array.shape[dimension]))
        break;
      else
        index[dimension] = 0;
  }
}

} // namespace

Result<Tensor> parse_npy(std::span<const std::byte> bytes) {
  TENON_ASSIGN_OR_RETURN(const Contents contents, parse_contents(bytes));
  const Header &header = contents.header;
  TENON_ASSIGN_OR_RETURN(DataType dtype, data_type_of(*header.descriptor));
  TENON_ASSIGN_OR_RETURN(const size_t expected, checked_bytes(contents, size_in_bytes(dtype)));
  Shape shape = *header.shape;
  if (*header.fortran_order)
    shape.assign(header.shape->rbegin(), header.shape->rend());
  TENON_ASSIGN_OR_RETURN(Tensor tensor, Tensor::empty(shape, dtype));
  if (expected)
    std::memcpy(tensor.data(), contents.data.data(), expected);
  if (dtype == DataType::kBool) // any non-zero byte is true, and true is 1 from here on
    for (size_t i = 0; i < expected; ++i) {
      uint8_t &element = tensor.data_as<uint8_t>()[i];
      if (*header.descriptor == kBytes && element > 1)
        return Error(ErrorCode::kUnsupportedType,
                     "element type '|u1' is read as a mask of 0 and 1, and this holds " +
                         std::to_string(element) + "; store it as bool, or as numbers in float32");
      element = element != 0;
    }
  if (!*header.fortran_order)
    return tensor;
  std::vector<int> reversed(shape.size());
  for (size_t i = 0; i < reversed.size(); ++i)
    reversed[i] = static_cast<int>(reversed.size() - 1 - i);
  return tensor.permute(reversed);
}

Result<Tensor> read_npy(const std::string &path) {
  TENON_ASSIGN_OR_RETURN(auto bytes, read_file(path));
  auto tensor = parse_npy(bytes);
  if (!tensor)
    return in_file(path, tensor.error());
  return tensor;
}

Status write_npy(const std::string &path, const Tensor &tensor) {
  std::string_view descriptor;
  for (const TypeDescriptor &entry : kDescriptors)
    if (entry.dtype == tensor.dtype() && descriptor.empty())
      descriptor = entry.text;
  if (descriptor.empty())
    return Error(ErrorCode::kUnsupportedType, path + ": .npy cannot hold " +
                                                  std::string(name(tensor.dtype())) +
                                                  "; use .safetensors");
  if (tensor.rank() > static_cast<int>(kMostFileDimensions))
    return Error(ErrorCode::kUnsupported,
                 path + ": .npy holds at most 32 dimensions, not " + std::to_string(tensor.rank()));
  TENON_ASSIGN_OR_RETURN(Tensor on_host, tensor.to(DeviceLocation{}));
  TENON_ASSIGN_OR_RETURN(Tensor rows, on_host.contiguous());
  const size_t bytes = static_cast<size_t>(rows.element_count()) * size_in_bytes(rows.dtype());
  return write_rows(path, descriptor, tensor.shape(), {rows.data_as<std::byte>(), bytes});
}

Result<NpyArray> read_npy_array(const std::string &path) {
  TENON_ASSIGN_OR_RETURN(const auto file, read_file(path));
  Result<NpyArray> array = [&]() -> Result<NpyArray> {
    TENON_ASSIGN_OR_RETURN(const Contents contents, parse_contents(file));
    const Header &header = contents.header;
    const ArrayElement *element = array_element(&ArrayElement::descriptor, *header.descriptor);
    if (!element)
      return Error(ErrorCode::kUnsupportedType, "element type '" + std::string(*header.descriptor) +
                                                    "' is not read; little-endian numbers of 8 to 64 bits are");
    TENON_TRY(checked_bytes(contents, element->bytes));
    NpyArray result{std::string(element->name), *header.shape, {contents.data.begin(), contents.data.end()}};
    if (*header.fortran_order)
      by_rows(result, element->bytes);
    return result;
  }();
  if (!array)
    return in_file(path, array.error());
  return array;
}

Status write_npy_array(const std::string &path, const NpyArray &array) {
  const ArrayElement *element = array_element(&ArrayElement::name, array.element);
  if (!element)
    return Error(ErrorCode::kUnsupportedType, path + ": .npy cannot hold " + array.element);
  if (array.shape.size() > kMostFileDimensions)
    return Error(ErrorCode::kUnsupported,
                 path + ": .npy holds at most 32 dimensions, not " + std::to_string(array.shape.size()));
  const auto bytes = checked_bytes_of(array.shape, element->bytes);
  if (!bytes || *bytes != array.bytes.size())
    return Error::invalid_argument("array", std::to_string(array.bytes.size()) + " bytes",
                                   "as many as shape " + to_string(array.shape) + " of " + array.element + " has");
  return write_rows(path, element->descriptor, array.shape, array.bytes);
}

} // namespace tenon
