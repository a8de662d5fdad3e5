// Any DLPack struct ends in a tensor or in an error, and is released exactly once.
#include "TensorBytes.h"

#include "tenon/DLPack.h"
#include "tensor/DLPackLayout.h"

#include <cstring>

namespace {

using namespace tenon;

// Takes numbers off the front of the input; zeros where it has ended.
class Source {
public:
  Source(const uint8_t *data, size_t size) : data_(data), size_(size) {}
  template <class T> T take() {
    T value{};
    size_t count = std::min(sizeof value, size_);
    std::memcpy(&value, data_, count);
    data_ += count;
    size_ -= count;
    return value;
  }
  // Mostly small, as sizes and strides are that mean something; now and then anything.
  int64_t number() {
    int8_t small = take<int8_t>();
    return small == INT8_MIN ? take<int64_t>() : small;
  }

private:
  const uint8_t *data_;
  size_t size_;
};

constexpr size_t kBytes = 4096;
alignas(64) char memory[kBytes];
int released = 0;

// The struct does not say how large its memory is: only where all elements lie inside may they be
// read.
bool reaches_outside(const Tensor &tensor) {
  __int128 low = 0, high = 0;
  for (int i = 0; i < tensor.rank(); ++i) {
    __int128 reach = static_cast<__int128>(tensor.shape()[i] - 1) * tensor.strides()[i];
    (reach < 0 ? low : high) += reach;
  }
  auto size = static_cast<__int128>(size_in_bytes(tensor.dtype()));
  __int128 start = reinterpret_cast<intptr_t>(tensor.data()) - reinterpret_cast<intptr_t>(memory);
  return start + low * size < 0 || start + (high + 1) * size > static_cast<__int128>(kBytes);
}

template <class Structure>
void fill(Structure &managed, Source &source, int64_t (&shape)[8], int64_t (&strides)[8]) {
  uint8_t flags = source.take<uint8_t>();
  for (int i = 0; i < 8; ++i) {
    shape[i] = source.number();
    strides[i] = source.number();
  }
  int32_t rank = source.take<int8_t>();
  // The real arrays hold eight; a larger rank that would be believed cannot be tested in safety.
  managed.tensor.rank = rank > 8 ? rank % 9 : rank;
  managed.tensor.data = flags & 1 ? nullptr : memory;
  managed.tensor.shape = flags & 2 ? nullptr : shape;
  managed.tensor.strides = flags & 4 ? nullptr : strides;
  managed.tensor.byte_offset = static_cast<uint64_t>(source.number());
  managed.tensor.device = {flags & 8 ? source.take<int32_t>() : dlpack::kCpu,
                           source.take<int8_t>()};
  managed.tensor.dtype = {source.take<uint8_t>(), source.take<uint8_t>(),
                          static_cast<uint16_t>(flags & 16 ? source.take<uint16_t>() : 1)};
  managed.deleter = [](Structure *) { ++released; };
}

void inspect(Result<Tensor> tensor) {
  if (!tensor) {
    fuzz::check_error(tensor.error());
    return;
  }
  fuzz::check(released == 0, "a tensor that is alive is not released");
  if (!tensor->on_host() || tensor->element_count() > 65536 ||
      (tensor->element_count() > 0 && reaches_outside(*tensor)))
    return;
  fuzz::use(*tensor);
  auto exported = to_dlpack_versioned(*tensor);
  fuzz::check(exported.ok(), "an imported host tensor can be exported");
  fuzz::check(from_dlpack(*exported).ok(), "an exported tensor can be imported");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Source source(data, size);
  int64_t shape[8], strides[8];
  released = 0;
  if (source.take<uint8_t>() & 1) {
    dlpack::Managed managed{};
    fill(managed, source, shape, strides);
    inspect(from_dlpack(reinterpret_cast<DLManagedTensor *>(&managed)));
  } else {
    dlpack::ManagedVersioned managed{};
    managed.version = {source.take<uint8_t>() % 3u, source.take<uint8_t>()};
    managed.flags = source.take<uint8_t>();
    fill(managed, source, shape, strides);
    inspect(from_dlpack(reinterpret_cast<DLManagedTensorVersioned *>(&managed)));
  }
  fuzz::check(released == 1, "a struct is released exactly once");
  return 0;
}
