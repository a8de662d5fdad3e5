#include "compiler/check/ElementwiseOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/StringMap.h"

#include <cmath>

using namespace mlir;

namespace tenon::check {
namespace {

// An element of each operand, whichever kind it is.
struct Arguments {
  Operation *op;
  llvm::ArrayRef<const Elements *> operands;
  size_t position;

  size_t at(size_t i) const { return operands[i]->size() == 1 ? 0 : position; }
  double real(size_t i = 0) const { return operands[i]->reals[at(i)]; }
  int64_t integer(size_t i = 0) const { return operands[i]->integers[at(i)]; }
  uint64_t bits(size_t i = 0) const { // unsigned reading, without the sign extension
    unsigned width = operands[i]->elementType.isIndex() ? 64 : operands[i]->elementType.getIntOrFloatBitWidth();
    uint64_t value = static_cast<uint64_t>(integer(i));
    return width >= 64 ? value : value & ((uint64_t{1} << width) - 1);
  }
  unsigned width() const { return operands[0]->elementType.isIndex() ? 64 : operands[0]->elementType.getIntOrFloatBitWidth(); }
};

// An operation yields a real or an integer; the result's type says which.
struct Result {
  double real = 0;
  int64_t integer = 0;
};
using Function = Result (*)(const Arguments &);

Result real(double value) { return {value, 0}; }
Result integer(int64_t value) { return {0, value}; }

int64_t floorDivide(int64_t a, int64_t b) {
  if (b == 0)
    return 0;
  int64_t quotient = a / b;
  return quotient - (a % b != 0 && (a < 0) != (b < 0));
}

bool compareReals(arith::CmpFPredicate predicate, double a, double b) {
  using P = arith::CmpFPredicate;
  bool unordered = std::isnan(a) || std::isnan(b);
  switch (predicate) {
  case P::AlwaysFalse: return false;
  case P::OEQ: return a == b;
  case P::OGT: return a > b;
  case P::OGE: return a >= b;
  case P::OLT: return a < b;
  case P::OLE: return a <= b;
  case P::ONE: return !unordered && a != b;
  case P::ORD: return !unordered;
  case P::UEQ: return unordered || a == b;
  case P::UGT: return unordered || a > b;
  case P::UGE: return unordered || a >= b;
  case P::ULT: return unordered || a < b;
  case P::ULE: return unordered || a <= b;
  case P::UNE: return a != b;
  case P::UNO: return unordered;
  case P::AlwaysTrue: return true;
  }
  return false;
}

bool compareIntegers(arith::CmpIPredicate predicate, const Arguments &x) {
  using P = arith::CmpIPredicate;
  int64_t a = x.integer(0), b = x.integer(1);
  uint64_t ua = x.bits(0), ub = x.bits(1);
  switch (predicate) {
  case P::eq: return a == b;
  case P::ne: return a != b;
  case P::slt: return a < b;
  case P::sle: return a <= b;
  case P::sgt: return a > b;
  case P::sge: return a >= b;
  case P::ult: return ua < ub;
  case P::ule: return ua <= ub;
  case P::ugt: return ua > ub;
  case P::uge: return ua >= ub;
  }
  return false;
}

double propagatingMaximum(double a, double b) { return std::isnan(a) || std::isnan(b) ? NAN : std::fmax(a, b); }
double propagatingMinimum(double a, double b) { return std::isnan(a) || std::isnan(b) ? NAN : std::fmin(a, b); }

#define REAL1(expression) [](const Arguments &x) { double a = x.real(); return real(expression); }
#define REAL2(expression) [](const Arguments &x) { double a = x.real(0), b = x.real(1); return real(expression); }
#define INTEGER2(expression)                                                                       \
  [](const Arguments &x) { int64_t a = x.integer(0), b = x.integer(1); return integer(expression); }
#define BITS2(expression)                                                                          \
  [](const Arguments &x) { uint64_t a = x.bits(0), b = x.bits(1); return integer(static_cast<int64_t>(expression)); }

const llvm::StringMap<Function> &table() {
  static const llvm::StringMap<Function> functions = {
      {"arith.addf", REAL2(a + b)},
      {"arith.subf", REAL2(a - b)},
      {"arith.mulf", REAL2(a * b)},
      {"arith.divf", REAL2(a / b)},
      {"arith.negf", REAL1(-a)},
      {"arith.maximumf", REAL2(propagatingMaximum(a, b))},
      {"arith.minimumf", REAL2(propagatingMinimum(a, b))},
      {"arith.maxnumf", REAL2(std::fmax(a, b))},
      {"arith.minnumf", REAL2(std::fmin(a, b))},
      {"arith.remf", REAL2(std::fmod(a, b))},
      {"arith.extf", REAL1(a)},
      {"arith.truncf", REAL1(a)},
      {"math.absf", REAL1(std::fabs(a))},
      {"math.exp", REAL1(std::exp(a))},
      {"math.exp2", REAL1(std::exp2(a))},
      {"math.expm1", REAL1(std::expm1(a))},
      {"math.log", REAL1(std::log(a))},
      {"math.log2", REAL1(std::log2(a))},
      {"math.log1p", REAL1(std::log1p(a))},
      {"math.tanh", REAL1(std::tanh(a))},
      {"math.sqrt", REAL1(std::sqrt(a))},
      {"math.rsqrt", REAL1(1 / std::sqrt(a))},
      {"math.erf", REAL1(std::erf(a))},
      {"math.sin", REAL1(std::sin(a))},
      {"math.cos", REAL1(std::cos(a))},
      {"math.floor", REAL1(std::floor(a))},
      {"math.ceil", REAL1(std::ceil(a))},
      {"math.roundeven", REAL1(std::nearbyint(a))},
      {"math.powf", REAL2(std::pow(a, b))},
      {"math.copysign", REAL2(std::copysign(a, b))},
      {"math.fma", [](const Arguments &x) { return real(std::fma(x.real(0), x.real(1), x.real(2))); }},
      {"arith.addi", BITS2(a + b)},
      {"arith.subi", BITS2(a - b)},
      {"arith.muli", BITS2(a * b)},
      {"arith.divsi", INTEGER2(b == 0 ? 0 : b == -1 ? static_cast<int64_t>(-static_cast<uint64_t>(a)) : a / b)},
      {"arith.remsi", INTEGER2(b == 0 || b == -1 ? 0 : a % b)},
      {"arith.divui", BITS2(b == 0 ? 0 : a / b)},
      {"arith.remui", BITS2(b == 0 ? 0 : a % b)},
      {"arith.ceildivsi", INTEGER2(-floorDivide(-a, b))},
      {"arith.ceildivui", BITS2(b == 0 ? 0 : a / b + (a % b != 0))},
      {"arith.floordivsi", INTEGER2(floorDivide(a, b))},
      {"arith.andi", BITS2(a & b)},
      {"arith.ori", BITS2(a | b)},
      {"arith.xori", BITS2(a ^ b)},
      {"arith.maxsi", INTEGER2(std::max(a, b))},
      {"arith.minsi", INTEGER2(std::min(a, b))},
      {"arith.maxui", BITS2(std::max(a, b))},
      {"arith.minui", BITS2(std::min(a, b))},
      {"arith.shli", [](const Arguments &x) { return integer(x.bits(1) >= x.width() ? 0 : static_cast<int64_t>(x.bits(0) << x.bits(1))); }},
      {"arith.shrui", [](const Arguments &x) { return integer(x.bits(1) >= x.width() ? 0 : static_cast<int64_t>(x.bits(0) >> x.bits(1))); }},
      {"arith.shrsi", [](const Arguments &x) { return integer(x.integer(0) >> std::min<uint64_t>(x.bits(1), 63)); }},
      {"arith.extsi", [](const Arguments &x) { return integer(x.width() == 1 ? -x.integer() : x.integer()); }},
      {"arith.extui", [](const Arguments &x) { return integer(static_cast<int64_t>(x.bits())); }},
      {"arith.trunci", [](const Arguments &x) { return integer(x.integer()); }},
      {"arith.index_cast", [](const Arguments &x) { return integer(x.integer()); }},
      {"arith.sitofp", [](const Arguments &x) { return real(static_cast<double>(x.width() == 1 ? -x.integer() : x.integer())); }},
      {"arith.uitofp", [](const Arguments &x) { return real(static_cast<double>(x.bits())); }},
      {"arith.fptosi", [](const Arguments &x) {
         double a = std::trunc(x.real());
         return integer(std::isnan(a) ? 0 : a <= -0x1p31 ? INT32_MIN : a >= 0x1p31 ? INT32_MAX : static_cast<int64_t>(a));
       }},
      {"arith.cmpf", [](const Arguments &x) {
         return integer(compareReals(cast<arith::CmpFOp>(x.op).getPredicate(), x.real(0), x.real(1)));
       }},
      {"arith.cmpi", [](const Arguments &x) {
         return integer(compareIntegers(cast<arith::CmpIOp>(x.op).getPredicate(), x));
       }},
      {"arith.select", [](const Arguments &x) {
         size_t chosen = x.integer(0) ? 1 : 2;
         return x.operands[1]->isReal() ? real(x.real(chosen)) : integer(x.integer(chosen));
       }},
  };
  return functions;
}

} // namespace

std::optional<Elements> evaluateElementwise(Operation *op, llvm::ArrayRef<const Elements *> operands) {
  auto found = table().find(op->getName().getStringRef());
  if (found == table().end() || op->getNumResults() != 1)
    return std::nullopt;
  Elements result = Elements::zeros(op->getResult(0).getType());
  for (const Elements *operand : operands)
    if (operand->size() > result.size())
      result.resizeLike(*operand);
  for (size_t i = 0, count = result.size(); i < count; ++i) {
    Result value = found->second({op, operands, i});
    if (result.isReal())
      result.reals[i] = roundTo(result.elementType, value.real);
    else
      result.integers[i] = wrapTo(result.elementType, value.integer);
  }
  return result;
}

Elements evaluateConstant(arith::ConstantOp op) {
  Elements result = Elements::zeros(op.getType());
  auto number = [](Attribute attribute) { return cast<FloatAttr>(attribute).getValueAsDouble(); };
  if (auto dense = dyn_cast<DenseElementsAttr>(op.getValue())) {
    size_t i = 0;
    if (result.isReal())
      for (FloatAttr element : dense.getValues<FloatAttr>())
        result.reals[i++] = number(element);
    else
      for (IntegerAttr element : dense.getValues<IntegerAttr>())
        result.integers[i++] = wrapTo(result.elementType, element.getValue().getSExtValue());
  } else if (result.isReal()) {
    result.reals[0] = number(op.getValue());
  } else {
    result.integers[0] = wrapTo(result.elementType, cast<IntegerAttr>(op.getValue()).getValue().getSExtValue());
  }
  return result;
}

} // namespace tenon::check
