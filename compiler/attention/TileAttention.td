#ifndef TENON_TILE_ATTENTION
#define TENON_TILE_ATTENTION

include "mlir/Pass/PassBase.td"

def TileAttention : Pass<"tile-attention", "::mlir::ModuleOp"> {
  let summary = "attention.fused with a schedule => the tile kernel that computes it";
  let description = [{
    kernels/FlashForward.h states the loops; the regions of the fused operation fill its holes, with scalars
    become tiles. What depends on batch and head alone stays a scalar and what depends on the query alone a
    vector with one element a row, both computed before the loops; the rest is computed on tiles. log2(e) is
    merged with the scale of the scores where there is one.

    The kernel says how it is launched: `tile.tensors` gives for each slot of the argument block the input
    of the graph, or -1 - r for result r; `tile.scalars` the inputs; `tile.dropout` that it draws numbers.

    With chunks of keys in the schedule there are two kernels, which run one after the other:
    kernels/Combine.h makes the second. Slots of 2^20 + i in `tile.tensors` are float32 tensors of the workspace,
    [batch, chunks * heads, queries, width], whose widths `tile.workspace` gives.
  }];
  let dependentDialects = ["::tenon::tile::TileDialect", "::mlir::scf::SCFDialect"];
}

#endif
