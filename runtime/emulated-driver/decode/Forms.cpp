// Memory, conversions, moves, comparisons; and the table of all forms.
#include "decode/OperandForms.h"
#include <algorithm>
#include <cstdlib>

namespace tenon::emulator {

std::vector<const Operand *> OperandForms::list(const Operand &operand, size_t count) const {
  std::vector<const Operand *> items;
  if (operand.kind == Operand::Kind::kVector)
    for (const Operand &part : operand.parts)
      items.push_back(&part);
  else
    items.push_back(&operand);
  if (items.size() != count)
    d.fail(operand.location, "expected " + std::to_string(count) + " elements, found " + std::to_string(items.size()));
  return items;
}

int OperandForms::type_index(std::string_view type) { // into Executor::load_parameter
  static constexpr std::pair<std::string_view, int> kTypes[] = {{"u8", 0},  {"b8", 0},  {"s8", 1},  {"u16", 2}, {"b16", 2},
                                                                {"f16", 2}, {"bf16", 2}, {"s16", 3}, {"s32", 5}, {"u64", 6},
                                                                {"s64", 6}, {"b64", 6}, {"f64", 6}};
  for (auto [name, index] : kTypes)
    if (name == type)
      return index;
  return 4;
}

uint32_t OperandForms::type_bytes(int index) { return index < 2 ? 1 : index < 4 ? 2 : index < 6 ? 4 : 8; }

void OperandForms::read_elements(const Operand &operand, bool writes, uint32_t bytes) {
  op.count = static_cast<uint8_t>(elements());
  uint8_t common = 0;
  auto items = list(operand, op.count);
  for (const Operand *item : items)
    if (item->kind == Operand::Kind::kRegister)
      common = d.slots_[item->index].width;
  if (common == 0)
    common = static_cast<uint8_t>(bytes);
  if (common < bytes)
    d.fail(operand.location, "the register is narrower than the type of '" + instruction.opcode + "'");
  for (size_t i = 0; i < items.size(); i++)
    op.operand[1 + i] = writes ? d.destination(*items[i], common) : d.source(*items[i], common);
  op.width[1] = common;
}

void OperandForms::use_frame(const Operand &address) {
  size_t at = instruction.opcode.find(".param");
  if (at == std::string::npos || address.kind != Operand::Kind::kAddress)
    return;
  const Operand &base = address.parts[0];
  if (d.kernel_.is_entry &&
      (base.kind != Operand::Kind::kSymbol || d.symbol(base.name, base.location).space == Space::kParam))
    return;
  if (base.kind == Operand::Kind::kSymbol) {
    auto offset = static_cast<uint64_t>(address.offset);
    uint64_t bytes = uint64_t{type_bytes(type_index(type()))} * elements(), size = d.symbol(base.name, base.location).size;
    if (size < bytes || offset > size - bytes)
      d.fail(address.location, "the access reaches beyond the " + std::to_string(size) + " bytes of the parameter");
  }
  std::string opcode = instruction.opcode;
  size_t end = opcode.find_first_of('.', at + 1);
  use_row(opcode.replace(at, end - at, ".local"));
  if (d.row_ < 0)
    refuse("unsupported form of opcode '" + instruction.opcode + "'");
}

void OperandForms::load() {
  use_frame(operands.size() > 1 ? operands[1] : Operand{});
  bool frame = opcode_row(d.row_).spelling.find(".local") != std::string_view::npos;
  bool cached = has(".L2::cache_hint");
  d.expect_operands(2, cached ? 3 : 2);
  int type_number = type_index(type());
  uint32_t bytes = type_bytes(type_number);
  bool constant = false;
  op.operand[0] = d.address(operands[1], op.width[0], op.immediate, constant);
  read_elements(operands[0], true, bytes);
  if (has(".param") && constant && !frame) {
    uint64_t end = static_cast<uint64_t>(op.immediate) + bytes * op.count;
    if (op.immediate < 0 || end > d.kernel_.parameter_bytes)
      d.fail(operands[1].location, "reads beyond the parameters, which take " +
                                       std::to_string(d.kernel_.parameter_bytes) + " bytes");
    op.immediate++; // the decoder takes it back, and the handler for one value in all lanes
    op.flags = kPseudo;
    op.target = static_cast<uint32_t>(type_number);
    return;
  }
  note_copy();
}

// Registers.cpp decides whether it is one.
void OperandForms::note_copy() {
  const std::string_view spelling = opcode_row(d.row_).spelling;
  bool may_be_local = !(op.ordering & kStrong);
  for (std::string_view other : {".global", ".shared", ".const", ".param"})
    may_be_local = may_be_local && spelling.find(other) == std::string_view::npos;
  op.target = may_be_local ? type_bytes(type_index(type())) : 0;
}

void OperandForms::store() {
  use_frame(operands.empty() ? Operand{} : operands[0]);
  d.expect_operands(2, has(".L2::cache_hint") ? 3 : 2);
  bool constant = false;
  op.operand[0] = d.address(operands[0], op.width[0], op.immediate, constant);
  read_elements(operands[1], false, type_bytes(type_index(type())));
  note_copy();
}

// The address, and one or two values behind it; before them a result, where there is one.
void OperandForms::read_and_modify(size_t results) {
  bool swaps = arguments.size() > 2;
  const size_t count = results + 2 + swaps + has(".L2::cache_hint");
  d.expect_operands(count, count);
  bool constant = false;
  op.operand[0] = d.address(operands[results], op.width[0], op.immediate, constant);
  op.operand[2] = d.source(operands[results + 1], width(1));
  if (swaps)
    op.operand[3] = d.source(operands[results + 2], width(2));
}

void OperandForms::atomic() {
  read_and_modify(1);
  op.operand[1] = d.destination(operands[0], width(1));
}

void OperandForms::reduction() { read_and_modify(0); }

/// "s32.u16": every value of the second type is one of the first.
static bool widens_integer(std::string_view types) {
  std::string_view to = types.substr(0, types.find('.')), from = types.substr(types.find('.') + 1);
  auto is_integer = [](std::string_view type) { return type[0] == 'u' || type[0] == 's'; };
  if (!is_integer(to) || !is_integer(from))
    return false;
  auto bits = [](std::string_view type) { return std::atoi(std::string(type.substr(1)).c_str()); };
  return to[0] == from[0] ? bits(to) >= bits(from) : to[0] == 's' && bits(to) > bits(from);
}

void OperandForms::convert() {
  d.expect_operands(2, 2);
  std::string_view widths = arguments.size() > 1 ? arguments[1] : "**";
  std::string_view opcode = instruction.opcode;
  size_t last = opcode.rfind('.');
  TypeClass to = type_class(opcode.substr(opcode.rfind('.', last - 1)));
  d.type_ = type_class(opcode.substr(last));
  if (has(".sat.") && widens_integer(opcode.substr(opcode.rfind('.', last - 1) + 1)))
    refuse("'.sat' has no meaning where every value fits: '" + instruction.opcode + "'");
  if (has("cvta")) {
    op.width[0] = op.width[1] = static_cast<uint8_t>(type_bytes(type_index(type())));
    op.operand[1] = d.source(operands[1], op.width[1]);
    op.operand[0] = d.destination(operands[0], op.width[0]);
    return;
  }
  if (widths[1] == '*') {
    std::string_view from = type();
    auto least = static_cast<uint8_t>(type_bytes(type_index(from)));
    op.operand[1] = d.source_any(operands[1], op.width[1], std::max<uint8_t>(least, 2));
    if (op.width[1] < least)
      d.fail(operands[1].location, "the register is narrower than the source type of '" + instruction.opcode + "'");
  } else {
    op.operand[1] = d.source(operands[1], static_cast<uint8_t>(widths[1] - '0'));
  }
  d.type_ = to;
  if (widths[0] == '*')
    op.operand[0] = d.destination_any(operands[0], op.width[0]);
  else
    op.operand[0] = d.destination(operands[0], static_cast<uint8_t>(widths[0] - '0'));
}

void OperandForms::is_space() {
  d.expect_operands(2, 2);
  op.operand[1] = d.source_any(operands[1], op.width[1], 8);
  op.operand[0] = d.destination(operands[0], 0);
}

void OperandForms::move() {
  d.expect_operands(2, 2);
  uint8_t bytes = width(1);
  if (operands[1].kind == Operand::Kind::kVector)
    return pack(bytes);
  if (operands[0].kind == Operand::Kind::kVector)
    return unpack(bytes);
  if (operands[1].kind == Operand::Kind::kSpecial && (bytes == 4 || bytes == 8)) {
    const std::string &name = operands[1].name;
    std::string suffix = bytes == 8 ? ".b64" : ".b32";
    if (name.starts_with("%clock"))
      use_row("%clock" + suffix);
    else if (name.starts_with("%globaltimer"))
      use_row("%globaltimer" + suffix);
    if (name.starts_with("%clock") && !name.starts_with("%cluster")) {
      op.operand[0] = d.destination(operands[0], bytes);
      return;
    }
    if (name.starts_with("%globaltimer")) {
      op.operand[0] = d.destination(operands[0], bytes);
      return;
    }
  }
  op.operand[1] = d.source(operands[1], bytes);
  op.operand[0] = d.destination(operands[0], bytes);
}

void OperandForms::pack(uint8_t bytes) {
  size_t count = operands[1].parts.size();
  if (count != 2 && count != 4)
    d.fail(operands[1].location, "mov packs 2 or 4 elements");
  auto items = list(operands[1], count);
  for (size_t i = 0; i < count; i++)
    op.operand[1 + i] = d.source(*items[i], static_cast<uint8_t>(bytes / count));
  op.operand[0] = d.destination(operands[0], bytes);
  use_row((count == 2 ? "%pack.b" : "%pack4.b") + std::to_string(bytes * 8));
  if (d.row_ < 0)
    refuse("this packing is not supported");
}

void OperandForms::unpack(uint8_t bytes) {
  size_t count = operands[0].parts.size();
  if (count != 2 && count != 4)
    d.fail(operands[0].location, "mov unpacks 2 or 4 elements");
  auto items = list(operands[0], count);
  op.operand[4] = d.source(operands[1], bytes);
  for (size_t i = 0; i < count; i++)
    op.operand[i] = d.destination(*items[i], static_cast<uint8_t>(bytes / count));
  use_row((count == 2 ? "%unpack.b" : "%unpack4.b") + std::to_string(bytes * 8));
  if (d.row_ < 0)
    refuse("this unpacking is not supported");
}

void OperandForms::pair(const Operand &operand, uint8_t first_width, size_t first, size_t second) {
  bool is_pair = operand.kind == Operand::Kind::kPair;
  op.operand[first] = d.destination(is_pair ? operand.parts[0] : operand, first_width);
  if (is_pair)
    op.operand[second] = d.destination(operand.parts[1], 0);
}

uint8_t OperandForms::combination() const {
  return has(".and.") ? 1 : has(".or.") ? 2 : has(".xor.") ? 3 : 0;
}

void OperandForms::third_predicate(size_t slot) {
  uint8_t how = combination();
  d.expect_operands(how ? 4 : 3, how ? 4 : 3);
  op.flags = how;
  if (!how)
    return;
  bool negated = false;
  op.operand[slot] = d.source_predicate(operands[3], negated);
  if (negated)
    op.flags |= 4;
}

void OperandForms::set_predicate() {
  third_predicate(4);
  op.operand[2] = d.source(operands[1], width(1));
  op.operand[3] = d.source(operands[2], width(1));
  pair(operands[0], 0, 0, 1);
}

void OperandForms::logic_with_predicate() {
  d.expect_operands(6, 6);
  bool negated = false;
  op.operand[5] = d.source_predicate(operands[5], negated);
  op.flags = negated ? 4 : 0;
  for (size_t i = 1; i <= 3; i++)
    op.operand[i] = d.source(operands[i], 4);
  op.immediate = static_cast<int64_t>(d.integer(operands[4]));
  pair(operands[0], 4, 0, 4);
}

void OperandForms::set_value() {
  third_predicate(3);
  op.operand[1] = d.source(operands[1], width(2));
  op.operand[2] = d.source(operands[2], width(2));
  op.operand[0] = d.destination(operands[0], width(1));
}

void decode_form(Decoder &decoder, std::string_view form) {
  static constexpr std::pair<std::string_view, void (OperandForms::*)()> kForms[] = {
      {"@load", &OperandForms::load},
      {"@store", &OperandForms::store},
      {"@atom", &OperandForms::atomic},
      {"@red", &OperandForms::reduction},
      {"@cvt", &OperandForms::convert},
      {"@isspacep", &OperandForms::is_space},
      {"@mov", &OperandForms::move},
      {"@setp", &OperandForms::set_predicate},
      {"@set", &OperandForms::set_value},
      {"@lop3", &OperandForms::logic_with_predicate},
      {"@branch", &OperandForms::branch},
      {"@branch_indexed", &OperandForms::branch_indexed},
      {"@call", &OperandForms::call},
      {"@barrier", &OperandForms::barrier},
      {"@shuffle", &OperandForms::shuffle},
      {"@match", &OperandForms::match},
      {"@elect", &OperandForms::elect},
      {"@ignore", &OperandForms::ignore},
      {"@event", &OperandForms::event},
      {"@copy", &OperandForms::copy},
      {"@ldmatrix", &OperandForms::load_matrix},
      {"@stmatrix", &OperandForms::store_matrix},
      {"@mma", &OperandForms::multiply},
      {"@wmma", &OperandForms::multiply_wmma},
      {"@wmma_move", &OperandForms::move_wmma},
      {"@bar_red", &OperandForms::reduce_barrier},
      {"@mbarrier", &OperandForms::mbarrier},
      {"@mbarrier_test", &OperandForms::test_mbarrier},
      {"@policy", &OperandForms::policy},
  };
  std::vector<std::string_view> words;
  while (!form.empty()) {
    size_t end = std::min(form.find(' '), form.size());
    words.push_back(form.substr(0, end));
    form.remove_prefix(std::min(end + 1, form.size()));
  }
  for (auto [name, function] : kForms)
    if (name == words[0]) {
      OperandForms forms{decoder, words};
      (forms.*function)();
      return;
    }
}

} // namespace tenon::emulator
