// Puts a kernel and the functions it calls into one program: finds them, places shared memory, decodes each, joins their
// operations, and measures the stack that calls need.
#include "decode/Decoder.h"
#include "memory/Alignment.h"
#include <algorithm>
#include <cstring>

namespace tenon::emulator {
namespace {
constexpr uint64_t kLargestStaticShared = 48 * 1024; // ptxas refuses more
/// Local memory of a thread for calls whose depth no text bounds. CUDA's default is 1 KB, which cuCtxSetLimit raises.
constexpr uint64_t kRecursionStack = 16 * 1024;

bool is_call(const Instruction &instruction) {
  return instruction.opcode == "call" || instruction.opcode.starts_with("call.");
}

Builtin builtin_named(std::string_view name) {
  static constexpr std::pair<std::string_view, Builtin> kBuiltins[] = {
      {"vprintf", Builtin::kPrint}, {"__assertfail", Builtin::kAssert}};
  for (auto [known, builtin] : kBuiltins)
    if (known == name)
      return builtin;
  return Builtin::kNone;
}

class Linker {
public:
  Linker(const Kernel &kernel, const DecodeContext &context) : context_(context), module_(*context.module) {
    program_.function_at.assign(module_.functions.size(), kNoFunction);
    sources_.push_back(&kernel);
  }

  Program run() {
    for (size_t i = 0; i < sources_.size(); i++)
      find_callees(*sources_[i]);
    place_shared();
    for (size_t i = 0; i < sources_.size(); i++)
      add(*sources_[i]);
    finish();
    return std::move(program_);
  }

private:
  [[noreturn]] static void fail(Location location, std::string message) {
    throw Diagnostic{location, std::move(message)};
  }

  void need(int function, Location location) {
    const Kernel &callee = module_.functions[static_cast<size_t>(function)];
    if (!callee.has_body && (callee.name == "malloc" || callee.name == "free"))
      fail(location, "'" + callee.name + "' in a kernel: allocation there is not supported by the emulator");
    if (!callee.has_body && builtin_named(callee.name) == Builtin::kNone)
      fail(location, "function '" + callee.name + "' is declared and never defined");
    uint32_t &number = program_.function_at[static_cast<size_t>(function)];
    if (number != kNoFunction)
      return;
    number = static_cast<uint32_t>(sources_.size());
    sources_.push_back(&callee);
  }

  void find_callees(const Kernel &function) {
    for (const Instruction &instruction : function.instructions) {
      if (!is_call(instruction) || instruction.operands.size() < 2)
        continue;
      const Operand &callee = instruction.operands[1];
      if (callee.kind == Operand::Kind::kSymbol) {
        if (int number = module_.find_function(callee.name); number >= 0)
          need(number, callee.location);
        continue;
      }
      unbounded_ = true; // through a pointer: any function there is
      for (size_t i = 0; i < module_.functions.size(); i++)
        if (module_.functions[i].has_body)
          need(static_cast<int>(i), callee.location);
    }
  }

  static void note_names(const Operand &operand, std::unordered_map<std::string, bool> &named) {
    if (operand.kind == Operand::Kind::kSymbol || operand.kind == Operand::Kind::kSpecial)
      named[operand.name] = true;
    for (const Operand &part : operand.parts)
      note_names(part, named);
  }

  /// Static variables one behind the other, the dynamic ones all at the end. Those of the module count where they are named.
  void place_shared() {
    std::unordered_map<std::string, bool> named;
    for (const Kernel *source : sources_)
      for (const Instruction &instruction : source->instructions)
        for (const Operand &operand : instruction.operands)
          note_names(operand, named);
    for (const auto &name : named)
      if (name.first.starts_with("%reserved_smem"))
        program_.reserved_shared = kSystemShared;
    const uint64_t reserved = program_.reserved_shared;
    std::vector<std::pair<const Variable *, Symbols *>> dynamic;
    own_shared_.resize(sources_.size());
    uint32_t dynamic_alignment = 16;
    auto place = [&](const Variable &variable, Symbols &symbols) {
      if (variable.space != Space::kShared)
        return;
      if (variable.external || variable.size == 0) {
        dynamic.emplace_back(&variable, &symbols);
        dynamic_alignment = std::max(dynamic_alignment, variable.alignment);
        return;
      }
      uint64_t at = align_up(reserved + program_.static_shared, variable.alignment);
      symbols[variable.name] = {Space::kShared, at, variable.size};
      program_.static_shared = at + variable.size - reserved;
    };
    for (size_t i = 0; i < sources_.size(); i++)
      for (const Variable &variable : sources_[i]->variables)
        place(variable, own_shared_[i]);
    for (const Variable &variable : module_.variables)
      if (named.count(variable.name))
        place(variable, module_shared_);
    program_.has_dynamic_shared = !dynamic.empty();
    if (!dynamic.empty())
      program_.static_shared = align_up(reserved + program_.static_shared, dynamic_alignment) - reserved;
    for (auto [variable, symbols] : dynamic)
      (*symbols)[variable->name] = {Space::kShared, reserved + program_.static_shared, 0};
    const Kernel &kernel = *sources_[0];
    if (program_.static_shared > kLargestStaticShared)
      fail(kernel.location, "kernel '" + kernel.name + "' uses " + std::to_string(program_.static_shared) +
                                " bytes of static shared memory; 49152 are allowed");
  }

  void add(const Kernel &source) {
    callees_.emplace_back();
    if (!source.has_body) {
      add_builtin(source);
      return;
    }
    Symbols shared = own_shared_[program_.functions.size()];
    shared.insert(module_shared_.begin(), module_shared_.end());
    Program part = Decoder(source, context_, std::move(shared)).run();
    auto ops = static_cast<uint32_t>(program_.ops.size()), more = static_cast<uint32_t>(program_.more.size());
    auto suspects = static_cast<int64_t>(program_.suspect_registers.size());
    auto instructions = static_cast<uint32_t>(program_.instructions.size());
    FunctionCode &code = part.functions.front();
    code.first_op = ops;
    code.end_op = ops + static_cast<uint32_t>(part.ops.size());
    for (size_t i = 0; i < part.ops.size(); i++) {
      Op op = part.ops[i];
      std::string_view form = part.rows[i] < 0 ? std::string_view() : opcode_row(part.rows[i]).operands;
      op.instruction += instructions;
      op.immediate += part.rows[i] < 0 ? suspects : 0; // a check names the register it is for
      op.target += form == "@branch" ? ops : 0;
      if (op.more) {
        auto at = static_cast<uint32_t>(op.more - part.more.data());
        more_at_.emplace_back(program_.ops.size(), more + at);
        for (uint32_t t = 0; form == "@branch_indexed" && t < op.count; t++)
          part.more[at + t] += ops;
      }
      if (form == "@call" && op.target != kNoFunction)
        callees_.back().push_back(op.target = program_.function_at[op.target]);
      program_.ops.push_back(op);
    }
    auto append = [](auto &to, const auto &from) { to.insert(to.end(), from.begin(), from.end()); };
    append(program_.more, part.more);
    append(program_.rows, part.rows);
    append(program_.instructions, part.instructions);
    append(program_.suspect_registers, part.suspect_registers);
    program_.register_count += part.register_count;
    program_.parameter_bytes += part.parameter_bytes;
    program_.functions.push_back(std::move(code));
  }

  void add_builtin(const Kernel &source) {
    FunctionCode code;
    code.source = &source;
    code.builtin = builtin_named(source.name);
    auto add = [&](const Variable &variable, std::vector<ParameterPlace> &places) {
      uint64_t at = align_up(code.local_bytes, variable.alignment);
      places.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(variable.size)});
      code.local_bytes = at + variable.size;
    };
    for (const Variable &result : source.results)
      add(result, code.results);
    for (const Variable &parameter : source.parameters)
      add(parameter, code.parameters);
    program_.functions.push_back(std::move(code));
  }

  enum class State : uint8_t { kUnseen, kActive, kDone };
  /// Bytes that the deepest chain of calls from this function takes. Where calls recur no number bounds it.
  uint64_t deepest(uint32_t function, std::vector<State> &states) {
    unbounded_ |= states[function] == State::kActive;
    if (states[function] != State::kUnseen)
      return deepest_[function];
    states[function] = State::kActive;
    uint64_t most = 0;
    for (uint32_t callee : callees_[function])
      most = std::max(most, deepest(callee, states));
    states[function] = State::kDone;
    return deepest_[function] = align_up(program_.functions[function].local_bytes, kFrameAlignment) + most;
  }

  void finish() {
    for (auto [op, at] : more_at_)
      program_.ops[op].more = program_.more.data() + at;
    std::vector<State> states(program_.functions.size(), State::kUnseen);
    deepest_.assign(program_.functions.size(), 0);
    program_.local_bytes = deepest(0, states);
    if (unbounded_)
      program_.local_bytes = program_.kernel().local_bytes + kRecursionStack;
  }

  const DecodeContext &context_;
  const Module &module_;
  Program program_;
  std::vector<const Kernel *> sources_; // the kernel, then what it calls
  std::vector<Symbols> own_shared_;
  Symbols module_shared_;
  std::vector<std::pair<size_t, uint32_t>> more_at_;
  std::vector<std::vector<uint32_t>> callees_;
  std::vector<uint64_t> deepest_;
  bool unbounded_ = false;
};

} // namespace

std::variant<Program, Diagnostic> decode(const Kernel &kernel, const DecodeContext &context) {
  try {
    return Linker(kernel, context).run();
  } catch (Diagnostic &diagnostic) {
    return std::move(diagnostic);
  }
}

std::optional<Diagnostic> check_functions(const DecodeContext &context) {
  for (const Kernel &function : context.module->functions) {
    if (!function.has_body)
      continue;
    auto decoded = decode(function, context);
    if (auto *diagnostic = std::get_if<Diagnostic>(&decoded))
      return std::move(*diagnostic);
  }
  return {};
}

std::optional<Diagnostic> relocate(const DecodeContext &context,
                                   const std::function<std::byte *(const Variable &)> &bytes) {
  for (const Variable &variable : context.module->variables)
    for (const Relocation &relocation : variable.relocations) {
      uint64_t address = 0;
      if (auto found = context.global_addresses.find(relocation.name); found != context.global_addresses.end())
        address = found->second;
      else if (int function = context.module->find_function(relocation.name); function >= 0)
        address = code_address(function);
      else
        return Diagnostic{relocation.location, "unknown symbol '" + relocation.name + "'"};
      address = (address + static_cast<uint64_t>(relocation.addend)) >> relocation.shift;
      std::memcpy(bytes(variable) + relocation.offset, &address, relocation.width);
    }
  return {};
}

} // namespace tenon::emulator
