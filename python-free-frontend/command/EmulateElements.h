/// What buffers of `tenon emulate` hold: elements by name, and files of them.
#pragma once

#include "tenon/TensorFile.h"

#include <string_view>

namespace tenon::command {

/// Elements by name; what a .npy file calls them, and what tensors and so .safetensors do.
struct Element {
  std::string_view name;
  size_t bytes;
  std::string_view array, tensor;
};
/// Null where there is none of that name.
const Element *find_element(std::string_view name);

/// Whether a file's name says that it holds a tensor; else it holds raw bytes.
bool is_tensor_file(std::string_view path);
/// The elements of a file, row-major: .npy of any number, .safetensors, or raw bytes of a .bin file.
Result<NpyArray> load_elements(const std::string &path);

} // namespace tenon::command
