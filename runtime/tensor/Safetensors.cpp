#include "tenon/TensorFile.h"
#include "tenon/Files.h"
#include "tensor/Sizes.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_set>

namespace tenon {
namespace {

using nlohmann::json;

constexpr uint64_t kMaximumHeader = 100'000'000; // the format's own limit
constexpr int kMaximumNesting = 4; // tensors -> entry -> list; __metadata__ is as deep
constexpr std::string_view kMetadata = "__metadata__"; // free text, not a tensor

struct TypeName {
  std::string_view text;
  DataType dtype;
};
constexpr std::array<TypeName, 7> kTypeNames = {{{"F32", DataType::kFloat32},
                                                 {"F16", DataType::kFloat16},
                                                 {"BF16", DataType::kBFloat16},
                                                 {"BOOL", DataType::kBool},
                                                 {"I32", DataType::kInt32},
                                                 {"I64", DataType::kInt64},
                                                 {"F64", DataType::kFloat64}}};

Error corrupt_safetensors(std::string text) {
  return Error(ErrorCode::kCorruptFile, "not a valid .safetensors: " + std::move(text));
}

// A header that nests deeply, or says a thing twice, ends the parse: JSON itself allows both.
class HeaderLimits {
public:
  bool operator()(int depth, json::parse_event_t event, json &parsed) {
    if (depth > kMaximumNesting)
      too_deep = true;
    if (too_deep)
      return false;
    if (event == json::parse_event_t::object_start)
      keys_[depth + 1].clear();
    if (event == json::parse_event_t::key && !keys_[depth].insert(parsed.get<std::string>()).second)
      duplicate = parsed.get<std::string>();
    return true;
  }
  bool too_deep = false;
  std::string duplicate;

private:
  std::array<std::unordered_set<std::string>, kMaximumNesting + 2> keys_; // of the objects now open
};

struct Entry {
  std::string name;
  DataType dtype;
  Shape shape;
  uint64_t begin, end;
};

Result<Entry> parse_entry(const std::string &name, const json &value, uint64_t data_bytes) {
  auto wrong = [&](std::string what) {
    return corrupt_safetensors("tensor '" + name + "': " + std::move(what));
  };
  if (!value.is_object() || !value.contains("dtype") || !value.contains("shape") ||
      !value.contains("data_offsets"))
    return wrong("must have dtype, shape and data_offsets");
  const json &dtype = value["dtype"], &shape = value["shape"], &offsets = value["data_offsets"];
  auto is_size = [](const json &number) {
    return number.is_number_unsigned() && number.get<uint64_t>() <= INT64_MAX;
  };
  if (!dtype.is_string())
    return wrong("dtype must be a string");
  auto type = std::find_if(kTypeNames.begin(), kTypeNames.end(), [&](const TypeName &t) {
    return t.text == dtype.get_ref<const std::string &>();
  });
  if (type == kTypeNames.end())
    return Error(ErrorCode::kUnsupportedType,
                 "tensor '" + name + "': element type " + dtype.dump() +
                     " is not read; one of F32 F16 BF16 BOOL I32 I64 F64 is");
  if (!shape.is_array() || shape.size() > kMostFileDimensions ||
      !std::all_of(shape.begin(), shape.end(), is_size))
    return wrong("shape must be a list of at most 32 sizes");
  if (!offsets.is_array() || offsets.size() != 2 || !is_size(offsets[0]) || !is_size(offsets[1]))
    return wrong("data_offsets must be [begin, end]");
  Entry entry{name, type->dtype, shape.get<Shape>(), offsets[0], offsets[1]};
  if (entry.begin > entry.end || entry.end > data_bytes)
    return wrong("its bytes " + std::to_string(entry.begin) + " to " + std::to_string(entry.end) +
                 " do not lie within the file's " + std::to_string(data_bytes));
  auto count = checked_count(entry.shape, entry.dtype);
  if (!count)
    return wrong(count.error().message());
  uint64_t expected = static_cast<uint64_t>(*count) * size_in_bytes(entry.dtype);
  if (entry.end - entry.begin != expected)
    return wrong("shape " + to_string(entry.shape) + " takes " + std::to_string(expected) +
                 " bytes, its offsets hold " + std::to_string(entry.end - entry.begin));
  return entry;
}

Result<std::vector<Entry>> parse_header(std::string_view text, uint64_t data_bytes) {
  HeaderLimits limits;
  json header = json::parse(text.begin(), text.end(), std::ref(limits), /*allow_exceptions=*/false);
  if (limits.too_deep)
    return corrupt_safetensors("its header nests too deeply");
  if (!limits.duplicate.empty())
    return corrupt_safetensors("its header names '" + limits.duplicate + "' twice");
  if (!header.is_object())
    return corrupt_safetensors("its header is no JSON object");
  std::vector<Entry> entries;
  for (const auto &[name, value] : header.items()) {
    if (name == kMetadata)
      continue;
    TENON_ASSIGN_OR_RETURN(Entry entry, parse_entry(name, value, data_bytes));
    entries.push_back(std::move(entry));
  }
  // In order of their bytes the tensors must fill the file: no overlap, and no gap that could hide
  // data.
  std::sort(entries.begin(), entries.end(), [](const Entry &a, const Entry &b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  uint64_t position = 0;
  for (const Entry &entry : entries) {
    if (entry.begin != position)
      return corrupt_safetensors("tensor '" + entry.name + "' " +
                                 (entry.begin < position ? "overlaps" : "leaves a gap after") +
                                 " the one before it");
    position = entry.end;
  }
  if (position != data_bytes)
    return corrupt_safetensors(std::to_string(data_bytes - position) +
                               " bytes at its end belong to no tensor");
  return entries;
}

} // namespace

Result<NamedTensors> parse_safetensors(std::span<const std::byte> bytes) {
  uint64_t length = 0;
  if (bytes.size() < sizeof length)
    return corrupt_safetensors("it is shorter than the length of its header");
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length > kMaximumHeader || length > bytes.size() - sizeof length)
    return corrupt_safetensors("its header claims " + std::to_string(length) + " bytes");
  auto *text = reinterpret_cast<const char *>(bytes.data()) + sizeof length;
  auto data = bytes.subspan(sizeof length + length);
  TENON_ASSIGN_OR_RETURN(auto entries, parse_header({text, length}, data.size()));
  NamedTensors tensors;
  for (const Entry &entry : entries) {
    TENON_ASSIGN_OR_RETURN(Tensor tensor, Tensor::empty(entry.shape, entry.dtype));
    size_t size = entry.end - entry.begin;
    if (size)
      std::memcpy(tensor.data(), data.data() + entry.begin, size);
    if (entry.dtype == DataType::kBool)
      for (size_t i = 0; i < size; ++i)
        tensor.data_as<uint8_t>()[i] = tensor.data_as<uint8_t>()[i] != 0;
    tensors.emplace(entry.name, std::move(tensor));
  }
  return tensors;
}

Result<NamedTensors> read_safetensors(const std::string &path) {
  TENON_ASSIGN_OR_RETURN(auto bytes, read_file(path));
  auto tensors = parse_safetensors(bytes);
  if (!tensors)
    return in_file(path, tensors.error());
  return tensors;
}

Status write_safetensors(const std::string &path, const NamedTensors &tensors) {
  // Wide elements first, so that each tensor begins where its elements are aligned.
  std::vector<NamedTensors::const_iterator> order;
  for (auto tensor = tensors.begin(); tensor != tensors.end(); ++tensor)
    order.push_back(tensor);
  std::sort(order.begin(), order.end(), [](auto a, auto b) {
    size_t a_bytes = size_in_bytes(a->second.dtype()), b_bytes = size_in_bytes(b->second.dtype());
    return a_bytes != b_bytes ? a_bytes > b_bytes : a->first < b->first;
  });
  json header = json::object();
  std::vector<Tensor> rows;
  uint64_t position = 0;
  for (auto tensor : order) {
    const std::string &name = tensor->first;
    if (name == kMetadata)
      return Error::invalid_argument("name", "'" + name + "'",
                                     "a name that the format does not use itself");
    TENON_ASSIGN_OR_RETURN(Tensor on_host, tensor->second.to(DeviceLocation{}));
    TENON_ASSIGN_OR_RETURN(Tensor dense, on_host.contiguous());
    auto type = std::find_if(kTypeNames.begin(), kTypeNames.end(),
                             [&](const TypeName &t) { return t.dtype == dense.dtype(); });
    uint64_t end =
        position + static_cast<uint64_t>(dense.element_count()) * size_in_bytes(dense.dtype());
    header[name] = {
        {"dtype", type->text}, {"shape", dense.shape()}, {"data_offsets", {position, end}}};
    position = end;
    rows.push_back(std::move(dense));
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const json::type_error &) {
    return Error::invalid_argument("name", "not UTF-8", "UTF-8, as the names in .safetensors are");
  }
  text.append((8 - text.size() % 8) % 8, ' ');
  if (text.size() > kMaximumHeader)
    return Error(ErrorCode::kUnsupported,
                 path + ": the names and shapes take more than the 100 MB of a header");
  uint64_t length = text.size();
  std::vector<std::span<const std::byte>> parts = {std::as_bytes(std::span(&length, 1)),
                                                   std::as_bytes(std::span(text))};
  for (const Tensor &tensor : rows)
    parts.emplace_back(tensor.data_as<std::byte>(),
                       static_cast<size_t>(tensor.element_count()) * size_in_bytes(tensor.dtype()));
  return replace_file(path, parts);
}

} // namespace tenon
