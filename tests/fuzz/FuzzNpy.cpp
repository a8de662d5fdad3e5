// Any bytes given to the .npy reader end in a tensor or in an error.
#include "TensorBytes.h"

#include "tenon/TensorFile.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  using namespace tenon;
  auto tensor = parse_npy(std::as_bytes(std::span(data, size)));
  if (!tensor) {
    fuzz::check_error(tensor.error());
    return 0;
  }
  // The bytes behind the header are the elements: a tensor larger than its file was made up.
  size_t bytes = static_cast<size_t>(tensor->element_count()) * size_in_bytes(tensor->dtype());
  fuzz::check(bytes <= size, "a tensor is no larger than its file");
  fuzz::use(*tensor);
  return 0;
}
