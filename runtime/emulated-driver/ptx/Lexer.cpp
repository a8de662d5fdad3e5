#include "ptx/Lexer.h"
#include <bit>
#include <charconv>
#include <cstdlib>

namespace tenon::emulator {

std::string Diagnostic::text() const {
  return "ptx line " + std::to_string(location.line) + ", column " + std::to_string(location.column) +
         ": error: " + message;
}

namespace {
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hexadecimal(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
std::string name_of_byte(char c) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  auto value = static_cast<unsigned char>(c);
  return std::string("byte 0x") + kDigits[value / 16] + kDigits[value % 16] + "; PTX is plain text";
}
bool is_name(char c) { return is_letter(c) || is_digit(c); }
} // namespace

void Lexer::fail(Location location, std::string message) const {
  throw Diagnostic{location, std::move(message)};
}

void Lexer::advance() {
  if (text_[position_] == '\n') {
    here_.line++;
    here_.column = 1;
  } else {
    here_.column++;
  }
  position_++;
}

void Lexer::skip_blanks() {
  while (position_ < text_.size()) {
    char c = peek();
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v') {
      advance();
    } else if (c == '/' && peek(1) == '/') {
      while (position_ < text_.size() && peek() != '\n')
        advance();
    } else if (c == '/' && peek(1) == '*') {
      Location start = here_;
      while (position_ < text_.size() && !(peek() == '*' && peek(1) == '/'))
        advance();
      if (position_ >= text_.size())
        fail(start, "comment is not closed");
      advance();
      advance();
    } else {
      return;
    }
  }
}

Token Lexer::number(Token token) {
  size_t start = position_;
  auto take = [&](auto accept) {
    while (accept(peek()))
      advance();
  };
  auto parse = [&](std::string_view digits, int base) {
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), token.bits, base);
    if (error != std::errc() || end != digits.data() + digits.size())
      fail(token.location, "malformed number '" + std::string(text_.substr(start, position_ - start)) + "'");
  };
  token.kind = Token::Kind::kInteger;
  char second = peek(1);
  if (peek() == '0' && (second == 'f' || second == 'F' || second == 'd' || second == 'D')) {
    token.kind = Token::Kind::kFloat;
    token.single = second == 'f' || second == 'F';
    advance();
    advance();
    take(is_hexadecimal);
    size_t digits = position_ - start - 2;
    if (digits != (token.single ? 8u : 16u))
      fail(token.location, token.single ? "0f takes 8 hexadecimal digits" : "0d takes 16 hexadecimal digits");
    parse(text_.substr(start + 2, digits), 16);
  } else if (peek() == '0' && (second == 'x' || second == 'X' || second == 'b' || second == 'B')) {
    advance();
    advance();
    take(is_hexadecimal);
    parse(text_.substr(start + 2, position_ - start - 2), second == 'x' || second == 'X' ? 16 : 2);
    if (peek() == 'U')
      advance();
  } else {
    take(is_digit);
    bool real = (peek() == '.' && is_digit(peek(1))) || peek() == 'e' || peek() == 'E';
    if (real) {
      token.kind = Token::Kind::kFloat;
      if (peek() == '.') {
        advance();
        take(is_digit);
      }
      if (peek() == 'e' || peek() == 'E') {
        advance();
        if (peek() == '+' || peek() == '-')
          advance();
        take(is_digit);
      }
      std::string literal(text_.substr(start, position_ - start));
      char *end = nullptr;
      token.bits = std::bit_cast<uint64_t>(std::strtod(literal.c_str(), &end));
      if (*end)
        fail(token.location, "malformed number '" + literal + "'");
    } else {
      std::string_view digits = text_.substr(start, position_ - start);
      parse(digits, digits.size() > 1 && digits[0] == '0' ? 8 : 10);
      if (peek() == 'U')
        advance();
    }
  }
  if (is_name(peek()))
    fail(token.location, "malformed number '" + std::string(text_.substr(start, position_ + 1 - start)) + "'");
  token.text = text_.substr(start, position_ - start);
  return token;
}

Token Lexer::next() {
  skip_blanks();
  Token token;
  token.location = here_;
  if (position_ >= text_.size() || peek() == '\0')
    return token;
  size_t start = position_;
  char c = peek();
  if (is_digit(c))
    return number(token);
  if (is_letter(c) || (c == '%' && is_name(peek(1)))) {
    token.kind = Token::Kind::kWord;
    advance();
    while (is_name(peek()) || (peek() == '.' && is_name(peek(1))) ||
           (peek() == ':' && peek(1) == ':' && is_name(peek(2)))) {
      if (peek() == ':')
        advance();
      advance();
    }
  } else if (c == '.' && is_letter(peek(1))) {
    token.kind = Token::Kind::kDirective;
    advance();
    while (is_name(peek()))
      advance();
  } else if (c == '"') {
    token.kind = Token::Kind::kString;
    advance();
    while (position_ < text_.size() && peek() != '"')
      advance();
    if (position_ >= text_.size())
      fail(token.location, "string is not closed");
    advance();
  } else {
    if (std::string_view("+-,;:[](){}<>|!@=*&~^/?%.").find(c) == std::string_view::npos)
      fail(token.location, "unexpected " + (c >= ' ' && c < 127 ? "character '" + std::string(1, c) + "'" : name_of_byte(c)));
    token.kind = Token::Kind::kPunctuation;
    advance();
  }
  token.text = text_.substr(start, position_ - start);
  return token;
}

} // namespace tenon::emulator
