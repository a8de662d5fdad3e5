#include "compiler/attention/SimplifyAttention.h"

#include "dialects/attention/Attention.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringMap.h"

#include <cmath>
#include <limits>

using namespace mlir;

namespace {

using UnaryReal = float (*)(float);
using BinaryReal = float (*)(float, float);
using BinaryIndex = int32_t (*)(int32_t, int32_t);
using CompareReal = bool (*)(float, float);
using CompareIndex = bool (*)(int32_t, int32_t);

int32_t wrap(uint32_t value) { return static_cast<int32_t>(value); }

int32_t floorDivide(int32_t a, int32_t b) {
  if (b == 0 || b == -1)
    return b == 0 ? 0 : wrap(-static_cast<uint32_t>(a));
  return a / b - (a % b != 0 && (a % b < 0) != (b < 0));
}
int32_t modulo(int32_t a, int32_t b) {
  if (b == 0 || b == -1)
    return 0;
  return a % b + (a % b != 0 && (a % b < 0) != (b < 0) ? b : 0);
}
float minimum(float a, float b) { return std::isnan(a) || std::isnan(b) ? NAN : std::min(a, b); }
float maximum(float a, float b) { return std::isnan(a) || std::isnan(b) ? NAN : std::max(a, b); }

const llvm::StringMap<UnaryReal> kUnaryReal = {
    {"negate", [](float a) { return -a; }},
    {"exp", [](float a) { return std::exp(a); }},
    {"exp2", [](float a) { return std::exp2(a); }},
    {"log", [](float a) { return std::log(a); }},
    {"tanh", [](float a) { return std::tanh(a); }},
    {"sqrt", [](float a) { return std::sqrt(a); }},
    {"rsqrt", [](float a) { return 1 / std::sqrt(a); }},
    {"abs", [](float a) { return std::fabs(a); }},
    {"sigmoid", [](float a) { return 1 / (1 + std::exp(-a)); }},
    {"erf", [](float a) { return std::erf(a); }},
    {"sin", [](float a) { return std::sin(a); }},
    {"cos", [](float a) { return std::cos(a); }},
    {"floor", [](float a) { return std::floor(a); }},
};
const llvm::StringMap<BinaryReal> kBinaryReal = {
    {"add", [](float a, float b) { return a + b; }},
    {"subtract", [](float a, float b) { return a - b; }},
    {"multiply", [](float a, float b) { return a * b; }},
    {"divide", [](float a, float b) { return a / b; }},
    {"minimum", minimum},
    {"maximum", maximum},
    {"power", [](float a, float b) { return std::pow(a, b); }},
};
const llvm::StringMap<BinaryIndex> kBinaryIndex = {
    {"add", [](int32_t a, int32_t b) { return wrap(uint32_t(a) + uint32_t(b)); }},
    {"subtract", [](int32_t a, int32_t b) { return wrap(uint32_t(a) - uint32_t(b)); }},
    {"multiply", [](int32_t a, int32_t b) { return wrap(uint32_t(a) * uint32_t(b)); }},
    {"minimum", [](int32_t a, int32_t b) { return std::min(a, b); }},
    {"maximum", [](int32_t a, int32_t b) { return std::max(a, b); }},
    {"floor_divide", floorDivide},
    {"modulo", modulo},
};
const llvm::StringMap<CompareReal> kCompareReal = {
    {"equal", [](float a, float b) { return a == b; }},
    {"not_equal", [](float a, float b) { return a != b; }},
    {"less", [](float a, float b) { return a < b; }},
    {"less_equal", [](float a, float b) { return a <= b; }},
    {"greater", [](float a, float b) { return a > b; }},
    {"greater_equal", [](float a, float b) { return a >= b; }},
};
const llvm::StringMap<CompareIndex> kCompareIndex = {
    {"equal", [](int32_t a, int32_t b) { return a == b; }},
    {"not_equal", [](int32_t a, int32_t b) { return a != b; }},
    {"less", [](int32_t a, int32_t b) { return a < b; }},
    {"less_equal", [](int32_t a, int32_t b) { return a <= b; }},
    {"greater", [](int32_t a, int32_t b) { return a > b; }},
    {"greater_equal", [](int32_t a, int32_t b) { return a >= b; }},
};

float real(Attribute value) { return cast<FloatAttr>(value).getValue().convertToFloat(); }
int32_t index(Attribute value) { return static_cast<int32_t>(cast<IntegerAttr>(value).getInt()); }
bool truth(Attribute value) { return !cast<IntegerAttr>(value).getValue().isZero(); }

int32_t convertToIndex(float value) {
  if (std::isnan(value))
    return 0;
  if (value >= 0x1p31f)
    return std::numeric_limits<int32_t>::max();
  return value <= -0x1p31f ? std::numeric_limits<int32_t>::min() : static_cast<int32_t>(value);
}

// Applies the function of that name, where the table has it.
template <typename Function, typename Make, typename... Arguments>
bool apply(const llvm::StringMap<Function> &table, StringRef name, TypedAttr &result, Make make,
           Arguments... arguments) {
  auto found = table.find(name);
  if (found != table.end())
    result = make(found->second(arguments...));
  return found != table.end();
}

} // namespace

TypedAttr tenon::evaluateConstants(Operation *op, ArrayRef<Attribute> operands) {
  OpBuilder b(op->getContext());
  auto makeReal = [&](float value) -> TypedAttr { return b.getF32FloatAttr(value); };
  auto makeIndex = [&](int32_t value) -> TypedAttr { return b.getI32IntegerAttr(value); };
  auto makeMask = [&](bool value) -> TypedAttr { return b.getBoolAttr(value); };
  if (llvm::is_contained(operands, Attribute()))
    return {};
  StringRef name = op->getName().stripDialect();
  bool isReal = isa<FloatAttr>(operands.back()), isMask = cast<TypedAttr>(operands.back()).getType().isInteger(1);
  TypedAttr result;
  if (isa<attention::WhereOp>(op))
    return cast<TypedAttr>(operands[truth(operands[0]) ? 1 : 2]);
  if (isa<attention::ConvertOp>(op)) {
    if (isReal)
      return makeIndex(convertToIndex(real(operands[0])));
    return makeReal(isMask ? truth(operands[0]) : static_cast<float>(index(operands[0])));
  }
  if (isMask) {
    bool a = truth(operands[0]), last = truth(operands.back());
    if (isa<attention::NotOp>(op))
      return makeMask(!a);
    return isa<attention::AndOp>(op) ? makeMask(a && last) : makeMask(a || last);
  }
  if (operands.size() == 1)
    return isReal && apply(kUnaryReal, name, result, makeReal, real(operands[0])) ? result : TypedAttr();
  if (isReal)
    apply(kBinaryReal, name, result, makeReal, real(operands[0]), real(operands[1])) ||
        apply(kCompareReal, name, result, makeMask, real(operands[0]), real(operands[1]));
  else
    apply(kBinaryIndex, name, result, makeIndex, index(operands[0]), index(operands[1])) ||
        apply(kCompareIndex, name, result, makeMask, index(operands[0]), index(operands[1]));
  return result;
}
