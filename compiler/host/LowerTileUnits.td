#ifndef TENON_LOWER_TILE_UNITS
#define TENON_LOWER_TILE_UNITS

include "mlir/Pass/PassBase.td"

def LowerTileUnits : Pass<"lower-tile-units"> {
  let summary = "operations on tiles in registers => AMX's instructions, by the registers' numbers";
  let description = [{
    Tiles cease to be values: an intrinsic names its registers by immediates (`llvm.x86.tdpbf16ps` and so on), and loops
    carry no tiles any more.

    With `emulated`, what the same instructions do by Intel's description is done by those of vectors, on any machine
    with AVX-512, for tests: each function has 8 KiB of its stack for the registers.
  }];
  let options = [
    Option<"emulated", "emulated", "bool", "false", "by vectors, not by tile units">
  ];
  let dependentDialects = ["::tenon::tile_unit::TileUnitDialect", "::mlir::LLVM::LLVMDialect",
                           "::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect"];
}

#endif // TENON_LOWER_TILE_UNITS
