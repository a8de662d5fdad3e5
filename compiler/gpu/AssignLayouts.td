#ifndef TENON_ASSIGN_LAYOUTS
#define TENON_ASSIGN_LAYOUTS

include "mlir/Pass/PassBase.td"

def AssignLayouts : Pass<"tenon-assign-layouts", "::mlir::func::FuncOp"> {
  let summary = "says of every tile in registers which lane holds which element";
  let description = [{
    Tiles of rows and columns take the layout of mma's accumulators, which is that of its left operand too
    (dialects/tile/Layout.h): what comes out of one product goes into the next without a move. Vectors take
    the rows of it. The block has `tile.warps` warps where the function says so, else one for each 16 rows;
    `tile.threads` on the function says how many threads that makes.
  }];
  let dependentDialects = ["::tenon::tile::TileDialect"];
}

#endif // TENON_ASSIGN_LAYOUTS
