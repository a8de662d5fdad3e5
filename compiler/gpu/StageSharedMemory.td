#ifndef TENON_STAGE_SHARED_MEMORY
#define TENON_STAGE_SHARED_MEMORY

include "mlir/Pass/PassBase.td"

def StageSharedMemory : Pass<"tenon-stage-shared-memory", "::mlir::func::FuncOp"> {
  let summary = "moves what products read to shared memory, by asynchronous copies that overlap products";
  let description = [{
    Loops of which one begins where the one before ended are a *chain*: copies go on from one to the next. With
    `tile.stages` = 2 on the function, all tiles of the next turn are under way all through a turn, into the
    other stage of a ring; one barrier a turn. With 3 or 4 those of the next two or three turns are, and a turn waits
    for the oldest of them:

        request keys(first), values(first); wait, barrier
        for t:  request keys(t + 1), values(t + 1)    // under the whole turn
                scores = Q.keys(t)T; softmax; output += P.values(t)
                wait, barrier

    With one stage, the order of FlashAttention-2: the tile that the first product reads (keys) is requested a
    turn ahead, as soon as that product is done with the buffer and before the softmax; the others (values) at
    the head of the turn:

        request keys(first)
        for t:  wait, barrier; request values(t)      // under Q.KT
                scores = Q.keys(t)T
                wait, barrier; request keys(t + 1)    // under softmax and P.V
                softmax; output += P.values(t)

    Left operands of 16 bits are read to registers once, where they leave room (StageSharedMemory.h). A left operand of
    32 bits that is computed (P) is written to shared memory, for the warp that computed it.
  }];
  let dependentDialects = ["::tenon::tile::TileDialect", "::mlir::scf::SCFDialect",
                           "::mlir::arith::ArithDialect"];
}

#endif // TENON_STAGE_SHARED_MEMORY
