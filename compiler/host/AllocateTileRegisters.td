#ifndef TENON_ALLOCATE_TILE_REGISTERS
#define TENON_ALLOCATE_TILE_REGISTERS

include "mlir/Pass/PassBase.td"

def AllocateTileRegisters : Pass<"allocate-tile-registers"> {
  let summary = "gives each tile of a tile unit one of eight registers";
  let description = [{
    In each function `!tile_unit.tile<f32>` becomes `!tile_unit.tile<f32 in 3>`. Tiles that must share a register are one
    class: a product and its accumulator; what a loop carries, the value it begins with, the one that a turn hands to
    the next and the one it leaves; what the branches of an `scf.if` yield, and its result. Any operation whose regions
    are branched to by MLIR's interface will do.

    Two tiles interfere where one is defined while the other is alive: it is read later, in a turn to come of a loop
    around too. The classes are coloured: first those with fewer than eight others beside them are set aside, since
    they will find a register whatever the rest has; the rest, most often none, is searched. Of the registers that are
    free a class takes the one that has been free for longest, so that a load need not wait for the product before it;
    of equals the lowest number.

    There is neither a spill nor a move. Refused are more than eight tiles alive at once, and tiles that must share a
    register and are alive at the same time; the error names the operation. An `undefined` value is made anew for
    each use, right before it, and so is alive nowhere else.
  }];
  let dependentDialects = ["::tenon::tile_unit::TileUnitDialect"];
}

#endif // TENON_ALLOCATE_TILE_REGISTERS
