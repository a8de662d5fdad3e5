#include "EmulateElements.h"

#include "tenon/Files.h"

#include <algorithm>

namespace tenon::command {

static constexpr Element kElements[] = {
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

bool is_tensor_file(std::string_view text) {
  return text.ends_with(".npy") || text.ends_with(".safetensors");
}

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

} // namespace tenon::command
