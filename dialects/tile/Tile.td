// The tile dialect: what one block of a grid does with tiles.
//
// A tile is a builtin ranked tensor: rows x columns, or a vector with one element a row. `arith` and
// `math` are its element-wise operations and `scf.for` the loop; here is only what upstream has not.
// An encoding attribute on the tensor type, once a pass has chosen one, says which register of which
// lane holds an element (dialects/tile/Layout.h).
#ifndef TENON_TILE
#define TENON_TILE

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/EnumAttr.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"

def TileDialect : Dialect {
  let name = "tile";
  let cppNamespace = "::tenon::tile";
  let summary = "what one block of a grid does with tiles of attention";
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::scf::SCFDialect",
                           "::mlir::math::MathDialect", "::mlir::func::FuncDialect"];
  let discardableAttrs = (ins "::mlir::UnitAttr":$kernel);
}

//===-- Types ----------------------------------------------------------------------------------===//

class Tile_Enum<string name, string text, list<string> cases> :
    I32EnumAttr<name, text,
      !foreach(i, !range(!size(cases)), I32EnumAttrCase<cases[i], i>)> {
  let genSpecializedAttr = 0;
  let cppNamespace = "::tenon::tile";
}
def Tile_ConflictsEnum : Tile_Enum<"Conflicts", "how rows of shared memory avoid bank conflicts", ["padded", "swizzled"]>;
def Tile_ConflictsParameter : EnumParameter<Tile_ConflictsEnum> {
  let defaultValue = "Conflicts::padded";
}

class TileType<string name, string typeMnemonic> : TypeDef<TileDialect, name> {
  let mnemonic = typeMnemonic;
}

def Tile_TensorType : TileType<"Tensor", "tensor"> {
  let summary = "a tensor in global memory: [batch, heads, rows, width], any strides";
  let parameters = (ins "::mlir::Type":$elementType);
  let assemblyFormat = "`<` $elementType `>`";
}

def Tile_SharedType : TileType<"Shared", "shared"> {
  let summary = "a tile in the block's shared memory, rows padded or swizzled against bank conflicts";
  let description = [{
    `padded`: 16 bytes lie between the ends of two rows. `swizzled`: chunk c of 16 bytes of row r lies at chunk
    c xor s(r), so that no byte is lost; dialects/tile/Layout.h defines s (`SharedRows`).
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$shape, "::mlir::Type":$elementType,
                        Tile_ConflictsParameter:$conflicts);
  let assemblyFormat = "`<` custom<Shape>($shape, $elementType) (`,` $conflicts^)? `>`";
}

def Tile_Real    : RankedTensorOf<[F32, F16, BF16]>;
def Tile_Any     : RankedTensorOf<[F32, F16, BF16, I32, I1]>;
def Tile_Index   : RankedTensorOf<[I32]>;
def Tile_Mask    : RankedTensorOf<[I1]>;
def Tile_Operand : AnyTypeOf<[Tile_Real, Tile_SharedType]>;

class Tile_EnumAttr<I32EnumAttr e, string mnemonic> : EnumAttr<TileDialect, e, mnemonic> {
  let assemblyFormat = "$value";
}

def Tile_SizeEnum : Tile_Enum<"Size", "a size of the launch",
    ["batch", "heads", "key_heads", "query_length", "key_length"]>;
def Tile_AxisEnum : Tile_Enum<"Axis", "an axis of the grid", ["x", "y", "z"]>;
def Tile_DirectionEnum : Tile_Enum<"Direction", "rows or columns of a tile", ["rows", "columns"]>;
def Tile_ReductionEnum : Tile_Enum<"Reduction", "how a row is reduced", ["maximum", "sum"]>;
def Tile_HoldingEnum : Tile_Enum<"Holding", "what a thread holds of a tile", ["matrix", "rows"]>;
def Tile_ScopeEnum : Tile_Enum<"Scope", "which threads meet", ["block", "warp"]>;
def Tile_ScopeAttr : Tile_EnumAttr<Tile_ScopeEnum, "scope">;
def Tile_SizeAttr : Tile_EnumAttr<Tile_SizeEnum, "size_of">;
def Tile_AxisAttr : Tile_EnumAttr<Tile_AxisEnum, "axis">;
def Tile_DirectionAttr : Tile_EnumAttr<Tile_DirectionEnum, "direction">;
def Tile_ReductionAttr : Tile_EnumAttr<Tile_ReductionEnum, "reduction">;

/// The encoding of a tile in registers; dialects/tile/Layout.h defines the map from its parameters.
def Tile_LayoutAttr : AttrDef<TileDialect, "Layout"> {
  let mnemonic = "layout";
  let summary = "which register of which lane of which warp holds an element of a tile";
  let description = [{
    `matrix`: accumulators of mma.m16n8, which are at the same time its left operand; `rows`: one
    element a row, the same in the four lanes that share the row of a `matrix` tile. The tile's rows are
    dealt to the warps in contiguous runs of a multiple of 16.
  }];
  let parameters = (ins EnumParameter<Tile_HoldingEnum>:$holding, "int64_t":$warps);
  let assemblyFormat = "`<` $holding `,` `warps` `=` $warps `>`";
}

class Tile_Op<string mnemonic, list<Trait> traits = []> : Op<TileDialect, mnemonic, traits>;

//===-- What the launch gives ------------------------------------------------------------------===//

def Tile_TensorOp : Tile_Op<"tensor", [Pure]> {
  let summary = "result = tensors[slot] of the argument block: result[b, h, i, j] = tensor[b, h, i, column + j]";
  let description = [{
    With `column` the result begins there in rows of `row_width` elements; without, it is the tensor itself.
  }];
  let arguments = (ins I32Attr:$slot, Optional<I32>:$column, OptionalAttr<I32Attr>:$row_width);
  let results = (outs Tile_TensorType:$result);
  let assemblyFormat = "$slot (`from` $column^ `of` $row_width)? attr-dict `:` qualified(type($result))";
  let builders = [OpBuilder<(ins "mlir::Type":$type, "uint32_t":$slot),
                            [{ build($_builder, $_state, type, slot, mlir::Value(), mlir::IntegerAttr()); }]>];
  let hasVerifier = 1;
}

def Tile_SizeOp : Tile_Op<"size", [Pure]> {
  let summary = "result = batch, heads, key_heads, query_length or key_length of the launch";
  let arguments = (ins Tile_SizeAttr:$size);
  let results = (outs I32:$result);
  let assemblyFormat = "$size attr-dict";
}

def Tile_PhaseOp : Tile_Op<"phase", [Pure]> {
  let summary = "result = the number of this phase among those that the launch runs; on the host";
  let results = (outs I32:$result);
  let assemblyFormat = "attr-dict";
}

def Tile_ScalarOp : Tile_Op<"scalar", [Pure]> {
  let summary = "result = scalars[slot] of the argument block";
  let arguments = (ins I32Attr:$slot);
  let results = (outs AnyTypeOf<[F32, I32]>:$result);
  let assemblyFormat = "$slot attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Tile_SeedOp : Tile_Op<"seed", [Pure]> {
  let summary = "result = the seed of dropout: *seed_pointer where there is one, else seed";
  let results = (outs I64:$result);
  let assemblyFormat = "attr-dict";
}

def Tile_OffsetOp : Tile_Op<"offset", [Pure]> {
  let summary = "result = the offset of dropout: *offset_pointer where there is one, else offset (its low word)";
  let results = (outs I32:$result);
  let assemblyFormat = "attr-dict";
}

def Tile_ProgramIdOp : Tile_Op<"program_id", [Pure]> {
  let summary = "result = this block's place in the grid";
  let arguments = (ins Tile_AxisAttr:$axis);
  let results = (outs I32:$result);
  let assemblyFormat = "$axis attr-dict";
}

//===-- Global memory --------------------------------------------------------------------------===//

def Tile_LoadOp : Tile_Op<"load", [MemoryEffects<[MemRead]>]> {
  let summary = "result[i, j] = row + i < limit and j < width ? tensor[batch, head, row + i, j] : 0";
  let description = [{
    `width` is the number of columns that the tensor has; the tile may be wider, its last columns are
    then zeros. Elements are converted to the tile's element type. `layout` says what may be assumed:
    0 rows adjacent and everything aligned to 16 bytes, 1 rows adjacent, 2 any strides. A vector takes
    column 0: its tensor has width 1.

    With `group` > 1 rows are packed: row r of `row`, `row` + 1, … below `limit` means row r / group of head
    `head` + r mod group, so that the heads of a group stand in one tile.
  }];
  let arguments = (ins Tile_TensorType:$tensor, I32:$batch, I32:$head, I32:$row, I32:$limit,
                       I32Attr:$width, I32Attr:$layout, DefaultValuedAttr<I32Attr, "1">:$group);
  let results = (outs Tile_Real:$result);
  let assemblyFormat = [{
    $tensor `[` $batch `,` $head `,` $row `]` `rows` $limit `width` $width `layout` $layout attr-dict
    `:` qualified(type($tensor)) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Tile_StoreOp : Tile_Op<"store"> {
  let summary = "tensor[batch, head, row + i, j] = value[i, j] where row + i < limit and j < width";
  let description = [{
    A vector is stored at j = 0: its tensor has width 1. Elements are converted to the tensor's type,
    rounded to nearest even. `group` as in `load`.
  }];
  let arguments = (ins Tile_Real:$value, Tile_TensorType:$tensor, I32:$batch, I32:$head, I32:$row,
                       I32:$limit, I32Attr:$width, I32Attr:$layout, DefaultValuedAttr<I32Attr, "1">:$group);
  let assemblyFormat = [{
    $value `,` $tensor `[` $batch `,` $head `,` $row `]` `rows` $limit `width` $width
    `layout` $layout attr-dict `:` type($value) `,` qualified(type($tensor))
  }];
  let hasVerifier = 1;
}

def Tile_LoadTileOp : Tile_Op<"load_tile", [MemoryEffects<[MemRead]>]> {
  let summary = "result[i, j] = tensor[batch, head, row, j * rows + i]";
  let description = [{
    As the host holds a tile of `rows` rows: all of it lies in one row of a workspace tensor, whose elements are adjacent.
  }];
  let arguments = (ins Tile_TensorType:$tensor, I32:$batch, I32:$head, I32:$row);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = "$tensor `[` $batch `,` $head `,` $row `]` attr-dict `:` qualified(type($tensor)) `->` type($result)";
}

def Tile_StoreTileOp : Tile_Op<"store_tile"> {
  let summary = "tensor[batch, head, row, j * rows + i] = value[i, j]";
  let arguments = (ins RankedTensorOf<[F32]>:$value, Tile_TensorType:$tensor, I32:$batch, I32:$head, I32:$row);
  let assemblyFormat = "$value `,` $tensor `[` $batch `,` $head `,` $row `]` attr-dict `:` type($value) `,` qualified(type($tensor))";
}

def Tile_GatherOp : Tile_Op<"gather", [AttrSizedOperandSegments, MemoryEffects<[MemRead]>]> {
  let summary = "result[i, j] = guard[i, j] ? tensor[indices[0][i, j], indices[1][i, j], ...] : 0";
  let description = [{
    Each index is a tile of the result's shape, or a scalar, and is clamped to the tensor's sizes.
    Where the guard is false memory is not touched. With scalar indices alone and no guard, the result may
    be a scalar: one element that the whole block reads. `layout` as in `load`.
  }];
  let arguments = (ins Tile_TensorType:$tensor,
                       Variadic<AnyTypeOf<[Tile_Index, I32]>>:$indices, Optional<Tile_Mask>:$guard,
                       DefaultValuedAttr<I32Attr, "2">:$layout);
  let results = (outs AnyTypeOf<[Tile_Any, F32, I32, I1]>:$result);
  let assemblyFormat = [{
    $tensor `[` $indices `:` type($indices) `]` (`where` $guard^ `:` type($guard))? attr-dict
    `:` qualified(type($tensor)) `->` type($result)
  }];
  let hasVerifier = 1;
}

//===-- Arithmetic on tiles --------------------------------------------------------------------===//

def Tile_DotOp : Tile_Op<"dot", [Pure, AllTypesMatch<["accumulator", "result"]>]> {
  let summary = "result = a . b + accumulator, or a . bT + accumulator where transposed";
  let description = [{
    With `tf32` operands of float32 may be rounded to TF32, 11 bits of significand, for tensor cores.
  }];
  let arguments = (ins Tile_Operand:$a, Tile_Operand:$b, Tile_Real:$accumulator,
                       UnitAttr:$transposed, UnitAttr:$tf32);
  let results = (outs Tile_Real:$result);
  let assemblyFormat = [{
    $a `,` $b (`transposed` $transposed^)? `,` $accumulator (`tf32` $tf32^)? attr-dict
    `:` qualified(type($a)) `,` qualified(type($b)) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Tile_ReduceOp : Tile_Op<"reduce", [Pure]> {
  let summary = "result[i] = the maximum, or the sum, of source[i, :]";
  let arguments = (ins Tile_ReductionAttr:$reduction, Tile_Real:$source);
  let results = (outs Tile_Real:$result);
  let assemblyFormat = "$reduction $source attr-dict `:` type($source) `->` type($result)";
  let hasVerifier = 1;
}

def Tile_ExpandOp : Tile_Op<"expand", [Pure]> {
  let summary = "result[i, j] = source[i]";
  let arguments = (ins Tile_Any:$source);
  let results = (outs Tile_Any:$result);
  let assemblyFormat = "$source attr-dict `:` type($source) `->` type($result)";
  let hasVerifier = 1;
}

def Tile_SplatOp : Tile_Op<"splat", [Pure]> {
  let summary = "result[i, j] = source";
  let arguments = (ins AnyTypeOf<[F32, I32, I1]>:$source);
  let results = (outs Tile_Any:$result);
  let assemblyFormat = "$source attr-dict `:` type($source) `->` type($result)";
  let hasVerifier = 1;
}

def Tile_IndexOp : Tile_Op<"index", [Pure]> {
  let summary = "result[i, j] = start + i (rows), or start + j (columns)";
  let arguments = (ins Tile_DirectionAttr:$direction, I32:$start);
  let results = (outs Tile_Index:$result);
  let assemblyFormat = "$direction $start attr-dict `:` type($result)";
}

def Tile_RandomOp : Tile_Op<"random", [Pure]> {
  let summary = "result[i, j] = the 16-bit number of dropout at (stream, row + i, column + j)";
  let description = [{
    Philox 4x32-10 with key (seed low, seed high) and counter (query, 4 (key / 32) + (key mod 8) / 2,
    stream, offset); the 128 bits are eight 16-bit numbers, little-endian, and key takes number
    2 ((key mod 32) / 8) + key mod 2. `stream` is batch * heads + head. `column` is a multiple of 32,
    and so is the number of columns.

    With `group` > 1 rows are packed as in `load`: row r means query r / group of stream `stream` + r mod group.
  }];
  let arguments = (ins I64:$seed, I32:$offset, I32:$stream, I32:$row, I32:$column,
                       DefaultValuedAttr<I32Attr, "1">:$group);
  let results = (outs Tile_Index:$result);
  let assemblyFormat = "$seed `,` $offset `,` $stream `[` $row `,` $column `]` attr-dict `:` type($result)";
  let hasVerifier = 1;
}

//===-- Shared memory: what a GPU's schedule adds ----------------------------------------------===//
//
// Rows are padded or swizzled (the type says which), so that eight adjacent rows lie in different banks at every column.

def Tile_SharedAllocOp : Tile_Op<"shared_alloc"> {
  let summary = "result = a tile of shared memory of its own, for the whole of the kernel";
  let results = (outs Tile_SharedType:$result);
  let assemblyFormat = "attr-dict `:` qualified(type($result))";
  let hasVerifier = 1;
}

def Tile_CopyAsyncOp : Tile_Op<"copy_async"> {
  let summary = "shared[i, j] = row + i < limit and j < width ? tensor[batch, head, row + i, j] : 0, by the wait";
  let description = [{
    As `load`, into shared memory. The elements may be read after a `wait` that covers the group that the
    copy was committed to, and a `barrier`. Where rows are aligned to 16 bytes (`layout` 0) and elements
    need no conversion, the copy is asynchronous (cp.async); otherwise it has happened at once.
  }];
  let arguments = (ins Tile_TensorType:$tensor, I32:$batch, I32:$head, I32:$row, I32:$limit,
                       I32Attr:$width, I32Attr:$layout, Tile_SharedType:$shared,
                       DefaultValuedAttr<I32Attr, "1">:$group);
  let assemblyFormat = [{
    $tensor `[` $batch `,` $head `,` $row `]` `rows` $limit `width` $width `layout` $layout `,` $shared
    attr-dict `:` qualified(type($tensor)) `->` qualified(type($shared))
  }];
  let hasVerifier = 1;
}

def Tile_CommitOp : Tile_Op<"commit"> {
  let summary = "closes a group of all copies that the thread has begun since the last one";
  let assemblyFormat = "attr-dict";
}

def Tile_WaitOp : Tile_Op<"wait"> {
  let summary = "until at most `pending` of the thread's newest groups are under way";
  let arguments = (ins I32Attr:$pending);
  let assemblyFormat = "$pending attr-dict";
}

def Tile_BarrierOp : Tile_Op<"barrier"> {
  let summary = "until all threads of the block, or of the warp, are here; they then see each other's writes";
  let arguments = (ins Tile_ScopeAttr:$scope);
  let assemblyFormat = "$scope attr-dict";
}

def Tile_ReadOp : Tile_Op<"read"> {
  let summary = "result[i, j] = shared[i, j]";
  let arguments = (ins Tile_SharedType:$shared);
  let results = (outs Tile_Real:$result);
  let assemblyFormat = "$shared attr-dict `:` qualified(type($shared)) `->` type($result)";
  let hasVerifier = 1;
}

def Tile_WriteOp : Tile_Op<"write"> {
  let summary = "shared[i, j] = value[i, j]";
  let arguments = (ins Tile_Real:$value, Tile_SharedType:$shared);
  let assemblyFormat = "$value `,` $shared attr-dict `:` type($value) `->` qualified(type($shared))";
  let hasVerifier = 1;
}

#endif // TENON_TILE
