#ifndef TENON_CHOOSE_SCHEDULE
#define TENON_CHOOSE_SCHEDULE

include "mlir/Pass/PassBase.td"

def ChooseSchedule : Pass<"choose-schedule", "::mlir::func::FuncOp"> {
  let summary = "Chooses the tiles of a fused attention by the target's figures";
  let description = [{
    The result stands on the function as `tile.target` and `tile.schedule = {tile_queries, tile_keys,
    threads, padded_width, padded_value_width, stages, rescaling, shared, explanation}`. On the host blocks of
    keys are sized by the two caches of a core. On a GPU (GpuSchedule.h) tiles, warps and stages
    are the cheapest by a cost model over the figures of the target. Few queries have `chunk_keys` and `packed_heads`
    besides (FewQueries.h), many on the host `chunk_keys` for launches of up to `chunked_queries`, blocks of queries that
    share chunks of keys `query_groups`.
  }];
  let options = [
    Option<"target", "target", "std::string", "\"sm_80\"", "A name of tenon/Target.h">,
    Option<"tileQueries", "tile-queries", "int64_t", "0", "Queries of a block, of few at most; 0: by the figures">,
    Option<"tileKeys", "tile-keys", "int64_t", "0", "Keys of a turn of the loop; 0: by the figures">,
    Option<"queryGroups", "query-groups", "int64_t", "0",
           "Blocks of queries that share a chunk of keys where these exceed a cache of the host, 1 to 8; 0: by the figures">,
    Option<"stages", "stages", "int64_t", "0", "Tiles of keys and values in shared memory, 1 to 4; 0: by the figures">,
    Option<"warps", "warps", "int64_t", "0", "Warps of a block of a GPU; 0: by the figures">,
    Option<"rescaling", "rescaling", "std::string", "\"\"",
           "every-turn, by-row-sum or by-lane-maxima; nothing: by the score (kernels/FlashForward.h)">,
    Option<"shared", "shared", "std::string", "\"\"",
           "Rows of shared memory, swizzled or padded; nothing: by their length (GpuSchedule.h)">
  ];
}

#endif
