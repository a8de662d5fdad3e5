// PTX text: parsed and decoded to the last operation, with handlers that are never called. Text is accepted, or refused
// with a line and a column inside it.
#include "decode/Program.h"
#include "ptx/Parser.h"
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

using namespace tenon::emulator;

namespace {
const Op *never(Warp &, const Op *, uint32_t) { std::abort(); }

const Executor &executor_without_instructions() {
  static const Executor executor = [] {
    static std::vector<Handler> handlers(static_cast<size_t>(opcode_row_count()), never);
    Executor made{};
    made.name = "none";
    made.parts[0] = {handlers.data(), opcode_row_count()};
    made.mark_written = made.check_written = never;
    std::fill(std::begin(made.load_parameter), std::end(made.load_parameter), never);
    return made;
  }();
  return executor;
}

void expect_inside(const Diagnostic &diagnostic, std::string_view text) {
  auto lines = 1 + static_cast<uint32_t>(std::count(text.begin(), text.end(), '\n'));
  if (diagnostic.message.empty() || diagnostic.location.line > lines || diagnostic.text().empty())
    std::abort();
}
} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string_view text(reinterpret_cast<const char *>(data), size);
  auto parsed = parse_ptx(text);
  if (auto *diagnostic = std::get_if<Diagnostic>(&parsed)) {
    expect_inside(*diagnostic, text);
    return 0;
  }
  const Module &module = std::get<Module>(parsed);
  DecodeContext context;
  context.module = &module;
  context.executor = &executor_without_instructions();
  uint64_t address = uint64_t{1} << 40;
  for (const Variable &variable : module.variables)
    if (variable.space != Space::kShared)
      context.global_addresses[variable.name] = address += 1 << 20;
  std::vector<std::byte> bytes;
  auto refusal = relocate(context, [&](const Variable &variable) {
    bytes.assign(variable.initialiser.size() + 8, std::byte{0});
    return bytes.data();
  });
  if (!refusal)
    refusal = check_functions(context);
  if (refusal)
    expect_inside(*refusal, text);
  for (const Kernel &kernel : module.kernels) {
    auto decoded = decode(kernel, context);
    if (auto *diagnostic = std::get_if<Diagnostic>(&decoded))
      expect_inside(*diagnostic, text);
  }
  return 0;
}
