/// The tile_unit dialect: see TileUnit.td for its type and operations.
#pragma once

#include "dialects/TraitNames.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include <optional>

namespace tenon::tile_unit {

inline constexpr int64_t kRegisters = 8;
inline constexpr int64_t kRows = 16, kRowBytes = 64, kTileBytes = kRows * kRowBytes;
inline constexpr int64_t kTerms = 32; ///< of a sum in one product
inline constexpr int64_t kConfigurationBytes = 64;

/// Whether the registers hold tiles.
struct Configuration : mlir::SideEffects::Resource::Base<Configuration> {
  llvm::StringRef getName() final { return "TileConfiguration"; }
};

} // namespace tenon::tile_unit

#include "dialects/tile_unit/TileUnitDialect.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/tile_unit/TileUnitTypes.h.inc"
#define GET_OP_CLASSES
#include "dialects/tile_unit/TileUnitOps.h.inc"
