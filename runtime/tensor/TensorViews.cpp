#include "tensor/Sizes.h"

#include <algorithm>

namespace tenon {
namespace {

Result<int> checked_dimension(const Tensor &tensor, std::string_view argument, int dimension,
                              int end) {
  int wrapped = dimension < 0 ? dimension + end : dimension;
  if (wrapped < 0 || wrapped >= end)
    return Error::invalid_argument(std::string(argument), std::to_string(dimension),
                                   "a dimension of a tensor of shape " + to_string(tensor.shape()));
  return wrapped;
}

} // namespace

Result<Tensor> Tensor::transpose(int first, int second) const {
  TENON_ASSIGN_OR_RETURN(first, checked_dimension(*this, "first", first, rank()));
  TENON_ASSIGN_OR_RETURN(second, checked_dimension(*this, "second", second, rank()));
  Tensor view = *this;
  std::swap(view.shape_[first], view.shape_[second]);
  std::swap(view.strides_[first], view.strides_[second]);
  return view;
}

Result<Tensor> Tensor::permute(std::span<const int> order) const {
  std::vector<bool> seen(shape_.size());
  if (order.size() != shape_.size())
    return Error::invalid_argument("order", std::to_string(order.size()) + " dimensions",
                                   std::to_string(rank()) + " of them");
  Tensor view = *this;
  for (size_t i = 0; i < order.size(); ++i) {
    TENON_ASSIGN_OR_RETURN(int from, checked_dimension(*this, "order", order[i], rank()));
    if (seen[from])
      return Error::invalid_argument("order", "dimension " + std::to_string(from) + " twice",
                                     "each dimension once");
    seen[from] = true;
    view.shape_[i] = shape_[from];
    view.strides_[i] = strides_[from];
  }
  return view;
}

Result<Tensor> Tensor::slice(int dimension, int64_t begin, int64_t end, int64_t step) const {
  TENON_ASSIGN_OR_RETURN(dimension, checked_dimension(*this, "dimension", dimension, rank()));
  int64_t size = shape_[dimension];
  if (step <= 0)
    return Error::invalid_argument("step", std::to_string(step), "1 or more");
  if (begin < 0 || end < begin || end > size)
    return Error::invalid_argument("slice", std::to_string(begin) + ":" + std::to_string(end),
                                   "within 0:" + std::to_string(size));
  Tensor view = *this;
  view.shape_[dimension] = (end - begin) / step + ((end - begin) % step != 0);
  if (view.element_count() > 0) // an empty view points nowhere
    view.data_ =
        data_as<char>() + begin * strides_[dimension] * static_cast<int64_t>(size_in_bytes(dtype_));
  if (view.shape_[dimension] > 1)
    view.strides_[dimension] = wrapping_multiply(strides_[dimension], step);
  return view;
}

Result<Tensor> Tensor::reshape(Shape shape) const {
  TENON_TRY(require_defined(*this, "this"));
  TENON_ASSIGN_OR_RETURN(int64_t count, checked_count(shape, dtype_));
  if (count != element_count())
    return Error::shape_mismatch("shape", to_string(shape),
                                 "as many elements as " + to_string(shape_));
  Tensor view = *this;
  if (is_contiguous()) {
    view.strides_ = contiguous_strides(shape);
    view.shape_ = std::move(shape);
    return view;
  }
  // Groups of old dimensions that lie densely in each other may be cut anew; others may not.
  std::vector<int64_t> sizes, steps;
  for (int i = 0; i < rank(); ++i) {
    if (shape_[i] == 1)
      continue;
    if (!sizes.empty() && steps.back() == wrapping_multiply(shape_[i], strides_[i]))
      sizes.back() *= shape_[i], steps.back() = strides_[i];
    else
      sizes.push_back(shape_[i]), steps.push_back(strides_[i]);
  }
  std::vector<int64_t> strides(shape.size(), 1);
  size_t group = sizes.size();
  int64_t rest = 1, step = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] == 1)
      continue;
    if (rest == 1) {
      --group;
      rest = sizes[group], step = steps[group];
    }
    if (rest % shape[i] != 0)
      return Error::invalid_argument("shape", to_string(shape),
                                     "a view of shape " + to_string(shape_) + " with strides " +
                                         to_string(strides_) + "; use contiguous() first");
    strides[i] = step;
    step = wrapping_multiply(step, shape[i]);
    rest /= shape[i];
  }
  view.shape_ = std::move(shape);
  view.strides_ = std::move(strides);
  return view;
}

Result<Tensor> Tensor::expand(Shape shape) const {
  TENON_TRY(require_defined(*this, "this"));
  TENON_TRY(checked_count(shape, dtype_));
  auto mismatch = [&] {
    return Error::shape_mismatch("shape", to_string(shape),
                                 "a shape to which " + to_string(shape_) + " broadcasts");
  };
  if (shape.size() < shape_.size())
    return mismatch();
  size_t leading = shape.size() - shape_.size();
  Tensor view = *this;
  view.strides_.assign(shape.size(), 0);
  for (size_t i = 0; i < shape_.size(); ++i) {
    if (shape_[i] != shape[leading + i] && shape_[i] != 1)
      return mismatch();
    view.strides_[leading + i] = shape_[i] == shape[leading + i] ? strides_[i] : 0;
  }
  view.shape_ = std::move(shape);
  return view;
}

Result<Tensor> Tensor::unsqueeze(int dimension) const {
  TENON_ASSIGN_OR_RETURN(dimension, checked_dimension(*this, "dimension", dimension, rank() + 1));
  Tensor view = *this;
  int64_t stride =
      dimension < rank() ? wrapping_multiply(shape_[dimension], strides_[dimension]) : 1;
  view.shape_.insert(view.shape_.begin() + dimension, 1);
  view.strides_.insert(view.strides_.begin() + dimension, stride);
  return view;
}

Result<Tensor> Tensor::squeeze(int dimension) const {
  TENON_ASSIGN_OR_RETURN(dimension, checked_dimension(*this, "dimension", dimension, rank()));
  if (shape_[dimension] != 1)
    return Error::invalid_argument("dimension", "of size " + std::to_string(shape_[dimension]),
                                   "of size 1");
  Tensor view = *this;
  view.shape_.erase(view.shape_.begin() + dimension);
  view.strides_.erase(view.strides_.begin() + dimension);
  return view;
}

} // namespace tenon
