// The tile_unit dialect: what a processor's tile unit (AMX) does, on tiles that are values.
//
// A tile lives in one of eight registers. Which one is said by nobody who emits these operations, but by a pass
// (compiler/host/AllocateTileRegisters.td), in the type: `tile<f32>` has none yet, `tile<f32 in 3>` lies in register 3.
// LLVM's own allocator does not get tiles round a loop.
#ifndef TENON_TILE_UNIT
#define TENON_TILE_UNIT

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def TileUnitDialect : Dialect {
  let name = "tile_unit";
  let cppNamespace = "::tenon::tile_unit";
  let summary = "tiles in the eight registers of a tile unit: AMX, Intel SDM volume 1, chapter 18";
  let description = [{
    Tiles are carried round `scf.for`, and out of `scf.if`, like any value. There is no copy from register to register
    and no spill: a product overwrites its accumulator, and what a loop carries stays where it is. A program that asks
    for more is refused by the pass that gives out the registers.
  }];
  let useDefaultTypePrinterParser = 1;
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

//===-- Types ----------------------------------------------------------------------------------===//

def TileUnit_TileType : TypeDef<TileUnitDialect, "Tile"> {
  let mnemonic = "tile";
  let summary = "16 rows of 64 bytes: of 16 float32, sums, or of 32 bfloat16, terms";
  let parameters = (ins "::mlir::Type":$elementType, OptionalParameter<"std::optional<int64_t>">:$number);
  let assemblyFormat = "`<` $elementType (`in` $number^)? `>`";
  let builders = [TypeBuilderWithInferredContext<(ins "::mlir::Type":$elementType,
                                                      CArg<"std::optional<int64_t>", "std::nullopt">:$number),
                                                 [{ return $_get(elementType.getContext(), elementType, number); }]>];
  let genVerifyDecl = 1;
}

class TileUnit_TileOf<string test, string text>
    : Type<CPred<"::mlir::isa<::tenon::tile_unit::TileType>($_self) && "
                 "::mlir::cast<::tenon::tile_unit::TileType>($_self).getElementType()." # test>,
           text, "::tenon::tile_unit::TileType">;
def TileUnit_Sums  : TileUnit_TileOf<"isF32()", "a tile of float32">;
def TileUnit_Terms : TileUnit_TileOf<"isBF16()", "a tile of bfloat16">;

def TileUnit_Pointer : Type<CPred<"::mlir::isa<::mlir::LLVM::LLVMPointerType>($_self)">, "a pointer">,
                       BuildableType<"::mlir::LLVM::LLVMPointerType::get($_builder.getContext())">;

//===-- Operations -----------------------------------------------------------------------------===//

/// Whether tiles are in use, which all operations but two depend on: none passes those. A tile comes into being where it
/// stands: two zeros are not one, since each has a register of its own.
def TileUnit_Configuration : Resource<"::tenon::tile_unit::Configuration">;
defvar Configures = MemoryEffects<[MemWrite<TileUnit_Configuration>]>;
defvar Configured = MemoryEffects<[MemRead<TileUnit_Configuration>]>;

class TileUnit_Op<string mnemonic, list<Trait> traits = []> : Op<TileUnitDialect, mnemonic, traits>;

def TileUnit_ConfigureOp : TileUnit_Op<"configure", [Configures]> {
  let summary = "all eight registers hold tiles, of zeros, from here on";
  let description = [{
    What the unit reads is written to 64 bytes of memory, a cache line of its own.
  }];
  let arguments = (ins Arg<TileUnit_Pointer, "", [MemWrite]>:$memory);
  let assemblyFormat = "$memory attr-dict";
}

def TileUnit_ReleaseOp : TileUnit_Op<"release", [Configures]> {
  let summary = "the registers hold no tiles any more";
  let assemblyFormat = "attr-dict";
}

class TileUnit_MakingOp<string mnemonic> : TileUnit_Op<mnemonic, [Configured]> {
  let results = (outs Res<TileUnit_TileType, "", [MemAlloc]>:$result);
}

def TileUnit_UndefinedOp : TileUnit_MakingOp<"undefined"> {
  let summary = "result = any contents";
  let description = [{
    What a loop carries into its first turn, where nothing is there yet. It takes no instruction; each of its uses may
    have a register of its own, and contents of its own.
  }];
  let assemblyFormat = "attr-dict `:` type($result)";
}

def TileUnit_ZeroOp : TileUnit_MakingOp<"zero"> {
  let summary = "result[i, j] = 0";
  let assemblyFormat = "attr-dict `:` type($result)";
}

def TileUnit_LoadOp : TileUnit_MakingOp<"load"> {
  let summary = "row i of result = 64 bytes from pointer + i stride";
  let description = [{
    Streaming: what is read once or twice does not displace what lies in the first-level cache.
  }];
  let arguments = (ins Arg<TileUnit_Pointer, "", [MemRead]>:$pointer, I64:$stride, UnitAttr:$streaming);
  let assemblyFormat = "$pointer `,` $stride (`streaming` $streaming^)? attr-dict `:` type($result)";
}

def TileUnit_StoreOp : TileUnit_Op<"store", [Configured]> {
  let summary = "64 bytes from pointer + i stride = row i of tile";
  let arguments = (ins TileUnit_TileType:$tile, Arg<TileUnit_Pointer, "", [MemWrite]>:$pointer, I64:$stride);
  let assemblyFormat = "$tile `,` $pointer `,` $stride attr-dict `:` type($tile)";
}

def TileUnit_MultiplyOp : TileUnit_Op<"multiply", [Configured, AllTypesMatch<["c", "result"]>]> {
  let summary = "result[m, n] = c[m, n] + sum over k < 16 of a[m, 2 k] b[k, 2 n] + a[m, 2 k + 1] b[k, 2 n + 1]";
  let description = [{
    TDPBF16PS. a: 16 rows of 32 terms; b: 16 rows, of two terms of each of 16 columns; c: 16 x 16. The result takes the
    register of c.
  }];
  let arguments = (ins TileUnit_Sums:$c, TileUnit_Terms:$a, TileUnit_Terms:$b);
  let results = (outs TileUnit_Sums:$result);
  let assemblyFormat = "$c `,` $a `,` $b attr-dict `:` type($c) `,` type($a) `,` type($b)";
  let hasVerifier = 1;
}

#endif // TENON_TILE_UNIT
