// Any bytes given to the .safetensors reader end in tensors or in an error.
#include "TensorBytes.h"

#include "tenon/TensorFile.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  using namespace tenon;
  auto tensors = parse_safetensors(std::as_bytes(std::span(data, size)));
  if (!tensors) {
    fuzz::check_error(tensors.error());
    return 0;
  }
  // No two tensors may share a byte, so that together they fit into the file.
  size_t bytes = 0;
  for (const auto &[name, tensor] : *tensors) {
    bytes += static_cast<size_t>(tensor.element_count()) * size_in_bytes(tensor.dtype());
    fuzz::use(tensor);
  }
  fuzz::check(bytes <= size, "tensors are no larger than their file");
  return 0;
}
