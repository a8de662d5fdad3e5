/// Tiles get registers: see AllocateTileRegisters.td.
#pragma once

#include "dialects/tile_unit/TileUnit.h"

#include "mlir/Pass/Pass.h"

namespace tenon {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "compiler/host/AllocateTileRegisters.h.inc"

} // namespace tenon
