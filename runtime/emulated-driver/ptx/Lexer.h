// Splits PTX text into tokens. An opcode with its modifiers ("ld.global.nc.f32"), a register ("%tid.x") is one word.
#pragma once
#include "ptx/Module.h"

namespace tenon::emulator {

struct Token {
  enum class Kind : uint8_t { kEnd, kWord, kDirective, kInteger, kFloat, kString, kPunctuation };
  Kind kind = Kind::kEnd;
  bool single = false; // kFloat: float32 bits
  uint64_t bits = 0;   // kInteger, kFloat
  std::string_view text;
  Location location;
};

class Lexer {
public:
  explicit Lexer(std::string_view text) : text_(text) {}

  /// The next token. Throws Diagnostic (inside the parser only) where the text is no token.
  Token next();

private:
  void skip_blanks();
  char peek(size_t ahead = 0) const {
    return position_ + ahead < text_.size() ? text_[position_ + ahead] : '\0';
  }
  void advance();
  Token number(Token token);
  [[noreturn]] void fail(Location location, std::string message) const;

  std::string_view text_;
  size_t position_ = 0;
  Location here_{1, 1};
};

} // namespace tenon::emulator
