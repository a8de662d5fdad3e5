/// Element types, their names and sizes.
#pragma once

#include "tenon/Result.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tenon {

enum class DataType : uint8_t {
  kFloat32,
  kFloat16,   ///< IEEE binary16
  kBFloat16,  ///< the upper half of a float32
  kBool,      ///< one byte, 0 or 1
  kInt32,
  kInt64,
  kFloat64,   ///< results of the interpreter, and files; kernels do not take it
};

TENON_API size_t size_in_bytes(DataType dtype);
/// "f32", "f16", "bf16", "bool", "i32", "i64", "f64"
TENON_API std::string_view name(DataType dtype);
/// The reverse of name(). Errors: kInvalidArgument, listing the names.
TENON_API Result<DataType> parse_data_type(std::string_view text);
TENON_API bool is_floating_point(DataType dtype);

} // namespace tenon
