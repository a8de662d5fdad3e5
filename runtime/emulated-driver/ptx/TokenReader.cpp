#include "ptx/TokenReader.h"
#include <algorithm>
#include <bit>
#include <cstring>

namespace tenon::emulator {

int type_width(std::string_view type) {
  static constexpr std::pair<std::string_view, int> kTypes[] = {
      {".b8", 1},   {".u8", 1},  {".s8", 1},   {".b16", 2},   {".u16", 2},    {".s16", 2},
      {".f16", 2},  {".b32", 4}, {".u32", 4},  {".s32", 4},   {".f32", 4},    {".f16x2", 4},
      {".b64", 8},  {".u64", 8}, {".s64", 8},  {".f64", 8},   {".pred", 0},   {".bf16", 2},
      {".tf32", 4}, {".b128", 16}, {".bf16x2", 4}};
  for (auto [name, width] : kTypes)
    if (name == type)
      return width;
  return -1;
}

bool TokenReader::accept(std::string_view text) {
  if (!is(text))
    return false;
  advance();
  return true;
}

void TokenReader::expect(std::string_view text) {
  if (!accept(text))
    fail("expected '" + std::string(text) + "', found '" + std::string(token_.text) + "'");
}

std::string_view TokenReader::expect_word(std::string_view what) {
  if (token_.kind != Token::Kind::kWord)
    fail("expected " + std::string(what) + ", found '" + std::string(token_.text) + "'");
  std::string_view text = token_.text;
  advance();
  return text;
}

uint64_t TokenReader::expect_integer() {
  if (token_.kind != Token::Kind::kInteger)
    fail("expected an integer, found '" + std::string(token_.text) + "'");
  uint64_t value = token_.bits;
  advance();
  return value;
}

void TokenReader::advance_or_fail(bool end_allowed) {
  if (token_.kind == Token::Kind::kEnd)
    fail("unexpected end of the text");
  advance();
  if (token_.kind == Token::Kind::kEnd && !end_allowed)
    fail("unexpected end of the text");
}

uint32_t TokenReader::read_alignment_and_type(uint32_t &width) {
  uint32_t alignment = 0, elements = 1;
  managed_ = false;
  for (;;) {
    if (accept(".align")) {
      uint64_t value = expect_integer();
      if (!std::has_single_bit(value) || value > 1u << 16)
        fail("an alignment is a power of two up to 65536");
      alignment = static_cast<uint32_t>(value);
    } else if (accept(".v2")) {
      elements = 2;
    } else if (accept(".v4")) {
      elements = 4;
    } else if (accept(".attribute")) {
      while (!accept(")")) {
        managed_ |= is(".managed");
        advance_or_fail();
      }
    } else {
      break;
    }
  }
  int type = token_.kind == Token::Kind::kDirective ? type_width(token_.text) : -1;
  if (type <= 0)
    fail("expected the type of a variable, found '" + std::string(token_.text) + "'");
  type_ = std::string(token_.text);
  advance();
  if (accept(".ptr")) {
    while (token_.kind == Token::Kind::kDirective) {
      bool align = is(".align");
      advance();
      if (align)
        expect_integer();
    }
  }
  width = static_cast<uint32_t>(type) * elements;
  return std::max(alignment, width);
}

Variable TokenReader::read_declarator(Space space, uint32_t alignment, uint32_t width) {
  constexpr uint64_t kLargest = uint64_t{1} << 32;
  Variable variable;
  variable.location = token_.location;
  variable.space = space;
  variable.type = type_;
  variable.managed = managed_;
  variable.alignment = alignment;
  variable.name = std::string(expect_word("the name of a variable"));
  variable.size = width;
  while (accept("[")) {
    uint64_t count = is("]") ? 0 : expect_integer();
    if (count > kLargest || variable.size * count > kLargest)
      fail("variable '" + variable.name + "' is too large");
    variable.size *= count;
    expect("]");
  }
  return variable;
}

Variable TokenReader::read_variable_head(Space space) {
  uint32_t width = 0;
  uint32_t alignment = read_alignment_and_type(width);
  return read_declarator(space, alignment, width);
}

void TokenReader::append_symbol(Variable &variable, uint32_t width, uint32_t shift) {
  Relocation relocation;
  relocation.offset = variable.initialiser.size();
  relocation.width = static_cast<uint8_t>(width);
  relocation.shift = static_cast<uint8_t>(shift);
  relocation.location = token_.location;
  bool generic = accept("generic");
  if (generic)
    expect("(");
  relocation.name = std::string(expect_word("the name of a variable or function"));
  if (generic)
    expect(")");
  while (is("+") || is("-")) {
    bool negative = accept("-");
    if (!negative)
      advance();
    auto value = static_cast<int64_t>(expect_integer());
    relocation.addend += negative ? -value : value;
  }
  variable.initialiser.resize(variable.initialiser.size() + width);
  variable.relocations.push_back(std::move(relocation));
}

void TokenReader::append_value(Variable &variable, uint32_t width) {
  if (token_.kind == Token::Kind::kWord) {
    if (width != 4 && width != 8)
      fail("an address takes 32 or 64 bits");
    return append_symbol(variable, width, 0);
  }
  bool negative = accept("-");
  uint64_t bits = token_.bits;
  if (token_.kind == Token::Kind::kFloat) {
    if (width == 4 && !token_.single)
      bits = std::bit_cast<uint32_t>(static_cast<float>(std::bit_cast<double>(bits)));
    if (negative)
      bits ^= uint64_t{1} << (width * 8 - 1);
  } else if (token_.kind == Token::Kind::kInteger) {
    if (negative)
      bits = 0 - bits;
  } else {
    fail("an initialiser is made of numbers, found '" + std::string(token_.text) + "'");
  }
  advance();
  if (width == 1 && accept("(")) { // 0xFF00(symbol): one byte of an address
    uint32_t shift = static_cast<uint32_t>(std::countr_zero(bits | uint64_t{1} << 63)) & ~7u;
    append_symbol(variable, width, shift);
    return expect(")");
  }
  std::byte raw[8];
  std::memcpy(raw, &bits, 8);
  variable.initialiser.insert(variable.initialiser.end(), raw, raw + std::min<uint32_t>(width, 8));
}

void TokenReader::read_initialiser(Variable &variable, uint32_t width) {
  int depth = 0;
  do {
    while (accept("{"))
      depth++;
    append_value(variable, width);
    while (depth > 0 && accept("}"))
      depth--;
  } while (depth > 0 && accept(","));
  if (depth)
    expect("}");
}

void TokenReader::read_variables(Space space, bool external, std::vector<Variable> &into) {
  uint32_t width = 0;
  uint32_t alignment = read_alignment_and_type(width);
  do {
    Variable variable = read_declarator(space, alignment, width);
    variable.external = external;
    if (accept("=")) {
      if (space != Space::kGlobal && space != Space::kConst)
        fail("only .global and .const variables have initialisers");
      read_initialiser(variable, width);
      if (variable.size == 0)
        variable.size = variable.initialiser.size();
      if (variable.initialiser.size() > variable.size)
        fail("initialiser of '" + variable.name + "' is longer than the variable");
    }
    if (variable.size == 0 && !(external && space == Space::kShared))
      fail("variable '" + variable.name + "' has no size");
    for (const Variable &other : into)
      if (other.name == variable.name)
        throw Diagnostic{variable.location, "variable '" + variable.name + "' is declared twice"};
    into.push_back(std::move(variable));
  } while (accept(","));
  expect(";");
}

} // namespace tenon::emulator
