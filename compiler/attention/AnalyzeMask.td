#ifndef TENON_ANALYZE_MASK
#define TENON_ANALYZE_MASK

include "mlir/Pass/PassBase.td"

def AnalyzeMask : Pass<"analyze-mask", "::mlir::func::FuncOp"> {
  let summary = "Derives which keys a block of queries can see, and which it sees wholly, from the mask";
  let description = [{
    Comparisons of expressions that are affine in the query, the key, lengths, and scalars, and `and`, `or`
    and `not` of these, become the `bounds` region of attention.fused. For the causal mask, key <= query:

        key_begin = 0    open_begin = 0    open_end = first + 1    key_end = last + 1    (all at most keys)

    Blocks outside [key_begin, key_end) are not visited, those in [open_begin, open_end) run without mask
    code. Whatever else a mask holds (elements of tensors, remainders) counts as neither true nor false, so
    that nothing of it is open. Indices are 32-bit and wrap: where an expression could leave 32 bits, the
    bounds test that it does not.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::tenon::attention::AttentionDialect"];
}

#endif
