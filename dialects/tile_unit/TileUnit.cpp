#include "dialects/tile_unit/TileUnit.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tenon::tile_unit;

#include "dialects/tile_unit/TileUnitDialect.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/tile_unit/TileUnitTypes.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/tile_unit/TileUnitOps.cpp.inc"

void TileUnitDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/tile_unit/TileUnitTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/tile_unit/TileUnitOps.cpp.inc"
      >();
}

LogicalResult TileType::verify(function_ref<InFlightDiagnostic()> emitError, Type elementType,
                               std::optional<int64_t> number) {
  if (!elementType.isF32() && !elementType.isBF16())
    return emitError() << "a tile is of f32 or of bf16, not of " << elementType;
  if (number && (*number < 0 || *number >= kRegisters))
    return emitError() << "register " << *number << " must be below " << kRegisters;
  return success();
}

// TDPBF16PS takes three different registers.
LogicalResult MultiplyOp::verify() {
  if (getA() == getB())
    return emitOpError("takes one tile for a and b: they must be two");
  std::optional<int64_t> c = getC().getType().getNumber(), a = getA().getType().getNumber(),
                         b = getB().getType().getNumber();
  if (c.has_value() != a.has_value() || c.has_value() != b.has_value())
    return emitOpError("has tiles with registers, and without");
  if (c && (c == a || c == b || a == b))
    return emitOpError("takes tiles in registers ") << *c << ", " << *a << " and " << *b << ": they must be three";
  return success();
}
