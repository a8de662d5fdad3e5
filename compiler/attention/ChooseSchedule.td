#ifndef TENON_CHOOSE_SCHEDULE
#define TENON_CHOOSE_SCHEDULE

include "mlir/Pass/PassBase.td"

def ChooseSchedule : Pass<"choose-schedule", "::mlir::func::FuncOp"> {
  let summary = "Chooses the tiles of a fused attention by the target's figures";
  let description = [{
    The result stands on the function as `tile.target` and `tile.schedule = {tile_queries, tile_keys,
    threads, padded_width, padded_value_width, explanation}`. On a GPU a warp takes 16 queries, as
    mma.m16n8k16 does, and the tiles of query, key and value share the block's shared memory: the first of a
    list of tiles that fits is taken. On the host a block of keys stays in the second-level cache.
  }];
  let options = [
    Option<"target", "target", "std::string", "\"sm_80\"", "A name of compiler/attention/Targets.cpp">,
    Option<"tileQueries", "tile-queries", "int64_t", "0", "Queries of a block; 0: by the figures">,
    Option<"tileKeys", "tile-keys", "int64_t", "0", "Keys of a turn of the loop; 0: by the figures">
  ];
}

#endif
