#include "tenon/Error.h"

#include <array>

namespace tenon {

std::string_view name(ErrorCode code) {
  static constexpr std::array<std::string_view, 12> kNames = {
      "invalid argument", "shape mismatch", "unsupported type", "not found",
      "input or output",  "corrupt file",   "out of memory",    "device",
      "compilation",      "unsupported",    "internal",         "cache miss"};
  return kNames.at(static_cast<size_t>(code));
}

std::string Error::message() const {
  if (!text_.empty())
    return text_;
  return argument_ + ": was " + actual_ + ", must be " + expected_;
}

} // namespace tenon
