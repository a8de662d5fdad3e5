#include "decode/Decoder.h"
#include "decode/Forms.h"
#include "memory/Alignment.h"
#include "ptx/TokenReader.h"
#include <algorithm>
#include <cstdlib>
#include <functional>

namespace tenon::emulator {
namespace {
/// Op::ordering, from the modifiers of an opcode. PTX ISA 8.4 to 8.8, the memory consistency model.
uint8_t ordering_of(std::string_view opcode) {
  struct Row {
    std::string_view part;
    uint8_t bits;
  };
  static constexpr Row kModifiers[] = {{".volatile", kStrong | kVolatile},
                                       {".relaxed", kStrong},
                                       {".mmio", kStrong},
                                       {".acquire", kStrong | kAcquire},
                                       {".release", kStrong | kRelease},
                                       {".acq_rel", kStrong | kAcquire | kRelease}};
  static constexpr Row kMnemonics[] = {{"atom.", kStrong}, {"red.", kStrong}, {"mbarrier.arrive", kStrong}, {"mbarrier.test_wait", kStrong},
                                        {"mbarrier.try_wait", kStrong}, {"mbarrier.expect_tx", kStrong}, {"cp.async.mbarrier.", kStrong}, {"fence.", kAcquire | kRelease},
                                       {"membar.", kAcquire | kRelease}};
  uint8_t ordering = opcode.starts_with("barrier.") && opcode.find(".aligned") == opcode.npos ? kDivisible : 0;
  for (const Row &row : kModifiers)
    ordering |= opcode.find(row.part) != opcode.npos ? row.bits : 0;
  for (const Row &row : kMnemonics)
    ordering |= opcode.starts_with(row.part) ? row.bits : 0;
  return ordering;
}

/// The type that an opcode names, plain bits where it names none or several.
TypeClass only_type(std::string_view opcode) {
  TypeClass found = TypeClass::kBits;
  int types = 0;
  for (size_t at = opcode.find('.'); at != std::string_view::npos;) {
    size_t end = opcode.find('.', at + 1);
    std::string_view modifier = opcode.substr(at, end == std::string_view::npos ? end : end - at);
    if (type_width(modifier) >= 0) {
      found = type_class(modifier);
      types++;
    }
    at = end;
  }
  return types == 1 ? found : TypeClass::kBits;
}
} // namespace

Decoder::Decoder(const Kernel &kernel, const DecodeContext &context, Symbols shared)
    : kernel_(kernel), context_(context), symbols_(std::move(shared)) {
  for (const Register &declared : kernel.registers)
    slots_.push_back({Slot::Kind::kRegister, declared.width, declared.type, SpecialRegister::kZero, 0, declared.name});
  for (uint32_t i = 0; i < kernel.labels.size(); i++)
    labels_[kernel.labels[i].name].push_back(i);
}

void Decoder::fail(Location location, std::string message) const {
  throw Diagnostic{location, std::move(message)};
}

ParameterPlace Decoder::place(const Variable &variable, uint64_t &end) {
  uint64_t at = align_up(end, variable.alignment);
  symbols_[variable.name] = {Space::kLocal, at, variable.size};
  end = at + variable.size;
  return {static_cast<uint32_t>(at), static_cast<uint32_t>(variable.size)};
}

void Decoder::place_variables() {
  constexpr uint64_t kLargestFrame = 512 * 1024; // local memory of a thread, CUDA programming guide, table of limits
  for (const Variable &variable : context_.module->variables)
    if (auto found = context_.global_addresses.find(variable.name); found != context_.global_addresses.end())
      symbols_.insert({variable.name, {variable.space, found->second, variable.size}});
  FunctionCode &code = program_.functions.front();
  if (kernel_.is_entry) {
    program_.parameter_bytes = kernel_.parameter_bytes;
    for (const Variable &parameter : kernel_.parameters)
      symbols_[parameter.name] = {Space::kParam, parameter.offset, parameter.size};
  } else {
    for (const Variable &result : kernel_.results)
      code.results.push_back(place(result, code.local_bytes));
    for (const Variable &parameter : kernel_.parameters)
      code.parameters.push_back(place(parameter, code.local_bytes));
  }
  for (const Variable &variable : kernel_.variables)
    if (variable.space != Space::kShared)
      place(variable, code.local_bytes);
  code.local_bytes = align_up(code.local_bytes, kFrameAlignment);
  if (code.local_bytes > kLargestFrame)
    fail(kernel_.location, "more than 512 KB of local memory for a thread");
}

Program Decoder::run() {
  program_.functions.emplace_back().source = &kernel_;
  for (const Instruction &instruction : kernel_.instructions)
    program_.instructions.push_back(&instruction);
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

/// "=4 4 >90" is "=4 4", for targets from sm_90 on.
std::string_view Decoder::without_requirement(std::string_view form) const {
  size_t at = form.rfind('>');
  if (instruction_->opcode.find(".cluster") != std::string::npos && at == std::string_view::npos)
    without_requirement(">90");
  if (at == std::string_view::npos)
    return form;
  require_target(std::atoi(std::string(form.substr(at + 1)).c_str()), "'" + instruction_->opcode + "'", instruction_->location);
  return form.substr(0, at == 0 ? 0 : at - 1);
}

void Decoder::require_target(int least, const std::string &what, Location location) const {
  int target = 0;
  if (std::sscanf(context_.module->target.c_str(), "sm_%d", &target) == 1 && target < least)
    fail(location, what + " needs a target from sm_" + std::to_string(least) + " on");
}

void Decoder::decode_instruction(uint32_t number) {
  instruction_ = &kernel_.instructions[number];
  first_op_.push_back(static_cast<uint32_t>(program_.ops.size()));
  op_ = Op{};
  op_.instruction = number;
  op_.ordering = ordering_of(instruction_->opcode);
  op_more_.clear();
  std::string ordered;
  row_ = find_opcode(instruction_->opcode, &ordered);
  if (row_ >= 0 && ordered != instruction_->opcode) { // what reads the opcode below relies on the order of the table
    reordered_ = *instruction_;
    reordered_.opcode = ordered;
    instruction_ = &reordered_;
  }
  type_ = only_type(instruction_->opcode);
  if (row_ < 0)
    fail(instruction_->location, why_unknown(instruction_->opcode));
  if (instruction_->guard >= 0) {
    op_.guard = read(static_cast<uint32_t>(instruction_->guard));
    op_.guard_flip = instruction_->guard_negated ? ~0u : 0u;
  }
  std::string_view form = without_requirement(opcode_row(row_).operands);
  if (form.starts_with('@'))
    decode_form(*this, form);
  else
    decode_simple(form);
  if (context_.perturbation)
    perturb();
  op_.handler = context_.executor->handler(row_);
  if (op_.immediate && op_.flags == kPseudo) { // ld.param at a constant offset, see Forms.cpp
    op_.handler = context_.executor->load_parameter[op_.target];
    op_.flags = 0;
    op_.target = 0;
    op_.immediate--;
  }
  more_at_.push_back(op_more_.empty() ? kNoSlot : static_cast<uint32_t>(program_.more.size()));
  more_are_targets_.push_back(form == "@branch_indexed" || form == "@call");
  program_.more.insert(program_.more.end(), op_more_.begin(), op_more_.end());
  program_.ops.push_back(op_);
  program_.rows.push_back(static_cast<int16_t>(row_));
}

/// Approximate instructions have a row for being perturbed.
void Decoder::perturb() {
  int row = find_opcode("%perturb." + instruction_->opcode);
  if (row < 0)
    return;
  row_ = row;
  // By its name: an opcode that is added to the table does not change what others do.
  const uint64_t of_opcode = std::hash<std::string>{}(instruction_->opcode);
  op_.immediate = static_cast<int64_t>(*context_.perturbation * 0x9e3779b97f4a7c15u + of_opcode);
}

std::optional<uint64_t> perturbation_of_environment() {
  const char *seed = std::getenv("TENON_EMULATOR_PERTURB");
  return seed && *seed ? std::optional<uint64_t>(std::strtoull(seed, nullptr, 0)) : std::nullopt;
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
      if (instruction_->opcode.find("c.") == 3) // addc, subc, madc
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
