#include "graph/GraphLexer.h"

#include <algorithm>

namespace tenon {
namespace {

bool is_word(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || c == '$' || c == '.';
}
bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

constexpr std::string_view kPunctuation = "(){}[]<>*,:=";

} // namespace

void GraphLexer::skip_space_and_comments() {
  while (position_ < text_.size()) {
    if (is_space(text_[position_]))
      ++position_;
    else if (text_.substr(position_).starts_with("//"))
      position_ = std::min(text_.find('\n', position_), text_.size());
    else
      return;
  }
}

size_t GraphLexer::end_of_word(size_t position) const {
  while (position < text_.size() && is_word(text_[position]))
    ++position;
  return position;
}

/// Letters too, so that 0xFF and 1e5 are one token and 12abc is a bad number, not two tokens.
size_t GraphLexer::end_of_number(size_t position) const {
  if (text_[position] == '-' || text_[position] == '+')
    ++position;
  const bool hex = text_.substr(position).starts_with("0x");
  for (; position < text_.size(); ++position) {
    const char c = text_[position];
    const char before = text_[position - (position > 0)];
    const bool sign_of_exponent =
        !hex && (c == '-' || c == '+') && (before == 'e' || before == 'E');
    if (!is_word(c) && !sign_of_exponent)
      break;
  }
  return position;
}

Token GraphLexer::next() {
  skip_space_and_comments();
  const size_t begin = position_;
  if (begin == text_.size())
    return {TokenKind::kEnd, {}, begin};
  const char c = text_[begin];
  const char after = begin + 1 < text_.size() ? text_[begin + 1] : '\0';

  const auto token = [&](TokenKind kind, size_t first, size_t end) {
    position_ = end;
    return Token{kind, text_.substr(first, end - first), begin};
  };
  if (c == '-' && after == '>')
    return token(TokenKind::kPunctuation, begin, begin + 2);
  if (is_digit(c) || ((c == '-' || c == '+') && (is_digit(after) || after == '.')))
    return token(TokenKind::kNumber, begin, end_of_number(begin));
  if (is_letter(c) || c == '_')
    return token(TokenKind::kIdentifier, begin, end_of_word(begin));
  if (kPunctuation.find(c) != std::string_view::npos)
    return token(TokenKind::kPunctuation, begin, begin + 1);
  if (c == '@' && (is_letter(after) || after == '_'))
    return token(TokenKind::kSymbol, begin + 1, end_of_word(begin + 1));
  if (c == '%') {
    // A hyphen belongs to the name of a value, and of nothing else, unless it begins an arrow.
    size_t end = begin + 1;
    while (end < text_.size() && (is_word(text_[end]) || text_[end] == '-') &&
           !text_.substr(end).starts_with("->"))
      ++end;
    if (end > begin + 1)
      return token(TokenKind::kValue, begin + 1, end);
  }
  return token(TokenKind::kInvalid, begin, begin + 1);
}

} // namespace tenon
