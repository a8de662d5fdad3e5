#include "ptx/Parser.h"
#include "ptx/FunctionParser.h"
#include <algorithm>

namespace tenon::emulator {
namespace {

class ModuleParser : public TokenReader {
public:
  explicit ModuleParser(std::string_view text) : TokenReader(text) { source_.text = text; }

  Module run() {
    read_version();
    while (token_.kind != Token::Kind::kEnd)
      read_statement();
    auto source = std::make_shared<const SourceText>(std::move(source_));
    for (Kernel &kernel : module_.kernels)
      kernel.source = source;
    return std::move(module_);
  }

private:
  void read_version() {
    if (!accept(".version"))
      fail("a PTX module starts with .version");
    Token version = token_;
    uint32_t major = 0, minor = 0;
    if (version.kind != Token::Kind::kFloat ||
        std::sscanf(std::string(version.text).c_str(), "%u.%u", &major, &minor) != 2)
      fail("expected a version such as 8.7");
    module_.version = major * 10 + minor;
    advance();
    if (!accept(".target"))
      fail("expected .target after .version");
    module_.target = std::string(expect_word("an architecture such as sm_80"));
    while (accept(","))
      expect_word("a platform option");
  }

  void read_statement() {
    if (accept(".address_size")) {
      module_.address_bits = static_cast<uint32_t>(expect_integer());
      if (module_.address_bits != 64)
        fail("only .address_size 64 is supported");
      return;
    }
    if (accept(".file")) {
      std::string &name = source_.files[static_cast<uint32_t>(expect_integer())];
      if (token_.kind == Token::Kind::kString)
        name = std::string(token_.text);
      if (name.size() >= 2 && name.front() == '"')
        name = name.substr(1, name.size() - 2);
      advance();
      while (accept(","))
        expect_integer();
      return;
    }
    if (accept(".pragma")) {
      while (!accept(";"))
        advance_or_fail();
      return;
    }
    if (accept(".section")) {
      advance_or_fail();
      skip_braces();
      return;
    }
    bool external = false;
    for (;;) {
      if (accept(".extern"))
        external = true;
      else if (!accept(".visible") && !accept(".weak") && !accept(".common"))
        break;
    }
    if (accept(".entry")) {
      module_.kernels.push_back(FunctionParser(*this, module_).entry(external));
      return;
    }
    if (accept(".func"))
      return read_function(external);
    if (accept(".alias")) {
      while (!accept(";"))
        advance_or_fail();
      return;
    }
    static constexpr std::pair<std::string_view, Space> kSpaces[] = {
        {".global", Space::kGlobal}, {".const", Space::kConst}, {".shared", Space::kShared}};
    for (auto [name, space] : kSpaces)
      if (accept(name)) {
        read_variables(space, external, module_.variables);
        return;
      }
    fail("expected a declaration, found '" + std::string(token_.text) + "'");
  }

  void skip_braces() {
    expect("{");
    for (int depth = 1; depth > 0;) {
      depth += is("{") ? 1 : is("}") ? -1 : 0;
      advance_or_fail(depth == 0);
    }
  }

  void read_function(bool external) {
    Kernel function = FunctionParser(*this, module_).function();
    if (external && function.has_body)
      throw Diagnostic{function.location, "function '" + function.name + "' is .extern and has a body"};
    int known = module_.find_function(function.name);
    auto same_sizes = [](const std::vector<Variable> &a, const std::vector<Variable> &b) {
      return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Variable &x, const Variable &y) { return x.size == y.size; });
    };
    if (known >= 0) {
      const Kernel &before = module_.functions[static_cast<size_t>(known)];
      if (!same_sizes(before.parameters, function.parameters) || !same_sizes(before.results, function.results))
        throw Diagnostic{function.location, "function '" + function.name + "' was declared with other parameters"};
    }
    if (known < 0) {
      module_.functions.push_back(std::move(function));
    } else if (function.has_body) {
      if (module_.functions[static_cast<size_t>(known)].has_body)
        throw Diagnostic{function.location, "function '" + function.name + "' is defined twice"};
      module_.functions[static_cast<size_t>(known)] = std::move(function);
    }
  }

  Module module_;
  SourceText source_;
};

} // namespace

std::string SourceText::line(uint32_t number) const {
  size_t begin = 0;
  for (uint32_t i = 1; i < number && begin != std::string::npos; i++) {
    begin = text.find('\n', begin);
    begin += begin != std::string::npos;
  }
  if (number == 0 || begin == std::string::npos)
    return {};
  std::string line = text.substr(begin, text.find('\n', begin) - begin);
  constexpr std::string_view kBlanks = " \t\r";
  line.erase(0, std::min(line.find_first_not_of(kBlanks), line.size()));
  line.erase(line.find_last_not_of(kBlanks) + 1);
  return line;
}

std::variant<Module, Diagnostic> parse_ptx(std::string_view text) {
  try {
    return ModuleParser(text).run();
  } catch (Diagnostic &diagnostic) {
    return std::move(diagnostic);
  }
}

} // namespace tenon::emulator
