/// What a GPU's schedule adds to the tile dialect: see Schedule.td.
#pragma once

#include "dialects/tile/Tile.h"

#define GET_OP_CLASSES
#include "dialects/tile/ScheduleOps.h.inc"

namespace tenon::tile {

/// On a load: all rows of its tile are below the limit.
inline constexpr llvm::StringLiteral kWholeAttribute = "tile.whole";
/// On a product that is formed a second time rather than kept: an equal one before it is not taken in its stead.
inline constexpr llvm::StringLiteral kAgainAttribute = "tile.again";
/// On a reduction whose result goes to `any` alone: each lane reduces its own elements and asks no other.
inline constexpr llvm::StringLiteral kLaneAttribute = "tile.lane";

} // namespace tenon::tile
