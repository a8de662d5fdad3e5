#ifndef TENON_SCALE_AFTER_MAXIMUM
#define TENON_SCALE_AFTER_MAXIMUM

include "mlir/Pass/PassBase.td"

def ScaleAfterMaximum : Pass<"tenon-scale-after-maximum", "::mlir::func::FuncOp"> {
  let summary = "rowmax(c x) = c rowmax(x) for c > 0: the scale then joins the subtraction in one multiply-add";
  let description = [{
    Rounding is monotonic, so that the maximum of the rounded products is the rounded product of the maximum:
    the row's value keeps its bits. What is left of the product, `c x - m`, needs no instruction of its own:
    one multiplication less a score. A mask is moved before the product first.
  }];
  let dependentDialects = ["::tenon::tile::TileDialect", "::mlir::arith::ArithDialect"];
}

#endif // TENON_SCALE_AFTER_MAXIMUM
