#ifndef TENON_EXPAND_MATH
#define TENON_EXPAND_MATH

include "mlir/Pass/PassBase.td"

def ExpandMath : Pass<"tenon-expand-math"> {
  let summary = "functions of float32 => polynomials and arithmetic, on vectors and scalars";
  let description = [{
    Host code has no imports, so that no call into a mathematical library may remain. Errors are at most a
    few units in the last place (MathFunctions.h); NaN propagates; exp2 and exp of -inf are exactly 0, of 0
    exactly 1. Divisions of vectors of 32-bit integers, which x86 has not, become exact ones of float64, and
    those of scalars ones of 64 bits, where -2^31 / -1 does not trap.

    An exp2 that is marked `afn` will be rounded to bfloat16 (LowerTileToVector marks it): degree 4 suffices, and 3 where
    nothing else is made of it.
  }];
  let options = [
    Option<"avx512", "avx512", "bool", "false", "use vreduceps and vscalefps on vectors of 16">
  ];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect", "::mlir::vector::VectorDialect"];
}

#endif // TENON_EXPAND_MATH
