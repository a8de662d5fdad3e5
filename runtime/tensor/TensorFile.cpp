#include "tenon/TensorFile.h"

#include "tenon/Files.h"

namespace tenon {
namespace {

enum class Format { kNpy, kSafetensors };

Result<Format> format_of(const std::string &path) {
  if (path.ends_with(".npy"))
    return Format::kNpy;
  if (path.ends_with(".safetensors"))
    return Format::kSafetensors;
  return Error::invalid_argument("file", "'" + path + "'",
                                 "a name that ends with .npy or .safetensors");
}

std::string names_of(const NamedTensors &tensors) {
  std::string text;
  for (const auto &[name, tensor] : tensors)
    text += (text.empty() ? "'" : ", '") + name + "'";
  return text.empty() ? "none" : text;
}

} // namespace

Result<Tensor> load_tensor(const std::string &path, const std::string &name) {
  TENON_ASSIGN_OR_RETURN(Format format, format_of(path));
  if (format == Format::kNpy)
    return read_npy(path);
  TENON_ASSIGN_OR_RETURN(NamedTensors tensors, read_safetensors(path));
  if (name.empty() && tensors.size() == 1)
    return tensors.begin()->second;
  if (name.empty())
    return Error(ErrorCode::kInvalidArgument, path + ": holds " + std::to_string(tensors.size()) +
                                                  " tensors (" + names_of(tensors) +
                                                  "), must hold one");
  auto found = tensors.find(name);
  if (found == tensors.end())
    return Error(ErrorCode::kNotFound,
                 path + ": holds no tensor '" + name + "', only " + names_of(tensors));
  return found->second;
}

Status save_tensor(const std::string &path, const Tensor &tensor, const std::string &name) {
  TENON_ASSIGN_OR_RETURN(Format format, format_of(path));
  if (format == Format::kNpy)
    return write_npy(path, tensor);
  return write_safetensors(path, {{name, tensor}});
}

Status check_writable(const std::string &path, DataType dtype) {
  TENON_ASSIGN_OR_RETURN(Format format, format_of(path));
  if (format == Format::kNpy && dtype == DataType::kBFloat16)
    return Error(ErrorCode::kUnsupportedType, path + ": .npy cannot hold bf16; use .safetensors");
  return check_replaceable(path);
}

} // namespace tenon
