#include "graph/GraphLexer.h"
#include "graph/TypeRules.h"
#include "tenon/Graph.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace tenon {
namespace {

/// Recursive descent without recursion: the grammar nests nothing but the module around the
/// function. A method returns false once the first error has been kept.
class Parser {
public:
  explicit Parser(std::string_view text) : text_(text), lexer_(text), token_(lexer_.next()) {}

  Result<Graph> parse() {
    if (!file())
      return std::move(*error_);
    return std::move(graph_);
  }

private:
  // ---- Tokens.

  void advance() { token_ = lexer_.next(); }
  bool at(std::string_view punctuation) const {
    return token_.kind == TokenKind::kPunctuation && token_.text == punctuation;
  }
  bool at_word(std::string_view word) const {
    return token_.kind == TokenKind::kIdentifier && token_.text == word;
  }
  bool accept(std::string_view punctuation) {
    const bool found = at(punctuation);
    if (found)
      advance();
    return found;
  }
  bool accept_word(std::string_view word) {
    const bool found = at_word(word);
    if (found)
      advance();
    return found;
  }
  bool expect(std::string_view punctuation) {
    return accept(punctuation) || fail("'" + std::string(punctuation) + "'");
  }

  std::string found() const {
    return token_.kind == TokenKind::kEnd ? "the end of the text" : in_quotes(source(token_));
  }
  std::string_view source(const Token &token) const {
    const auto end = static_cast<size_t>(token.text.data() + token.text.size() - text_.data());
    return text_.substr(token.position, end - token.position);
  }

  bool fail(std::string expected) { return fail_at(token_.position, found(), std::move(expected)); }
  bool fail_at(size_t position, std::string actual, std::string expected) {
    if (!error_)
      error_ = Error::invalid_argument(place(position), std::move(actual), std::move(expected));
    return false;
  }
  /// What the builder refused, with the place added.
  bool fail_at(size_t position, const Error &refused) {
    return fail_at(position, refused.argument() + " of " + refused.actual(), refused.expected());
  }

  /// "line:column", both from one, columns in bytes.
  std::string place(size_t position) const {
    const std::string_view before = text_.substr(0, position);
    const auto line = std::ranges::count(before, '\n') + 1;
    const size_t line_start = before.rfind('\n') + 1; // npos + 1 is 0
    return std::to_string(line) + ":" + std::to_string(position - line_start + 1);
  }

  // ---- The file.

  bool file() {
    const bool in_module = accept_word("module");
    if (in_module) {
      if (token_.kind == TokenKind::kSymbol)
        advance();
      if (!expect("{"))
        return false;
    }
    if (!function() || (in_module && !expect("}")))
      return false;
    return token_.kind == TokenKind::kEnd || fail("the end of the text");
  }

  bool function() {
    if (!accept_word("func.func"))
      return fail("'func.func'");
    if (!accept_word("private"))
      accept_word("public");
    if (token_.kind != TokenKind::kSymbol)
      return fail("a symbol name such as @attention");
    advance();
    if (!arguments())
      return false;
    const size_t result_position = token_.position;
    std::vector<ValueType> declared;
    if (accept("->") && !result_types(declared))
      return false;
    if (!expect("{"))
      return false;
    while (token_.kind == TokenKind::kValue)
      if (!operation())
        return false;
    return return_operation(result_position, declared) && expect("}");
  }

  struct Argument {
    std::string_view name;
    size_t position;
    ValueType type;
  };

  bool arguments() {
    if (!expect("("))
      return false;
    std::vector<Argument> arguments;
    if (!at(")")) {
      do {
        if (token_.kind != TokenKind::kValue)
          return fail("an argument such as %query");
        Argument argument{token_.text, token_.position, {}};
        advance();
        if (!expect(":") || !type(argument.type))
          return false;
        arguments.push_back(argument);
      } while (accept(","));
    }
    return expect(")") && add_inputs(arguments);
  }

  /// Names that are no names of inputs, such as %0, become %arg0: canonical text numbers its own
  /// values.
  bool add_inputs(const std::vector<Argument> &arguments) {
    std::unordered_set<std::string> taken;
    for (const Argument &argument : arguments)
      taken.emplace(argument.name);
    for (const Argument &argument : arguments) {
      std::string name(argument.name);
      const char first = name.front();
      if ((first >= '0' && first <= '9') || first == '$' || first == '.' || first == '-') {
        for (name = "arg" + name; taken.contains(name);)
          name += '_';
        taken.insert(name);
      }
      auto value = graph_.add_input(std::move(name), argument.type);
      if (!value)
        return fail_at(argument.position, value.error());
      if (!define(argument.name, argument.position, *value))
        return false;
    }
    return true;
  }

  // ---- Types.

  static bool element_kind(std::string_view word, ElementKind &kind) {
    static constexpr std::pair<std::string_view, ElementKind> kElements[] = {
        {"f32", ElementKind::kReal}, {"i32", ElementKind::kIndex}, {"i1", ElementKind::kMask}};
    for (const auto &[spelling, meaning] : kElements)
      if (word == spelling) {
        kind = meaning;
        return true;
      }
    return false;
  }

  bool type(ValueType &result) {
    static constexpr const char *kExpected =
        "a type: tensor<*xf32>, tensor<*xi32>, tensor<*xi1>, f32, i32 or i1";
    result.scalar = !at_word("tensor");
    if (result.scalar) {
      if (token_.kind != TokenKind::kIdentifier || !element_kind(token_.text, result.kind))
        return fail(kExpected);
      advance();
      return true;
    }
    advance();
    if (!expect("<") || !expect("*"))
      return false;
    std::string_view word = token_.text;
    if (token_.kind != TokenKind::kIdentifier || !word.starts_with('x'))
      return fail("xf32, xi32 or xi1");
    word.remove_prefix(1);
    if (word.empty()) { // "* x f32"
      advance();
      word = token_.kind == TokenKind::kIdentifier ? token_.text : std::string_view();
    }
    if (!element_kind(word, result.kind))
      return fail("an element type: f32, i32 or i1");
    advance();
    return expect(">");
  }

  bool type_list(std::vector<ValueType> &types) {
    do {
      if (!type(types.emplace_back()))
        return false;
    } while (accept(","));
    return true;
  }

  bool result_types(std::vector<ValueType> &types) {
    if (accept("("))
      return (at(")") || type_list(types)) && expect(")");
    return type(types.emplace_back());
  }

  // ---- Values.

  bool define(std::string_view name, size_t position, ValueId value) {
    return values_.emplace(name, value).second ||
           fail_at(position, "%" + std::string(name) + ", which is defined already", "a new name");
  }

  bool use(ValueId &value) {
    if (token_.kind != TokenKind::kValue)
      return fail("a value such as %0");
    const auto found_value = values_.find(token_.text);
    if (found_value == values_.end())
      return fail("a value that is defined before");
    value = found_value->second;
    advance();
    return true;
  }

  bool use_list(std::vector<ValueId> &values) {
    do {
      if (!use(values.emplace_back()))
        return false;
    } while (accept(","));
    return true;
  }

  // ---- Operations.

  bool operation() {
    const Token name = token_;
    advance();
    if (!expect("="))
      return false;
    const Token op = token_;
    constexpr std::string_view kPrefix = "attention.";
    if (op.kind != TokenKind::kIdentifier || !op.text.starts_with(kPrefix))
      return fail("an operation such as attention.matmul");
    const auto operation = find_operation(op.text.substr(kPrefix.size()));
    if (!operation)
      return fail("an operation of the attention dialect");
    advance();
    if (graph_.nodes().size() >= Graph::kMaxNodes)
      return fail_at(op.position, "one operation more",
                     "at most " + std::to_string(Graph::kMaxNodes) + " operations");
    ValueId value = -1;
    if (*operation == Operation::kConstant ? !constant(value) : !on_values(*operation, op, value))
      return false;
    return define(name.text, name.position, value);
  }

  bool constant(ValueId &value) {
    const Token literal = token_;
    if (literal.kind != TokenKind::kNumber)
      return fail("a number");
    advance();
    ValueType constant_type;
    if (!expect(":"))
      return false;
    const size_t type_position = token_.position;
    if (!type(constant_type))
      return false;
    if (constant_type == kRealScalar)
      return real_constant(literal, value);
    if (constant_type == kIndexScalar)
      return index_constant(literal, value);
    return fail_at(type_position, std::string(tenon::name(constant_type)), "f32 or i32");
  }

  /// The bits that 0x… spells, if `text` is that and all of it.
  static bool hex_bits(std::string_view text, uint32_t &bits) {
    if (!text.starts_with("0x") || text.size() == 2)
      return false;
    const char *end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + 2, end, bits, 16);
    return error == std::errc() && stop == end;
  }

  template <typename Number> static bool decimal(std::string_view text, Number &number) {
    if (text.starts_with('+'))
      text.remove_prefix(1);
    const char *end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    return error == std::errc() && stop == end;
  }

  bool real_constant(const Token &literal, ValueId &value) {
    uint32_t bits = 0;
    float number = 0;
    if (hex_bits(literal.text, bits))
      number = std::bit_cast<float>(bits);
    else if (!decimal(literal.text, number))
      return fail_at(literal.position, in_quotes(literal.text),
                     "a float32: decimal and in range, or its bits as 0x and up to 8 hex digits");
    value = graph_.constant(number);
    return true;
  }

  bool index_constant(const Token &literal, ValueId &value) {
    uint32_t bits = 0;
    int32_t number = 0;
    if (hex_bits(literal.text, bits))
      number = std::bit_cast<int32_t>(bits);
    else if (!decimal(literal.text, number))
      return fail_at(literal.position, in_quotes(literal.text),
                     "an integer of 32 bits: decimal, or 0x and up to 8 hex digits");
    value = graph_.constant(number);
    return true;
  }

  bool on_values(Operation operation, const Token &op, ValueId &value) {
    std::vector<ValueId> operands;
    if (token_.kind == TokenKind::kValue || operation_info(operation).maximum_operands > 0) {
      if (operation == Operation::kLoad) {
        if (!use(operands.emplace_back()) || !expect("[") || !use_list(operands) || !expect("]"))
          return false;
      } else if (!use_list(operands)) {
        return false;
      }
    }
    auto added = graph_.add(operation, operands);
    if (!added)
      return fail_at(op.position, added.error());
    value = *added;
    return expect(":") && check_types(operation, operands, graph_.type(value));
  }

  bool check_types(Operation operation, const std::vector<ValueId> &operands, ValueType result) {
    if (at("(") || !has_single_type(operation_info(operation).form)) {
      if (!expect("("))
        return false;
      for (size_t i = 0; i < operands.size(); ++i)
        if ((i > 0 && !expect(",")) || !this_type(graph_.type(operands[i])))
          return false;
      if (!expect(")") || !expect("->"))
        return false;
    }
    return this_type(result);
  }

  bool this_type(ValueType expected) {
    const size_t position = token_.position;
    ValueType written;
    if (!type(written))
      return false;
    return written == expected ||
           fail_at(position, std::string(tenon::name(written)), std::string(tenon::name(expected)));
  }

  bool return_operation(size_t declared_position, const std::vector<ValueType> &declared) {
    const size_t position = token_.position;
    if (!accept_word("return") && !accept_word("func.return"))
      return fail("an operation or 'return'");
    std::vector<ValueId> results;
    if (!use_list(results) || !expect(":"))
      return false;
    for (size_t i = 0; i < results.size(); ++i)
      if ((i > 0 && !expect(",")) || !this_type(graph_.type(results[i])))
        return false;
    if (auto set = graph_.set_results(results); !set)
      return fail_at(position, set.error());
    const bool as_declared = std::ranges::equal(results, declared, {},
                                                [&](ValueId value) { return graph_.type(value); });
    return as_declared || fail_at(declared_position, "a list of types that is not that of return",
                                  "the types of what is returned");
  }

  std::string_view text_;
  GraphLexer lexer_;
  Token token_;
  Graph graph_;
  std::unordered_map<std::string_view, ValueId> values_;
  std::optional<Error> error_;
};

} // namespace

Result<Graph> Graph::parse(std::string_view text) {
  return Parser(text).parse();
}

} // namespace tenon
