#include "Cases.h"

#include "Masks.h"

#include <cmath>
#include <cstdlib>

namespace tenon::conformance {
namespace {

Tensor lay_out(const Tensor &tensor, Inputs inputs) {
  const Shape &s = tensor.shape();
  auto filled = [&](Tensor view) {
    view.copy_from(tensor).value();
    return view;
  };
  switch (inputs) {
  case Inputs::kTransposed:
    return filled(Tensor::empty({s[0], s[2], s[1], s[3]}, tensor.dtype()).value().transpose(1, 2).value());
  case Inputs::kUnaligned: {
    Tensor memory = Tensor::empty({tensor.element_count() + 1}, tensor.dtype()).value();
    return filled(memory.slice(0, 1, tensor.element_count() + 1).value().reshape(s).value());
  }
  case Inputs::kStrided:
    return filled(Tensor::empty({s[0], s[1], s[2], 3 * s[3]}, tensor.dtype()).value().slice(3, 1, 3 * s[3] - 1, 3).value());
  default:
    return tensor;
  }
}

void set(Tensor &tensor, std::initializer_list<int64_t> index, double value) {
  int64_t offset = 0, dimension = 0;
  for (int64_t i : index) {
    if (i >= tensor.size(static_cast<int>(dimension)))
      std::abort(); // the case is too small for its inputs
    offset += i * tensor.strides()[static_cast<size_t>(dimension++)];
  }
  store_from_double(tensor.data_as<char>() + offset * static_cast<int64_t>(size_in_bytes(tensor.dtype())),
                    tensor.dtype(), value);
}

} // namespace

std::vector<Tensor> make_inputs(const Case &c) {
  auto random = [&](int64_t batch, int64_t heads, int64_t rows, int64_t width, uint64_t seed) {
    return Tensor::random({batch, heads, rows, width}, c.dtype, seed).value();
  };
  bool broadcast = c.inputs == Inputs::kBroadcast;
  Tensor query = random(c.batch, c.heads, c.queries, c.width, 1);
  Tensor key = random(broadcast ? 1 : c.batch, c.key_heads, c.keys, c.width, 2);
  Tensor value = random(broadcast ? 1 : c.batch, c.key_heads, c.keys, c.value_width, 3);
  auto multiply = [&](Tensor &tensor, int64_t first, int64_t count, double factor) {
    const auto bytes = static_cast<int64_t>(size_in_bytes(c.dtype));
    for (int64_t i = first; i < first + count; ++i) {
      char *element = tensor.data_as<char>() + i * bytes;
      store_from_double(element, c.dtype, factor * load_as_double(element, c.dtype));
    }
  };
  if (c.inputs == Inputs::kLarge)
    multiply(query, 0, query.element_count(), 1e4 / std::sqrt(static_cast<double>(c.width)));
  if (c.inputs == Inputs::kTenThousand)
    multiply(query, 0, query.element_count(), 1e4);
  if (c.inputs == Inputs::kLateKey || c.inputs == Inputs::kEarlyKey)
    for (int64_t head = 0; head < key.size(0) * key.size(1); ++head)
      multiply(key, (head * c.keys + (c.inputs == Inputs::kLateKey ? c.keys - 3 : 2)) * c.width, c.width, c.far);
  if (c.inputs == Inputs::kSubnormal) {
    const double factor = c.dtype == DataType::kFloat16 ? 1e-6 : 1e-39;
    multiply(query, 0, query.element_count() / 2, factor);
    for (Tensor *tensor : {&key, &value})
      multiply(*tensor, tensor->element_count() / 2, tensor->element_count() / 2, factor);
  }
  if (c.inputs == Inputs::kNotANumber) {
    set(query, {0, 1, 5, 3}, NAN);
    set(key, {0, 0, 60, 2}, NAN); // hidden from queries before 60
    set(key, {c.batch - 1, 1, c.keys - 1, 0}, NAN);
  }
  if (c.inputs == Inputs::kInfinite)
    set(query, {0, 0, 7, 1}, INFINITY);
  if (broadcast) {
    key = key.expand({c.batch, c.key_heads, c.keys, c.width}).value();
    value = value.expand({c.batch, c.key_heads, c.keys, c.value_width}).value();
  }
  std::vector<Tensor> inputs = {lay_out(query, c.inputs), lay_out(key, c.inputs), lay_out(value, c.inputs)};
  if (c.inputs == Inputs::kByColumns)
    for (Tensor &input : {std::ref(inputs[0]), std::ref(inputs[1])})
      input = input.transpose(-2, -1).value().contiguous().value();
  if (c.mask != Mask::kNone)
    inputs.push_back(make_mask(c));
  return inputs;
}

} // namespace tenon::conformance
