// What the schedule of a GPU adds to tile IR, besides the copies, waits and barriers of Tile.td: rings of tiles in shared
// memory, whole tiles copied ahead, decisions of a warp, and elements of 16 bits taken two at a time.
#ifndef TENON_TILE_SCHEDULE
#define TENON_TILE_SCHEDULE

include "tile/Tile.td"

def Tile_AnyOp : Tile_Op<"any", [Pure]> {
  let summary = "result = source[0] or source[1] or ...; or the same of those rows alone that the asking warp holds";
  let description = [{
    What is guarded by it must give each row the same whether or not another row asks for it.
  }];
  let arguments = (ins Tile_Mask:$source);
  let results = (outs I1:$result);
  let assemblyFormat = "$source attr-dict `:` type($source)";
}

def Tile_DropOp : Tile_Op<"drop", [Pure, AllTypesMatch<["source", "result"]>]> {
  let summary = "result[i, j] = random(stream, row + i, column + j) < threshold ? 0 : source[i, j]";
  let description = [{
    Dropout's decisions on elements of 16 bits, taken two at a time; the numbers are those of `random`, of packed rows
    too. The threshold is in 0 ... 65536.
  }];
  let arguments = (ins Tile_Real:$source, I64:$seed, I32:$offset, I32:$stream, I32:$row, I32:$column,
                       I32:$threshold, DefaultValuedAttr<I32Attr, "1">:$group);
  let results = (outs Tile_Real:$result);
  let assemblyFormat = [{
    $source `below` $threshold `,` $seed `,` $offset `,` $stream `[` $row `,` $column `]` attr-dict
    `:` type($result)
  }];
  let hasVerifier = 1;
}

def Tile_StageOp : Tile_Op<"stage", [Pure]> {
  let summary = "result = ring[index]";
  let description = [{
    A ring is a shared tile of three sizes: stages, rows and columns; or of two, of tiles that have rows alone.
  }];
  let arguments = (ins Tile_SharedType:$ring, I32:$index);
  let results = (outs Tile_SharedType:$result);
  let assemblyFormat = "$ring `[` $index `]` attr-dict `:` qualified(type($ring)) `->` qualified(type($result))";
  let hasVerifier = 1;
}

def Tile_CopyWholeOp : Tile_Op<"copy_whole"> {
  let summary = "shared[i, j] = j < width ? tensor[batch, head, row + i, j] : 0, by the wait, where guard";
  let description = [{
    As `copy_async`, of a tile all of whose rows the tensor has. Where the guard is false, the same for the whole
    block, nothing is read and what becomes of the shared tile is left open: no branch is needed.
  }];
  let arguments = (ins Tile_TensorType:$tensor, I32:$batch, I32:$head, I32:$row,
                       I32Attr:$width, I32Attr:$layout, I1:$guard, Tile_SharedType:$shared);
  let assemblyFormat = [{
    $tensor `[` $batch `,` $head `,` $row `]` `where` $guard `width` $width `layout` $layout `,` $shared
    attr-dict `:` qualified(type($tensor)) `->` qualified(type($shared))
  }];
  let hasVerifier = 1;
}

def Tile_StoreSharedOp : Tile_Op<"store_shared"> {
  let summary = "tensor[batch, head, row + i, j] = shared[i, j] where row + i < limit and j < width";
  let description = [{
    Each warp stores the rows that it would hold in registers, in pieces of 16 bytes where the tensor's rows are
    aligned to them.
  }];
  let arguments = (ins Tile_SharedType:$shared, Tile_TensorType:$tensor, I32:$batch, I32:$head, I32:$row,
                       I32:$limit, I32Attr:$width);
  let assemblyFormat = [{
    $shared `,` $tensor `[` $batch `,` $head `,` $row `]` `rows` $limit `width` $width
    attr-dict `:` qualified(type($shared)) `,` qualified(type($tensor))
  }];
  let hasVerifier = 1;
}

#endif // TENON_TILE_SCHEDULE
