/// Strings put together from parts, for messages.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace tenon {

inline void append(std::string &to, std::string_view part) {
  to += part;
}
inline void append(std::string &to, char part) {
  to += part;
}
template <std::integral Number> void append(std::string &to, Number part) {
  to += std::to_string(part);
}

/// concat("grid ", 7, " of ", name)
template <typename... Parts> std::string concat(const Parts &...parts) {
  std::string result;
  (append(result, parts), ...);
  return result;
}

/// A duration with one digit after the point: "41.2".
inline std::string milliseconds_text(double milliseconds) {
  char text[64];
  auto end = std::to_chars(text, text + sizeof text, milliseconds, std::chars_format::fixed, 1).ptr;
  return std::string(text, end);
}

/// Lower-case hexadecimal digits, `width` of them.
inline std::string hexadecimal(uint64_t number, int width = 16) {
  std::string text(static_cast<size_t>(width), '0');
  for (int i = width - 1; i >= 0; --i, number >>= 4)
    text[static_cast<size_t>(i)] = "0123456789abcdef"[number & 15];
  return text;
}

} // namespace tenon
