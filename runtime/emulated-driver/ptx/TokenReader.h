// What both parsers need: one token of look-ahead, refusals, and the declaration of variables.
#pragma once
#include "ptx/Lexer.h"

namespace tenon::emulator {

/// Width in bytes of a fundamental type (".f16x2" is 4, ".pred" is 0), or -1.
int type_width(std::string_view type);

class TokenReader {
public:
  explicit TokenReader(std::string_view text) : lexer_(text) { advance(); }

  [[noreturn]] void fail(std::string message) const { throw Diagnostic{token_.location, std::move(message)}; }
  bool is(std::string_view text) const {
    return token_.text == text && token_.kind != Token::Kind::kString;
  }
  bool accept(std::string_view text);
  void expect(std::string_view text);
  std::string_view expect_word(std::string_view what);
  uint64_t expect_integer();
  void advance() { token_ = lexer_.next(); }
  /// Advances; the end of the text is refused unless it is allowed.
  void advance_or_fail(bool end_allowed = false);

  /// Reads what follows ".global" (alignment, vector, type, names, dimensions, initialisers) up to the semicolon.
  void read_variables(Space space, bool external, std::vector<Variable> &into);
  /// Reads ".align 8 .b8 name[16]" and returns the variable, without initialiser.
  Variable read_variable_head(Space space);
  /// Reads a name and its dimensions.
  Variable read_declarator(Space space, uint32_t alignment, uint32_t width);

  Token token_;

private:
  friend class FunctionParser;
  void read_initialiser(Variable &variable, uint32_t width);
  void append_value(Variable &variable, uint32_t width);
  void append_symbol(Variable &variable, uint32_t width, uint32_t shift);
  uint32_t read_alignment_and_type(uint32_t &width);
  Lexer lexer_;
  std::string type_; // that read_alignment_and_type read last
  bool managed_ = false; // of the variables being declared: .attribute(.managed)
};

} // namespace tenon::emulator
