#include "interpreter/Value.h"

#include "interpreter/Blocks.h"

#include <new>
#include <string>
#include <type_traits>
#include <unistd.h>

namespace tenon::interpreter {
namespace {

std::array<int64_t, 4> contiguous_strides(const ValueShape &shape) {
  std::array<int64_t, 4> strides{};
  int64_t stride = 1;
  for (size_t d = 4; d-- > 0;) {
    strides[d] = shape[d] == 1 ? 0 : stride;
    stride *= shape[d];
  }
  return strides;
}

int64_t physical_memory() {
  static const int64_t bytes = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  return bytes;
}

template <typename Real>
constexpr DataType kRealType =
    std::is_same_v<Real, double> ? DataType::kFloat64 : DataType::kFloat32;

/// The tensor itself, seen as [batch, heads, rows, columns].
Value view_of(const Tensor &tensor, const ValueShape &shape) {
  Value value{.storage = tensor.storage(), .data = tensor.data(), .shape = shape};
  const auto rank = static_cast<size_t>(tensor.rank());
  for (size_t d = 0; d < rank; ++d)
    if (tensor.shape()[d] != 1)
      value.strides[4 - rank + d] = tensor.strides()[d];
  return value;
}

/// Calls visit(source, index of the result's row) for each row of the value.
template <typename Visit> void for_rows_of(const Value &value, const Visit &visit) {
  const ValueShape &shape = value.shape;
  for_blocks(shape[0] * shape[1] * shape[2], shape[3] * 4, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i)
      visit(value.at(i / shape[2] / shape[1], i / shape[2] % shape[1], i % shape[2], 0), i);
  });
}

template <typename Element> void copy_out(const Value &value, void *result) {
  for_rows_of(value, [&](int64_t offset, int64_t row) {
    const Element *from = value.elements<Element>() + offset;
    Element *to = static_cast<Element *>(result) + row * value.shape[3];
    for (int64_t column = 0; column < value.shape[3]; ++column)
      to[column] = from[column * value.strides[3]];
  });
}

/// Bytes of any value to 0 or 1: memory that a caller wraps may hold others, which are no bool.
Result<Value> normalised_mask(const Value &mask) {
  TENON_ASSIGN_OR_RETURN(Fresh fresh, allocate(mask.shape, sizeof(bool)));
  for_rows_of(mask, [&](int64_t offset, int64_t row) {
    const auto *from = mask.elements<unsigned char>() + offset;
    bool *to = fresh.elements<bool>() + row * mask.shape[3];
    for (int64_t column = 0; column < mask.shape[3]; ++column)
      to[column] = from[column * mask.strides[3]] != 0;
  });
  return std::move(fresh.value);
}

Status check_input(const std::string &argument, const Tensor &tensor, ElementKind kind) {
  if (!tensor.on_host())
    return Error::invalid_argument(argument, "on " + std::string(name(tensor.device().kind)),
                                   "on the host");
  static constexpr const char *kExpected[] = {"f32, f16, bf16 or f64", "i32", "bool"};
  const bool fits[] = {is_floating_point(tensor.dtype()), tensor.dtype() == DataType::kInt32,
                       tensor.dtype() == DataType::kBool};
  const auto k = static_cast<size_t>(kind);
  if (!fits[k])
    return Error::unsupported_type(argument, std::string(name(tensor.dtype())), kExpected[k]);
  return {};
}

} // namespace

int64_t element_count(const ValueShape &shape) {
  if (std::ranges::find(shape, 0) != shape.end())
    return 0;
  int64_t count = 1;
  for (const int64_t size : shape)
    if (__builtin_mul_overflow(count, size, &count))
      return -1;
  return count;
}

Result<Fresh> allocate(const ValueShape &shape, size_t element_bytes) {
  const int64_t count = element_count(shape);
  const Error refused(ErrorCode::kOutOfMemory,
                      "a value of sizes " + to_string(shape) + " does not fit into memory");
  if (count < 0 || count > physical_memory() / static_cast<int64_t>(element_bytes))
    return refused;
  try {
    auto bytes =
        std::make_shared_for_overwrite<std::byte[]>(static_cast<size_t>(count) * element_bytes);
    void *data = bytes.get();
    return Fresh{{std::move(bytes), data, shape, contiguous_strides(shape)}, data};
  } catch (const std::bad_alloc &) {
    return refused;
  }
}

template <typename Real> TENON_EVALUATION(input) {
  const std::string &argument = evaluation.graph.inputs()[node.payload].name;
  const Tensor &tensor = evaluation.inputs[node.payload];
  TENON_TRY(check_input(argument, tensor, node.type.kind));
  if (node.type.kind == ElementKind::kMask)
    return normalised_mask(view_of(tensor, shape));
  if (node.type.kind == ElementKind::kIndex)
    return view_of(tensor, shape);
  TENON_ASSIGN_OR_RETURN(Tensor widened, tensor.to(kRealType<Real>));
  return view_of(widened, shape);
}

template <typename Real>
Result<Tensor> to_tensor(const Value &value, ElementKind kind, const Shape &sizes, DataType real) {
  constexpr DataType kTypes[] = {kRealType<Real>, DataType::kInt32, DataType::kBool};
  TENON_ASSIGN_OR_RETURN(Tensor tensor, Tensor::empty(sizes, kTypes[static_cast<size_t>(kind)]));
  if (kind == ElementKind::kMask)
    copy_out<bool>(value, tensor.data());
  else if (kind == ElementKind::kIndex)
    copy_out<int32_t>(value, tensor.data());
  else
    copy_out<Real>(value, tensor.data());
  return kind == ElementKind::kReal ? tensor.to(real) : std::move(tensor);
}

TENON_INSTANTIATE_EVALUATION(input);
template Result<Tensor> to_tensor<float>(const Value &, ElementKind, const Shape &, DataType);
template Result<Tensor> to_tensor<double>(const Value &, ElementKind, const Shape &, DataType);

} // namespace tenon::interpreter
