/// Tensors in files: NumPy's .npy (one tensor) and .safetensors (named tensors; how bfloat16
/// travels).
///
/// Reading trusts nothing: every length, offset, overlap and overflow is checked. A file
/// takes its place when all of it is written (Files.h).
/// Sources: numpy.lib.format (versions 1 to 3), huggingface/safetensors' README.
#pragma once

#include "tenon/Tensor.h"

#include <map>
#include <string>
#include <vector>

namespace tenon {

using NamedTensors = std::map<std::string, Tensor>;

/// By extension. `name` picks a tensor of a .safetensors file, and may be empty where it holds one.
/// Errors: kNotFound, kIo, kCorruptFile, kUnsupportedType, each naming the file.
TENON_API Result<Tensor> load_tensor(const std::string &path, const std::string &name = "");
/// By extension, from the host; strided tensors are written row-major. In .safetensors it is called
/// `name`.
TENON_API Status save_tensor(const std::string &path, const Tensor &tensor,
                             const std::string &name = "tensor");
/// Whether save_tensor(path, …) would find a directory that it can write, and a known extension.
TENON_API Status check_writable(const std::string &path, DataType dtype);

TENON_API Result<Tensor> read_npy(const std::string &path);
TENON_API Status write_npy(const std::string &path, const Tensor &tensor);
TENON_API Result<NamedTensors> read_safetensors(const std::string &path);
TENON_API Status write_safetensors(const std::string &path, const NamedTensors &tensors);

/// Elements as a .npy file has them, row-major: f32 f16 f64 bool i32 i64, which tensors have too, u8 i8 u16 i16 u32 u64.
struct NpyArray {
  std::string element; ///< "u32"
  Shape shape;
  std::vector<std::byte> bytes;
};
/// Errors: as load_tensor's.
TENON_API Result<NpyArray> read_npy_array(const std::string &path);
/// Errors: kUnsupportedType for another element; kInvalidArgument where the bytes are not as many as the shape's.
TENON_API Status write_npy_array(const std::string &path, const NpyArray &array);

/// The same from memory; the tensors own their bytes.
TENON_API Result<Tensor> parse_npy(std::span<const std::byte> bytes);
TENON_API Result<NamedTensors> parse_safetensors(std::span<const std::byte> bytes);

} // namespace tenon
