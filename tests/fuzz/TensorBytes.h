/// What the fuzzers of tensor readers share.
#pragma once

#include "tenon/Tensor.h"

#include <cstdio>
#include <cstdlib>

namespace tenon::fuzz {

/// Ends the fuzzer with a report where the library broke its word.
inline void check(bool condition, const char *what) {
  if (condition)
    return;
  std::fprintf(stderr, "broken promise: %s\n", what);
  std::abort();
}

/// A refusal must say something.
inline void check_error(const Error &error) {
  check(!error.message().empty(), "an error has a message");
}

/// Reads every element and copies the tensor: whatever was accepted must be usable.
inline void use(const Tensor &tensor) {
  auto copy = tensor.clone();
  check(copy.ok(), "an accepted tensor can be copied");
  check(copy->is_contiguous() && copy->element_count() == tensor.element_count(),
        "a copy is dense");
  auto wide = copy->to(DataType::kFloat64);
  check(wide.ok(), "an accepted tensor can be converted");
  double sum = 0;
  for (int64_t i = 0; i < wide->element_count(); ++i)
    sum += wide->data_as<double>()[i];
  volatile double sink = sum;
  (void)sink;
}

} // namespace tenon::fuzz
