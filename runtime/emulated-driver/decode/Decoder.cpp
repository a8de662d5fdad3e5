#include "decode/Decoder.h"
#include "decode/Forms.h"
#include <algorithm>
#include <bit>

namespace tenon::emulator {
namespace {
struct SpecialName {
  std::string_view name;
  SpecialRegister which;
};
constexpr SpecialName kSpecialNames[] = {
    {"%tid.x", SpecialRegister::kThreadX},
    {"%tid.y", SpecialRegister::kThreadY},
    {"%tid.z", SpecialRegister::kThreadZ},
    {"%ntid.x", SpecialRegister::kThreadsX},
    {"%ntid.y", SpecialRegister::kThreadsY},
    {"%ntid.z", SpecialRegister::kThreadsZ},
    {"%ctaid.x", SpecialRegister::kBlockX},
    {"%ctaid.y", SpecialRegister::kBlockY},
    {"%ctaid.z", SpecialRegister::kBlockZ},
    {"%nctaid.x", SpecialRegister::kBlocksX},
    {"%nctaid.y", SpecialRegister::kBlocksY},
    {"%nctaid.z", SpecialRegister::kBlocksZ},
    {"%laneid", SpecialRegister::kLane},
    {"%warpid", SpecialRegister::kWarp},
    {"%nwarpid", SpecialRegister::kWarps},
    {"%smid", SpecialRegister::kMultiprocessor},
    {"%nsmid", SpecialRegister::kMultiprocessors},
    {"%gridid", SpecialRegister::kGrid},
    {"%lanemask_eq", SpecialRegister::kMaskEqual},
    {"%lanemask_le", SpecialRegister::kMaskLessEqual},
    {"%lanemask_lt", SpecialRegister::kMaskLess},
    {"%lanemask_ge", SpecialRegister::kMaskGreaterEqual},
    {"%lanemask_gt", SpecialRegister::kMaskGreater},
    {"%dynamic_smem_size", SpecialRegister::kDynamicShared},
    {"%total_smem_size", SpecialRegister::kTotalShared},
    {"%cluster_ctaid.x", SpecialRegister::kZero},
    {"%cluster_ctaid.y", SpecialRegister::kZero},
    {"%cluster_ctaid.z", SpecialRegister::kZero},
    {"%cluster_ctarank", SpecialRegister::kZero},
    {"%cluster_nctaid.x", SpecialRegister::kOne},
    {"%cluster_nctaid.y", SpecialRegister::kOne},
    {"%cluster_nctaid.z", SpecialRegister::kOne},
    {"%cluster_nctarank", SpecialRegister::kOne},
    {"%clusterid.x", SpecialRegister::kBlockX},
    {"%clusterid.y", SpecialRegister::kBlockY},
    {"%clusterid.z", SpecialRegister::kBlockZ},
    {"%nclusterid.x", SpecialRegister::kBlocksX},
    {"%nclusterid.y", SpecialRegister::kBlocksY},
    {"%nclusterid.z", SpecialRegister::kBlocksZ},
};
uint64_t align_up(uint64_t value, uint64_t alignment) { return (value + alignment - 1) / alignment * alignment; }
/// Op::ordering, from the modifiers of an opcode. PTX ISA 8.4 to 8.8, the memory consistency model.
uint8_t ordering_of(std::string_view opcode) {
  struct Row {
    std::string_view part;
    uint8_t bits;
  };
  static constexpr Row kModifiers[] = {{".volatile", kStrong},
                                       {".relaxed", kStrong},
                                       {".mmio", kStrong},
                                       {".acquire", kStrong | kAcquire},
                                       {".release", kStrong | kRelease},
                                       {".acq_rel", kStrong | kAcquire | kRelease}};
  static constexpr Row kMnemonics[] = {{"atom.", kStrong}, {"red.", kStrong}, {"fence.", kAcquire | kRelease},
                                       {"membar.", kAcquire | kRelease}};
  uint8_t ordering = opcode.starts_with("barrier.") && opcode.find(".aligned") == opcode.npos ? kDivisible : 0;
  for (const Row &row : kModifiers)
    ordering |= opcode.find(row.part) != opcode.npos ? row.bits : 0;
  for (const Row &row : kMnemonics)
    ordering |= opcode.starts_with(row.part) ? row.bits : 0;
  return ordering;
}
std::string width_name(uint8_t width) {
  return width == 0 ? "a predicate" : std::to_string(width * 8) + " bits";
}
} // namespace

std::variant<Program, Diagnostic> decode(const Kernel &kernel, const DecodeContext &context) {
  try {
    return Decoder(kernel, context).run();
  } catch (Diagnostic &diagnostic) {
    return std::move(diagnostic);
  }
}

Decoder::Decoder(const Kernel &kernel, const DecodeContext &context) : kernel_(kernel), context_(context) {
  for (const Register &declared : kernel.registers)
    slots_.push_back({Slot::Kind::kRegister, declared.width, SpecialRegister::kZero, 0, declared.name});
  for (uint32_t i = 0; i < kernel.labels.size(); i++)
    labels_[kernel.labels[i].name].push_back(i);
}

void Decoder::fail(Location location, std::string message) const {
  throw Diagnostic{location, std::move(message)};
}

void Decoder::place(const Variable &variable, uint64_t &end) {
  uint64_t at = align_up(end, variable.alignment);
  symbols_[variable.name] = {variable.space, at, variable.size};
  end = at + variable.size;
}

void Decoder::place_variables() {
  constexpr uint64_t kLargestStaticShared = 48 * 1024; // PTX refuses more than this statically
  const Variable *dynamic = nullptr;
  uint32_t dynamic_alignment = 16;
  auto place_shared = [&](const Variable &variable) {
    if (variable.space != Space::kShared)
      return;
    if (variable.external || variable.size == 0) {
      dynamic = &variable;
      dynamic_alignment = std::max(dynamic_alignment, variable.alignment);
      return;
    }
    place(variable, program_.static_shared);
  };
  for (const Variable &variable : kernel_.variables)
    place_shared(variable);
  // Variables of the module count only where the kernel names them.
  std::unordered_map<std::string, bool> named;
  auto note = [&](const Operand &operand, auto &self) -> void {
    if (operand.kind == Operand::Kind::kSymbol)
      named[operand.name] = true;
    for (const Operand &part : operand.parts)
      self(part, self);
  };
  for (const Instruction &instruction : kernel_.instructions)
    for (const Operand &operand : instruction.operands)
      note(operand, note);
  for (const Variable &variable : context_.module->variables)
    if (named.count(variable.name))
      place_shared(variable);
  if (dynamic) {
    program_.has_dynamic_shared = true;
    program_.static_shared = align_up(program_.static_shared, dynamic_alignment);
    for (const auto *list : {&kernel_.variables, &context_.module->variables})
      for (const Variable &variable : *list)
        if (variable.space == Space::kShared && (variable.external || variable.size == 0))
          symbols_[variable.name] = {Space::kShared, program_.static_shared, 0};
  }
  if (program_.static_shared > kLargestStaticShared)
    fail(kernel_.location, "kernel '" + kernel_.name + "' uses " + std::to_string(program_.static_shared) +
                               " bytes of static shared memory; 49152 are allowed");
  for (const Variable &variable : kernel_.variables)
    if (variable.space == Space::kLocal)
      place(variable, program_.local_bytes);
  program_.local_bytes = align_up(program_.local_bytes, 16);
  if (program_.local_bytes > 512 * 1024)
    fail(kernel_.location, "more than 512 KB of local memory for a thread");
  for (const Variable &parameter : kernel_.parameters)
    symbols_[parameter.name] = {Space::kParam, parameter.offset, parameter.size};
  program_.parameter_bytes = kernel_.parameter_bytes;
  for (const Variable &variable : context_.module->variables)
    if (auto found = context_.global_addresses.find(variable.name); found != context_.global_addresses.end())
      symbols_[variable.name] = {variable.space, found->second, variable.size};
}

Program Decoder::run() {
  place_variables();
  first_op_.reserve(kernel_.instructions.size() + 1);
  for (uint32_t i = 0; i < kernel_.instructions.size(); i++)
    decode_instruction(i);
  first_op_.push_back(static_cast<uint32_t>(program_.ops.size()));
  // The end of the body returns.
  Op end;
  row_ = find_opcode("ret");
  end.handler = context_.executor->handler(row_);
  end.instruction = kernel_.instructions.empty() ? 0 : static_cast<uint32_t>(kernel_.instructions.size() - 1);
  program_.ops.push_back(end);
  program_.rows.push_back(static_cast<int16_t>(row_));
  more_at_.push_back(kNoSlot);
  more_are_targets_.push_back(false);
  finish_branches();
  lay_out_registers(program_, slots_, uses_, more_at_, more_are_targets_, *context_.executor);
  return std::move(program_);
}

void Decoder::decode_instruction(uint32_t number) {
  instruction_ = &kernel_.instructions[number];
  first_op_.push_back(static_cast<uint32_t>(program_.ops.size()));
  op_ = Op{};
  op_.instruction = number;
  op_.ordering = ordering_of(instruction_->opcode);
  op_more_.clear();
  row_ = find_opcode(instruction_->opcode);
  if (row_ < 0)
    fail(instruction_->location, std::string(is_known_mnemonic(instruction_->opcode) ? "unsupported form of opcode '"
                                                                                     : "unknown opcode '") +
                                     instruction_->opcode + "'");
  if (instruction_->guard >= 0) {
    op_.guard = read(static_cast<uint32_t>(instruction_->guard));
    op_.guard_flip = instruction_->guard_negated ? ~0u : 0u;
  }
  std::string_view form = opcode_row(row_).operands;
  if (form.starts_with('@'))
    decode_form(*this, form);
  else
    decode_simple(form);
  op_.handler = context_.executor->handler(row_);
  if (op_.immediate && op_.flags == kPseudo) { // ld.param at a constant offset, see Forms.cpp
    op_.handler = context_.executor->load_parameter[op_.target];
    op_.flags = 0;
    op_.immediate--;
  }
  more_at_.push_back(op_more_.empty() ? kNoSlot : static_cast<uint32_t>(program_.more.size()));
  more_are_targets_.push_back(form == "@branch_indexed");
  program_.more.insert(program_.more.end(), op_more_.begin(), op_more_.end());
  program_.ops.push_back(op_);
  program_.rows.push_back(static_cast<int16_t>(row_));
}

void Decoder::expect_operands(size_t least, size_t most) const {
  size_t count = instruction_->operands.size();
  if (count < least || count > most)
    fail(instruction_->location,
         "'" + instruction_->opcode + "' takes " + std::to_string(least) +
             (most > least ? " to " + std::to_string(most) : "") + " operands, not " + std::to_string(count));
}

/// "=4 4 p! i carry": destinations first, then sources.
void Decoder::decode_simple(std::string_view form) {
  size_t wanted = 0, slot = 0, index = 0;
  std::vector<std::string_view> items;
  while (!form.empty()) {
    size_t end = std::min(form.find(' '), form.size());
    items.push_back(form.substr(0, end));
    wanted += items.back() != "carry";
    form.remove_prefix(std::min(end + 1, form.size()));
  }
  expect_operands(wanted, wanted);
  std::vector<std::pair<size_t, const Operand *>> destinations;
  for (std::string_view item : items) {
    if (item == "carry") {
      op_.operand[slot++] = carry();
      if (instruction_->opcode.find("c.") == 3) // addc, subc
        read(carry_);
      if (instruction_->opcode.find(".cc.") != std::string::npos)
        written(carry_);
      continue;
    }
    const Operand &operand = instruction_->operands[index++];
    if (item[0] == '=') {
      destinations.emplace_back(slot++, &operand);
      uint8_t width = item[1] == 'p' ? 0 : static_cast<uint8_t>(item[1] - '0');
      op_.operand[slot - 1] = destination(operand, width);
    } else if (item[0] == 'i') {
      op_.immediate = static_cast<int64_t>(integer(operand));
    } else if (item[0] == 'p') {
      bool negated = false;
      op_.operand[slot++] = source_predicate(operand, negated);
      if (negated && item != "p!")
        fail(operand.location, "a negated predicate is not allowed here");
      if (negated)
        op_.flags |= 5; // bit 0 for votes, bit 2 for selections
    } else {
      op_.operand[slot++] = source(operand, static_cast<uint8_t>(item[0] - '0'));
    }
  }
  if (instruction_->opcode == "cp.async.wait_all")
    op_.flags = 1;
}

uint32_t Decoder::read(uint32_t slot) {
  if (slots_[slot].kind == Slot::Kind::kRegister || slots_[slot].kind == Slot::Kind::kCarry)
    uses_.push_back({static_cast<uint32_t>(program_.ops.size()), slot, false});
  return slot;
}
uint32_t Decoder::written(uint32_t slot) {
  uses_.push_back({static_cast<uint32_t>(program_.ops.size()), slot, true});
  return slot;
}

uint32_t Decoder::carry() {
  if (carry_ == kNoSlot) {
    carry_ = static_cast<uint32_t>(slots_.size());
    slots_.push_back({Slot::Kind::kCarry, 0, SpecialRegister::kZero, 0, "CC.CF"});
  }
  return carry_;
}

uint32_t Decoder::constant(uint64_t bits, uint8_t width) {
  if (width < 8)
    bits &= (uint64_t{1} << (width * 8)) - 1;
  auto [at, fresh] = constants_.try_emplace({bits, width}, static_cast<uint32_t>(slots_.size()));
  if (fresh)
    slots_.push_back({Slot::Kind::kConstant, width, SpecialRegister::kZero, bits, {}});
  return at->second;
}

uint32_t Decoder::special(const Operand &operand, uint8_t width) {
  for (const SpecialName &known : kSpecialNames)
    if (known.name == operand.name) {
      auto [at, fresh] = specials_.try_emplace({static_cast<int>(known.which), width},
                                               static_cast<uint32_t>(slots_.size()));
      if (fresh)
        slots_.push_back({Slot::Kind::kSpecial, width, known.which, 0, operand.name});
      return at->second;
    }
  fail(operand.location, "unknown register '" + operand.name + "'");
}

Decoder::Symbol Decoder::symbol(const std::string &name, Location location) const {
  auto found = symbols_.find(name);
  if (found == symbols_.end())
    fail(location, "unknown symbol '" + name + "'");
  return found->second;
}

uint32_t Decoder::source(const Operand &operand, uint8_t width) {
  if (operand.negated)
    fail(operand.location, "'!' is for predicates");
  switch (operand.kind) {
  case Operand::Kind::kRegister:
    if (slots_[operand.index].width != width)
      fail(operand.location, "'" + slots_[operand.index].name + "' is " + width_name(slots_[operand.index].width) +
                                 ", '" + instruction_->opcode + "' takes " + width_name(width) + " here");
    return read(operand.index);
  case Operand::Kind::kInteger:
    return constant(operand.bits, width);
  case Operand::Kind::kFloat: {
    uint64_t bits = operand.bits;
    if (!operand.single && width == 4)
      bits = std::bit_cast<uint32_t>(static_cast<float>(std::bit_cast<double>(bits)));
    else if (operand.single && width == 8)
      bits = std::bit_cast<uint64_t>(static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(bits))));
    else if (width < 4)
      fail(operand.location, "write 16-bit floats as integers");
    return constant(bits, width);
  }
  case Operand::Kind::kSpecial:
    return special(operand, width);
  case Operand::Kind::kSymbol:
    if (operand.name == "WARP_SZ")
      return constant(kLanes, width);
    return constant(symbol(operand.name, operand.location).address + static_cast<uint64_t>(operand.offset), width);
  default:
    fail(operand.location, "expected a register or a constant");
  }
}

uint32_t Decoder::source_any(const Operand &operand, uint8_t &width, uint8_t default_width) {
  width = operand.kind == Operand::Kind::kRegister ? slots_[operand.index].width : default_width;
  if (width == 0)
    fail(operand.location, "a predicate is not allowed here");
  return source(operand, width);
}

uint32_t Decoder::destination(const Operand &operand, uint8_t width) {
  if (operand.kind == Operand::Kind::kSink)
    return kNoSlot;
  if (operand.kind != Operand::Kind::kRegister || operand.negated)
    fail(operand.location, "expected a register to write");
  if (slots_[operand.index].width != width)
    fail(operand.location, "'" + slots_[operand.index].name + "' is " + width_name(slots_[operand.index].width) + ", '" +
                               instruction_->opcode + "' gives " + width_name(width));
  return written(operand.index);
}

uint32_t Decoder::destination_any(const Operand &operand, uint8_t &width) {
  if (operand.kind != Operand::Kind::kRegister || slots_[operand.index].width == 0)
    fail(operand.location, "expected a register to write");
  width = slots_[operand.index].width;
  return destination(operand, width);
}

uint32_t Decoder::source_predicate(const Operand &operand, bool &negated) {
  negated = operand.negated;
  if (operand.kind == Operand::Kind::kRegister && slots_[operand.index].width == 0)
    return read(operand.index);
  if (operand.kind == Operand::Kind::kInteger) { // 0 and 1
    auto [at, fresh] = constants_.try_emplace({operand.bits ? ~uint64_t{0} : 0, 0}, static_cast<uint32_t>(slots_.size()));
    if (fresh)
      slots_.push_back({Slot::Kind::kConstant, 0, SpecialRegister::kZero, operand.bits ? ~uint64_t{0} : 0, {}});
    return at->second;
  }
  fail(operand.location, "expected a predicate");
}

uint64_t Decoder::integer(const Operand &operand) {
  if (operand.kind != Operand::Kind::kInteger)
    fail(operand.location, "expected a constant");
  return operand.bits;
}

uint32_t Decoder::address(const Operand &operand, uint8_t &width, int64_t &immediate, bool &constant_address) {
  if (operand.kind != Operand::Kind::kAddress)
    fail(operand.location, "expected an address in brackets");
  const Operand &base = operand.parts[0];
  immediate = operand.offset;
  constant_address = base.kind != Operand::Kind::kRegister;
  if (base.kind == Operand::Kind::kSymbol)
    immediate += static_cast<int64_t>(symbol(base.name, base.location).address);
  else if (base.kind == Operand::Kind::kInteger)
    immediate += static_cast<int64_t>(base.bits);
  else if (base.kind != Operand::Kind::kRegister)
    fail(base.location, "expected a register, a variable or a constant as the address");
  if (constant_address) {
    width = 8;
    return constant(0, 8);
  }
  width = slots_[base.index].width;
  if (width < 4)
    fail(base.location, "an address has 32 or 64 bits");
  return read(base.index);
}

uint32_t Decoder::find_label(const std::string &name, uint32_t scope, Location location) const {
  auto found = labels_.find(name);
  for (; found != labels_.end(); scope = kernel_.scope_parents[scope]) {
    for (uint32_t label : found->second)
      if (kernel_.labels[label].scope == scope)
        return label;
    if (scope == 0)
      break;
  }
  fail(location, "unknown label '" + name + "'");
}

void Decoder::finish_branches() {
  auto op_of = [&](uint32_t label) { return first_op_[kernel_.labels[label].instruction]; };
  for (size_t i = 0; i < program_.ops.size(); i++) {
    Op &op = program_.ops[i];
    std::string_view form = opcode_row(program_.rows[i]).operands;
    const Instruction *instruction =
        kernel_.instructions.empty() ? nullptr : &kernel_.instructions[op.instruction];
    if (form == "@branch") {
      const Operand &target = instruction->operands[0];
      op.target = op_of(find_label(target.name, instruction->scope, target.location));
    } else if (form == "@branch_indexed") {
      const Operand &list = instruction->operands[1];
      const Label &label = kernel_.labels[find_label(list.name, instruction->scope, list.location)];
      for (size_t t = 0; t < label.targets.size(); t++)
        program_.more[more_at_[i] + t] = op_of(find_label(label.targets[t], instruction->scope, list.location));
    }
  }
}

} // namespace tenon::emulator
