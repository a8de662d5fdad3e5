// wmma, barriers with an answer, mbarrier, policies of the cache.
#include "decode/OperandForms.h"

namespace tenon::emulator {
namespace {
struct WmmaShape {
  std::string_view name;
  uint32_t m, n, k;
};
constexpr WmmaShape kWmmaShapes[] = {
    {".m16n16k16", 16, 16, 16}, {".m32n8k16", 32, 8, 16}, {".m8n32k16", 8, 32, 16}, {".m16n16k8", 16, 16, 8}};

const WmmaShape &wmma_shape(std::string_view opcode) {
  for (const WmmaShape &shape : kWmmaShapes)
    if (opcode.find(shape.name) != std::string_view::npos)
      return shape;
  return kWmmaShapes[0];
}

/// Registers of a fragment. Those of float16 operands are eight always: on the first tensor cores lanes shared elements.
uint32_t wmma_registers(uint32_t rows, uint32_t columns, uint32_t bytes, bool half_operand) {
  return half_operand ? 8 : rows * columns * bytes / (4 * kLanes);
}
} // namespace

void OperandForms::move_wmma() {
  const bool loads = has(".load."), is_a = has(".a."), is_b = has(".b.");
  const std::string_view element = type();
  const uint32_t bytes = element == "f16" || element == "bf16" ? 2 : element == "s8" || element == "u8" ? 1 : 4;
  const WmmaShape &shape = wmma_shape(instruction.opcode);
  if ((shape.k == 8) != (element == "tf32") && (is_a || is_b))
    refuse("the shape does not go with the type in '" + instruction.opcode + "'");
  const uint32_t rows = is_b ? shape.k : shape.m, columns = is_a ? shape.k : shape.n;
  d.expect_operands(2, 3);
  d.type_ = TypeClass::kBits; // fragments
  bool constant = false;
  op.operand[0] = d.address(operands[loads ? 1 : 0], op.width[0], op.immediate, constant);
  if (operands.size() > 2)
    op.operand[1] = d.source(operands[2], 4);
  op.target = rows | columns << 8 | bytes << 16 | uint32_t{has(".col.")} << 24;
  op.count = static_cast<uint8_t>(wmma_registers(rows, columns, bytes, (is_a || is_b) && element == "f16"));
  for (const Operand *item : list(operands[loads ? 0 : 1], op.count))
    d.op_more_.push_back(loads ? d.destination(*item, 4) : d.source(*item, 4));
}

/// "@wmma 2": the bytes of an element of A and B.
void OperandForms::multiply_wmma() {
  const uint32_t bytes = width(1);
  const WmmaShape &shape = wmma_shape(instruction.opcode);
  const bool half = bytes == 2 && !has(".bf16.");
  const std::string &opcode = instruction.opcode;
  const bool half_result = half && opcode.find(".f16.") != std::string::npos, half_accumulator = half && type() == "f16";
  const uint32_t counts[] = {half_result ? 4u : 8u, wmma_registers(shape.m, shape.k, bytes, half),
                             wmma_registers(shape.k, shape.n, bytes, half), half_accumulator ? 4u : 8u};
  d.expect_operands(4, 4);
  for (size_t i = 0; i < 4; i++)
    for (const Operand *item : list(operands[i], counts[i]))
      d.op_more_.push_back(i == 0 ? d.destination(*item, 4) : d.source(*item, 4));
  op.target = shape.m | shape.n << 8;
  op.width[0] = static_cast<uint8_t>(counts[1]);
  op.width[1] = static_cast<uint8_t>(counts[2]);
  op.flags = static_cast<uint8_t>((d.context_.tensor_cores_fuse_whole_k ? kFusesWholeK : 0) |
                                  (half_result ? kHalfResult : 0) | (half_accumulator ? kHalfAccumulator : 0) |
                                  (has(".satfinite") ? kSaturates : 0));
}

/// "@bar_red 4": the width of the result, 'p' for a predicate.
void OperandForms::reduce_barrier() {
  d.expect_operands(3, 4);
  op.operand[1] = d.source(operands[1], 4);
  if (operands.size() > 3)
    op.operand[2] = d.source(operands[2], 4);
  bool negated = false;
  op.operand[3] = d.source_predicate(operands.back(), negated);
  op.flags = negated ? 1 : 0;
  op.operand[0] = d.destination(operands[0], arguments[1] == "p" ? 0 : 4);
}

/// "@mbarrier state ?count": a state to give, and a number behind the address, '?' where it may be missing.
void OperandForms::mbarrier() {
  size_t at = 0;
  bool state = arguments.size() > 1 && arguments[1] == "state", constant = false;
  std::string_view last = arguments.size() > 1 ? arguments.back() : std::string_view();
  if (state && !operands.empty() && operands[0].kind != Operand::Kind::kAddress)
    op.operand[2] = d.destination(operands[at++], 8);
  const bool counts = last.ends_with("count"), may_miss = last.starts_with("?");
  d.expect_operands(at + 1 + (counts && !may_miss), at + 1 + counts);
  op.operand[0] = d.address(operands[at], op.width[0], op.immediate, constant);
  if (may_miss && operands.size() > at + 1)
    d.require_target(90, "'" + instruction.opcode + "' with a count", instruction.location);
  if (operands.size() > at + 1)
    op.operand[1] = d.source(operands[at + 1], 4);
}

/// "@mbarrier_test 8": the width of what is waited for, a state or a parity.
void OperandForms::test_mbarrier() {
  d.expect_operands(3, has(".try_wait") ? 4 : 3);
  bool constant = false;
  op.operand[0] = d.address(operands[1], op.width[0], op.immediate, constant);
  op.operand[1] = d.source(operands[2], width(1));
  if (operands.size() > 3)
    d.source(operands[3], 4); // how long it may be suspended
  op.operand[2] = d.destination(operands[0], 0);
}

/// createpolicy: the policy is a number that nothing looks at.
void OperandForms::policy() {
  d.expect_operands(1, 4);
  op.operand[0] = d.destination(operands[0], 8);
}

} // namespace tenon::emulator
