#include "compiler/host/ExpandMath.h"

#include "compiler/attention/PassOrder.h"
#include "compiler/host/MathFunctions.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

namespace tenon {
#define GEN_PASS_DEF_EXPANDMATH
#include "compiler/host/ExpandMath.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;

namespace {

using Unary = Value (MathFunctions::*)(Value);
using Binary = Value (MathFunctions::*)(Value, Value);

struct UnaryRule {
  StringLiteral name;
  Unary function;
};
struct BinaryRule {
  StringLiteral name;
  Binary function;
};

// What is not here (sqrt, floor, abs, fma, copysign, …) is an instruction.
constexpr UnaryRule kUnary[] = {
    {"math.exp2", &MathFunctions::exp2},  {"math.exp", &MathFunctions::exp},
    {"math.log2", &MathFunctions::log2},  {"math.log", &MathFunctions::log},
    {"math.tanh", &MathFunctions::tanh},  {"math.erf", &MathFunctions::erf},
    {"math.sin", &MathFunctions::sin},    {"math.cos", &MathFunctions::cos},
    {"math.rsqrt", &MathFunctions::rsqrt}};
constexpr BinaryRule kBinary[] = {{"math.powf", &MathFunctions::power}};
constexpr BinaryRule kInteger[] = {{"arith.divsi", &MathFunctions::divide},
                                   {"arith.remsi", &MathFunctions::remainder}};

struct ExpandMath : tenon::impl::ExpandMathBase<ExpandMath> {
  using ExpandMathBase::ExpandMathBase;

  void runOnOperation() override {
    if (failed(checkLowered(getOperation(), getArgument(), "tenon-lower-tile-to-vector")))
      return signalPassFailure();
    getOperation()->walk([&](Operation *op) {
      if (op->getNumResults() != 1 || op->getNumOperands() == 0)
        return;
      if (Value value = expand(op)) {
        op->getResult(0).replaceAllUsesWith(value);
        op->erase();
      }
    });
  }

  Value expand(Operation *op) {
    Type type = op->getResult(0).getType();
    Type element = getElementTypeOrSelf(type);
    ImplicitLocOpBuilder builder(op->getLoc(), op);
    MathFunctions functions(builder, type, avx512);
    StringRef name = op->getName().getStringRef();
    auto binary = [&](ArrayRef<BinaryRule> rules) -> Value {
      for (const BinaryRule &rule : rules)
        if (rule.name == name)
          return (functions.*rule.function)(op->getOperand(0), op->getOperand(1));
      return nullptr;
    };
    if (element.isInteger(32)) // by a constant, a scalar's division traps never, and is cheap
      return isa<VectorType>(type) || !matchPattern(op->getOperands().back(), m_Constant())
                 ? binary(kInteger)
                 : nullptr;
    if (!element.isF32())
      return nullptr;
    if (auto power = dyn_cast<math::Exp2Op>(op);
        power && bitEnumContainsAny(power.getFastmath(), arith::FastMathFlags::afn))
      return op->hasAttr(kIsRoundedAttribute) ? functions.exp2RoundedToBFloat16(power.getOperand())
                                              : functions.exp2ForBFloat16(power.getOperand());
    for (const UnaryRule &rule : kUnary)
      if (rule.name == name)
        return (functions.*rule.function)(op->getOperand(0));
    return binary(kBinary);
  }
};

} // namespace
