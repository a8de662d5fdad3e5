// Operands of instructions: registers, constants, special registers, symbols, addresses.
#include "decode/Decoder.h"
#include <bit>
#include <optional>

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
    {"%reserved_smem_offset_begin", SpecialRegister::kZero},
    {"%reserved_smem_offset_end", SpecialRegister::kReservedEnd},
    {"%reserved_smem_offset_cap", SpecialRegister::kReservedEnd},
    {"%reserved_smem_offset_0", SpecialRegister::kZero},
    {"%reserved_smem_offset_1", SpecialRegister::kReservedSecond},
    {"%envreg1", SpecialRegister::kGridWorkspaceHigh}, // what the driver leaves there for cooperative groups
    {"%envreg2", SpecialRegister::kGridWorkspaceLow},
};
constexpr int kEnvironmentRegisters = 32; // the others are zero

std::optional<SpecialRegister> special_register(std::string_view name) {
  for (const SpecialName &known : kSpecialNames)
    if (known.name == name)
      return known.which;
  for (int i = 0; i < kEnvironmentRegisters; i++)
    if (name == "%envreg" + std::to_string(i))
      return SpecialRegister::kZero;
  return std::nullopt;
}

std::string width_name(uint8_t width) {
  return width == 0 ? "a predicate" : std::to_string(width * 8) + " bits";
}
} // namespace

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
    slots_.push_back({Slot::Kind::kCarry, 0, TypeClass::kBits, SpecialRegister::kZero, 0, "CC.CF"});
  }
  return carry_;
}

uint32_t Decoder::constant(uint64_t bits, uint8_t width, Slot::Kind kind) {
  if (width == 0) // a predicate: all lanes or none
    bits = bits ? ~uint64_t{0} : 0;
  else if (width < 8)
    bits &= (uint64_t{1} << (width * 8)) - 1;
  auto [at, fresh] = constants_.try_emplace({bits, width, kind}, static_cast<uint32_t>(slots_.size()));
  if (fresh)
    slots_.push_back({kind, width, TypeClass::kBits, SpecialRegister::kZero, bits, {}});
  return at->second;
}

uint32_t Decoder::symbol_address(const Operand &operand, uint8_t width) {
  auto offset = static_cast<uint64_t>(operand.offset);
  if (!symbols_.count(operand.name))
    if (int function = context_.module->find_function(operand.name); function >= 0)
      return constant(code_address(function) + offset, width);
  Symbol found = symbol(operand.name, operand.location);
  return constant(found.address + offset, width,
                  is_in_frame(found) ? Slot::Kind::kFrameAddress : Slot::Kind::kConstant);
}

uint32_t Decoder::special(const Operand &operand, uint8_t width) {
  auto known = special_register(operand.name);
  if (!known)
    fail(operand.location, "unknown register '" + operand.name + "'");
  if (operand.name.find("cluster") != std::string::npos)
    require_target(90, "'" + operand.name + "'", operand.location);
  const bool reserved = operand.name.starts_with("%reserved_smem");
  if (reserved)
    require_target(80, "'" + operand.name + "'", operand.location);
  if (!instruction_->opcode.starts_with("mov") && !instruction_->opcode.starts_with("cvt."))
    fail(operand.location, "a special register is an operand of mov alone");
  if ((reserved || operand.name.starts_with("%envreg")) && width != 4)
    fail(operand.location, "'" + operand.name + "' is " + width_name(4));
  auto [at, fresh] = specials_.try_emplace({static_cast<int>(*known), width}, static_cast<uint32_t>(slots_.size()));
  if (fresh)
    slots_.push_back({Slot::Kind::kSpecial, width, TypeClass::kBits, *known, 0, operand.name});
  return at->second;
}

Symbol Decoder::symbol(const std::string &name, Location location) const {
  auto found = symbols_.find(name);
  if (found == symbols_.end())
    fail(location, "unknown symbol '" + name + "'");
  return found->second;
}

/// "mov.b32": a number goes there as bits alone, 0f3F800000.
static bool ends_in_bits(std::string_view opcode) {
  std::string_view last = opcode.substr(opcode.rfind('.') + 1);
  return last == "b16" || last == "b32" || last == "b64";
}

void Decoder::expect_type(const Operand &operand) const {
  auto clash = [&](TypeClass type) {
    return type != type_ && type != TypeClass::kBits && type_ != TypeClass::kBits;
  };
  bool wrong = false;
  if (operand.kind == Operand::Kind::kRegister)
    wrong = slots_[operand.index].width != 0 && clash(slots_[operand.index].type);
  else if (operand.kind == Operand::Kind::kInteger)
    wrong = type_ == TypeClass::kReal;
  else if (operand.kind == Operand::Kind::kFloat)
    wrong = type_ == TypeClass::kInteger || (!operand.as_bits && ends_in_bits(instruction_->opcode));
  if (wrong)
    fail(operand.location, "'" + instruction_->opcode + "' takes " +
                               (type_ == TypeClass::kReal ? "a floating-point number" : "an integer") + " here");
}

uint32_t Decoder::source(const Operand &operand, uint8_t width) {
  if (operand.negated)
    fail(operand.location, "'!' is for predicates");
  expect_type(operand);
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
    return symbol_address(operand, width);
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
  expect_type(operand);
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
  if (operand.kind == Operand::Kind::kInteger) // 0 and 1
    return constant(operand.bits, 0);
  fail(operand.location, "expected a predicate");
}

uint64_t Decoder::integer(const Operand &operand) {
  if (operand.kind != Operand::Kind::kInteger)
    fail(operand.location, "expected a constant");
  return operand.bits;
}

void Decoder::expect_symbol_space(const Symbol &symbol, Location location) const {
  static constexpr std::pair<std::string_view, Space> kSpaces[] = {{".global", Space::kGlobal},
                                                                   {".const", Space::kConst},
                                                                   {".shared", Space::kShared},
                                                                   {".local", Space::kLocal}};
  const std::string &opcode = instruction_->opcode;
  bool accesses = opcode.starts_with("ld.") || opcode.starts_with("st.") || opcode.starts_with("atom.") || opcode.starts_with("red.");
  bool wrong = accesses && opcode.find(".param") == std::string::npos && symbol.space == Space::kParam;
  for (auto [name, space] : kSpaces)
    if (accesses && opcode.find(name) != std::string::npos)
      wrong = symbol.space != space;
  if (wrong)
    fail(location, "the variable is not in the state space of '" + opcode + "'");
}

/// What a generic access adds to the address of a variable of shared or local memory.
uint64_t Decoder::window_of(const Symbol &symbol) const {
  const std::string &opcode = instruction_->opcode;
  for (std::string_view space : {".shared", ".local", ".param", ".global", ".const"})
    if (opcode.find(space) != std::string::npos)
      return 0;
  return symbol.space == Space::kShared ? kSharedWindow : symbol.space == Space::kLocal ? kLocalWindow : 0;
}

uint32_t Decoder::address(const Operand &operand, uint8_t &width, int64_t &immediate, bool &constant_address) {
  if (operand.kind != Operand::Kind::kAddress)
    fail(operand.location, "expected an address in brackets");
  const Operand &base = operand.parts[0];
  immediate = operand.offset;
  constant_address = base.kind != Operand::Kind::kRegister;
  if (base.kind == Operand::Kind::kSymbol) {
    Symbol found = symbol(base.name, base.location);
    expect_symbol_space(found, base.location);
    immediate += static_cast<int64_t>(found.address + window_of(found));
    if (is_in_frame(found)) {
      width = 8;
      return constant(0, 8, Slot::Kind::kFrameAddress);
    }
  } else if (base.kind == Operand::Kind::kInteger)
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
  if (slots_[base.index].type == TypeClass::kReal)
    fail(base.location, "'" + slots_[base.index].name + "' is a floating-point number, not an address");
  return read(base.index);
}

} // namespace tenon::emulator
