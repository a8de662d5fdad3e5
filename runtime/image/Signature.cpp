#include "tenon/Signature.h"

#include "device/Text.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

namespace tenon {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view kKeys[] = {"inputs", "output", "group", "queries", "tf32", "exact"};
constexpr std::string_view kLengthNames[] = {"any", "few", "many"};
constexpr std::string_view kLayoutNames[] = {"aligned", "rows", "strided"};
constexpr int64_t kAlignment = 16; // bytes: one vector load of a GPU (ld.global.v4.b32)

struct ExactField {
  const char *name;
  int32_t ExactShape::*member;
};
constexpr ExactField kExactFields[] = {{"batch", &ExactShape::batch},
                                       {"heads", &ExactShape::heads},
                                       {"key_heads", &ExactShape::key_heads},
                                       {"query_length", &ExactShape::query_length},
                                       {"key_length", &ExactShape::key_length}};

// Reads one JSON text; the first thing wrong is kept, and everything after it yields defaults.
class Reader {
public:
  const json *member(const json &object, const char *key, const std::string &where) {
    if (!object.is_object())
      return fail(concat(where, " must be an object"));
    auto found = object.find(key);
    return found == object.end() ? fail(concat(where, " has no \"", key, "\"")) : &*found;
  }

  std::string string(const json &object, const char *key, const std::string &where) {
    const json *value = member(object, key, where);
    if (value && !value->is_string())
      fail(concat(where, " \"", key, "\" must be a string"));
    return value && value->is_string() ? value->get<std::string>() : std::string();
  }

  int32_t integer(const json &object, const char *key, const std::string &where, int32_t least) {
    const json *value = member(object, key, where);
    if (!value)
      return 0;
    bool fits = value->is_number_integer() &&
                (!value->is_number_unsigned() || value->get<uint64_t>() <= INT32_MAX) &&
                value->get<int64_t>() >= least && value->get<int64_t>() <= INT32_MAX;
    if (!fits)
      fail(concat(where, " \"", key, "\" must be an integer from ", least, " to ", INT32_MAX));
    return fits ? value->get<int32_t>() : 0;
  }

  DataType data_type(const json &object, const char *key, const std::string &where) {
    std::string text = string(object, key, where);
    Result<DataType> type = parse_data_type(text);
    if (!type)
      fail(concat(where, " \"", key, "\": ", type.error().message()));
    return type ? *type : DataType::kFloat32;
  }

  Layout layout(const json &object, const std::string &where) {
    std::string text = string(object, "layout", where);
    for (size_t i = 0; i < std::size(kLayoutNames); ++i)
      if (text == kLayoutNames[i])
        return static_cast<Layout>(i);
    fail(concat(where, " \"layout\" is '", text, "'; it must be aligned, rows or strided"));
    return Layout::kStrided;
  }

  std::nullptr_t fail(std::string message) {
    if (error.empty())
      error = std::move(message);
    return nullptr;
  }

  std::string error;
};

InputSignature read_input(Reader &reader, const json &object, const std::string &where) {
  InputSignature input;
  input.name = reader.string(object, "name", where);
  input.dtype = reader.data_type(object, "dtype", where);
  input.width = reader.integer(object, "width", where, 0);
  input.layout = reader.layout(object, where);
  return input;
}

// What may be left out: read where it is there.
void read_classes(Reader &reader, const json &object, Signature &signature) {
  if (object.contains("queries")) {
    const std::string text = reader.string(object, "queries", "signature");
    const auto *found = std::ranges::find(kLengthNames, text);
    if (found == std::end(kLengthNames))
      reader.fail(concat("signature \"queries\" is \"", text, "\", must be any, few or many"));
    else
      signature.queries = static_cast<QueryLengths>(found - kLengthNames);
  }
  if (object.contains("tf32")) {
    if (!object["tf32"].is_boolean())
      reader.fail("signature \"tf32\" must be true or false");
    else
      signature.tf32 = object["tf32"].get<bool>();
  }
}

// A key that nobody reads is a misspelling.
void refuse_other_keys(Reader &reader, const json &object) {
  if (object.is_object())
    for (const auto &[key, value] : object.items())
      if (std::ranges::find(kKeys, key) == std::end(kKeys))
        reader.fail(concat("signature has an unknown key \"", key, "\""));
}

} // namespace

std::string_view name(Layout layout) {
  return kLayoutNames[static_cast<size_t>(layout)];
}

std::string Signature::text() const {
  ordered_json object;
  object["inputs"] = ordered_json::array();
  for (const InputSignature &input : inputs)
    object["inputs"].push_back(ordered_json{{"name", input.name},
                                            {"dtype", name(input.dtype)},
                                            {"width", input.width},
                                            {"layout", name(input.layout)}});
  object["output"] = name(output);
  object["group"] = group;
  if (queries != QueryLengths::kAny)
    object["queries"] = kLengthNames[static_cast<size_t>(queries)];
  if (tf32)
    object["tf32"] = true;
  if (exact)
    for (const ExactField &field : kExactFields)
      object["exact"][field.name] = (*exact).*field.member;
  return object.dump(-1, ' ', /*ensure_ascii=*/true, ordered_json::error_handler_t::replace);
}

Result<Signature> Signature::parse(std::string_view text) {
  json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  Reader reader;
  Signature signature;
  refuse_other_keys(reader, object);
  if (object.is_discarded())
    return Error(ErrorCode::kInvalidArgument, "signature: the text is not JSON");
  if (const json *inputs = reader.member(object, "inputs", "signature")) {
    if (!inputs->is_array())
      reader.fail("signature \"inputs\" must be an array");
    else
      for (const json &input : *inputs)
        signature.inputs.push_back(
            read_input(reader, input, concat("signature input ", signature.inputs.size())));
  }
  if (reader.error.empty()) {
    signature.output = reader.data_type(object, "output", "signature");
    signature.group = reader.integer(object, "group", "signature", 1);
    read_classes(reader, object, signature);
  }
  if (reader.error.empty() && object.contains("exact")) {
    ExactShape exact;
    for (const ExactField &field : kExactFields)
      exact.*field.member = reader.integer(object["exact"], field.name, "signature \"exact\"", 0);
    signature.exact = exact;
  }
  if (!reader.error.empty())
    return Error(ErrorCode::kInvalidArgument, std::move(reader.error));
  return signature;
}

Layout layout_of(const Tensor &tensor) {
  if (!tensor.defined() || tensor.rank() == 0)
    return Layout::kAligned;
  // The stride of a dimension with one element is never used.
  auto stride = [&](int dimension) {
    return tensor.shape()[static_cast<size_t>(dimension)] <= 1
               ? 0
               : tensor.strides()[static_cast<size_t>(dimension)];
  };
  int last = tensor.rank() - 1;
  if (tensor.shape().back() > 1 && stride(last) != 1)
    return Layout::kStrided;
  bool aligned = reinterpret_cast<uintptr_t>(tensor.data()) % kAlignment == 0;
  for (int dimension = 0; dimension < last; ++dimension)
    aligned &=
        stride(dimension) * static_cast<int64_t>(size_in_bytes(tensor.dtype())) % kAlignment == 0;
  return aligned ? Layout::kAligned : Layout::kRows;
}

} // namespace tenon
