#ifndef TENON_LOWER_TILE_TO_VECTOR
#define TENON_LOWER_TILE_TO_VECTOR

include "mlir/Pass/PassBase.td"

def LowerTileToVector : Pass<"tenon-lower-tile-to-vector", "::mlir::ModuleOp"> {
  let summary = "tile kernels => loops of vectors whose lanes are rows of the tiles";
  let description = [{
    Each function with the attribute `tile.kernel` becomes

        llvm.func @name(%arguments: !llvm.ptr, %workspace: !llvm.ptr, %x: i32, %y: i32, %z: i32)

    (HostEntry of runtime/include/tenon/KernelImage.h). Lanes run over the rows of a tile, the queries: row
    maxima, exponentials and sums are then vertical, and keys need no packing. A vector with one element a
    row is rows / lanes SSA vectors. A tile of rows and columns lies transposed in the workspace, column by
    column; `tile.workspace_bytes` on the function says how many bytes that takes.

    An element-wise operation on such tiles is not computed where it stands, but in the loop over columns of
    whatever needs it: a reduction, a product, a store. What that loop computes and later ones need is stored
    in place of an operand that dies there. Products are loops over register tiles; their right operand is
    read where it lies in global memory, unless it must be widened.

    With `bfloat16=pairs`, products of bfloat16 take two terms at once: neighbours along the sum share a 32-bit word.
    Those of a key lie so in memory; those of a value are two rows, interleaved for each block of keys; those
    of the probabilities are two columns, rounded by the loop that sums them up.

    With `bfloat16=tiles` the same words go to tile units: 16 keys where they lie in memory, or 16 columns of the
    values, transposed for each block of keys, times 16 rows of the tile. Sums lie as those of vectors do. The tiles are
    values of the tile_unit dialect, which have no registers yet.
  }];
  let options = [
    Option<"lanes", "lanes", "int64_t", "16", "float32 elements of a vector register">,
    Option<"registers", "registers", "int64_t", "32", "vector registers">,
    Option<"bfloat16", "bfloat16", "std::string", "\"none\"",
           "products of bfloat16: none; pairs, by vdpbf16ps; tiles, by tdpbf16ps">
  ];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect", "::mlir::scf::SCFDialect", "::tenon::tile_unit::TileUnitDialect",
                           "::mlir::vector::VectorDialect"];
}

#endif // TENON_LOWER_TILE_TO_VECTOR
