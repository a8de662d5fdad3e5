/// Inside the runtime: the tokens of a graph's text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tenon {

enum class TokenKind : uint8_t {
  kEnd,
  kIdentifier,  ///< module, func.func, attention.matmul, tensor, f32
  kValue,       ///< %query; the text is without '%'
  kSymbol,      ///< @attention; the text is without '@'
  kNumber,      ///< -1, 0xFF800000, 1.5e-3
  kPunctuation, ///< one of ( ) { } [ ] < > * , : = or ->
  kInvalid,     ///< any other byte
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string_view text;
  size_t position = 0; ///< of the token's first byte
};

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

class GraphLexer {
public:
  explicit GraphLexer(std::string_view text) : text_(text) {}
  Token next();

private:
  void skip_space_and_comments();
  size_t end_of_word(size_t position) const;
  size_t end_of_number(size_t position) const;
  std::string_view text_;
  size_t position_ = 0;
};

} // namespace tenon
