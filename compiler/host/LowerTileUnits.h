/// Tiles in registers become instructions: see LowerTileUnits.td.
#pragma once

#include "dialects/tile_unit/TileUnit.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/Pass.h"

namespace tenon {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "compiler/host/LowerTileUnits.h.inc"

} // namespace tenon
