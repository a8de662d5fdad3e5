#include "tenon/KernelKey.h"

#include "device/Text.h"

#include <nlohmann/json.hpp>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tenon {
namespace {

// {"tile_keys":32,"tile_queries":64}, however it was written.
std::string canonical_options(const std::string &options) {
  const auto object = nlohmann::json::parse(options, nullptr, /*allow_exceptions=*/false);
  return object.is_object() ? object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
                            : options;
}

} // namespace

KernelKey::KernelKey(Parts parts)
    : text_(concat("code generation ", parts.code_generation, "\ngraph ", parts.graph_hash,
                   "\ntarget ", parts.target, "\nsignature ", parts.signature, "\noptions ",
                   canonical_options(parts.options), "\n")),
      parts_(std::move(parts)) {
  XXH128_hash_t hash = XXH3_128bits(text_.data(), text_.size());
  high_ = hash.high64;
  low_ = hash.low64;
}

KernelKey KernelKey::for_target(std::string target) const {
  Parts parts = parts_;
  parts.target = std::move(target);
  return KernelKey(std::move(parts));
}

std::string KernelKey::hash() const {
  return hexadecimal(high_) + hexadecimal(low_);
}

std::string KernelKey::hash_of(std::string_view text) {
  XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return hexadecimal(hash.high64) + hexadecimal(hash.low64);
}

std::string_view key_part(std::string_view key_text, std::string_view part) {
  for (size_t begin = 0; begin < key_text.size();) {
    const size_t end = std::min(key_text.find('\n', begin), key_text.size());
    const std::string_view line = key_text.substr(begin, end - begin);
    if (line.starts_with(part) && line.substr(part.size()).starts_with(' '))
      return line.substr(part.size() + 1);
    begin = end + 1;
  }
  return {};
}

} // namespace tenon
