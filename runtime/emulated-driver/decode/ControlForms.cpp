// Branches, calls, barriers, what the lanes of a warp do together, matrices.
#include "decode/OperandForms.h"

namespace tenon::emulator {

void OperandForms::branch() {
  d.expect_operands(1, 1);
  if (operands[0].kind != Operand::Kind::kSymbol)
    d.fail(operands[0].location, "expected a label");
}

void OperandForms::branch_indexed() {
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

void OperandForms::call() {
  d.expect_operands(3, 4);
  const Operand &callee = operands[1];
  op.count = 0;
  op.target = kNoFunction;
  if (operands.size() > 3) {
    if (operands[3].kind != Operand::Kind::kSymbol ||
        !d.kernel_.labels[d.find_label(operands[3].name, instruction.scope, operands[3].location)].is_prototype)
      d.fail(operands[3].location, "expected the label of .callprototype or .calltargets");
  } else if (callee.kind == Operand::Kind::kRegister) {
    refuse("a call through a register needs a .callprototype or .calltargets");
  }
  if (callee.kind == Operand::Kind::kRegister)
    op.operand[0] = d.source(callee, 8);
  else if (callee.kind == Operand::Kind::kSymbol)
    op.target = static_cast<uint32_t>(d.context_.module->find_function(callee.name));
  else
    d.fail(callee.location, "expected a function");
  const Kernel *known = op.target == kNoFunction ? nullptr : &d.context_.module->functions[op.target];
  parameter_places(operands[0], known ? &known->results : nullptr, "results");
  parameter_places(operands[2], known ? &known->parameters : nullptr, "arguments");
}

void OperandForms::parameter_places(const Operand &list, const std::vector<Variable> *formals, const char *what) {
  if (formals && formals->size() != list.parts.size())
    d.fail(list.location.line ? list.location : instruction.location,
           "the function has " + std::to_string(formals->size()) + " " + what + ", the call " +
               std::to_string(list.parts.size()));
  d.op_more_.push_back(static_cast<uint32_t>(list.parts.size()));
  for (size_t i = 0; i < list.parts.size(); i++) {
    const Operand &part = list.parts[i];
    ParameterPlace place{0, 0}; // '_': nobody wants it
    if (part.kind == Operand::Kind::kSymbol) {
      Symbol symbol = d.symbol(part.name, part.location);
      if (symbol.space != Space::kLocal)
        d.fail(part.location, "expected a .param variable of this body");
      place = {static_cast<uint32_t>(symbol.address), static_cast<uint32_t>(symbol.size)};
    }
    if (formals && place.bytes && (*formals)[i].size != place.bytes)
      d.fail(part.location, "the function's parameter takes " + std::to_string((*formals)[i].size) + " bytes, this " +
                                std::to_string(place.bytes));
    d.op_more_.push_back(place.offset);
    d.op_more_.push_back(place.bytes);
  }
}

void OperandForms::barrier() {
  d.expect_operands(1, 2);
  if (operands[0].kind == Operand::Kind::kInteger && operands[0].bits >= kBarriers)
    d.fail(operands[0].location, "a block has barriers 0 to 15");
  if (operands.size() > 1 && operands[1].kind == Operand::Kind::kInteger && operands[1].bits % kLanes != 0)
    d.fail(operands[1].location, "whole warps take part in a barrier: a multiple of 32 threads");
  op.operand[0] = d.source(operands[0], 4);
  if (operands.size() > 1)
    op.operand[1] = d.source(operands[1], 4);
}

void OperandForms::shuffle() {
  d.expect_operands(5, 5);
  for (size_t i = 1; i < 5; i++)
    op.operand[i] = d.source(operands[i], 4);
  pair(operands[0], 4, 0, 5);
}

void OperandForms::match() {
  d.expect_operands(3, 3);
  op.operand[1] = d.source(operands[1], width(1));
  op.operand[2] = d.source(operands[2], 4);
  pair(operands[0], 4, 0, 3);
}

void OperandForms::elect() {
  d.expect_operands(2, 2);
  op.operand[2] = d.source(operands[1], 4);
  pair(operands[0], 4, 0, 1);
}

void OperandForms::ignore() { d.expect_operands(1, 3); }

void OperandForms::event() {
  d.expect_operands(1, 1);
  const std::string most(arguments[1]);
  if (d.integer(operands[0]) > std::stoull(most))
    d.fail(operands[0].location, "'" + instruction.opcode + "' takes a number from 0 to " + most);
}

void OperandForms::copy() {
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

void OperandForms::matrix(bool writes) {
  d.expect_operands(2, 2);
  op.count = has(".x4.") ? 4 : has(".x2.") ? 2 : 1;
  bool constant = false;
  op.operand[0] = d.address(operands[writes ? 1 : 0], op.width[0], op.immediate, constant);
  for (const Operand *item : list(operands[writes ? 0 : 1], op.count))
    d.op_more_.push_back(writes ? d.destination(*item, 4) : d.source(*item, 4));
}

void OperandForms::load_matrix() { matrix(true); }

void OperandForms::store_matrix() { matrix(false); }

void OperandForms::multiply() {
  d.expect_operands(4, 4);
  const uint8_t bytes = arguments.back() == "f64" ? 8 : 4;
  for (size_t i = 0; i < 4; i++) {
    const bool is_sum = i == 0 || i == 3;
    d.type_ = is_sum && type() == "f32" ? TypeClass::kReal : TypeClass::kBits; // operands of the product are packed
    for (const Operand *item : list(operands[i], static_cast<size_t>(width(1 + i))))
      d.op_more_.push_back(i == 0 ? d.destination(*item, bytes) : d.source(*item, bytes));
  }
  op.flags = static_cast<uint8_t>((d.context_.tensor_cores_fuse_whole_k ? kFusesWholeK : 0) |
                                  (has(".satfinite") ? kSaturates : 0));
}

} // namespace tenon::emulator
