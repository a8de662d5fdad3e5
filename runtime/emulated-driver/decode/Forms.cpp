#include "decode/Forms.h"
#include "decode/Decoder.h"
#include <algorithm>

namespace tenon::emulator {

/// One function for each form of operands; the table at the end names them.
struct OperandForms {
  Decoder &d;
  std::vector<std::string_view> arguments;
  const Instruction &instruction = *d.instruction_;
  const std::vector<Operand> &operands = instruction.operands;
  Op &op = d.op_;

  uint8_t width(size_t argument) const { return static_cast<uint8_t>(arguments[argument].back() - '0'); }
  bool has(std::string_view modifier) const { return instruction.opcode.find(modifier) != std::string::npos; }
  void use_row(std::string_view spelling) { d.row_ = find_opcode(spelling); }
  [[noreturn]] void refuse(std::string message) const { d.fail(instruction.location, std::move(message)); }

  /// The last modifier: "b32" of "ld.global.b32".
  std::string_view type() const {
    std::string_view opcode = instruction.opcode;
    return opcode.substr(opcode.rfind('.') + 1);
  }
  uint32_t elements() const { return has(".v4.") ? 4 : has(".v2.") ? 2 : 1; }
  std::vector<const Operand *> list(const Operand &operand, size_t count) const {
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

  static int type_index(std::string_view type) { // into Executor::load_parameter
    static constexpr std::pair<std::string_view, int> kTypes[] = {{"u8", 0},  {"b8", 0},  {"s8", 1},  {"u16", 2}, {"b16", 2},
                                                                  {"f16", 2}, {"bf16", 2}, {"s16", 3}, {"s32", 5}, {"u64", 6},
                                                                  {"s64", 6}, {"b64", 6}, {"f64", 6}};
    for (auto [name, index] : kTypes)
      if (name == type)
        return index;
    return 4;
  }
  static uint32_t type_bytes(int index) { return index < 2 ? 1 : index < 4 ? 2 : index < 6 ? 4 : 8; }

  /// Registers of a load or store: all of one width, at least that of the type.
  void read_elements(const Operand &operand, bool writes, uint32_t bytes) {
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

  void load() {
    bool cached = has(".L2::cache_hint");
    d.expect_operands(2, cached ? 3 : 2);
    int type_number = type_index(type());
    uint32_t bytes = type_bytes(type_number);
    bool constant = false;
    op.operand[0] = d.address(operands[1], op.width[0], op.immediate, constant);
    read_elements(operands[0], true, bytes);
    if (has(".param") && constant) {
      uint64_t end = static_cast<uint64_t>(op.immediate) + bytes * op.count;
      if (op.immediate < 0 || end > d.kernel_.parameter_bytes)
        d.fail(operands[1].location, "reads beyond the parameters, which take " +
                                         std::to_string(d.kernel_.parameter_bytes) + " bytes");
      op.immediate++; // the decoder takes it back, and the handler for one value in all lanes
      op.flags = kPseudo;
      op.target = static_cast<uint32_t>(type_number);
    }
  }
  void store() {
    d.expect_operands(2, has(".L2::cache_hint") ? 3 : 2);
    bool constant = false;
    op.operand[0] = d.address(operands[0], op.width[0], op.immediate, constant);
    read_elements(operands[1], false, type_bytes(type_index(type())));
  }
  void atomic() {
    bool swaps = arguments.size() > 2;
    d.expect_operands(swaps ? 4 : 3, swaps ? 4 : 3);
    bool constant = false;
    op.operand[0] = d.address(operands[1], op.width[0], op.immediate, constant);
    op.operand[2] = d.source(operands[2], width(1));
    if (swaps)
      op.operand[3] = d.source(operands[3], width(2));
    op.operand[1] = d.destination(operands[0], width(1));
  }
  void reduction() {
    bool swaps = arguments.size() > 2;
    d.expect_operands(swaps ? 3 : 2, swaps ? 3 : 2);
    bool constant = false;
    op.operand[0] = d.address(operands[0], op.width[0], op.immediate, constant);
    op.operand[2] = d.source(operands[1], width(1));
    if (swaps)
      op.operand[3] = d.source(operands[2], width(2));
  }

  /// "@cvt 24": destination of 2, source of 4 bytes; '*' or nothing: whatever the register has, at least the type's.
  void convert() {
    d.expect_operands(2, 2);
    std::string_view widths = arguments.size() > 1 ? arguments[1] : "**";
    if (widths[1] == '*') {
      std::string_view from = type();
      uint8_t least = has("cvta") ? 8 : static_cast<uint8_t>(type_bytes(type_index(from)));
      op.operand[1] = d.source_any(operands[1], op.width[1], std::max<uint8_t>(least, 2));
      if (op.width[1] < least && !has("cvta"))
        d.fail(operands[1].location, "the register is narrower than the source type of '" + instruction.opcode + "'");
    } else {
      op.operand[1] = d.source(operands[1], static_cast<uint8_t>(widths[1] - '0'));
    }
    if (widths[0] == '*')
      op.operand[0] = d.destination_any(operands[0], op.width[0]);
    else
      op.operand[0] = d.destination(operands[0], static_cast<uint8_t>(widths[0] - '0'));
  }
  void is_space() {
    d.expect_operands(2, 2);
    op.operand[1] = d.source_any(operands[1], op.width[1], 8);
    op.operand[0] = d.destination(operands[0], 0);
  }

  void move() {
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
  void pack(uint8_t bytes) {
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
  void unpack(uint8_t bytes) {
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

  void pair(const Operand &operand, uint8_t first_width, size_t first, size_t second) {
    bool is_pair = operand.kind == Operand::Kind::kPair;
    op.operand[first] = d.destination(is_pair ? operand.parts[0] : operand, first_width);
    if (is_pair)
      op.operand[second] = d.destination(operand.parts[1], 0);
  }
  uint8_t combination() const {
    return has(".and.") ? 1 : has(".or.") ? 2 : has(".xor.") ? 3 : 0;
  }
  void third_predicate(size_t slot) {
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
  void set_predicate() {
    third_predicate(4);
    op.operand[2] = d.source(operands[1], width(1));
    op.operand[3] = d.source(operands[2], width(1));
    pair(operands[0], 0, 0, 1);
  }
  void set_value() {
    third_predicate(3);
    op.operand[1] = d.source(operands[1], width(2));
    op.operand[2] = d.source(operands[2], width(2));
    op.operand[0] = d.destination(operands[0], width(1));
  }

  void branch() {
    d.expect_operands(1, 1);
    if (operands[0].kind != Operand::Kind::kSymbol)
      d.fail(operands[0].location, "expected a label");
  }
  void branch_indexed() {
    d.expect_operands(2, 2);
    op.operand[0] = d.source(operands[0], 4);
    if (operands[1].kind != Operand::Kind::kSymbol)
      d.fail(operands[1].location, "expected the label of .branchtargets");
    const Label &label = d.kernel_.labels[d.find_label(operands[1].name, instruction.scope, operands[1].location)];
    if (label.targets.empty() || label.targets.size() > 255)
      d.fail(operands[1].location, "'" + operands[1].name + "' needs 1 to 255 targets");
    op.count = static_cast<uint8_t>(label.targets.size());
    d.op_more_.assign(label.targets.size(), 0);
  }
  void barrier() {
    d.expect_operands(1, 2);
    op.operand[0] = d.source(operands[0], 4);
    if (operands.size() > 1)
      op.operand[1] = d.source(operands[1], 4);
  }
  void shuffle() {
    d.expect_operands(5, 5);
    for (size_t i = 1; i < 5; i++)
      op.operand[i] = d.source(operands[i], 4);
    pair(operands[0], 4, 0, 5);
  }
  void match() {
    d.expect_operands(3, 3);
    op.operand[1] = d.source(operands[1], width(1));
    op.operand[2] = d.source(operands[2], 4);
    pair(operands[0], 4, 0, 3);
  }
  void elect() {
    d.expect_operands(2, 2);
    op.operand[2] = d.source(operands[1], 4);
    pair(operands[0], 4, 0, 1);
  }
  void ignore() { d.expect_operands(1, 3); }

  void copy() {
    bool hinted = has(".L2::cache_hint");
    size_t count = operands.size() - (hinted && operands.size() > 3 ? 1 : 0);
    d.expect_operands(3, hinted ? 5 : 4);
    uint64_t bytes = d.integer(operands[2]);
    bool all = has(".cp.async.ca") || has("async.ca.");
    if (bytes != 16 && !(all && (bytes == 4 || bytes == 8)))
      d.fail(operands[2].location, "cp.async copies 16 bytes (with .ca 4, 8 or 16)");
    if (bytes != 16)
      use_row(bytes == 4 ? "%copy.4" : "%copy.8");
    bool constant = false;
    uint8_t destination_width = 0;
    int64_t destination_offset = 0;
    op.operand[1] = d.address(operands[0], destination_width, destination_offset, constant);
    op.target = static_cast<uint32_t>(destination_offset);
    op.operand[0] = d.address(operands[1], op.width[0], op.immediate, constant);
    if (destination_width == 4)
      op.flags |= 8;
    if (count < 4)
      return;
    const Operand &last = operands[3];
    if (last.kind == Operand::Kind::kRegister && d.slots_[last.index].width == 0) {
      bool negated = false;
      op.operand[2] = d.source_predicate(last, negated);
      op.flags |= static_cast<uint8_t>(2 | (negated ? 4 : 0));
    } else {
      op.operand[2] = d.source(last, 4);
      op.flags |= 1;
    }
  }

  void matrix(bool writes) {
    d.expect_operands(2, 2);
    op.count = has(".x4.") ? 4 : has(".x2.") ? 2 : 1;
    bool constant = false;
    op.operand[0] = d.address(operands[writes ? 1 : 0], op.width[0], op.immediate, constant);
    for (const Operand *item : list(operands[writes ? 0 : 1], op.count))
      d.op_more_.push_back(writes ? d.destination(*item, 4) : d.source(*item, 4));
  }
  void load_matrix() { matrix(true); }
  void store_matrix() { matrix(false); }
  void multiply() {
    d.expect_operands(4, 4);
    for (size_t i = 0; i < 4; i++)
      for (const Operand *item : list(operands[i], static_cast<size_t>(width(1 + i))))
        d.op_more_.push_back(i == 0 ? d.destination(*item, 4) : d.source(*item, 4));
    op.flags = d.context_.tensor_cores_fuse_whole_k ? 1 : 0;
  }
};

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
      {"@branch", &OperandForms::branch},
      {"@branch_indexed", &OperandForms::branch_indexed},
      {"@barrier", &OperandForms::barrier},
      {"@shuffle", &OperandForms::shuffle},
      {"@match", &OperandForms::match},
      {"@elect", &OperandForms::elect},
      {"@ignore", &OperandForms::ignore},
      {"@copy", &OperandForms::copy},
      {"@ldmatrix", &OperandForms::load_matrix},
      {"@stmatrix", &OperandForms::store_matrix},
      {"@mma", &OperandForms::multiply},
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
